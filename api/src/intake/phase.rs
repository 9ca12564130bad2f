//! How the database stands with the writer, for the requests (may they hand over?) and for `/health` (why not?).

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Where the writer is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Phase {
    /// The database has not been looked at yet.
    #[default]
    Opening,
    /// It cannot be opened, with the reason.
    Unusable(String),
    /// Its schema is older than this program, with the difference.
    Outdated(String),
    /// Its schema is of a newer version, with the difference.
    Newer(String),
    /// Deliveries are committed.
    Ready,
    /// The last attempt to commit failed, with the reason; the next may do.
    Failing(String),
}

/// The writer's phase, as everybody sees it.
#[derive(Debug, Default)]
pub struct Standing {
    accepting: AtomicBool,
    openings: AtomicU64,
    phase: Mutex<Phase>,
}

impl Standing {
    /// The phase now.
    pub fn phase(&self) -> Phase {
        self.lock().clone()
    }

    /// How often a database was opened; another number means another file.
    pub fn openings(&self) -> u64 {
        self.openings.load(Ordering::Acquire)
    }

    pub(super) fn opened(&self) {
        self.openings.fetch_add(1, Ordering::AcqRel);
    }

    /// Why no delivery is taken, where none is; costs one load while all is well.
    pub(super) fn refusal(&self) -> Option<&'static str> {
        if self.accepting.load(Ordering::Acquire) {
            return None;
        }
        Some(match *self.lock() {
            Phase::Opening | Phase::Unusable(_) => "the database is not open",
            Phase::Outdated(_) => "the database's schema is not current",
            Phase::Newer(_) => "the database is of a newer version",
            Phase::Ready | Phase::Failing(_) => "the service is stopping",
        })
    }

    /// Notes a phase; `true` = it is another one than before.
    pub(super) fn enter(&self, phase: Phase) -> bool {
        let accepting = matches!(phase, Phase::Ready | Phase::Failing(_));
        let mut current = self.lock();
        let changed = *current != phase;
        *current = phase;
        self.accepting.store(accepting, Ordering::Release);
        changed
    }

    fn lock(&self) -> MutexGuard<'_, Phase> {
        self.phase.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
