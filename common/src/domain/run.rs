//! What is known of one execution of an agent.

use crate::named_enum;

named_enum! {
    /// Where a run stands.
    pub enum RunState ("run state") {
        /// Its row is written, its process may not be there yet.
        Starting = "starting",
        Running = "running",
        /// Its end was read from its record.
        Ended = "ended",
        /// It left no record.
        Lost = "lost",
    }
}

impl RunState {
    /// Of a run that has not ended, as stored.
    pub const OPEN: [&'static str; 2] = [RunState::Starting.as_str(), RunState::Running.as_str()];

    /// Whether its end is still to be written.
    pub const fn is_open(self) -> bool {
        matches!(self, RunState::Starting | RunState::Running)
    }
}

named_enum! {
    /// What a run came to.
    pub enum RunOutcome ("run outcome") {
        Success = "success",
        /// It may work later.
        Transient = "transient",
        UsageLimit = "usage_limit",
        Permanent = "permanent",
        Unrepeatable = "unrepeatable",
        /// The provider refused.
        Refused = "refused",
        /// Something of this installation is broken.
        Installation = "installation",
        Stopped = "stopped",
        /// It left no record.
        Lost = "lost",
    }
}

named_enum! {
    /// Who wanted a run to stop.
    pub enum StopReason ("stop reason") {
        /// The task was cancelled.
        Cancel = "cancel",
        /// A person, outside of a task's life.
        Operator = "operator",
        /// Nobody left a wish, yet the supervisor was told to end: the machine goes down. Interrupted, not unwanted.
        System = "system",
        /// The task was paused.
        Pause = "pause",
        /// A budget is used up.
        Budget = "budget",
    }
}

named_enum! {
    /// What a worker process says of itself.
    pub enum WorkerState ("worker state") {
        Running = "running",
        /// It starts no more agents.
        Draining = "draining",
        /// It ended on purpose.
        Stopped = "stopped",
    }
}
