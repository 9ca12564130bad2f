//! What an event leads to, before anything is written.

use super::once::Once;
use crate::clients::ApiError;
use orch_common::domain::decide::{ForgeEvent, Trigger};
use orch_common::domain::messages::Message;
use orch_common::domain::oddity::Oddity;
use orch_common::store::StoreError;
use orch_common::store::tasks::{NewTask, Task};

/// What is to be done about an event.
#[derive(Debug)]
pub(crate) enum Plan {
    /// Nothing, and why.
    Ignore { why: String },
    /// A work item that is to become a task.
    Start { project: String, task: NewTask, actor: Option<String> },
    /// A trigger for a task; with `once`, a second event of the same deed does nothing.
    Trigger { task: Box<Task>, trigger: Trigger, once: Option<Once> },
    /// The forge changed the task's own pull request: what is odd about it is said, and its gate is looked at.
    Pull { task: Box<Task>, number: i64, odd: Oddity, seen: ForgeEvent },
    /// The task waits for a mend at the forge, which is said.
    Held { task: Box<Task>, message: Message },
    /// A word to the person instead of what they asked for.
    Answer { task: Box<Task>, message: Message, once: Option<Once> },
    /// A word on the task's pull request to the account that asked there; each is told once.
    AnswerAtForge { task: Box<Task>, message: Message, number: i64, asker: i64 },
}

impl Plan {
    pub(super) fn ignore(why: impl Into<String>) -> Plan {
        Plan::Ignore { why: why.into() }
    }
}

/// Why an event could not be planned.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    #[error(transparent)]
    Outside(#[from] ApiError),
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What the event tells of cannot be seen at its source yet; later it can, or it was dealt with already.
    #[error("the {what} is not to be seen at its source (yet)")]
    NotSeen { what: &'static str },
    /// The delivery can never be handled.
    #[error("{0}")]
    Unusable(String),
}

impl PlanError {
    /// Trying again later may help, for what does not lie with a service.
    pub const fn retry(&self) -> Option<Option<u64>> {
        match self {
            PlanError::Store(_) | PlanError::NotSeen { .. } => Some(None),
            PlanError::Outside(_) | PlanError::Unusable(_) => None,
        }
    }
}
