//! Effects: one write to the outside each. A decision lists them, the queue carries them, the worker sends
//! them; each is written so that sending it twice shows a person one thing.

use super::stage::CommitId;
use crate::named_enum;
use serde::{Deserialize, Serialize};

named_enum! {
    /// Where an effect goes; effects of one task to one destination keep their order.
    pub enum Destination ("destination") {
        Plane = "plane",
        Gitea = "gitea",
        Telegram = "telegram",
    }
}

named_enum! {
    /// The groups of Plane's states.
    pub enum StateGroup ("state group") {
        Backlog = "backlog",
        Unstarted = "unstarted",
        Started = "started",
        Completed = "completed",
        Cancelled = "cancelled",
    }
}

named_enum! {
    /// The states a commit status can have at the forge.
    pub enum StatusState ("commit status state") {
        Pending = "pending",
        Success = "success",
        Failure = "failure",
        Error = "error",
    }
}

/// One write to the outside; the payload of an `effect` job. All text is final (rendered, not yet escaped
/// for its destination).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "effect", rename_all = "snake_case")]
pub enum Effect {
    /// A comment on the work item; `key` is its `external_id` (source `orch`), so a second send is a no-op.
    PlaneComment { project: String, work_item: String, key: String, text: String },
    /// The work item's state, found by name, created in `group` where missing.
    PlaneState { project: String, work_item: String, name: String, group: StateGroup },
    /// A link on the work item (a second one with the same URL is refused by Plane, which is fine).
    PlaneLink { project: String, work_item: String, url: String, title: String },
    /// The branch at the forge, from the tip of `base`.
    GiteaBranch { repo: String, branch: String, base: String },
    /// An open pull request `branch` -> `base`, found or opened. `link` names the work item that gets a link to it.
    GiteaPull { repo: String, branch: String, base: String, title: String, body: String, link: Option<PlaneTarget> },
    /// A comment on the branch's pull request, with a hidden marker made of `key`.
    GiteaComment { repo: String, branch: String, key: String, text: String },
    /// The branch's pull request of a task that was given up: told so with `text` (where there is any; `key` makes it one), and
    /// closed.
    GiteaGiveUp { repo: String, branch: String, key: String, text: Option<String>, close: bool },
    /// The task's own pull request, which the loss of its branch had closed, is opened again: the branch is back.
    GiteaReopen { repo: String, branch: String },
    /// The reviewer role's verdict as a review of the branch's open pull request, by the reviewer account, bound to
    /// `head`; a hidden marker made of `key` makes it one.
    GiteaReview { repo: String, branch: String, head: CommitId, approved: bool, key: String, text: String },
    /// These people and teams are asked for a review of the branch's open pull request, but for those who have reviewed `head`.
    GiteaAsk { repo: String, branch: String, head: CommitId, people: Vec<String>, teams: Vec<String> },
    /// The status `context` (always `orch/...`) of a commit; `target` is where its link leads, for people.
    GiteaStatus {
        repo: String,
        head: CommitId,
        context: String,
        state: StatusState,
        description: String,
        #[serde(default)]
        target: Option<String>,
    },
    /// Queued by earlier versions alone: a merge is the task's own look now, and this a reason for one.
    GiteaMerge { repo: String, branch: String, head: CommitId, title: String },
    /// A message to the configured chat.
    Telegram { text: String },
}

/// A work item in Plane, both ids as UUID text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlaneTarget {
    pub project: String,
    pub work_item: String,
}

impl Effect {
    /// Where it goes.
    pub const fn destination(&self) -> Destination {
        match self {
            Effect::PlaneComment { .. } | Effect::PlaneState { .. } | Effect::PlaneLink { .. } => Destination::Plane,
            Effect::GiteaBranch { .. }
            | Effect::GiteaPull { .. }
            | Effect::GiteaComment { .. }
            | Effect::GiteaGiveUp { .. }
            | Effect::GiteaReopen { .. }
            | Effect::GiteaReview { .. }
            | Effect::GiteaAsk { .. }
            | Effect::GiteaStatus { .. }
            | Effect::GiteaMerge { .. } => Destination::Gitea,
            Effect::Telegram { .. } => Destination::Telegram,
        }
    }

    /// The stored name of the variant, e.g. `plane_comment`.
    pub const fn name(&self) -> &'static str {
        match self {
            Effect::PlaneComment { .. } => "plane_comment",
            Effect::PlaneState { .. } => "plane_state",
            Effect::PlaneLink { .. } => "plane_link",
            Effect::GiteaBranch { .. } => "gitea_branch",
            Effect::GiteaPull { .. } => "gitea_pull",
            Effect::GiteaComment { .. } => "gitea_comment",
            Effect::GiteaGiveUp { .. } => "gitea_give_up",
            Effect::GiteaReopen { .. } => "gitea_reopen",
            Effect::GiteaReview { .. } => "gitea_review",
            Effect::GiteaAsk { .. } => "gitea_ask",
            Effect::GiteaStatus { .. } => "gitea_status",
            Effect::GiteaMerge { .. } => "gitea_merge",
            Effect::Telegram { .. } => "telegram",
        }
    }
}
