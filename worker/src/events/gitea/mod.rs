//! Webhooks of Gitea and Forgejo. Routed by `X-Gitea-Event-Type`, since `X-Gitea-Event` gives two meanings to
//! `pull_request_comment`. A verdict or a status read here is a hint to look, not evidence.

use super::body::{Body, missing};
use super::{BadEvent, Parsed, RawEvent};
use orch_common::store::heard::Heard;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Something that happened in a repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GiteaEvent {
    /// The user or organisation the repository belongs to.
    pub owner: String,
    /// Its name, without the owner.
    pub repo: String,
    /// The forge's id of the repository, which it keeps under another name.
    #[serde(default)]
    pub repo_id: Option<i64>,
    pub sender_id: i64,
    pub sender_login: String,
    pub what: GiteaChange,
}

impl GiteaEvent {
    /// What it says of where a branch is now. A branch that is made is pushed as well, which tells more.
    pub fn heard(&self) -> Option<Heard> {
        match &self.what {
            GiteaChange::Push { branch, after, .. } => {
                Some(Heard { branch: branch.clone(), head: Some(after.parse().ok()?) })
            }
            GiteaChange::BranchDeleted { branch } => Some(Heard { branch: branch.clone(), head: None }),
            GiteaChange::BranchCreated { .. }
            | GiteaChange::Pull { .. }
            | GiteaChange::Review { .. }
            | GiteaChange::Status { .. }
            | GiteaChange::Workflow { .. }
            | GiteaChange::Comment { .. } => None,
        }
    }
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum GiteaChange {
    /// Commits; `ping`: nothing moved, somebody tests the webhook.
    Push {
        branch: String,
        before: String,
        after: String,
        ping: bool,
    },
    BranchCreated {
        branch: String,
    },
    BranchDeleted {
        branch: String,
    },
    /// `action` is the forge's: `opened closed reopened edited synchronized ...`.
    Pull {
        action: String,
        number: i64,
        branch: String,
        head_sha: String,
        merged: bool,
        #[serde(flatten)]
        ends: Ends,
    },
    /// `text` is the reviewer's word; `id` the forge's id of the review, which a delivery does not say.
    Review {
        id: Option<i64>,
        number: i64,
        branch: String,
        head_sha: String,
        kind: ReviewKind,
        text: String,
        #[serde(flatten)]
        ends: Ends,
    },
    Status {
        sha: String,
        state: String,
        context: String,
    },
    /// A run of the forge's own CI; `done`: whether it went well, once it has ended.
    Workflow {
        branch: String,
        sha: String,
        done: Option<bool>,
        /// The job of the run, where it is told of one.
        #[serde(default)]
        job: Option<ActionJob>,
    },
    /// `action`: `created edited deleted`.
    Comment {
        number: i64,
        is_pull: bool,
        text: String,
        action: String,
    },
}

/// A job of the forge's own CI.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActionJob {
    /// Its id in the forge's API.
    pub id: i64,
    /// The address of its page.
    pub page: String,
    /// The names of the steps that failed.
    pub failed_steps: Vec<String>,
}

/// What else tells one pull request from another that bears the same branch's name.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Ends {
    /// The branch it goes to.
    #[serde(default)]
    pub base: String,
    /// It comes from another repository (or does not say from which).
    #[serde(default)]
    pub fork: bool,
}

/// What a review says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ReviewKind {
    Approved,
    Rejected,
    Commented,
}

/// Reads a delivery of the forge.
///
/// # Errors
/// [`BadEvent`] names the field.
pub fn parse(raw: &RawEvent<'_>) -> Result<Parsed<GiteaEvent>, BadEvent> {
    let body = Body::parse(raw.body)?;
    let named = |name: &Option<String>| name.clone().filter(|n| !n.is_empty());
    let word = named(&raw.event_type).or_else(|| named(&raw.event)).ok_or_else(|| missing("X-Gitea-Event"))?;
    let what = match word.as_str() {
        "push" => push(&body)?,
        "create" | "delete" => branch(&body, word == "create")?,
        // As `X-Gitea-Event` alone this is a review, and has one.
        "pull_request_comment" if body.has("review") => Some(review(&body, ReviewKind::Commented)?),
        "issue_comment" | "pull_request_comment" => Some(comment(&body)?),
        "pull_request_review_approved" | "pull_request_approved" => Some(review(&body, ReviewKind::Approved)?),
        "pull_request_review_rejected" | "pull_request_rejected" => Some(review(&body, ReviewKind::Rejected)?),
        "pull_request_review_comment" => Some(review(&body, ReviewKind::Commented)?),
        "status" => Some(status(&body)?),
        "workflow_run" | "workflow_job" => Some(workflow(&body, &word)?),
        other if other.starts_with("pull_request") => Some(pull(&body)?),
        other => return Ok(Parsed::ignored(format!("{other} events move nothing"))),
    };
    match what {
        Some(what) => within(&body, what).map(Parsed::Event),
        None => Ok(Parsed::ignored("tags move nothing")),
    }
}

fn within(body: &Body, what: GiteaChange) -> Result<GiteaEvent, BadEvent> {
    let full_name = body.text("repository.full_name")?;
    let wrong = || BadEvent::WrongType { field: "repository.full_name".into(), expected: "owner/name" };
    let (owner, repo) = full_name.split_once('/').ok_or_else(wrong)?;
    Ok(GiteaEvent {
        owner: owner.to_owned(),
        repo: repo.to_owned(),
        repo_id: body.integer("repository.id").ok(),
        sender_id: body.integer("sender.id")?,
        sender_login: body.text("sender.login")?,
        what,
    })
}

fn push(body: &Body) -> Result<Option<GiteaChange>, BadEvent> {
    let (reference, before, after) = (body.text("ref")?, body.text("before")?, body.text("after")?);
    let Some(branch) = reference.strip_prefix("refs/heads/").map(str::to_owned) else {
        return Ok(None);
    };
    if after.bytes().all(|b| b == b'0') {
        return Ok(Some(GiteaChange::BranchDeleted { branch }));
    }
    let ping = before == after;
    Ok(Some(GiteaChange::Push { branch, before, after, ping }))
}

fn branch(body: &Body, created: bool) -> Result<Option<GiteaChange>, BadEvent> {
    let (branch, kind) = (body.text("ref")?, body.text("ref_type")?);
    Ok(match (kind.as_str(), created) {
        ("branch", true) => Some(GiteaChange::BranchCreated { branch }),
        ("branch", false) => Some(GiteaChange::BranchDeleted { branch }),
        _ => None,
    })
}

/// The label keeps the branch's name after the branch is gone; the ref does not. AGit requests have no label, and while its
/// repository is renamed a request may have no ref.
fn head_branch(body: &Body) -> Result<String, BadEvent> {
    let label = body.opt_text("pull_request.head.label")?.filter(|l| !l.is_empty());
    Ok(label.or(body.opt_text("pull_request.head.ref")?).unwrap_or_default())
}

fn ends(body: &Body) -> Result<Ends, BadEvent> {
    let repo = |end: &str| body.integer(&format!("pull_request.{end}.repo_id")).ok();
    let (head, base) = (repo("head"), repo("base"));
    let name = body.opt_text("pull_request.base.ref")?.unwrap_or_default();
    Ok(Ends { base: name, fork: head.is_none() || head != base })
}

fn pull(body: &Body) -> Result<GiteaChange, BadEvent> {
    Ok(GiteaChange::Pull {
        action: body.text("action")?,
        number: body.integer("number")?,
        branch: head_branch(body)?,
        head_sha: body.text("pull_request.head.sha")?,
        merged: body.flag("pull_request.merged"),
        ends: ends(body)?,
    })
}

fn review(body: &Body, kind: ReviewKind) -> Result<GiteaChange, BadEvent> {
    Ok(GiteaChange::Review {
        id: None,
        number: body.integer("number")?,
        branch: head_branch(body)?,
        head_sha: body.text("pull_request.head.sha")?,
        kind,
        text: body.opt_text("review.content")?.unwrap_or_default(),
        ends: ends(body)?,
    })
}

fn comment(body: &Body) -> Result<GiteaChange, BadEvent> {
    Ok(GiteaChange::Comment {
        number: body.integer("issue.number")?,
        is_pull: body.flag("is_pull") || body.has("issue.pull_request"),
        text: body.text("comment.body")?,
        action: body.text("action")?,
    })
}

fn status(body: &Body) -> Result<GiteaChange, BadEvent> {
    Ok(GiteaChange::Status { sha: body.text("sha")?, state: body.text("state")?, context: body.text("context")? })
}

fn workflow(body: &Body, word: &str) -> Result<GiteaChange, BadEvent> {
    let at = |field: &str| format!("{word}.{field}");
    let done = match body.text(&at("status"))?.as_str() {
        "completed" => Some(matches!(body.text(&at("conclusion"))?.as_str(), "success" | "skipped" | "neutral")),
        _ => None,
    };
    let branch = body.opt_text(&at("head_branch"))?.unwrap_or_default();
    let job = if word == "workflow_job" { Some(job(body)?) } else { None };
    Ok(GiteaChange::Workflow { branch, sha: body.text(&at("head_sha"))?, done, job })
}

/// The steps are there once the job has begun.
fn job(body: &Body) -> Result<ActionJob, BadEvent> {
    let failed = |step: &&Value| step.get("conclusion").and_then(Value::as_str) == Some("failure");
    let name = |step: &Value| Some(step.get("name")?.as_str()?.chars().filter(|c| !c.is_control()).take(100).collect());
    let steps = body.at("workflow_job.steps").and_then(Value::as_array);
    Ok(ActionJob {
        id: body.integer("workflow_job.id")?,
        page: body.opt_text("workflow_job.html_url")?.unwrap_or_default(),
        failed_steps: steps.into_iter().flatten().filter(failed).filter_map(name).take(20).collect(),
    })
}

#[cfg(test)]
mod tests;
