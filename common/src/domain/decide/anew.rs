//! What was judged has been changed by others: the task goes back to the first stage whose evidence is gone, and the role
//! that works there looks at the change.

use super::rework::Back;
use super::{Case, Decision};
use crate::domain::gate::FailReason;
use crate::domain::messages::Message;
use crate::domain::task::Brief;

impl Case<'_> {
    /// Back to where the evidence is gone; `person`: on a person's word, so that the attempts count anew.
    pub(super) fn judge_anew(&self, reason: &FailReason, person: bool) -> Decision {
        let FailReason::EvidenceGone { stage, gate, by } = reason else {
            return Decision::nothing("all evidence holds");
        };
        let Some(role) = self.policy.pipeline.works_in(*stage) else {
            return Decision::nothing(format!("nobody works at '{stage}'"));
        };
        let (gate, place, told) = (*gate, *stage, reason.to_string());
        let told_at_cap = if by.is_empty() { told.clone() } else { by.join("\n") };
        let back = Back { place, role, reason: &told, told_at_cap: &told_at_cap, person };
        let mut decision = self.take_back(&back, |n| {
            let (attempt, cap) = (n.attempt, n.cap);
            let message = Message::JudgedAnew { gate, by: by.clone(), to: place, role, attempt, cap };
            (message, Brief::JudgeAnew { gate, by: by.clone(), attempt, cap })
        });
        if let Decision::Apply(change) = &mut decision {
            // What others did is not this role's work: it may find that all is well.
            change.recheck = true;
        }
        decision
    }
}
