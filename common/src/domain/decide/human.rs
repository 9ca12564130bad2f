//! People's words. Every one of them counts as a human word: the caps count anew.

use super::agent::{EXCERPT_CHARS, base_moved};
use super::rework::Rework;
use super::{By, Case, Decision, Outward, Start, Via, waits_for_a_merge};
use crate::domain::gate::{FailReason, Gate, GateOutcome, Waiting};
use crate::domain::merge;
use crate::domain::messages::Message;
use crate::domain::stage::{Stage, TaskState};
use crate::domain::task::Brief;
use crate::domain::words::Command;

impl Case<'_> {
    pub(super) fn command(&self, command: &Command, via: Via) -> Decision {
        if self.task.state.is_terminal() {
            return self.command_after_the_end(command, via);
        }
        match command {
            Command::Approve => self.approve(),
            Command::Reject { reason } => self.reject(command, reason),
            Command::Retry if waits_for_a_merge(self.task) => self.retry_the_merge(),
            Command::Retry => self.retry(),
            Command::Pause => self.pause(),
            Command::Resume => self.resume(),
            Command::Cancel => self.cancel(via),
        }
    }

    /// Whoever speaks to a task that has ended is answered; one that was cancelled can be opened again.
    fn command_after_the_end(&self, command: &Command, via: Via) -> Decision {
        match command {
            Command::Retry if self.task.state == TaskState::Cancelled => self.reopen(),
            Command::Cancel if via == Via::State => Decision::nothing(format!("the task is {}", self.task.state)),
            Command::Approve
            | Command::Reject { .. }
            | Command::Retry
            | Command::Pause
            | Command::Resume
            | Command::Cancel => {
                let mut change = self.stay(format!("{} refused: the task is {}", command.word(), self.task.state));
                change.state_reason = self.task.state_reason.clone();
                let message = Message::Ended { command: command.clone(), state: self.task.state };
                change.outward.push(Outward::Comment(message));
                Decision::Apply(Box::new(change))
            }
        }
    }

    /// A cancelled task goes on where it stopped; the role of its stage looks at what is there.
    fn reopen(&self) -> Decision {
        let Some(role) = self.policy.pipeline.works_in(self.task.stage) else {
            // It was cancelled before anybody worked.
            let mut decision = self.advance("a person opened it again", By::Person);
            if let Decision::Apply(change) = &mut decision {
                change.reset_cap = true;
                change.drop_jobs = true;
                change.stop_agent = self.history.agent_running;
                change.outward.insert(0, Outward::Branch);
            }
            return decision;
        };
        let mut change = self.word("a person opened it again");
        // The deployer is not to work twice for one merge: that is tried again by the next look.
        if waits_for_a_merge(self.task) {
            change.state_reason = Some("the merge is tried again".to_owned());
        } else {
            change.unapproved = self.task.stage == Stage::Analysis;
            change.stop_agent = self.history.agent_running;
            change.start = Some(Start { role, brief: self.again() });
        }
        change.outward.push(Outward::ReopenPull);
        let message = Message::Reopened { role, stage: self.task.stage };
        change.outward.push(Outward::Comment(message.clone()));
        change.outward.push(Outward::Chat(message));
        Decision::Apply(Box::new(change))
    }

    fn approve(&self) -> Decision {
        if self.task.state == TaskState::Paused {
            return self.refuse(&Command::Approve, "the task is paused; write :resume: first");
        }
        if let Some(then) = self.history.said_at.filter(|then| *then != self.task.stage) {
            let why = format!("it was given at '{then}', and the task has moved to '{}' meanwhile", self.task.stage);
            return self.refuse(&Command::Approve, &why);
        }
        if self.history.busy {
            return self
                .refuse(&Command::Approve, "the work at this stage is still under way; look at its result first");
        }
        let Some(finding) = self.finding else {
            return self.refuse(&Command::Approve, "there is nothing to approve yet");
        };
        match (&finding.outcome, finding.gate) {
            (GateOutcome::Pass, _) => self.approved("a person approved"),
            // Of this CI says nothing, or no more: a person may take it on themselves.
            (
                GateOutcome::Waiting(Waiting::CiNone | Waiting::CiSilent | Waiting::CiLate | Waiting::CiCancelled),
                Some(Gate::CiGreen),
            ) => self.approved("a person approved without CI"),
            (GateOutcome::Infra(why), _) => Decision::TryAgain { why: why.clone() },
            // What nobody has judged is judged first; the attempts count anew, since a person spoke.
            (GateOutcome::Fail(reason @ FailReason::EvidenceGone { .. }), _) => self.judge_anew(reason, true),
            (GateOutcome::Fail(reason @ FailReason::BranchClash { clash }), _) => self.clashed(reason, clash, true),
            (GateOutcome::Fail(reason @ FailReason::BaseMoved { .. }), _) => self.sent_back_by_a_word(reason),
            (GateOutcome::Fail(reason), Some(gate)) => {
                self.refuse(&Command::Approve, &format!("the gate {gate} does not pass: {reason}"))
            }
            (GateOutcome::Waiting(Waiting::Ci), Some(gate)) => {
                self.refuse(&Command::Approve, &format!("the gate {gate} waits for checks that have not ended"))
            }
            (GateOutcome::Waiting(_), Some(gate)) if finding.hold.is_some() => {
                let hold = finding.hold.as_ref().map(ToString::to_string).unwrap_or_default();
                self.refuse(&Command::Approve, &format!("the gate {gate} does not pass: the merge waits: {hold}"))
            }
            (GateOutcome::Waiting(_), Some(gate)) => {
                self.refuse(&Command::Approve, &format!("the gate {gate} still waits for something else"))
            }
            (GateOutcome::Fail(_) | GateOutcome::Waiting(_), None) => {
                self.refuse(&Command::Approve, "the gate does not pass")
            }
        }
    }

    fn approved(&self, reason: &str) -> Decision {
        let at_analysis = self.task.stage == Stage::Analysis;
        let mut decision = self.advance(reason, By::Person);
        if let Decision::Apply(change) = &mut decision {
            change.reset_cap = true;
            change.approved = at_analysis;
            // One comment says both: that it was heard, and what follows.
            let moves_on = |o: &Outward| matches!(o, Outward::Comment(Message::StageAdvanced { .. }));
            change.outward.retain(|outward| !moves_on(outward));
            let role = change.start.as_ref().map(|start| start.role);
            change.outward.insert(0, Outward::Comment(Message::Approved { to: change.stage, role }));
        }
        decision
    }

    fn reject(&self, command: &Command, reason: &str) -> Decision {
        let place = match self.task.stage {
            Stage::Created | Stage::Done => {
                return self.refuse(command, &format!("the task stands at '{}'", self.task.stage));
            }
            Stage::Analysis => Stage::Analysis,
            Stage::Architecture | Stage::Development | Stage::Review | Stage::Testing | Stage::Deploy => {
                match self.policy.pipeline.previous(self.task.stage) {
                    Some(Stage::Created) | None => self.task.stage,
                    Some(before) => before,
                }
            }
        };
        let Some(role) = self.policy.pipeline.works_in(place) else {
            return self.refuse(command, &format!("nobody works at '{place}'"));
        };
        let mut change = self.word("a person rejected");
        change.stage = place;
        change.new_round = place == self.task.stage;
        change.unapproved = place == Stage::Analysis;
        change.stop_agent = self.history.agent_running;
        change.start = Some(Start { role, brief: Brief::Rejected { reason: reason.to_owned() } });
        let message = Message::RejectedBack { to: place, reason: reason.to_owned() };
        change.outward.push(Outward::Comment(message.clone()));
        change.outward.push(Outward::Chat(message));
        Decision::Apply(Box::new(change))
    }

    fn retry(&self) -> Decision {
        let Some(role) = self.policy.pipeline.works_in(self.task.stage) else {
            return self.refuse(&Command::Retry, &format!("nobody works at '{}'", self.task.stage));
        };
        if self.task.state == TaskState::Paused {
            return self.refuse(&Command::Retry, "the task is paused; write :resume: first");
        }
        if self.history.agent_running {
            return self.refuse(&Command::Retry, "an agent is at work; write :cancel: or :rejected: to stop it");
        }
        let mut change = self.word("a person asked for another try");
        change.unapproved = self.task.stage == Stage::Analysis;
        change.start = Some(Start { role, brief: self.again() });
        change.outward.push(Outward::Comment(Message::Retrying { role, stage: self.task.stage }));
        Decision::Apply(Box::new(change))
    }

    /// The deployer has done its work; only the merge is tried again. The caps count anew all the same.
    fn retry_the_merge(&self) -> Decision {
        if self.history.busy {
            return self.refuse(&Command::Retry, "work of the task is under way; its end tries the merge");
        }
        let Some(finding) = self.finding else {
            return self.refuse(&Command::Retry, "the merge is being looked at");
        };
        match &finding.outcome {
            GateOutcome::Pass => {
                let mut decision = self.advance("a person asked for another try, merged", By::Person);
                if let Decision::Apply(change) = &mut decision {
                    change.reset_cap = true;
                }
                decision
            }
            GateOutcome::Infra(why) => Decision::TryAgain { why: why.clone() },
            GateOutcome::Fail(reason) => self.sent_back_by_a_word(reason),
            GateOutcome::Waiting(on) => {
                let why = finding.hold.as_ref().map_or_else(|| format!("it waits for {on}"), ToString::to_string);
                let mut change = self.stay(format!("the merge was tried again and waits: {why}"));
                change.state = TaskState::Active;
                change.reset_cap = true;
                change.said = Some(finding.fingerprint.clone());
                change.state_reason = Some(format!("the merge waits: {why}"));
                change.outward.push(Outward::Comment(match &finding.hold {
                    Some(hold) => Message::MergeWaits { why: hold.clone() },
                    None => Message::Waiting { gate: merge::GATE },
                }));
                Decision::Apply(Box::new(change))
            }
        }
    }

    /// The rule for a failed gate, on a person's word: the caps count anew, and what was queued gives way.
    fn sent_back_by_a_word(&self, reason: &FailReason) -> Decision {
        let mut decision = match reason {
            FailReason::BaseMoved { base, files } => {
                self.send_back(&Rework { person: true, ..base_moved(reason, base, files) })
            }
            FailReason::MissingFiles { .. }
            | FailReason::Conflict { .. }
            | FailReason::TestsRed { .. }
            | FailReason::CiFailed { .. }
            | FailReason::ChangesRequested { .. }
            | FailReason::NotFound { .. }
            | FailReason::NoVerdict { .. }
            | FailReason::NoPullAndNoReview
            | FailReason::PullRejected { .. }
            | FailReason::TestsNotPassed { .. } => self.failed_by_rule(reason, None),
            FailReason::EvidenceGone { .. } => self.judge_anew(reason, true),
            FailReason::BranchClash { clash } => self.clashed(reason, clash, true),
        };
        match &mut decision {
            Decision::Apply(change) => {
                change.reset_cap = true;
                change.drop_jobs = true;
                change.stop_agent = self.history.agent_running;
            }
            Decision::Nothing { .. } => return self.refuse(&Command::Retry, &reason.to_string()),
            Decision::TryAgain { .. } => {}
        }
        decision
    }

    fn pause(&self) -> Decision {
        if self.task.state == TaskState::Paused {
            return self.refuse(&Command::Pause, "the task is paused already; write :resume: to let it go on");
        }
        let mut change = self.word("a person paused it");
        change.state = TaskState::Paused;
        change.outward.push(Outward::Comment(match self.history.agent_running {
            true => Message::PausedAtWork,
            false => Message::Paused,
        }));
        Decision::Apply(Box::new(change))
    }

    fn resume(&self) -> Decision {
        if self.task.state != TaskState::Paused {
            return self.refuse(&Command::Resume, &format!("the task is {}, not paused", self.task.state));
        }
        let mut change = self.word("a person resumed it");
        change.outward.push(Outward::Comment(Message::Resumed));
        if self.history.agent_running {
            // It was let work on; its end looks at the gate.
            return Decision::Apply(Box::new(change));
        }
        // To go on is no approval: where the role has not worked, or changed nothing, it does so first.
        let worked = self.task.worked && !self.round_is_empty();
        match self.finding.map(|f| &f.outcome) {
            Some(GateOutcome::Pass) if worked && self.finding.is_some_and(|f| f.gate.is_some()) => {
                let mut decision = self.advance("a person resumed it, gate passed", By::Person);
                if let Decision::Apply(next) = &mut decision {
                    next.reset_cap = true;
                    next.drop_jobs = true;
                    next.outward.insert(0, Outward::Comment(Message::Resumed));
                }
                decision
            }
            Some(GateOutcome::Infra(why)) => Decision::TryAgain { why: why.clone() },
            Some(GateOutcome::Fail(reason @ FailReason::EvidenceGone { .. })) => {
                let mut decision = self.judge_anew(reason, true);
                if let Decision::Apply(back) = &mut decision {
                    back.drop_jobs = true;
                    back.outward.insert(0, Outward::Comment(Message::Resumed));
                }
                decision
            }
            // The deployer is not to work twice for one merge.
            Some(GateOutcome::Waiting(Waiting::Merge)) if worked => {
                let hold = self.finding.and_then(|f| f.hold.as_ref());
                let for_whom = hold.map_or_else(|| "for a person who merges".to_owned(), ToString::to_string);
                change.state_reason = Some(format!("the merge waits: {for_whom}"));
                Decision::Apply(Box::new(change))
            }
            Some(GateOutcome::Fail(reason @ FailReason::BaseMoved { .. })) if worked => {
                self.sent_back_by_a_word(reason)
            }
            Some(GateOutcome::Waiting(Waiting::Approval)) if worked => {
                change.state = TaskState::WaitingApproval;
                Decision::Apply(Box::new(change))
            }
            Some(GateOutcome::Pass | GateOutcome::Fail(_) | GateOutcome::Waiting(_)) | None => {
                change.unapproved = self.task.stage == Stage::Analysis;
                let stage = self.task.stage;
                change.start = self.policy.pipeline.works_in(stage).map(|role| Start { role, brief: self.again() });
                if change.start.is_none() {
                    let found = self.finding.map(|f| f.outcome.to_string()).unwrap_or_default();
                    change.state_reason = Some(format!("nobody works at '{stage}'; {found}"));
                }
                Decision::Apply(Box::new(change))
            }
        }
    }

    fn cancel(&self, via: Via) -> Decision {
        let mut change = self.word("a person cancelled it");
        change.state = TaskState::Cancelled;
        change.stop_agent = self.history.agent_running;
        if via != Via::State {
            change.outward.push(Outward::Comment(Message::Cancelled));
        }
        change.outward.push(Outward::GiveUpPull);
        Decision::Apply(Box::new(change))
    }

    pub(super) fn deleted(&self, archived: bool) -> Decision {
        if self.task.state.is_terminal() {
            return Decision::nothing("the task has ended");
        }
        let mut change = self.word(if archived { "the work item was archived" } else { "the work item was deleted" });
        change.state_reason = Some(change.reason.clone());
        change.state = TaskState::Cancelled;
        change.stop_agent = self.history.agent_running;
        change.outward.push(Outward::GiveUpPull);
        Decision::Apply(Box::new(change))
    }

    pub(super) fn answered(&self, text: &str) -> Decision {
        if self.task.state != TaskState::NeedsInput {
            return Decision::nothing("no questions are open");
        }
        let Some(role) = self.policy.pipeline.works_in(self.task.stage) else {
            return Decision::nothing("nobody works at this stage");
        };
        let mut change = self.word("a person answered");
        change.unapproved = self.task.stage == Stage::Analysis;
        change.stop_agent = self.history.agent_running;
        let excerpt = text.chars().take(EXCERPT_CHARS).collect();
        change.start = Some(Start { role, brief: Brief::Answered { text: excerpt } });
        change.outward.push(Outward::Comment(Message::AnswerTaken));
        Decision::Apply(Box::new(change))
    }

    fn again(&self) -> Brief {
        Brief::Again { found: self.history.last_failure.clone().unwrap_or_default() }
    }

    /// A person spoke: the caps count anew, what was queued before gives way, a block is lifted.
    fn word(&self, reason: &str) -> super::Change {
        let mut change = self.stay(reason);
        change.state = TaskState::Active;
        change.reset_cap = true;
        change.drop_jobs = true;
        change
    }
}
