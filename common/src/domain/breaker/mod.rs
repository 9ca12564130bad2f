//! The circuit breaker of one provider account: after several transient failures in a row no agent starts for a
//! while, then exactly one may try. Kept in the database and shared by the workers, so every call here is one
//! read-change-write of one row; a launch failure, a usage limit or a stopped run is never reported to it.

use crate::named_enum;
use serde::{Deserialize, Serialize};

/// How long a claimer that met a running probe waits before it looks again, in milliseconds; the probe's end
/// normally wakes it before that.
const PROBE_LOOK_MS: i64 = 5_000;

/// The state machine and its memory. The default is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Breaker {
    pub state: BreakerState,
    /// Transient failures in a row while closed.
    pub consecutive_transient: u32,
    /// When it opened last, milliseconds since the epoch; `None` while closed.
    pub opened_at_ms: Option<i64>,
}

/// Where the breaker stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum BreakerState {
    #[default]
    Closed,
    /// No agent starts before `until_ms`; from then on it counts as half-open without a probe.
    Open { until_ms: i64 },
    /// One job may run: `probe_job`, or the next one that asks.
    HalfOpen { probe_job: Option<i64> },
}

named_enum! {
    /// The state as it is shown.
    pub enum Phase ("breaker state") {
        Closed = "closed",
        Open = "open",
        HalfOpen = "half-open",
    }
}

/// Whether an agent job may be claimed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gatekeep {
    Allow,
    /// After a fresh preflight, this one job; the claim and [`Breaker::probe_started`] are one transaction.
    AllowProbe,
    /// Not before then; milliseconds since the epoch.
    Wait {
        until_ms: i64,
    },
}

/// What people are to be told, once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Announce {
    Opened,
    /// The probe failed too.
    Reopened,
    Closed,
    None,
}

impl Breaker {
    /// A run that began at `started_at_ms` met a transient failure. `threshold` of them in a row open the breaker
    /// for `pause_s` seconds; the probe's opens it again. A run that began before the breaker opened tells nothing
    /// new: it neither extends the pause nor is it said again.
    pub fn on_transient(&mut self, now_ms: i64, started_at_ms: i64, threshold: u32, pause_s: u64) -> Announce {
        match self.opened_at_ms {
            None => {
                self.consecutive_transient = self.consecutive_transient.saturating_add(1);
                if self.consecutive_transient < threshold {
                    return Announce::None;
                }
                self.open(now_ms, pause_s);
                Announce::Opened
            }
            Some(opened_at) if started_at_ms < opened_at => Announce::None,
            Some(_) => {
                self.open(now_ms, pause_s);
                Announce::Reopened
            }
        }
    }

    /// Any run ended well, whenever it began: the provider works.
    pub fn on_success(&mut self) -> Announce {
        self.close()
    }

    /// A run failed by its own fault: the streak is broken, and in half-open the provider answered.
    pub fn on_permanent(&mut self, now_ms: i64) -> Announce {
        match self.phase(now_ms) {
            Phase::Closed | Phase::HalfOpen => self.close(),
            Phase::Open => Announce::None,
        }
    }

    /// Whether an agent job may be claimed now.
    pub fn before_claim(&self, now_ms: i64) -> Gatekeep {
        match self.state {
            BreakerState::Closed => Gatekeep::Allow,
            BreakerState::Open { until_ms } if now_ms < until_ms => Gatekeep::Wait { until_ms },
            BreakerState::Open { .. } | BreakerState::HalfOpen { probe_job: None } => Gatekeep::AllowProbe,
            BreakerState::HalfOpen { probe_job: Some(_) } => {
                Gatekeep::Wait { until_ms: now_ms.saturating_add(PROBE_LOOK_MS) }
            }
        }
    }

    /// The claimed job is the probe; only after [`Gatekeep::AllowProbe`].
    pub fn probe_started(&mut self, job_id: i64) {
        self.state = BreakerState::HalfOpen { probe_job: Some(job_id) };
    }

    /// The probe ended without a word about the provider (cancelled, lost, not launched, usage limit): the next
    /// job may try. Nothing happens if `job_id` is not the probe.
    pub fn probe_lost(&mut self, job_id: i64) {
        if self.probe_job() == Some(job_id) {
            self.state = BreakerState::HalfOpen { probe_job: None };
        }
    }

    /// The job that is allowed to try, so that a caller can look whether it still runs.
    pub fn probe_job(&self) -> Option<i64> {
        match self.state {
            BreakerState::HalfOpen { probe_job } => probe_job,
            BreakerState::Closed | BreakerState::Open { .. } => None,
        }
    }

    /// The state as it is shown: an expired pause is half-open.
    pub fn phase(&self, now_ms: i64) -> Phase {
        match self.state {
            BreakerState::Closed => Phase::Closed,
            BreakerState::Open { until_ms } if now_ms < until_ms => Phase::Open,
            BreakerState::Open { .. } | BreakerState::HalfOpen { .. } => Phase::HalfOpen,
        }
    }

    /// Whole seconds until a probe is allowed, rounded up; 0 unless open.
    pub fn pause_remaining_s(&self, now_ms: i64) -> u64 {
        match self.state {
            BreakerState::Open { until_ms } => {
                u64::try_from(until_ms.saturating_sub(now_ms)).map_or(0, |ms| ms.div_ceil(1_000))
            }
            BreakerState::Closed | BreakerState::HalfOpen { .. } => 0,
        }
    }

    fn open(&mut self, now_ms: i64, pause_s: u64) {
        let pause_ms = i64::try_from(pause_s.saturating_mul(1_000)).unwrap_or(i64::MAX);
        self.state = BreakerState::Open { until_ms: now_ms.saturating_add(pause_ms) };
        self.opened_at_ms = Some(now_ms);
    }

    fn close(&mut self) -> Announce {
        let was_closed = self.state == BreakerState::Closed;
        *self = Breaker::default();
        if was_closed { Announce::None } else { Announce::Closed }
    }
}

#[cfg(test)]
mod tests;
