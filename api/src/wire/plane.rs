//! Plane's webhooks, version 1 (every Community Edition) and version 2 (cloud and commercial).

use super::{Head, Malformed, Verdict, envelope, header, sha256};
use actix_web::http::header::HeaderMap;
use orch_common::domain::order;
use orch_common::store::deliveries::{NewDelivery, Source};
use serde::Deserialize;
use std::collections::HashSet;

#[derive(Debug, Deserialize)]
struct Envelope {
    event: Option<String>,
    /// Version 2 only; the same on every retry.
    event_id: Option<String>,
    data: Option<Data>,
}

#[derive(Debug, Default, Deserialize)]
struct Data {
    id: Option<String>,
    /// Version 1: the project's id.
    project: Option<String>,
    /// Version 2: the same.
    project_id: Option<String>,
    /// A comment's work item, version 1.
    issue: Option<String>,
}

/// Decides on a signed delivery.
pub fn read(known_projects: &HashSet<String>, headers: &HeaderMap, text: String) -> Result<Verdict, Malformed> {
    let Envelope { event: in_body, event_id, data } = envelope(&text)?;
    let named = header(headers, &["x-plane-event"]);
    // The body is signed, the header is not; but version 2 has been seen with a program's own name in the body.
    let Some(event) = [&in_body, &named].into_iter().flatten().find(|name| is_handled(name)) else {
        return Ok(Verdict::Ignored(format!("nobody handles the event {:?}", named.or(in_body).unwrap_or_default())));
    };
    let Data { id, project, project_id, issue } = data.unwrap_or_default();
    let project = project.or(project_id).map(|id| id.to_lowercase());
    if let Some(unknown) = project.as_deref().filter(|id| !known_projects.contains(*id)) {
        return Ok(Verdict::Unknown(format!("no [[projects]] entry has the Plane project {unknown:?}")));
    }
    // In version 2 a comment's data is its work item.
    let work_item = if event == "issue_comment" { issue } else { id };
    let head = Head {
        source: Source::Plane,
        event: Some(event.clone()),
        event_type: None,
        delivery: header(headers, &["x-plane-delivery"]),
    };
    Ok(Verdict::Enqueue(Box::new(NewDelivery {
        source: Source::Plane,
        key: event_id.filter(|id| is_key(id)).map_or_else(|| sha256(&text), String::into_bytes),
        order_key: work_item.map(|id| order::of_item(project.as_deref().unwrap_or_default(), &id)),
        repo: None,
        payload: head.around(text)?,
    })))
}

/// Work items and their comments, under the names of both versions.
fn is_handled(event: &str) -> bool {
    matches!(
        event,
        "issue"
            | "issue_comment"
            | "workitem.created"
            | "workitem.updated"
            | "workitem.archived"
            | "workitem.deleted"
            | "workitem.comment.created"
            | "workitem.comment.updated"
            | "workitem.comment.deleted"
    )
}

/// The documentation's samples have the text `None` where nothing is.
fn is_key(id: &str) -> bool {
    !id.is_empty() && id != "None" && id.len() <= super::NAME_BYTES
}
