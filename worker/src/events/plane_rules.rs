//! From what happened in Plane to what is to be done: start rules, commands, answers. Text, words and state are read
//! again from Plane before they are used; a delivery carries what Plane found when it sent.

use super::once::{Once, newest_move};
use super::people::names_in;
use super::plan::{Plan, PlanError};
use super::plane::{NewItem, PlaneChange, PlaneEvent};
use crate::clients::ApiError;
use crate::clients::plane::WorkItem;
use crate::context::Context;
use crate::html::{self, Picture};
use orch_common::config::{Project, StartRule, StateCommand};
use orch_common::domain::decide::{Trigger, Via};
use orch_common::domain::messages::Message;
use orch_common::domain::names::{BranchName, IdPrefix, WorkItemKey};
use orch_common::domain::stage::TaskState;
use orch_common::domain::words::Command;
use orch_common::store::tasks::{self, NewTask, Task};
use std::time::Duration;

/// Characters of a description that are kept with the task.
const DESCRIPTION_CHARS: usize = 20_000;
/// Characters of a title that are kept with the task.
const TITLE_CHARS: usize = 255;
/// Plane writes an item's history beside the delivery, not before it.
const HISTORY_LAG: Duration = Duration::from_millis(800);

/// Plans for one event.
pub async fn plan(ctx: &Context, event: PlaneEvent) -> Result<Plan, PlanError> {
    let PlaneEvent { project, work_item, actor, what } = event;
    let task = known_task(ctx, project.as_deref(), &work_item).await?;
    let project_id = project.or_else(|| task.as_ref().map(|t| t.project.clone()));
    let Some(project) = project_id.as_deref().and_then(|id| ctx.config.projects.by_plane(id)) else {
        return Ok(Plan::ignore("the project is not registered"));
    };
    let actor = match actor {
        Some(actor) if ctx.accounts.is_own_in_plane(&ctx.outside, &actor).await? => {
            return Ok(Plan::ignore("the orchestrator's own deed"));
        }
        Some(actor) => actor,
        // Version 2 names nobody here, and it does not matter who it was.
        None if is_end(&what) => String::new(),
        None => return Ok(Plan::ignore("nobody is named who did it")),
    };
    ctx.outside.threads.hear(&work_item, &what);
    let case = Case { ctx, project, work_item: &work_item, actor: &actor };
    match (what, task) {
        (PlaneChange::ItemCreated(item), None) => case.created(item).await,
        (PlaneChange::StateChanged { to, .. }, None) => case.moved_without_task(&to).await,
        (PlaneChange::LabelsChanged, None) => case.labelled().await,
        (PlaneChange::StateChanged { .. }, Some(task)) if task.state == TaskState::Done => {
            Ok(Plan::ignore("the task has ended"))
        }
        (PlaneChange::StateChanged { to, at }, Some(task)) if task.state == TaskState::Cancelled => {
            case.moved_back(task, &to, at).await
        }
        (PlaneChange::StateChanged { to, at }, Some(task)) => case.moved(task, &to, at).await,
        (PlaneChange::Comment(said), Some(task)) => case.said(task, said).await,
        (what @ (PlaneChange::ItemDeleted | PlaneChange::ItemArchived), Some(task)) => {
            let archived = what == PlaneChange::ItemArchived;
            Ok(trigger(task, Trigger::Deleted { actor: actor.clone(), archived }, None))
        }
        (PlaneChange::ItemCreated(_), Some(_)) => Ok(Plan::ignore("the work item has a task already")),
        (PlaneChange::Comment(_) | PlaneChange::ItemDeleted | PlaneChange::ItemArchived, None) => {
            Ok(Plan::ignore("the work item has no task"))
        }
        (PlaneChange::LabelsChanged, Some(_)) => Ok(Plan::ignore("labels move no task")),
        (PlaneChange::OtherField(field), _) => Ok(Plan::ignore(format!("'{field}' moves nothing"))),
    }
}

/// The item is no more to be had.
const fn is_end(what: &PlaneChange) -> bool {
    matches!(what, PlaneChange::ItemDeleted | PlaneChange::ItemArchived)
}

async fn known_task(ctx: &Context, project: Option<&str>, work_item: &str) -> Result<Option<Task>, PlanError> {
    let (project, item) = (project.map(str::to_owned), work_item.to_owned());
    Ok(ctx
        .store
        .read(move |c| match &project {
            Some(project) => tasks::by_work_item(c, project, &item),
            None => tasks::by_work_item_alone(c, &item),
        })
        .await?)
}

pub(super) fn trigger(task: Task, trigger: Trigger, once: Option<Once>) -> Plan {
    Plan::Trigger { task: Box::new(task), trigger, once }
}

/// A work item's text, fresh.
struct Text {
    title: String,
    description: String,
    sequence_id: i64,
    state: Option<String>,
    labels: Vec<String>,
}

/// One event of a registered project.
pub(super) struct Case<'a> {
    pub ctx: &'a Context,
    pub project: &'a Project,
    pub work_item: &'a str,
    pub actor: &'a str,
}

impl Case<'_> {
    async fn created(&self, item: NewItem) -> Result<Plan, PlanError> {
        if item.external_source.as_deref() == Some("orch") {
            return Ok(Plan::ignore("made by the orchestrator"));
        }
        let snapshot = Text {
            title: item.title,
            description: item.description,
            sequence_id: item.sequence_id,
            state: item.state_name,
            labels: item.labels,
        };
        let Some(fresh) = self.fresh(Some(snapshot)).await? else {
            return Ok(Plan::ignore("the work item is gone"));
        };
        self.start_if_ruled(fresh)
    }

    async fn labelled(&self) -> Result<Plan, PlanError> {
        if !matches!(self.project.start, StartRule::Label(_)) {
            return Ok(Plan::ignore("labels start nothing in this project"));
        }
        match self.fresh(None).await? {
            Some(fresh) => self.start_if_ruled(fresh),
            None => Ok(Plan::ignore("the work item is gone")),
        }
    }

    async fn moved_without_task(&self, to: &str) -> Result<Plan, PlanError> {
        let StartRule::State(wanted) = &self.project.start else {
            return Ok(Plan::ignore("the work item has no task, and a state starts none in this project"));
        };
        if !self.state_name(to).await?.is_some_and(|(name, _)| same(&name, wanted)) {
            return Ok(Plan::ignore("this state starts nothing"));
        }
        match self.fresh(None).await? {
            // What was asked for counts, even if the item has moved on since.
            Some(fresh) => self.start(fresh),
            None => Ok(Plan::ignore("the work item is gone")),
        }
    }

    fn start_if_ruled(&self, fresh: Text) -> Result<Plan, PlanError> {
        let starts = match &self.project.start {
            StartRule::Created => true,
            StartRule::Label(label) => fresh.labels.iter().any(|l| same(l, label)),
            StartRule::State(state) => fresh.state.as_deref().is_some_and(|s| same(s, state)),
        };
        if !starts {
            return Ok(Plan::ignore("the start rule does not hold"));
        }
        self.start(fresh)
    }

    fn start(&self, fresh: Text) -> Result<Plan, PlanError> {
        let unusable = |e: &dyn std::fmt::Display| PlanError::Unusable(format!("the work item cannot be named: {e}"));
        let prefix = IdPrefix::from_identifier(&self.project.id_prefix).map_err(|e| unusable(&e))?;
        let number = u32::try_from(fresh.sequence_id).map_err(|e| unusable(&e))?;
        let key = WorkItemKey::new(&prefix, number).map_err(|e| unusable(&e))?;
        let task = NewTask {
            project: self.project.plane_project.clone(),
            work_item: self.work_item.to_owned(),
            branch: BranchName::for_task(&key, &fresh.title).to_string(),
            key: key.to_string(),
            title: one_line(&fresh.title),
            description: cut(&fresh.description),
            repo: self.project.repo.clone(),
            base: self.project.default_branch.clone(),
        };
        Ok(Plan::Start { project: self.project.plane_project.clone(), task, actor: Some(self.actor.to_owned()) })
    }

    async fn moved(&self, task: Task, to: &str, at: Option<i64>) -> Result<Plan, PlanError> {
        let Some((name, group)) = self.state_name(to).await? else {
            return Ok(Plan::ignore("the state cannot be named: Plane is not configured"));
        };
        let command = match self.project.command_of_state(&name) {
            Some(StateCommand::Approve) => Command::Approve,
            Some(StateCommand::Cancel) => Command::Cancel,
            Some(StateCommand::Retry) => Command::Retry,
            None if group == "cancelled" => Command::Cancel,
            // It stays where it was put, and whoever put it there is told what that does not do.
            None if group == "completed" => {
                let once = self.which_move(to, at).await?;
                let message = Message::NotDone { to: name, stage: task.stage, state: task.state };
                return Ok(Plan::Answer { task: Box::new(task), message, once });
            }
            None => return Ok(Plan::ignore(format!("the state '{name}' is no command"))),
        };
        let once = self.which_move(to, at).await?;
        if let Some(refusal) = self.not_an_approver(&task, &command, once.as_ref()) {
            return Ok(refusal);
        }
        let actor = self.actor.to_owned();
        Ok(trigger(task, Trigger::Command { command, actor, via: Via::State }, once))
    }

    /// A cancelled card that is moved to where work waits or goes on: the task is opened again. Only the newest move counts,
    /// and only one from after the end.
    async fn moved_back(&self, task: Task, to: &str, at: Option<i64>) -> Result<Plan, PlanError> {
        let Some((name, group)) = self.state_name(to).await? else {
            return Ok(Plan::ignore("the state cannot be named: Plane is not configured"));
        };
        let command = match self.project.command_of_state(&name) {
            Some(StateCommand::Approve) => Command::Approve,
            Some(StateCommand::Retry) => Command::Retry,
            None if matches!(group.as_str(), "backlog" | "unstarted" | "started") => Command::Retry,
            Some(StateCommand::Cancel) | None => return Ok(Plan::ignore("the task has ended")),
        };
        let once = self.which_move(to, at).await?;
        let Some(Once::Newer { at, .. }) = &once else {
            return Ok(Plan::ignore("the task has ended, and nothing says when the card was moved"));
        };
        if task.finished_at.is_some_and(|ended| *at <= ended) {
            return Ok(Plan::ignore("the card was moved before the task ended"));
        }
        if !self.is_still_in(to).await? {
            return Ok(Plan::ignore("the card was moved on"));
        }
        if let Some(refusal) = self.not_an_approver(&task, &command, once.as_ref()) {
            return Ok(refusal);
        }
        let actor = self.actor.to_owned();
        Ok(trigger(task, Trigger::Command { command, actor, via: Via::State }, once))
    }

    async fn is_still_in(&self, state: &str) -> Result<bool, PlanError> {
        let Some(plane) = &self.ctx.outside.plane else { return Ok(false) };
        match plane.work_item(&self.project.plane_project, self.work_item).await {
            Ok(item) => Ok(item.state.id.eq_ignore_ascii_case(state)),
            Err(ApiError::NotFound) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Which move of the item's history this is, so that it acts once however it was learnt of. A delivery does not
    /// say: it is the newest one of this actor to this state, if that has not acted yet.
    async fn which_move(&self, to: &str, at: Option<i64>) -> Result<Option<Once>, PlanError> {
        let (None, Some(plane)) = (at, &self.ctx.outside.plane) else {
            return Ok(at.map(|at| Once::moved(self.work_item, to, at)));
        };
        let (item, state) = (self.work_item.to_owned(), to.to_owned());
        let known = self.ctx.store.read(move |c| newest_move(c, &item, &state)).await?;
        for pause in [Duration::ZERO, HISTORY_LAG] {
            tokio::time::sleep(pause).await;
            let history = match plane.activities(&self.project.plane_project, self.work_item).await {
                Ok(history) => history,
                Err(error) if error.is_transient() => return Err(error.into()),
                // A server that does not show its history: the delivery's word is all there is.
                Err(_) => return Ok(None),
            };
            let newest = history.iter().filter(|a| a.is_move_to(to) && a.is_by(self.actor)).map(|a| a.created_at).max();
            if let Some(at) = newest.filter(|at| known.is_none_or(|known| known < *at)) {
                return Ok(Some(Once::moved(self.work_item, to, at)));
            }
        }
        Err(PlanError::NotSeen { what: "move" })
    }

    /// The item as Plane has it now; `None` = it is gone. Without Plane, what the delivery said.
    async fn fresh(&self, snapshot: Option<Text>) -> Result<Option<Text>, PlanError> {
        let Some(plane) = &self.ctx.outside.plane else { return Ok(snapshot) };
        match plane.work_item(&self.project.plane_project, self.work_item).await {
            Ok(item) => {
                self.ctx.outside.threads.met(&item);
                Ok(Some(text_of(item)))
            }
            Err(ApiError::NotFound) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// The name and group of a state.
    async fn state_name(&self, id: &str) -> Result<Option<(String, String)>, PlanError> {
        Ok(self.ctx.outside.state_by_id(&self.project.plane_project, id).await?.map(|s| (s.name, s.group)))
    }
}

/// An item's text as it is kept with its task.
pub(crate) struct Kept {
    pub title: String,
    /// Markdown.
    pub description: String,
    pub pictures: Vec<Picture>,
}

/// Reads an item's text, with the names of those whom it mentions.
pub(crate) async fn kept_text(ctx: &Context, project: &str, item: &WorkItem) -> Kept {
    let html = item.description_html.as_deref().unwrap_or_default();
    let names = names_in(ctx, project, html).await;
    let page = html::page(html, &|id| names.get(id).cloned());
    Kept { title: one_line(&item.name), description: cut(&page.text), pictures: page.pictures }
}

fn cut(description: &str) -> String {
    html::cut(description, DESCRIPTION_CHARS)
}

fn text_of(item: WorkItem) -> Text {
    Text {
        title: item.name,
        description: html::page(item.description_html.as_deref().unwrap_or_default(), &html::nobody).text,
        sequence_id: item.sequence_id,
        state: item.state.name,
        labels: item.labels.into_iter().filter_map(|l| l.name).collect(),
    }
}

fn same(a: &str, b: &str) -> bool {
    a.trim().to_lowercase() == b.trim().to_lowercase()
}

fn one_line(title: &str) -> String {
    let clean: String = title.chars().map(|c| if c.is_control() { ' ' } else { c }).take(TITLE_CHARS).collect();
    clean.trim().to_owned()
}
