//! What follows the end of a job: pure, from the counters and the class of what happened.

use super::backoff::{infra_wait, transient_wait};
use super::failure::Outcome;
use super::job::{JobEnd, JobKind, Spend};

/// Longest wait that another side's Retry-After is granted, in seconds: a day.
const ASKED_MAX_S: u64 = 24 * 60 * 60;

/// The limits of the queue that can be configured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueLimits {
    pub transient_max_attempts: u32,
    pub backoff_base_s: u64,
    pub backoff_max_s: u64,
}

/// The counters of the job that ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counters {
    /// This attempt counted.
    pub attempts: i32,
    pub max_attempts: i32,
    /// This failure not counted.
    pub transient_attempts: i32,
}

/// What the breaker hears of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BreakerNews {
    Success,
    Transient,
    Permanent,
    /// The run says nothing about the provider.
    Nothing,
}

/// What follows a run.
#[derive(Debug, Clone, PartialEq)]
pub struct Following {
    pub end: JobEnd,
    /// The run counts for its role's cap.
    pub counts: bool,
    pub breaker: BreakerNews,
    /// The task's gate is looked at.
    pub advance: bool,
    /// The task is blocked for this reason.
    pub block: Option<String>,
    /// All agents of the account wait until this time (ms) for this reason.
    pub limit: Option<(i64, String)>,
    /// The installation is at fault.
    pub fault: Option<String>,
}

impl Following {
    fn of(end: JobEnd, counts: bool, breaker: BreakerNews) -> Following {
        Following { end, counts, breaker, advance: false, block: None, limit: None, fault: None }
    }
}

/// What follows a run with this outcome.
pub fn after_run(outcome: &Outcome, job: Counters, limits: QueueLimits, now_ms: i64) -> Following {
    let again = |at, error: &str, spend| JobEnd::Again { at, error: error.to_owned(), spend };
    match outcome {
        Outcome::Success { .. } => {
            let end = JobEnd::Done { note: None };
            Following { advance: true, ..Following::of(end, true, BreakerNews::Success) }
        }
        Outcome::Transient { why, retry_after_s } => {
            let n = u32::try_from(job.transient_attempts).unwrap_or(0).saturating_add(1);
            if n > limits.transient_max_attempts {
                let error = format!("transient failure number {n}: {why}");
                return Following::of(JobEnd::Failed { error }, false, BreakerNews::Transient);
            }
            let wait = transient_wait(n, limits.backoff_base_s, limits.backoff_max_s, *retry_after_s);
            Following::of(again(Some(after(now_ms, wait)), why, Spend::Transient), false, BreakerNews::Transient)
        }
        Outcome::UsageLimit { reset_at_ms, limit_type } => {
            let why = format!("usage limit reached ({limit_type})");
            let end = again(Some(*reset_at_ms), &why, Spend::Nothing);
            Following { limit: Some((*reset_at_ms, why)), ..Following::of(end, false, BreakerNews::Nothing) }
        }
        Outcome::Permanent { why } => Following::of(permanent(why, job), true, BreakerNews::Permanent),
        Outcome::Unrepeatable { why } | Outcome::Refused { why } => {
            let end = JobEnd::Failed { error: why.clone() };
            Following { block: Some(why.clone()), ..Following::of(end, true, BreakerNews::Permanent) }
        }
        Outcome::Installation { why } => {
            let end = again(None, why, Spend::Nothing);
            Following { fault: Some(why.clone()), ..Following::of(end, false, BreakerNews::Nothing) }
        }
        Outcome::Stopped { cause } => {
            Following::of(JobEnd::Cancelled { why: format!("stopped: {cause}") }, false, BreakerNews::Nothing)
        }
    }
}

fn permanent(why: &str, job: Counters) -> JobEnd {
    if job.attempts < job.max_attempts {
        JobEnd::Again { at: None, error: why.to_owned(), spend: Spend::Attempt }
    } else {
        JobEnd::Failed { error: why.to_owned() }
    }
}

/// What follows an event, advance or effect that could not be done. `retry`: `None` = it never will be, else
/// again, not before the seconds the other side asked for (a day at most).
pub fn after_error(
    kind: JobKind,
    attempts: i32,
    max_attempts: i32,
    retry: Option<Option<u64>>,
    now_ms: i64,
    error: &str,
) -> JobEnd {
    match retry {
        Some(asked) if attempts < max_attempts => {
            let wait = infra_wait(u32::try_from(attempts).unwrap_or(0)).max(asked.unwrap_or(0).min(ASKED_MAX_S));
            JobEnd::Again { at: Some(after(now_ms, wait)), error: error.to_owned(), spend: Spend::Attempt }
        }
        Some(_) => JobEnd::Failed { error: format!("given up after {attempts} attempts of this {kind}: {error}") },
        None => JobEnd::Failed { error: error.to_owned() },
    }
}

fn after(now_ms: i64, seconds: u64) -> i64 {
    now_ms.saturating_add(i64::try_from(seconds.saturating_mul(1000)).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests;
