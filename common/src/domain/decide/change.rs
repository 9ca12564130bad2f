//! What a decision changes, and the moves that several rules share.

use super::{By, Case, Decision};
use crate::domain::effect::StatusState;
use crate::domain::gate::{Gate, WrittenVerdict};
use crate::domain::messages::Message;
use crate::domain::stage::{Role, Stage, TaskState};
use crate::domain::task::Brief;
use crate::domain::words::Command;

/// One change of a task; applied whole or not at all.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    pub stage: Stage,
    pub state: TaskState,
    /// Why it stands where it stands, where that is not plain.
    pub state_reason: Option<String>,
    /// A human word: the caps count anew.
    pub reset_cap: bool,
    /// A person approved at analysis.
    pub approved: bool,
    /// An earlier approval no longer holds.
    pub unapproved: bool,
    /// Remember that this finding was told.
    pub said: Option<String>,
    /// The stage stays and its role begins a new round: only what is changed from now on is its work.
    pub new_round: bool,
    /// The round that begins is a look at what others changed: its role need change nothing.
    pub recheck: bool,
    /// The agent that works next.
    pub start: Option<Start>,
    /// The running agent must end.
    pub stop_agent: bool,
    /// The task's queued agent and advance jobs are cancelled.
    pub drop_jobs: bool,
    /// What people and the forge get to see, in this order.
    pub outward: Vec<Outward>,
    /// For the audit trail.
    pub reason: String,
}

/// An agent to be started.
#[derive(Debug, Clone, PartialEq)]
pub struct Start {
    pub role: Role,
    pub brief: Brief,
}

/// One thing to be shown outside; the executor knows where.
#[derive(Debug, Clone, PartialEq)]
pub enum Outward {
    /// A comment on the work item.
    Comment(Message),
    /// A message to the team's chat.
    Chat(Message),
    /// The branch at the forge.
    Branch,
    /// The pull request, found or opened.
    Pull,
    /// The commit status `orch/<stage>` of the head.
    Status { stage: Stage, state: StatusState, text: String },
    /// The reviewer role's verdict, on the pull request.
    Review(WrittenVerdict),
    /// The project's reviewers are asked at the forge for a review.
    AskReview,
    /// The pull request is no longer wanted.
    GiveUpPull,
    /// Its own pull request, if it has one, is open again.
    ReopenPull,
}

impl Change {
    /// A change to `stage` and `state` that does nothing else.
    pub(super) fn to(stage: Stage, state: TaskState) -> Change {
        Change {
            stage,
            state,
            state_reason: None,
            reset_cap: false,
            approved: false,
            unapproved: false,
            said: None,
            new_round: false,
            recheck: false,
            start: None,
            stop_agent: false,
            drop_jobs: false,
            outward: Vec::new(),
            reason: String::new(),
        }
    }
}

impl Case<'_> {
    /// A change that leaves the task where it is.
    pub(super) fn stay(&self, reason: impl Into<String>) -> Change {
        Change { reason: reason.into(), ..Change::to(self.task.stage, self.task.state) }
    }

    /// From `created` into the first stage of work.
    pub(super) fn begin(&self) -> Decision {
        if self.task.stage != Stage::Created || self.task.state != TaskState::Active || self.history.busy {
            return Decision::nothing("the task has begun already");
        }
        let mut decision = self.advance("started", By::Itself);
        if let Decision::Apply(change) = &mut decision {
            change.outward.insert(0, Outward::Branch);
            if let Some(role) = change.start.as_ref().map(|s| s.role) {
                change.outward.insert(1, Outward::Comment(self.first_words(role, change.stage)));
            }
        }
        decision
    }

    /// What the thread is told when work begins; a pipeline of one's own may begin with somebody else than an analyst.
    fn first_words(&self, role: Role, to: Stage) -> Message {
        let key = self.task.key.clone();
        match role {
            Role::Analyst => Message::AnalystStarted {
                key,
                files: self.policy.names.analysis.clone(),
                minutes: self.policy.analyst_minutes,
            },
            Role::Architect | Role::Developer | Role::Reviewer | Role::Tester | Role::Deployer => {
                Message::StageAdvanced { key, from: self.task.stage, to, role: Some(role) }
            }
        }
    }

    /// To the next stage; the role of the stage left starts there, unless it has had its runs and nobody spoke.
    pub(super) fn advance(&self, reason: &str, by: By) -> Decision {
        let pipeline = &self.policy.pipeline;
        let from = self.task.stage;
        let Some(to) = pipeline.next(from) else {
            return Decision::nothing(format!("'{from}' has no next stage"));
        };
        let role = pipeline.started_by_leaving(from);
        let mut change = self.stay(reason);
        change.stage = to;
        change.state = if to == Stage::Done { TaskState::Done } else { TaskState::Active };
        if let Some(role) = role.filter(|r| by == By::Itself && self.runs_of(*r) >= self.policy.role_run_cap) {
            change.outward = self.shown_on_advance(from, to, None);
            self.cap_change(&mut change, role, reason, "");
            return Decision::Apply(Box::new(change));
        }
        change.start = role.map(|role| Start { role, brief: Brief::First });
        change.outward = self.shown_on_advance(from, to, role);
        Decision::Apply(Box::new(change))
    }

    fn shown_on_advance(&self, from: Stage, to: Stage, role: Option<Role>) -> Vec<Outward> {
        let key = self.task.key.clone();
        let mut shown = Vec::new();
        if from != Stage::Created {
            shown.push(Outward::Status { stage: from, state: StatusState::Success, text: format!("{from} done") });
        }
        if self.at_or_after_development(from) {
            shown.push(Outward::Pull);
        }
        let message = match to {
            Stage::Done => self.last_words(from),
            Stage::Created
            | Stage::Analysis
            | Stage::Architecture
            | Stage::Development
            | Stage::Review
            | Stage::Testing
            | Stage::Deploy => Message::StageAdvanced { key, from, to, role },
        };
        if from != Stage::Created {
            shown.push(Outward::Comment(message.clone()));
        }
        shown.push(Outward::Chat(message));
        shown
    }

    /// Done does not mean merged where nobody waited for the merge; then that is said.
    fn last_words(&self, from: Stage) -> Message {
        let (key, title, branch) = (self.task.key.clone(), self.task.title.clone(), self.task.branch.clone());
        let merged = self.policy.pipeline.steps().iter().any(|step| step.gate == Some(Gate::PrMerged));
        match self.at_or_after_development(from) && !merged {
            true => Message::TaskDoneUnmerged { key, title, branch },
            false => Message::TaskDone { key, title, branch },
        }
    }

    /// Whether code is being, or has been, written at a stage, so that it has a pull request.
    pub(super) fn at_or_after_development(&self, stage: Stage) -> bool {
        let order = |s: Stage| self.policy.pipeline.steps().iter().position(|step| step.stage == s);
        match (order(stage), order(Stage::Development)) {
            (Some(here), Some(development)) => here >= development,
            _ => false,
        }
    }

    /// Stops the task where it stands.
    pub(super) fn blocked(&self, reason: &str, message: Message) -> Decision {
        if self.task.state.is_terminal() {
            return Decision::nothing("the task has ended");
        }
        if self.task.state == TaskState::Paused {
            return Decision::nothing("the task is paused");
        }
        let mut change = self.stay(format!("blocked: {reason}"));
        self.block_change(&mut change, reason, message);
        Decision::Apply(Box::new(change))
    }

    /// Waits where it is, visibly. Whether people know is the caller's to say.
    pub(super) fn held(&self, reason: &str, message: Message) -> Decision {
        if self.task.state.is_terminal() {
            return Decision::nothing("the task has ended");
        }
        let mut change = self.stay(format!("held: {reason}"));
        change.state_reason = Some(reason.to_owned());
        change.outward.extend([Outward::Comment(message.clone()), Outward::Chat(message)]);
        Decision::Apply(Box::new(change))
    }

    /// Turns a change into one that ends in `blocked`.
    pub(super) fn block_change(&self, change: &mut Change, reason: &str, message: Message) {
        change.state = TaskState::Blocked;
        change.state_reason = Some(reason.to_owned());
        change.start = None;
        change.drop_jobs = true;
        change.outward.push(Outward::Comment(message.clone()));
        change.outward.push(Outward::Chat(message));
    }

    /// The one answer to a finding that no rule is for: said once for the same commit and reason.
    pub(super) fn say_once(&self, fingerprint: &str, message: Message, reason: String) -> Decision {
        if self.task.said.as_deref() == Some(fingerprint) {
            return self.said_already(reason);
        }
        let mut change = self.stay(reason);
        change.said = Some(fingerprint.to_owned());
        change.state_reason = Some(change.reason.clone());
        change.outward.push(Outward::Comment(message));
        Decision::Apply(Box::new(change))
    }

    /// People know. A task that has lost the reason it waits for, as by a hold that is over, is given it back.
    pub(super) fn said_already(&self, reason: String) -> Decision {
        if self.task.state != TaskState::Active || self.task.state_reason.is_some() {
            return Decision::nothing(format!("said already: {reason}"));
        }
        let mut change = self.stay(reason);
        change.state_reason = Some(change.reason.clone());
        Decision::Apply(Box::new(change))
    }

    /// A comment that says why a person's command was not followed.
    pub(super) fn refuse(&self, command: &Command, why: &str) -> Decision {
        let mut change = self.stay(format!("{} refused: {why}", command.word()));
        change.state_reason = self.task.state_reason.clone();
        change.outward.push(Outward::Comment(Message::Refused { command: command.clone(), why: why.to_owned() }));
        Decision::Apply(Box::new(change))
    }
}
