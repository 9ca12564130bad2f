//! Where deliveries wait for the writer. A channel would wake it for each; here it says for how many it waits, and sleeps
//! until so many are there or its time is over.

use super::Item;
use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Why a delivery cannot wait here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    Full,
    /// The writer is told to end, or has ended.
    Closed,
}

/// See the module.
pub(super) struct Inbox {
    waiting: Mutex<Waiting>,
    enough: Condvar,
    depth: usize,
}

#[derive(Default)]
struct Waiting {
    items: VecDeque<Item>,
    /// The writer sleeps until so many are there.
    wanted: usize,
    /// The writer has something else to look at.
    nudged: bool,
    closed: bool,
}

/// What [`Outlet::wait`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    Some,
    Nothing,
    /// No more will come, and all that came is taken.
    End,
}

impl Inbox {
    pub(super) fn new(depth: usize) -> Inbox {
        Inbox { waiting: Mutex::default(), enough: Condvar::new(), depth }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn put(&self, item: Item) -> Result<(), Refused> {
        let mut waiting = self.lock();
        if waiting.closed {
            return Err(Refused::Closed);
        }
        if waiting.items.len() >= self.depth {
            return Err(Refused::Full);
        }
        waiting.items.push_back(item);
        if waiting.items.len() == waiting.wanted {
            waiting.wanted = 0;
            drop(waiting);
            self.enough.notify_one();
        }
        Ok(())
    }

    /// Wakes the writer for something else than a delivery.
    pub(super) fn nudge(&self) {
        self.lock().nudged = true;
        self.enough.notify_one();
    }

    /// Nothing is put in any more.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.enough.notify_one();
    }
}

/// The writer's end. With it goes what was not taken.
pub(super) struct Outlet(Arc<Inbox>);

impl Drop for Outlet {
    fn drop(&mut self) {
        self.0.close();
        self.0.lock().items.clear();
    }
}

impl Outlet {
    pub(super) fn of(inbox: &Arc<Inbox>) -> Outlet {
        Outlet(Arc::clone(inbox))
    }

    /// How many are there.
    pub(super) fn waiting(&self) -> usize {
        self.0.lock().items.len()
    }

    /// Waits until `many` are there or somebody nudges, at most so long (`None` = for ever).
    pub(super) fn wait(&self, many: usize, at_most: Option<Duration>) -> Found {
        let until = at_most.map(|span| Instant::now() + span);
        let mut waiting = self.0.lock();
        loop {
            if waiting.items.len() >= many || waiting.closed || waiting.nudged {
                break;
            }
            waiting.wanted = many;
            let left = until.map(|until| until.saturating_duration_since(Instant::now()));
            waiting = match left {
                None => self.0.enough.wait(waiting).unwrap_or_else(PoisonError::into_inner),
                Some(Duration::ZERO) => break,
                Some(left) => self.0.enough.wait_timeout(waiting, left).unwrap_or_else(PoisonError::into_inner).0,
            };
        }
        (waiting.wanted, waiting.nudged) = (0, false);
        match (waiting.items.is_empty(), waiting.closed) {
            (false, _) => Found::Some,
            (true, false) => Found::Nothing,
            (true, true) => Found::End,
        }
    }

    /// Takes the oldest, at most so many and no more after so many bytes.
    pub(super) fn take(&self, many: usize, bytes: usize) -> Vec<Item> {
        let mut waiting = self.0.lock();
        let mut so_far = 0;
        let before_last = waiting.items.iter().take(many).take_while(|item| {
            let goes_on = so_far < bytes;
            so_far += item.new.payload.bytes();
            goes_on
        });
        let many = before_last.count();
        waiting.items.drain(..many).collect()
    }
}
