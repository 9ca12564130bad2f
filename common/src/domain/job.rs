//! The vocabulary of the queue: the four kinds of job and their states.

use crate::named_enum;

named_enum! {
    /// What a job is.
    pub enum JobKind ("job kind") {
        /// One webhook delivery, to be translated and decided on.
        Event = "event",
        /// One agent process.
        Agent = "agent",
        /// Publish, gate, decide, move.
        Advance = "advance",
        /// One write to the outside.
        Effect = "effect",
    }
}

named_enum! {
    /// Where a job stands.
    pub enum JobStatus ("job status") {
        Queued = "queued",
        Running = "running",
        Done = "done",
        Failed = "failed",
        Cancelled = "cancelled",
    }
}

impl JobStatus {
    /// The job will not run again by itself.
    pub const fn is_finished(self) -> bool {
        matches!(self, JobStatus::Done | JobStatus::Failed | JobStatus::Cancelled)
    }
}

impl JobKind {
    /// How often a job of this kind is claimed before it counts as failed (agent 2; the others 20, over about a day).
    pub const fn max_attempts(self) -> i32 {
        match self {
            JobKind::Agent => 2,
            JobKind::Event | JobKind::Advance | JobKind::Effect => 20,
        }
    }
}

/// How a claimed job ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JobEnd {
    /// `note` says what came of it, where that is worth a word.
    Done { note: Option<String> },
    /// It will not run again by itself.
    Failed { error: String },
    /// A person no longer wants it.
    Cancelled { why: String },
    /// Back into the queue, not before `at` (ms; `None` = at once).
    Again { at: Option<i64>, error: String, spend: Spend },
}

/// What going back into the queue costs. The attempt was counted at the claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spend {
    /// The attempt stays spent.
    Attempt,
    /// The attempt is given back, a transient one is counted.
    Transient,
    /// The attempt is given back, a recovery is counted.
    Recovery,
    /// The attempt is given back (a usage limit, a fault of the installation, infra).
    Nothing,
}
