//! What a role must have changed before its stage is left: a stage passes on an unchanged branch only where its role
//! may change nothing. A person's approval is not held to it.

use super::rework::Rework;
use super::{Case, Decision};
use crate::domain::gate::{FailReason, GateOutcome};
use crate::domain::messages::Message;
use crate::domain::stage::{Role, TaskState};
use crate::domain::task::Brief;

/// What a branch gained between two commits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Changed {
    /// The trees are the same.
    Nothing,
    /// Nothing but the work item's own documents.
    Documents,
    /// Other files as well.
    Work,
}

impl Changed {
    /// What a round of a role must change.
    pub const fn demanded_of(role: Role) -> Changed {
        match role {
            Role::Analyst | Role::Architect => Changed::Documents,
            Role::Developer => Changed::Work,
            // They judge or release what others made.
            Role::Reviewer | Role::Tester | Role::Deployer => Changed::Nothing,
        }
    }
}

impl Case<'_> {
    /// The role of the stage changed less in this round than its stage asks for.
    pub(super) fn round_is_empty(&self) -> bool {
        let role = self.policy.pipeline.works_in(self.task.stage);
        role.zip(self.finding).is_some_and(|(role, finding)| finding.changed < Changed::demanded_of(role))
    }

    /// A stage that its role has not worked in is left by nobody but a person.
    pub(super) fn nobody_worked(&self) -> Option<Decision> {
        let role = self.policy.pipeline.works_in(self.task.stage).filter(|_| !self.task.worked)?;
        if self.task.state != TaskState::Active {
            return Some(Decision::nothing(format!("the task is {} and the {role} has not worked", self.task.state)));
        }
        let stage = self.task.stage;
        let reason =
            format!("the {role} has not worked at '{stage}' since the task came there, and no job of it is left");
        Some(self.blocked(&reason, Message::Blocked { reason: reason.clone() }))
    }

    /// The answer to a round that changed nothing, where the gate alone would have let the task go on (or had only to
    /// wait, or has red tests to show); `None` where the gate's own rule answers.
    pub(super) fn empty_round(&self, role: Role) -> Option<Decision> {
        let finding = self.finding.filter(|_| self.round_is_empty())?;
        let found = match &finding.outcome {
            GateOutcome::Pass | GateOutcome::Waiting(_) => String::new(),
            GateOutcome::Fail(reason @ FailReason::TestsRed { tail, .. }) if role == Role::Developer => {
                format!("{reason}\n{tail}")
            }
            GateOutcome::Fail(_) | GateOutcome::Infra(_) => return None,
        };
        Some(self.send_back(&nothing_changed(role, finding.changed, found)))
    }
}

fn nothing_changed(role: Role, changed: Changed, found: String) -> Rework {
    let what = match changed {
        Changed::Nothing | Changed::Work => "nothing",
        Changed::Documents => "nothing but the work item's documents",
    };
    let reason = format!("the {role} changed {what}");
    let told_at_cap = if found.is_empty() { reason.clone() } else { format!("{reason}; {found}") };
    Rework {
        role,
        reason,
        message: |n, r| Message::NothingChanged { role: r.role, attempt: n.attempt, cap: n.cap, found: r.text.clone() },
        brief: |n, r| Brief::NothingChanged { found: r.text.clone(), attempt: n.attempt, cap: n.cap },
        file: String::new(),
        text: found,
        checks: Vec::new(),
        told_at_cap,
        person: false,
    }
}
