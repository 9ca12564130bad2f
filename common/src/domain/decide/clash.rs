//! What people pushed cannot be joined with what a role committed: the role at work joins the two sides, at once. Nothing of
//! either side is lost by it, and what people made of a branch that they rewrote stays as it is.

use super::rework::Back;
use super::{Case, Decision};
use crate::domain::clash::Clash;
use crate::domain::gate::FailReason;
use crate::domain::messages::Message;
use crate::domain::task::Brief;

impl Case<'_> {
    /// Back to the role of the stage, with both sides; where nobody works there, to a person. `person`: on a person's word, so
    /// that the attempts count anew.
    pub(super) fn clashed(&self, reason: &FailReason, clash: &Clash, person: bool) -> Decision {
        let reason = reason.to_string();
        let Some(role) = self.policy.pipeline.works_in(self.task.stage) else {
            return self.blocked(&reason, Message::Blocked { reason: reason.clone() });
        };
        let place = self.policy.pipeline.place_up_to(role, self.task.stage).unwrap_or(self.task.stage);
        let back = Back { place, role, reason: &reason, told_at_cap: &reason, person };
        self.take_back(&back, |count| {
            let (attempt, cap, clash) = (count.attempt, count.cap, Box::new(clash.clone()));
            let (ours, theirs) = clash.short();
            let (ours, theirs) = (ours.to_owned(), theirs.to_owned());
            let message = match clash.rewritten {
                true => Message::BranchRewritten { role, ours, theirs, attempt, cap },
                false => Message::BranchConflict { role, ours, theirs, files: clash.files.clone(), attempt, cap },
            };
            (message, Brief::BranchClash { clash, attempt, cap })
        })
    }
}
