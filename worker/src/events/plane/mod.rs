//! Plane's webhooks, version 1 (every community release) and version 2 (cloud): who did what to which work item.
//! Who did it is `activity.actor` and nothing else: every author field in the data can be written by any member. The data is
//! what Plane found when it sent, not what the actor did: of a comment only `updated_by` says whose the words are, which
//! nobody can choose.

use super::body::Body;
use super::{BadEvent, Parsed, RawEvent};
use crate::html;
use serde::{Deserialize, Serialize};

/// Something that happened to a work item.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlaneEvent {
    /// UUID text; `None` where the delivery does not name it (deletions, version 2's comments): look the item up.
    pub project: Option<String>,
    /// UUID text.
    pub work_item: String,
    /// The account that did it; `None` where the delivery does not say.
    pub actor: Option<String>,
    pub what: PlaneChange,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum PlaneChange {
    ItemCreated(NewItem),
    /// `to` is the id of the state that was asked for; the item may have moved on since. `at` is the time of the move
    /// in the item's own history (ms since the epoch), which a delivery does not say.
    StateChanged {
        to: String,
        at: Option<i64>,
    },
    LabelsChanged,
    /// Another field, by Plane's name for it.
    OtherField(String),
    ItemDeleted,
    /// Put away, and not removed: it is in no list.
    ItemArchived,
    Comment(SaidInPlane),
}

/// A new work item, as it was when Plane sent the delivery.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewItem {
    pub title: String,
    /// As Markdown.
    pub description: String,
    pub state_id: String,
    /// Version 1 only.
    pub state_name: Option<String>,
    /// Version 1 only.
    pub state_group: Option<String>,
    /// Names; version 1 only.
    pub labels: Vec<String>,
    /// UUID texts.
    pub label_ids: Vec<String>,
    /// The number people see.
    pub sequence_id: i64,
    /// `orch` for what Orch made itself.
    pub external_source: Option<String>,
}

/// A comment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SaidInPlane {
    /// UUID text.
    pub comment_id: String,
    /// What a person sees, as Markdown.
    pub text: String,
    /// `orch` for our own.
    pub external_source: Option<String>,
    /// It was changed, not written.
    pub edited: bool,
    /// The actor wrote these words: nobody else has changed them since. Any member can change anybody's comment, also a
    /// new one before Plane tells of it, so what is not one's own word is nobody's word.
    pub own_words: bool,
}

/// Reads a delivery of Plane.
///
/// # Errors
/// [`BadEvent`] names the field.
pub fn parse(raw: &RawEvent<'_>) -> Result<Parsed<PlaneEvent>, BadEvent> {
    let body = Body::parse(raw.body)?;
    let named = raw.event.clone();
    if body.opt_text("version")?.as_deref() == Some("v2") {
        // The header is right where the documented bodies are not.
        let event = named.map_or_else(|| body.text("event"), Ok)?;
        return parse_v2(&event, &body);
    }
    let event = body.opt_text("event")?.or(named).ok_or_else(|| super::body::missing("event"))?;
    match event.as_str() {
        "issue" => issue_v1(&body),
        "issue_comment" => comment_v1(&body).map(Parsed::Event),
        other => Ok(Parsed::ignored(format!("{other} events move nothing"))),
    }
}

fn issue_v1(body: &Body) -> Result<Parsed<PlaneEvent>, BadEvent> {
    let what = match body.text("action")?.as_str() {
        "created" | "create" => PlaneChange::ItemCreated(new_item_v1(body)?),
        "updated" | "update" => change_v1(body)?,
        "deleted" | "delete" => PlaneChange::ItemDeleted,
        other => return Ok(Parsed::ignored(format!("issue {other}"))),
    };
    let project = body.opt_text("data.project")?;
    if project.is_none() && what != PlaneChange::ItemDeleted {
        return Err(super::body::missing("data.project"));
    }
    let (work_item, actor) = (body.text("data.id")?, Some(body.text("activity.actor.id")?));
    Ok(Parsed::Event(PlaneEvent { project, work_item, actor, what }))
}

/// The data is a snapshot of later; the change itself is in `activity`.
fn change_v1(body: &Body) -> Result<PlaneChange, BadEvent> {
    Ok(match body.text("activity.field")?.as_str() {
        "state" | "state_id" => {
            // Releases before 0.27 wrote names in the values and ids beside them.
            let id = body.opt_text("activity.new_identifier")?;
            PlaneChange::StateChanged { to: id.map_or_else(|| body.text("activity.new_value"), Ok)?, at: None }
        }
        "labels" | "label_ids" => PlaneChange::LabelsChanged,
        other => PlaneChange::OtherField(other.to_owned()),
    })
}

fn new_item_v1(body: &Body) -> Result<NewItem, BadEvent> {
    let description = body.opt_text("data.description_html")?.unwrap_or_default();
    Ok(NewItem {
        title: body.text("data.name")?,
        description: html::page(&description, &html::nobody).text,
        state_id: body.text("data.state.id")?,
        state_name: body.opt_text("data.state.name")?,
        state_group: body.opt_text("data.state.group")?,
        labels: body.texts("data.labels", "name"),
        label_ids: body.texts("data.labels", "id"),
        sequence_id: body.integer("data.sequence_id")?,
        external_source: body.opt_text("data.external_source")?,
    })
}

fn comment_v1(body: &Body) -> Result<PlaneEvent, BadEvent> {
    let action = body.text("action")?;
    let actor = body.text("activity.actor.id")?;
    let what = match action.as_str() {
        "created" | "create" | "updated" | "update" => {
            let edited = action.starts_with("update");
            let (author, writer) = (body.opt_text("data.actor")?, body.opt_text("data.updated_by")?);
            let is_author = author.map_or(!edited, |author| author == actor);
            PlaneChange::Comment(SaidInPlane {
                comment_id: body.text("data.id")?,
                text: html::words(&body.text("data.comment_html")?, &html::nobody),
                external_source: body.opt_text("data.external_source")?,
                edited,
                own_words: is_author && writer.is_none_or(|writer| writer == actor),
            })
        }
        other => PlaneChange::OtherField(format!("comment {other}")),
    };
    let (project, work_item) = (body.text("data.project")?, body.text("data.issue")?);
    Ok(PlaneEvent { project: Some(project), work_item, actor: Some(actor), what })
}

fn parse_v2(event: &str, body: &Body) -> Result<Parsed<PlaneEvent>, BadEvent> {
    let (actor, what) = match event {
        "workitem.created" => (body.opt_text("data.created_by_id")?, PlaneChange::ItemCreated(new_item_v2(body)?)),
        "workitem.updated" => (body.opt_text("data.updated_by_id")?, change_v2(body)?),
        // Out of everybody's sight, as if deleted.
        "workitem.archived" => (body.opt_text("data.updated_by_id")?, PlaneChange::ItemArchived),
        "workitem.deleted" => (None, PlaneChange::ItemDeleted),
        "workitem.comment.created" => (Some(body.text("data.comment.actor_id")?), comment_v2(body, false)?),
        // Nothing says who changed it.
        "workitem.comment.updated" => (None, comment_v2(body, true)?),
        other => return Ok(Parsed::ignored(format!("{other} events move nothing"))),
    };
    let (project, work_item) = (body.opt_text("data.project_id")?, body.text("data.id")?);
    Ok(Parsed::Event(PlaneEvent { project, work_item, actor, what }))
}

fn change_v2(body: &Body) -> Result<PlaneChange, BadEvent> {
    let before = body
        .at("previous_attributes")
        .and_then(|v| v.as_object())
        .ok_or_else(|| super::body::missing("previous_attributes"))?;
    if before.contains_key("state_id") {
        return Ok(PlaneChange::StateChanged { to: body.text("data.state_id")?, at: None });
    }
    if before.contains_key("label_ids") {
        return Ok(PlaneChange::LabelsChanged);
    }
    Ok(PlaneChange::OtherField(before.keys().next().cloned().unwrap_or_default()))
}

fn new_item_v2(body: &Body) -> Result<NewItem, BadEvent> {
    let description = match body.opt_text("data.description_html")? {
        Some(html) => html::page(&html, &html::nobody).text,
        None => body.opt_text("data.description_stripped")?.unwrap_or_default(),
    };
    Ok(NewItem {
        title: body.text("data.name")?,
        description,
        state_id: body.text("data.state_id")?,
        state_name: None,
        state_group: None,
        labels: Vec::new(),
        label_ids: body.texts("data.label_ids", "id"),
        sequence_id: body.integer("data.sequence_id")?,
        external_source: body.opt_text("data.external_source")?,
    })
}

fn comment_v2(body: &Body, edited: bool) -> Result<PlaneChange, BadEvent> {
    let text = match body.opt_text("data.comment.comment_html")? {
        Some(html) => html::words(&html, &html::nobody),
        None => body.text("data.comment.comment_stripped")?,
    };
    Ok(PlaneChange::Comment(SaidInPlane {
        comment_id: body.text("data.comment.id")?,
        text,
        external_source: body.opt_text("data.comment.external_source")?,
        edited,
        own_words: !edited,
    }))
}

#[cfg(test)]
mod tests;
