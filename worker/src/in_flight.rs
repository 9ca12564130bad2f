//! Which jobs this process is handling at this moment. A running row of ours that is not among them was dropped
//! by a fault, and recovery takes it up.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

/// The ids; cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct InFlight(Arc<Mutex<HashSet<i64>>>);

/// Held while a job is handled.
#[derive(Debug)]
pub struct Held {
    set: InFlight,
    id: i64,
}

impl InFlight {
    /// Counts a job as handled until the guard is dropped.
    pub fn enter(&self, id: i64) -> Held {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(id);
        Held { set: self.clone(), id }
    }

    /// Whether it is being handled.
    pub fn contains(&self, id: i64) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains(&id)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.set.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.id);
    }
}
