//! A used-up budget answers a person's word at once: an agent that it would start would only be refused, and the task
//! blocked again.

use super::{Case, Decision, Outward, Trigger};
use crate::domain::messages::Message;

impl Case<'_> {
    /// A word that would start an agent is not taken while a budget is used up: the figure is the answer, and the task
    /// stays where and as it is.
    pub(super) fn within_budget(&self, trigger: &Trigger, decision: Decision) -> Decision {
        let Some(stop) = &self.history.budget else { return decision };
        let command = match trigger {
            Trigger::Command { command, .. } => Some(command.clone()),
            Trigger::Answer { .. } => None,
            Trigger::Appeared { .. }
            | Trigger::AgentEnded { .. }
            | Trigger::Deleted { .. }
            | Trigger::Forge { .. }
            | Trigger::Look => return decision,
        };
        match decision {
            Decision::Apply(change) if change.start.is_some() => {
                let mut answer = self.stay(format!("{} not taken: {stop}; raise it in [budget]", trigger.name()));
                answer.state_reason = self.task.state_reason.clone();
                answer.outward.push(Outward::Comment(Message::used_up(command, stop)));
                Decision::Apply(Box::new(answer))
            }
            Decision::Apply(_) | Decision::Nothing { .. } | Decision::TryAgain { .. } => decision,
        }
    }
}
