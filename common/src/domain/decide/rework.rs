//! Sending work back: to whom, how often, and when to stop.

use super::{Case, Change, Decision, Outward, Start};
use crate::domain::effect::StatusState;
use crate::domain::gate::FailedCheck;
use crate::domain::messages::Message;
use crate::domain::stage::{Role, Stage, TaskState};
use crate::domain::task::Brief;

/// Work goes back to `role`.
pub(super) struct Rework {
    pub role: Role,
    /// For the audit trail and the cap's message.
    pub reason: String,
    /// What the work item's thread is told, given (attempt, cap).
    pub message: fn(&RetryCount, &Rework) -> Message,
    pub brief: fn(&RetryCount, &Rework) -> Brief,
    /// The file to read, the conflict's text or the tests' output.
    pub file: String,
    pub text: String,
    /// The checks of CI that failed.
    pub checks: Vec<FailedCheck>,
    /// What people are told instead of `message` where no further run begins.
    pub told_at_cap: String,
    /// A person wants it: the caps count anew.
    pub person: bool,
}

/// Where work goes back to, and why.
pub(super) struct Back<'a> {
    pub place: Stage,
    pub role: Role,
    pub reason: &'a str,
    pub told_at_cap: &'a str,
    pub person: bool,
}

/// The attempt that is about to begin, of how many.
pub(super) struct RetryCount {
    pub attempt: u32,
    pub cap: u32,
}

impl Case<'_> {
    /// Moves the task to where the role works and starts it there, or blocks it there where the role has had
    /// its runs.
    pub(super) fn send_back(&self, rework: &Rework) -> Decision {
        let Some(place) = self.policy.pipeline.place_up_to(rework.role, self.task.stage) else {
            let reason = format!("nobody up to this stage is a {}: {}", rework.role, rework.reason);
            return self.blocked(&reason, Message::Blocked { reason: reason.clone() });
        };
        let Rework { role, reason, told_at_cap, person, .. } = rework;
        let back = Back { place, role: *role, reason, told_at_cap, person: *person };
        self.take_back(&back, |n| ((rework.message)(n, rework), (rework.brief)(n, rework)))
    }

    /// The move back itself; `words` are for people and for the role, of the attempt that begins.
    pub(super) fn take_back(&self, back: &Back<'_>, words: impl FnOnce(&RetryCount) -> (Message, Brief)) -> Decision {
        let Back { place, role, reason, told_at_cap, person } = *back;
        let had = if person { 0 } else { self.runs_of(role) };
        let count = RetryCount { attempt: had.saturating_add(1), cap: self.policy.role_run_cap };
        let mut change = self.stay(reason);
        change.stage = place;
        change.state = TaskState::Active;
        change.unapproved = place == Stage::Analysis;
        change.reset_cap = person;
        if place != self.task.stage || self.at_or_after_development(self.task.stage) {
            let text = format!("{}: {}", self.task.stage, first_line(reason));
            change.outward.push(Outward::Status { stage: self.task.stage, state: StatusState::Failure, text });
        }
        // The cap's own message has the reason; "works on it now" would not be true.
        if had >= self.policy.role_run_cap {
            self.cap_change(&mut change, role, reason, told_at_cap);
            return Decision::Apply(Box::new(change));
        }
        let (message, brief) = words(&count);
        change.outward.push(Outward::Comment(message));
        change.start = Some(Start { role, brief });
        change.new_round = place == self.task.stage;
        if place != self.task.stage {
            change.outward.push(Outward::Chat(Message::StageAdvanced {
                key: self.task.key.clone(),
                from: self.task.stage,
                to: place,
                role: Some(role),
            }));
        }
        Decision::Apply(Box::new(change))
    }

    /// The runs of a role that count since a person last spoke.
    pub(super) fn runs_of(&self, role: Role) -> u32 {
        self.history.runs.get(&role).copied().unwrap_or(0)
    }

    /// Turns a change into one that ends blocked because `role` has had its runs. What else is queued for the task
    /// stays: it may be a person's word.
    pub(super) fn cap_change(&self, change: &mut Change, role: Role, reason: &str, told: &str) {
        let had = self.runs_of(role);
        let message = Message::RoleCapReached { role, cap: self.policy.role_run_cap, reason: told.to_owned() };
        self.block_change(change, &format!("{role} has run {had} times since a person last spoke: {reason}"), message);
        change.drop_jobs = false;
    }
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().chars().take(120).collect()
}
