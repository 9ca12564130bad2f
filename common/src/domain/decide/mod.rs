//! The whole policy of the stage engine, as one pure function: whoever asks - an agent ended, a person
//! spoke, the forge or the reconciler looked - the same rules answer. The executor applies the answer in one
//! transaction; nothing here knows of databases, processes or the network.

mod agent;
mod anew;
mod budget;
mod change;
mod clash;
mod forge;
mod human;
mod rework;
mod round;
#[cfg(test)]
mod tests;

pub use change::{Change, Outward, Start};
pub use round::Changed;

use super::gate::{ArtifactNames, Gate, GateOutcome, WrittenVerdict};
use super::merge::{self, Hold};
use super::messages::Message;
use super::pipeline::Pipeline;
use super::stage::{Role, Stage, TaskState};
use super::task::{History, TaskFacts};
use super::words::Command;
use crate::named_enum;
use serde::{Deserialize, Serialize};

named_enum! {
    /// When the orchestrator merges the branch's pull request.
    #[derive(Default)]
    pub enum MergePolicy ("merge policy") {
        /// Never; the deployer's work is what the project says.
        #[default]
        Never = "never",
        /// When the deployer has worked, as soon as the forge lets it be merged.
        OnDeploy = "on_deploy",
    }
}

named_enum! {
    /// How a person's command came.
    pub enum Via ("way of a command") {
        Comment = "comment",
        /// The work item was moved to a state that is mapped to the command.
        State = "state",
        Operator = "operator",
    }
}

/// What made somebody ask.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "trigger", rename_all = "snake_case")]
pub enum Trigger {
    /// A work item appeared and the start rule holds.
    Appeared { actor: String },
    /// A run of this role ended well; `log` names its log for people.
    AgentEnded { role: Role, log: String },
    /// A person's command.
    Command { command: Command, actor: String, via: Via },
    /// A person's words while questions are open.
    Answer { text: String, actor: String },
    /// The work item was deleted.
    Deleted {
        actor: String,
        /// Put away, and not removed.
        #[serde(default)]
        archived: bool,
    },
    /// The forge reported something about the task's branch.
    Forge { what: ForgeEvent },
    /// The reconciler, or a look that was put off while a job of the task was under way.
    Look,
}

/// What the forge reported.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum ForgeEvent {
    Pushed,
    CiFinished,
    ReviewApproved,
    /// Changes requested by a reviewer.
    ReviewRejected {
        reviewer: String,
        reason: String,
    },
    PullMerged,
    /// The pull request was closed, opened again, or its title or base was changed.
    PullChanged,
}

impl Trigger {
    /// The name in the audit trail.
    pub fn name(&self) -> &'static str {
        match self {
            Trigger::Appeared { .. } => "appeared",
            Trigger::AgentEnded { .. } => "agent_ended",
            Trigger::Command { command, .. } => match command {
                Command::Approve => "approve",
                Command::Reject { .. } => "reject",
                Command::Retry => "retry",
                Command::Pause => "pause",
                Command::Resume => "resume",
                Command::Cancel => "cancel",
            },
            Trigger::Answer { .. } => "answer",
            Trigger::Deleted { .. } => "deleted",
            Trigger::Forge { what } => match what {
                ForgeEvent::Pushed => "push",
                ForgeEvent::CiFinished => "ci",
                ForgeEvent::ReviewApproved => "review_approved",
                ForgeEvent::ReviewRejected { .. } => "review_rejected",
                ForgeEvent::PullMerged => "pull_merged",
                ForgeEvent::PullChanged => "pull_changed",
            },
            Trigger::Look => "look",
        }
    }

    /// Who caused it, where that was a person.
    pub fn actor(&self) -> Option<&str> {
        match self {
            Trigger::Command { actor, .. }
            | Trigger::Answer { actor, .. }
            | Trigger::Deleted { actor, .. }
            | Trigger::Appeared { actor } => Some(actor),
            Trigger::Forge { what: ForgeEvent::ReviewRejected { reviewer, .. } } => Some(reviewer),
            Trigger::AgentEnded { .. } | Trigger::Forge { .. } | Trigger::Look => None,
        }
    }
}

/// The rules that can be configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    pub pipeline: Pipeline,
    /// Runs of a role since the last human word, the first included.
    pub role_run_cap: u32,
    pub merge: MergePolicy,
    pub names: ArtifactNames,
    /// How long an analyst usually takes, for the first comment.
    pub analyst_minutes: u64,
    /// The reviewer role's verdict goes to the pull request as a review of an account of its own.
    pub reviewer_account: bool,
}

/// What was found when the gate was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    pub gate: Option<Gate>,
    /// `Pass` where the stage has no gate.
    pub outcome: GateOutcome,
    /// What tells one finding from another: commit and reason.
    pub fingerprint: String,
    /// The analyst's open questions, where there are any.
    pub questions: Option<String>,
    /// What the reviewer role wrote, where its end was looked at.
    pub verdict: Option<WrittenVerdict>,
    /// What the branch gained since the round began.
    pub changed: Changed,
    /// The checks of CI that are waited for, by their names.
    pub checks: Vec<String>,
    /// What the merge waits for, where one is waited for and it is not simply a person's.
    pub hold: Option<Hold>,
}

/// The answer.
#[derive(Debug, Clone, PartialEq)]
pub enum Decision {
    /// Leave everything as it is.
    Nothing {
        why: String,
    },
    /// The gate could not be looked at: try the same again, later; nobody is charged.
    TryAgain {
        why: String,
    },
    Apply(Box<Change>),
}

impl Decision {
    pub(crate) fn nothing(why: impl Into<String>) -> Decision {
        Decision::Nothing { why: why.into() }
    }
}

/// Whether the gate of the task's stage must be looked at before [`decide`] can answer.
pub fn needs_finding(task: &TaskFacts, trigger: &Trigger) -> bool {
    if task.state.is_terminal() {
        return false;
    }
    match trigger {
        Trigger::AgentEnded { .. } => task.state != TaskState::Paused,
        Trigger::Forge { what: ForgeEvent::ReviewRejected { .. } } => task.state != TaskState::Paused,
        // Before its role has worked nothing leaves a stage by itself, whatever its gate says.
        Trigger::Forge { .. } | Trigger::Look => task.state != TaskState::Paused && task.worked,
        Trigger::Command { command, .. } => match command {
            Command::Approve => !matches!(task.state, TaskState::Paused) && task.stage != Stage::Created,
            Command::Resume => task.state == TaskState::Paused && task.stage != Stage::Created,
            Command::Retry => task.state != TaskState::Paused && waits_for_a_merge(task),
            Command::Reject { .. } | Command::Pause | Command::Cancel => false,
        },
        Trigger::Answer { .. } | Trigger::Deleted { .. } | Trigger::Appeared { .. } => false,
    }
}

/// The deployer has done its work; another try is one of the merge.
pub fn waits_for_a_merge(task: &TaskFacts) -> bool {
    merge::waits(task.stage, task.worked, task.said.as_deref())
}

/// Decides. `finding` must be given where [`needs_finding`] says so.
pub fn decide(
    task: &TaskFacts,
    trigger: &Trigger,
    finding: Option<&Finding>,
    history: &History,
    policy: &Policy,
) -> Decision {
    // What was not asked for decides nothing.
    let finding = finding.filter(|_| needs_finding(task, trigger));
    if let Some(Finding { outcome: GateOutcome::Infra(why), .. }) = finding {
        return Decision::TryAgain { why: why.clone() };
    }
    let case = Case { task, finding, history, policy };
    let decision = match trigger {
        Trigger::Appeared { .. } => case.begin(),
        Trigger::AgentEnded { role, log } => case.agent_ended(*role, log),
        Trigger::Command { command, via, .. } => case.command(command, *via),
        Trigger::Answer { text, .. } => case.answered(text),
        Trigger::Deleted { archived, .. } => case.deleted(*archived),
        Trigger::Forge { what } => case.forge(what),
        Trigger::Look => case.look(),
    };
    case.within_budget(trigger, decision)
}

/// Stops a task for a reason of money or repetition, and says so with `message`; only a person lifts it.
pub fn block(task: &TaskFacts, policy: &Policy, reason: &str, message: Message) -> Decision {
    let case = Case { task, finding: None, history: &History::default(), policy };
    case.blocked(reason, message)
}

/// Lets a task wait, where it is, for something that only a person can mend and that is looked at again and again; said with
/// `message` when it begins.
pub fn hold(task: &TaskFacts, policy: &Policy, reason: &str, message: Message) -> Decision {
    let case = Case { task, finding: None, history: &History::default(), policy };
    case.held(reason, message)
}

/// On whose word a task moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum By {
    /// An agent's end, the forge or a look: the caps hold.
    Itself,
    /// A person: the caps count anew.
    Person,
}

/// Everything a rule looks at.
struct Case<'a> {
    task: &'a TaskFacts,
    finding: Option<&'a Finding>,
    history: &'a History,
    policy: &'a Policy,
}
