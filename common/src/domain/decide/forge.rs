//! What the forge or the reconciler saw. While an agent or advance job of the task is under way they are
//! only recorded: its end looks at them.

use super::{By, Case, Decision, ForgeEvent};
use crate::domain::gate::{FailReason, Gate, GateOutcome};
use crate::domain::stage::{Stage, TaskState};

impl ForgeEvent {
    /// Whether the event is about a stage, by its gate or by what is done there. Where it is not, nobody has to look.
    pub fn concerns(&self, stage: Stage, gate: Option<Gate>) -> bool {
        match self {
            ForgeEvent::Pushed => true,
            ForgeEvent::CiFinished => {
                stage == Stage::Development || matches!(gate, Some(Gate::CiGreen | Gate::PrMerged))
            }
            // The base's rule may ask for it as well.
            ForgeEvent::ReviewApproved => {
                stage == Stage::Review || matches!(gate, Some(Gate::ReviewApproved | Gate::PrMerged))
            }
            // A request for changes stands in the way of all that follows, up to the merge.
            ForgeEvent::ReviewRejected { .. } => {
                matches!(stage, Stage::Review | Stage::Testing | Stage::Deploy) || gate == Some(Gate::ReviewApproved)
            }
            ForgeEvent::PullChanged => matches!(gate, Some(Gate::ReviewApproved | Gate::PrMerged)),
            ForgeEvent::PullMerged => stage == Stage::Deploy || gate == Some(Gate::PrMerged),
        }
    }
}

impl Case<'_> {
    pub(super) fn forge(&self, what: &ForgeEvent) -> Decision {
        if let Some(nothing) = self.must_wait() {
            return nothing;
        }
        if !self.concerns(what) {
            return Decision::nothing(format!("nothing at '{}' waits for that", self.task.stage));
        }
        if let Some(decision) = self.objected().or_else(|| self.nobody_worked()) {
            return decision;
        }
        self.looked("the forge reported a change")
    }

    fn concerns(&self, what: &ForgeEvent) -> bool {
        what.concerns(self.task.stage, self.policy.pipeline.gate(self.task.stage))
    }

    pub(super) fn look(&self) -> Decision {
        let stays = self.must_wait().or_else(|| self.objected()).or_else(|| self.nobody_worked());
        stays.unwrap_or_else(|| self.looked("the gate was looked at"))
    }

    fn must_wait(&self) -> Option<Decision> {
        if self.task.state.is_terminal() {
            return Some(Decision::nothing("the task has ended"));
        }
        // A word that waits for its turn does not look for others: it may be refused.
        if self.history.end_ahead {
            return Some(Decision::nothing("a job of the task is under way; its end looks"));
        }
        match self.task.state {
            TaskState::Active | TaskState::WaitingApproval => None,
            TaskState::NeedsInput | TaskState::Paused | TaskState::Blocked | TaskState::Cancelled | TaskState::Done => {
                Some(Decision::nothing(format!("the task is {}", self.task.state)))
            }
        }
    }

    /// Somebody asks for changes, changed what was judged before, or pushed what cannot be joined, whether or not the stage has
    /// a gate and its role has worked.
    fn objected(&self) -> Option<Decision> {
        match &self.finding?.outcome {
            GateOutcome::Fail(
                reason @ (FailReason::PullRejected { .. }
                | FailReason::EvidenceGone { .. }
                | FailReason::BranchClash { .. }),
            ) => Some(self.failed_by_rule(reason, None)),
            GateOutcome::Pass | GateOutcome::Fail(_) | GateOutcome::Infra(_) | GateOutcome::Waiting(_) => None,
        }
    }

    fn looked(&self, because: &str) -> Decision {
        let Some(finding) = self.finding else { return Decision::nothing("the gate was not looked at") };
        if finding.gate.is_none() {
            return Decision::nothing("the stage has no gate: only its agent's end leaves it");
        }
        match &finding.outcome {
            GateOutcome::Pass => match self.policy.pipeline.works_in(self.task.stage).and_then(|r| self.empty_round(r))
            {
                Some(sent_back) => sent_back,
                None => self.advance(&format!("{because}, gate passed"), By::Itself),
            },
            GateOutcome::Infra(why) => Decision::TryAgain { why: why.clone() },
            GateOutcome::Waiting(on) => self.wait(*on, because),
            GateOutcome::Fail(reason) => self.failed_by_rule(reason, None),
        }
    }
}
