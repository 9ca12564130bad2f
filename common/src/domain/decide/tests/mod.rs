//! The policy against its specification: one named row per rule, and what holds for every input.

mod agents;
mod anew;
mod asked;
mod budget;
mod caps;
mod checks;
mod clash;
mod forge;
mod people;
mod properties;
mod rounds;

use super::*;
use crate::domain::effect::StatusState;
use crate::domain::failure::Denial;
use crate::domain::gate::{FailReason, FailedCheck, Waiting};
use crate::domain::merge::Hold;
use crate::domain::messages::Message;
use crate::domain::names::{BranchName, WorkItemKey};
use crate::domain::pipeline::{Pipeline, Step};
use crate::domain::task::{Brief, EndedRun};

const LOG: &str = "runs/7/log.jsonl";
const HEAD: &str = "c0ffee";

/// One input of [`decide`]; the default is an active task of the default pipeline that nothing happened to.
#[derive(Debug, Clone)]
struct Given {
    stage: Stage,
    state: TaskState,
    state_reason: Option<String>,
    trigger: Trigger,
    /// `None` = the gate was not looked at.
    outcome: Option<GateOutcome>,
    questions: Option<String>,
    verdict: Option<WrittenVerdict>,
    worked: bool,
    changed: Changed,
    hold: Option<Hold>,
    said: Option<String>,
    history: History,
    policy: Policy,
}

fn policy() -> Policy {
    Policy {
        pipeline: Pipeline::default(),
        role_run_cap: 3,
        merge: MergePolicy::Never,
        names: ArtifactNames::default(),
        analyst_minutes: 30,
        reviewer_account: false,
    }
}

fn key() -> WorkItemKey {
    "ET-007".parse().unwrap()
}

fn branch() -> BranchName {
    "feature/ET-007-login".parse().unwrap()
}

fn at(stage: Stage, trigger: Trigger) -> Given {
    Given {
        stage,
        state: TaskState::Active,
        state_reason: None,
        trigger,
        outcome: None,
        questions: None,
        verdict: None,
        worked: true,
        changed: Changed::Work,
        hold: None,
        said: None,
        history: History::default(),
        policy: policy(),
    }
}

impl Given {
    fn state(mut self, state: TaskState) -> Given {
        self.state = state;
        self
    }
    fn finds(mut self, outcome: GateOutcome) -> Given {
        self.outcome = Some(outcome);
        self
    }
    /// The merge is held.
    fn held(mut self, hold: Hold) -> Given {
        self.hold = Some(hold);
        self.finds(GateOutcome::Waiting(Waiting::Merge))
    }
    fn fails(self, reason: FailReason) -> Given {
        self.finds(GateOutcome::Fail(reason))
    }
    fn questions(mut self, text: &str) -> Given {
        self.questions = Some(text.to_owned());
        self
    }
    fn writes(mut self, approved: bool) -> Given {
        self.verdict = Some(WrittenVerdict { approved, reason: "so".into() });
        self
    }
    fn reviewer_account(mut self) -> Given {
        self.policy.reviewer_account = true;
        self
    }
    fn runs(mut self, role: Role, n: u32) -> Given {
        self.history.runs.insert(role, n);
        self
    }
    /// The run that ended was asked for its verdict only.
    fn asked(mut self) -> Given {
        self.history.ended.asked = true;
        self
    }
    fn busy(mut self) -> Given {
        self.history.busy = true;
        self
    }
    /// An agent's end waits to be looked at.
    fn end_ahead(mut self) -> Given {
        self.history.end_ahead = true;
        self.busy()
    }
    /// Another agent job waits.
    fn agent_ahead(mut self) -> Given {
        self.history.agent_ahead = true;
        self.end_ahead()
    }
    fn agent_running(mut self) -> Given {
        self.history.agent_running = true;
        self.agent_ahead()
    }
    fn unworked(mut self) -> Given {
        self.worked = false;
        self
    }
    fn changed(mut self, changed: Changed) -> Given {
        self.changed = changed;
        self
    }
    fn gate(mut self, gate: Option<Gate>) -> Given {
        self.policy.pipeline = self.policy.pipeline.with_gate(self.stage, gate);
        self
    }
    fn merges(mut self) -> Given {
        self.policy.merge = MergePolicy::OnDeploy;
        self
    }
    fn steps(mut self, steps: &[(Stage, Option<Gate>, Option<Role>)]) -> Given {
        let steps = steps.iter().map(|(stage, gate, role)| Step { stage: *stage, gate: *gate, role: *role }).collect();
        self.policy.pipeline = Pipeline::new(steps).unwrap();
        self
    }

    fn task(&self) -> TaskFacts {
        TaskFacts {
            key: key(),
            title: "Login".into(),
            branch: branch(),
            stage: self.stage,
            state: self.state,
            // What was said is what a task waits for.
            state_reason: self.state_reason.clone().or_else(|| self.said.as_ref().map(|_| "as was said".into())),
            said: self.said.clone(),
            worked: self.worked,
        }
    }

    fn finding(&self) -> Option<Finding> {
        self.outcome.clone().map(|outcome| Finding {
            gate: self.policy.pipeline.gate(self.stage),
            fingerprint: match &self.hold {
                Some(hold) => format!("{HEAD}:{}:{}", outcome.fingerprint(), hold.key()),
                None => format!("{HEAD}:{}", outcome.fingerprint()),
            },
            outcome,
            questions: self.questions.clone(),
            verdict: self.verdict.clone(),
            changed: self.changed,
            checks: vec!["build".into()],
            hold: self.hold.clone(),
        })
    }

    fn decide(&self) -> Decision {
        decide(&self.task(), &self.trigger, self.finding().as_ref(), &self.history, &self.policy)
    }

    /// The change it must come to.
    #[track_caller]
    fn change(&self) -> Change {
        match self.decide() {
            Decision::Apply(change) => *change,
            other @ (Decision::Nothing { .. } | Decision::TryAgain { .. }) => panic!("{other:?} for {self:#?}"),
        }
    }
}

/// What a row expects; the words for the audit trail are left out.
#[derive(Debug, PartialEq)]
enum Want {
    Nothing,
    TryAgain,
    Change(Change),
}

fn to(stage: Stage, state: TaskState) -> Change {
    Change::to(stage, state)
}

fn check(rows: Vec<(&str, Given, Want)>) {
    for (name, given, want) in rows {
        let got = match given.decide() {
            Decision::Nothing { why } => {
                assert!(!why.is_empty(), "{name}: nothing, without a reason");
                Want::Nothing
            }
            Decision::TryAgain { .. } => Want::TryAgain,
            Decision::Apply(change) => {
                assert!(!change.reason.is_empty(), "{name}: the audit trail needs a reason");
                let explained = change.state_reason.is_some() || change.state != TaskState::Blocked;
                assert!(explained, "{name}: blocked without a reason");
                Want::Change(Change { reason: String::new(), state_reason: None, ..*change })
            }
        };
        assert_eq!(got, want, "{name}");
    }
}

fn ended(role: Role) -> Trigger {
    Trigger::AgentEnded { role, log: LOG.into() }
}

fn says(command: Command) -> Trigger {
    Trigger::Command { command, actor: "ann".into(), via: Via::Comment }
}

fn reject(reason: &str) -> Command {
    Command::Reject { reason: reason.into() }
}

fn sees(what: ForgeEvent) -> Trigger {
    Trigger::Forge { what }
}

fn start(role: Role, brief: Brief) -> Option<Start> {
    Some(Start { role, brief })
}

fn comment(message: Message) -> Outward {
    Outward::Comment(message)
}

fn chat(message: Message) -> Outward {
    Outward::Chat(message)
}

fn success(stage: Stage) -> Outward {
    Outward::Status { stage, state: StatusState::Success, text: format!("{stage} done") }
}

fn failure(stage: Stage, reason: &FailReason) -> Outward {
    let text = format!("{stage}: {reason}").lines().next().unwrap_or_default().to_owned();
    Outward::Status { stage, state: StatusState::Failure, text }
}

fn moved(from: Stage, to: Stage, role: Role) -> Message {
    Message::StageAdvanced { key: key(), from, to, role: Some(role) }
}

fn finished() -> Message {
    Message::TaskDone { key: key(), title: "Login".into(), branch: branch() }
}

/// Where nobody has waited for a merge.
fn finished_unmerged() -> Message {
    Message::TaskDoneUnmerged { key: key(), title: "Login".into(), branch: branch() }
}

fn missing(file: &str) -> FailReason {
    FailReason::MissingFiles { files: vec![file.into()] }
}

fn changes_wanted() -> FailReason {
    FailReason::ChangesRequested { file: "12-review.md".into(), reason: "no tests".into() }
}

fn report_fails() -> FailReason {
    FailReason::TestsNotPassed { file: "13-test-report.md".into(), reason: "login is broken".into() }
}

fn ci_red() -> FailReason {
    FailReason::CiFailed { checks: failed_checks() }
}

fn failed_checks() -> Vec<FailedCheck> {
    let link = Some("https://git.example/acme/shop/actions/runs/8/jobs/0".to_owned());
    vec![FailedCheck { name: "build".into(), says: "Failing after 3s".into(), link, log: Some("boom".into()) }]
}

fn red() -> FailReason {
    FailReason::TestsRed { exit_code: 1, tail: "test login ... FAILED".into() }
}

fn conflict(text: &str) -> FailReason {
    FailReason::Conflict { file: "10-conflict.md".into(), text: text.into() }
}

fn rework(file: &str, reason: &FailReason, attempt: u32) -> Brief {
    Brief::Rework { file: file.into(), reason: reason.to_string(), attempt, cap: 3 }
}
