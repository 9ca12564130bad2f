//! Whether a service is known to be away: then no call is sent but those that ask whether it is back, and whoever wants
//! something of it hears at once what all the others were answered.

use std::sync::{Arc, Mutex, PoisonError};

/// One service's; clones are the same gate.
#[derive(Debug, Clone, Default)]
pub struct Gate(Arc<Mutex<Option<String>>>);

impl Gate {
    /// It is away, in these words.
    pub fn close(&self, words: &str) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(words.to_owned());
    }

    pub fn open(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Why no call is sent now; `None` = they are.
    pub fn words(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
