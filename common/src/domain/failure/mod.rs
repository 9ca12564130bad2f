//! What the end of an agent's run means. The CLI's own records decide; text is looked at only where there are no
//! records at all, so that an agent who writes about rate limits is never taken for one who met them.

mod classify;
mod log;
mod meter;
mod record;
mod scan;
mod text;

pub use classify::classify;
pub use log::{LogParser, LogView, TAIL_BYTES};
pub use meter::{Meter, Tally};
pub use record::{Denial, RateLimit, ResultRecord, RunUsage, Summary, TRIMMED};

use super::run::StopReason;
use serde::{Deserialize, Serialize};

/// How the process ended, by the supervisor's record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "how", rename_all = "snake_case")]
pub enum How {
    /// By itself, or by a signal that was not ours.
    Ended { exit_code: Option<i32>, signal: Option<i32> },
    /// Ended by its supervisor some time after its result: the result stands.
    Lingered,
    /// Killed at its time limit.
    TimedOut,
    /// Killed after a long silence.
    Stalled,
    /// Killed because its log grew over the limit.
    LogLimit,
    /// Killed on request.
    Stopped { cause: StopReason },
    /// It never ran.
    LaunchFailed { why: String },
}

impl How {
    /// Whether the outcome says anything about the provider, so that the breaker is to hear of it.
    pub const fn concerns_the_provider(&self) -> bool {
        match self {
            How::Ended { .. } | How::Lingered | How::TimedOut | How::Stalled | How::LogLimit => true,
            How::Stopped { .. } | How::LaunchFailed { .. } => false,
        }
    }
}

/// Everything that is known of a run that is over.
#[derive(Debug, Clone, PartialEq)]
pub struct RunEnd {
    pub how: How,
    /// `None`: the log cannot be read.
    pub log: Option<LogView>,
    /// The end of standard error, UTF-8 lossy.
    pub stderr_tail: String,
    /// Milliseconds since the epoch.
    pub now_ms: i64,
}

/// What follows from the end of a run. Every `why` is one line of at most 300 characters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    /// It ended well; `denied` names the tools it was refused, which may be why nothing was done.
    Success { denied: Vec<Denial> },
    /// The provider or the network failed; the same run may work later.
    Transient { why: String, retry_after_s: Option<u64> },
    /// The account has used up its allowance until `reset_at_ms` (milliseconds since the epoch).
    UsageLimit { reset_at_ms: i64, limit_type: String },
    /// The run's own fault; another attempt is worth one try.
    Permanent { why: String },
    /// The same run would end the same way: prompt too long, turns or budget used up.
    Unrepeatable { why: String },
    /// The model refused the task; the same words would be refused again.
    Refused { why: String },
    /// Nothing can run until the operator repairs the installation: credentials, credit, model, flags, binary.
    Installation { why: String },
    /// Ended on request; no failure.
    Stopped { cause: StopReason },
}

#[cfg(test)]
mod tests;
