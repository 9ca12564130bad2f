//! The forge's webhooks: Gitea, and Forgejo, whose headers and bodies are the same where they are read here.

use super::{Head, Malformed, Verdict, envelope, header, sha256};
use actix_web::http::header::HeaderMap;
use orch_common::store::deliveries::{NewDelivery, Source};
use serde::Deserialize;
use std::collections::HashSet;

const EVENT: &[&str] = &["x-gitea-event", "x-forgejo-event", "x-github-event", "x-gogs-event"];
const EVENT_TYPE: &[&str] = &["x-gitea-event-type", "x-forgejo-event-type", "x-github-event-type", "x-gogs-event-type"];
const DELIVERY: &[&str] = &["x-gitea-delivery", "x-forgejo-delivery", "x-github-delivery", "x-gogs-delivery"];

#[derive(Debug, Deserialize)]
struct Envelope {
    repository: Option<Repository>,
    /// Of a push, or of a branch that was made or deleted.
    #[serde(rename = "ref")]
    reference: Option<String>,
    pull_request: Option<PullRequest>,
    issue: Option<Issue>,
    workflow_run: Option<Workflow>,
    workflow_job: Option<Workflow>,
    /// Of a status.
    sha: Option<String>,
}

#[derive(Debug, Deserialize)]
struct PullRequest {
    head: Option<PullHead>,
}

#[derive(Debug, Deserialize)]
struct PullHead {
    /// Keeps the branch's name after its end; empty where there never was a branch.
    label: Option<String>,
    #[serde(rename = "ref")]
    reference: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Issue {
    number: Option<i64>,
}

#[derive(Debug, Deserialize)]
struct Workflow {
    head_branch: Option<String>,
    head_sha: Option<String>,
}

impl Envelope {
    /// The branch, else the number, else the commit; `None` = it names none of them.
    fn about(self) -> Option<String> {
        let named = |name: Option<String>| name.filter(|name| !name.is_empty());
        let reference =
            named(self.reference).map(|name| name.strip_prefix("refs/heads/").map_or(name.clone(), str::to_owned));
        let head = || {
            let head = self.pull_request?.head?;
            named(head.label).or(named(head.reference))
        };
        let run = self.workflow_run.or(self.workflow_job);
        let (branch, commit) = run.map(|run| (named(run.head_branch), named(run.head_sha))).unwrap_or_default();
        let number = || Some(format!("#{}", self.issue?.number?));
        reference.or_else(head).or(branch).or_else(number).or(commit).or(named(self.sha))
    }
}

/// Without what the delivery is about, where that is not as any forge has it.
#[derive(Debug, Deserialize)]
struct Bare {
    repository: Option<Repository>,
}

#[derive(Debug, Deserialize)]
struct Repository {
    full_name: Option<String>,
    id: Option<i64>,
}

/// Decides on a signed delivery. The headers are not signed; all they could do is name another event.
pub fn read(known_repos: &HashSet<String>, headers: &HeaderMap, text: String) -> Result<Verdict, Malformed> {
    let (repository, about) = match envelope::<Envelope>(&text) {
        Ok(mut read) => (read.repository.take(), read.about()),
        Err(Malformed::Shape(_)) => (envelope::<Bare>(&text)?.repository, None),
        Err(other) => return Err(other),
    };
    let (event, event_type) = (header(headers, EVENT), header(headers, EVENT_TYPE));
    let name = event_type.as_deref().or(event.as_deref()).unwrap_or_default();
    if !is_handled(name) {
        return Ok(Verdict::Ignored(format!("nobody handles the event {name:?}")));
    }
    let Some(Repository { full_name: Some(repo), id }) = repository else {
        return Ok(Verdict::Ignored(format!("the event {name:?} names no repository")));
    };
    let known = known_repos.contains(&repo.to_lowercase());
    let unknown = || format!("no [[projects]] entry has the repository {repo:?}");
    let renamed = match (known, id) {
        (true, _) => None,
        (false, Some(id)) => Some((id, unknown())),
        (false, None) => return Ok(Verdict::Unknown(unknown())),
    };
    let delivery = header(headers, DELIVERY);
    let head = Head { source: Source::Gitea, event, event_type, delivery: delivery.clone() };
    let new = Box::new(
        NewDelivery {
            source: Source::Gitea,
            key: delivery.map_or_else(|| sha256(&text), String::into_bytes),
            order_key: None,
            repo: None,
            payload: head.around(text)?,
        }
        .of_repository(repo, about.as_deref()),
    );
    Ok(match renamed {
        None => Verdict::Enqueue(new),
        Some((id, unknown)) => Verdict::EnqueueIfRenamed { id, about, new, unknown },
    })
}

/// Pushes, branches, pull requests with their reviews and comments, and results of checks. By `Event-Type`, which
/// tells a review from a comment; the further names are those of the plain `Event` of older servers.
fn is_handled(event: &str) -> bool {
    matches!(
        event,
        "push"
            | "create"
            | "delete"
            | "pull_request"
            | "pull_request_sync"
            | "pull_request_review_request"
            | "pull_request_review_approved"
            | "pull_request_review_rejected"
            | "pull_request_review_comment"
            | "pull_request_approved"
            | "pull_request_rejected"
            | "pull_request_comment"
            | "issue_comment"
            | "status"
            | "workflow_run"
            | "workflow_job"
    )
}
