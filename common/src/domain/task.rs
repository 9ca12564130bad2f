//! What a decision needs to know of a task, and where its work item stands in Plane for each situation.

use super::effect::StateGroup;
use super::stage::{Role, Stage, TaskState};
use crate::named_enum;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The facts of a task that decisions are made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskFacts {
    pub key: String,
    pub title: String,
    pub branch: String,
    pub stage: Stage,
    pub state: TaskState,
    /// The fingerprint of the last gate outcome that was told to people.
    pub said: Option<String>,
}

/// What happened before, as far as it matters.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct History {
    /// Runs of each role that count for its cap, since the last human word.
    pub runs: BTreeMap<Role, u32>,
    /// Another agent or advance job of the task is queued or running.
    pub busy: bool,
    /// An agent of the task runs at this moment.
    pub agent_running: bool,
}

named_enum! {
    /// The situations that are shown by a state of the work item.
    pub enum Situation ("situation") {
        Created = "created",
        Working = "working",
        InReview = "in_review",
        NeedsInput = "needs_input",
        Blocked = "blocked",
        Done = "done",
        Cancelled = "cancelled",
    }
}

impl Situation {
    /// The situation of a task; `None` = its state in Plane is left as it is (a pause is no state of Plane).
    pub const fn of(stage: Stage, state: TaskState) -> Option<Situation> {
        match (state, stage) {
            (TaskState::Paused, _) => None,
            (TaskState::Cancelled, _) => Some(Situation::Cancelled),
            (TaskState::Blocked, _) => Some(Situation::Blocked),
            (TaskState::NeedsInput, _) => Some(Situation::NeedsInput),
            (TaskState::WaitingApproval, _) => Some(Situation::InReview),
            (TaskState::Done, _) | (TaskState::Active, Stage::Done) => Some(Situation::Done),
            (TaskState::Active, Stage::Created) => Some(Situation::Created),
            (TaskState::Active, Stage::Review) => Some(Situation::InReview),
            (
                TaskState::Active,
                Stage::Analysis | Stage::Architecture | Stage::Development | Stage::Testing | Stage::Deploy,
            ) => Some(Situation::Working),
        }
    }

    /// The default name of the state in Plane and the group it is made in where it is missing.
    pub const fn default_state(self) -> (&'static str, StateGroup) {
        match self {
            Situation::Created => ("Todo", StateGroup::Unstarted),
            Situation::Working => ("In Progress", StateGroup::Started),
            Situation::InReview => ("In Review", StateGroup::Started),
            Situation::NeedsInput => ("Needs Input", StateGroup::Started),
            Situation::Blocked => ("Blocked", StateGroup::Started),
            Situation::Done => ("Done", StateGroup::Completed),
            Situation::Cancelled => ("Cancelled", StateGroup::Cancelled),
        }
    }
}

/// What an agent is told beside its role's instructions: why it works (again).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "why", rename_all = "snake_case")]
pub enum Brief {
    /// The first time.
    First,
    /// The reviewer or the tester sent the work back: read `file`.
    Rework { file: String, reason: String, attempt: u32, cap: u32 },
    /// The project's tests are red.
    TestsRed { tail: String, attempt: u32, cap: u32 },
    /// The architect found a conflict.
    Conflict { file: String, excerpt: String },
    /// A person rejected the work.
    Rejected { reason: String },
    /// A person answered the questions; the thread has the whole.
    Answered { text: String },
    /// A person asked for another try.
    Again,
}
