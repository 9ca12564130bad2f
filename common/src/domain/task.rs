//! What a decision needs to know of a task, and where its work item stands in Plane for each situation.

use super::budget::BudgetStop;
use super::clash::Clash;
use super::effect::StateGroup;
use super::failure::Denial;
use super::gate::{FailedCheck, Gate};
use super::names::{BranchName, WorkItemKey};
use super::stage::{Role, Stage, TaskState};
use crate::named_enum;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The facts of a task that decisions are made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskFacts {
    pub key: WorkItemKey,
    pub title: String,
    pub branch: BranchName,
    pub stage: Stage,
    pub state: TaskState,
    /// Why it stands where it stands, as the last decision said.
    pub state_reason: Option<String>,
    /// The fingerprint of the last gate outcome that was told to people.
    pub said: Option<String>,
    /// A run of the stage's role ended well since the round began (since the stage was entered, or its work came back).
    pub worked: bool,
}

/// What happened before, as far as it matters.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct History {
    /// Runs of each role that count for its cap, since the last human word.
    pub runs: BTreeMap<Role, u32>,
    /// Another agent job of the task is queued or running, or a look at an agent's end or a person's word.
    pub busy: bool,
    /// Another job of the task whose end is looked at: an agent's, or the look at an agent's end.
    pub end_ahead: bool,
    /// An agent job of the task is queued or running.
    pub agent_ahead: bool,
    /// An agent of the task runs at this moment.
    pub agent_running: bool,
    /// Where the task stood when the word was given, if it had to wait for its turn.
    pub said_at: Option<Stage>,
    /// The budget that forbids another agent; looked up where a person's word may start one.
    pub budget: Option<BudgetStop>,
    /// Of the run whose end is looked at.
    pub ended: EndedRun,
    /// What the gate of the stage said last, where it did not pass.
    pub last_failure: Option<String>,
}

/// What matters of the run that has ended, beside what it left.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EndedRun {
    /// It was asked for its verdict only; it is not asked again.
    pub asked: bool,
    /// Tools that it was refused.
    pub denied: Vec<Denial>,
}

named_enum! {
    /// The situations of a task that are shown by a state of its work item.
    pub enum Situation ("situation") {
        Created = "created",
        Analysis = "analysis",
        Architecture = "architecture",
        Development = "development",
        Review = "review",
        Testing = "testing",
        Deploy = "deploy",
        WaitingApproval = "waiting_approval",
        NeedsInput = "needs_input",
        Blocked = "blocked",
        Done = "done",
        Cancelled = "cancelled",
    }
}

impl Situation {
    /// The situation of a task; `None` = its state in Plane is left as it is (a pause is no state of Plane).
    pub const fn of(stage: Stage, state: TaskState) -> Option<Situation> {
        match state {
            TaskState::Paused => None,
            TaskState::Cancelled => Some(Situation::Cancelled),
            TaskState::Blocked => Some(Situation::Blocked),
            TaskState::NeedsInput => Some(Situation::NeedsInput),
            TaskState::WaitingApproval => Some(Situation::WaitingApproval),
            TaskState::Done => Some(Situation::Done),
            TaskState::Active => Some(Situation::at(stage)),
        }
    }

    /// The situation of a task that simply is at `stage`.
    pub const fn at(stage: Stage) -> Situation {
        match stage {
            Stage::Created => Situation::Created,
            Stage::Analysis => Situation::Analysis,
            Stage::Architecture => Situation::Architecture,
            Stage::Development => Situation::Development,
            Stage::Review => Situation::Review,
            Stage::Testing => Situation::Testing,
            Stage::Deploy => Situation::Deploy,
            Stage::Done => Situation::Done,
        }
    }

    /// The state's name in Plane unless the project says otherwise.
    pub const fn default_name(self) -> &'static str {
        match self {
            Situation::Created => "Todo",
            Situation::Analysis
            | Situation::Architecture
            | Situation::Development
            | Situation::Testing
            | Situation::Deploy => "In Progress",
            Situation::Review | Situation::WaitingApproval => "In Review",
            Situation::NeedsInput => "Needs Input",
            Situation::Blocked => "Blocked",
            Situation::Done => "Done",
            Situation::Cancelled => "Cancelled",
        }
    }

    /// The group in which a missing state is created.
    pub const fn group(self) -> StateGroup {
        match self {
            Situation::Created => StateGroup::Unstarted,
            Situation::Done => StateGroup::Completed,
            Situation::Cancelled => StateGroup::Cancelled,
            Situation::Analysis
            | Situation::Architecture
            | Situation::Development
            | Situation::Review
            | Situation::Testing
            | Situation::Deploy
            | Situation::WaitingApproval
            | Situation::NeedsInput
            | Situation::Blocked => StateGroup::Started,
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
    /// The base has moved: the branch conflicts with it in `files`, or (none) it was merged into the branch.
    BaseMoved { base: String, files: Vec<String>, attempt: u32, cap: u32 },
    /// The role changed nothing that its stage asks for; `found` is what the gate said of it, if anything.
    NothingChanged { found: String, attempt: u32, cap: u32 },
    /// Others changed what was judged; `by` names their commits, `gate` what had been passed.
    JudgeAnew { gate: Gate, by: Vec<String>, attempt: u32, cap: u32 },
    /// What people pushed to the branch cannot be joined with what was committed here.
    BranchClash { clash: Box<Clash>, attempt: u32, cap: u32 },
    /// The architect found a conflict.
    Conflict { file: String, excerpt: String },
    /// A person rejected the work.
    Rejected { reason: String },
    /// A person answered the questions; the thread has the whole.
    Answered { text: String },
    /// Checks of CI failed.
    ChecksFailed { checks: Vec<FailedCheck>, attempt: u32, cap: u32 },
    /// A person asked for another try; `found` is what the gate of the stage said last, if it did not pass.
    Again {
        #[serde(default)]
        found: String,
    },
    /// The work is done, but what decides could not be read in `file`.
    VerdictAsked { file: String, detail: String },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_situation_has_the_state_of_the_specification() {
        use {Stage as S, StateGroup as G, TaskState as T};
        let rows = [
            (S::Created, T::Active, "Todo", G::Unstarted),
            (S::Analysis, T::Active, "In Progress", G::Started),
            (S::Architecture, T::Active, "In Progress", G::Started),
            (S::Development, T::Active, "In Progress", G::Started),
            (S::Review, T::Active, "In Review", G::Started),
            (S::Testing, T::Active, "In Progress", G::Started),
            (S::Deploy, T::Active, "In Progress", G::Started),
            (S::Done, T::Done, "Done", G::Completed),
            (S::Analysis, T::WaitingApproval, "In Review", G::Started),
            (S::Analysis, T::NeedsInput, "Needs Input", G::Started),
            (S::Development, T::Blocked, "Blocked", G::Started),
            (S::Testing, T::Cancelled, "Cancelled", G::Cancelled),
        ];
        for (stage, state, name, group) in rows {
            let situation = Situation::of(stage, state).unwrap();
            assert_eq!((situation.default_name(), situation.group()), (name, group), "{stage} {state}");
        }
        for stage in S::ALL {
            assert_eq!(Situation::of(*stage, T::Paused), None, "a pause is no state of Plane");
            assert_eq!(Situation::of(*stage, T::Active), Some(Situation::at(*stage)));
        }
    }

    #[test]
    fn briefs_are_kept_as_json_and_come_back() {
        let briefs = [
            Brief::First,
            Brief::Rework { file: "12-review.md".into(), reason: "no".into(), attempt: 2, cap: 3 },
            Brief::TestsRed { tail: "x".into(), attempt: 3, cap: 3 },
            Brief::BaseMoved { base: "main".into(), files: vec!["a.rs".into()], attempt: 2, cap: 3 },
            Brief::NothingChanged { found: String::new(), attempt: 2, cap: 3 },
            Brief::JudgeAnew { gate: Gate::TestsLocal, by: vec!["Hugo 0a: x".into()], attempt: 2, cap: 3 },
            Brief::Conflict { file: "10-conflict.md".into(), excerpt: "y".into() },
            Brief::Rejected { reason: String::new() },
            Brief::Answered { text: "z".into() },
            Brief::ChecksFailed {
                checks: vec![FailedCheck { name: "ci".into(), says: "red".into(), link: None, log: Some("x".into()) }],
                attempt: 2,
                cap: 3,
            },
            Brief::Again { found: "tests are red".into() },
            Brief::VerdictAsked { file: "12-review.md".into(), detail: "no 'verdict:' line".into() },
        ];
        for brief in briefs {
            let text = serde_json::to_string(&brief).unwrap();
            assert_eq!(serde_json::from_str::<Brief>(&text).unwrap(), brief, "{text}");
        }
        let earlier: Brief = serde_json::from_str(r#"{"why":"again"}"#).unwrap();
        assert_eq!(earlier, Brief::Again { found: String::new() }, "as an earlier version wrote it");
    }
}
