//! Which jobs this process is handling at this moment. A running row of ours that is not among them was dropped
//! by a fault, and recovery takes it up.

use orch_common::store::jobs::Job;
use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock};

/// Claims are short; one that waits for a locked database is not waited for.
const ATTEMPTS: u32 = 50;
const PAUSE: Duration = Duration::from_millis(20);

/// A job by one of its claims: a worker that lost a job and claimed it again handles two.
type Claim = (i64, Option<i64>);

/// The claims; cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct InFlight {
    claims: Arc<Mutex<HashSet<Claim>>>,
    /// Shared from before a claim until its job is entered, alone while rows and entries are compared.
    claiming: Arc<RwLock<()>>,
}

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
    /// To be held from before a claim until its job is [entered](InFlight::enter).
    pub async fn claiming(&self) -> OwnedRwLockReadGuard<()> {
        Arc::clone(&self.claiming).read_owned().await
    }

    /// No job is between its claim and its entry while this is held; `None` = there was no such moment.
    pub async fn settled(&self) -> Option<OwnedRwLockWriteGuard<()>> {
        for _ in 0..ATTEMPTS {
            // Asked for, not waited for: whoever claims next would wait behind.
            if let Ok(alone) = Arc::clone(&self.claiming).try_write_owned() {
                return Some(alone);
            }
            tokio::time::sleep(PAUSE).await;
        }
        None
    }

    /// Counts a job as handled until the guard is dropped.
    pub fn enter(&self, job: &Job) -> Held {
        let claim = claim_of(job);
        self.claims.lock().unwrap_or_else(PoisonError::into_inner).insert(claim);
        Held { set: self.clone(), claim }
    }

    /// Whether it is being handled.
    pub fn contains(&self, job: &Job) -> bool {
        self.claims.lock().unwrap_or_else(PoisonError::into_inner).contains(&claim_of(job))
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.set.claims.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.claim);
    }
}
