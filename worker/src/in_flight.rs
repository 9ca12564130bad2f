//! Which jobs this process is handling at this moment. A running row of ours that is not among them was dropped
//! by a fault, and recovery takes it up.

use orch_common::store::jobs::Job;
use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

/// A job by one of its claims: a worker that lost a job and claimed it again handles two.
type Claim = (i64, Option<i64>);

/// The claims; cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct InFlight(Arc<Mutex<HashSet<Claim>>>);

/// Held while a job is handled.
#[derive(Debug)]
pub struct Held {
    set: InFlight,
    claim: Claim,
}

const fn claim_of(job: &Job) -> Claim {
    (job.id, job.started_at)
}

impl InFlight {
    /// Counts a job as handled until the guard is dropped.
    pub fn enter(&self, job: &Job) -> Held {
        let claim = claim_of(job);
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(claim);
        Held { set: self.clone(), claim }
    }

    /// Whether it is being handled.
    pub fn contains(&self, job: &Job) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains(&claim_of(job))
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.set.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.claim);
    }
}
