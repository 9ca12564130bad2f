//! Counts the requests that were not taken, by sender and reason, until the writer puts them into the database. A fixed number
//! of counters, whatever strangers send; at most one small transaction a second.

use orch_common::store::deliveries::Source;
use orch_common::store::refusals::{Reason, Refused};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Between two transactions.
const PAUSE: Duration = Duration::from_secs(1);

/// See the module.
#[derive(Default)]
pub(super) struct Refusals(Mutex<Counts>);

#[derive(Default)]
struct Counts {
    new: Vec<Refused>,
    written: Option<Instant>,
}

impl Refusals {
    /// Counts one; `true` = the first since the last were taken, so the writer should hear of it.
    pub fn note(&self, source: Source, reason: Reason, now: i64) -> bool {
        let new = &mut self.lock().new;
        match new.iter_mut().find(|r| (r.source, r.reason) == (source, reason)) {
            Some(known) => {
                known.count += 1;
                known.last_at = now;
                false
            }
            None => {
                new.push(Refused { source, reason, count: 1, first_at: now, last_at: now });
                new.len() == 1
            }
        }
    }

    /// How long until there is something to write; `None` = there is nothing.
    pub fn due_in(&self) -> Option<Duration> {
        let counts = self.lock();
        let since = counts.written.map_or(PAUSE, |written| written.elapsed());
        (!counts.new.is_empty()).then(|| PAUSE.saturating_sub(since))
    }

    /// What was counted, for a transaction that begins now.
    pub fn take(&self) -> Vec<Refused> {
        let mut counts = self.lock();
        counts.written = Some(Instant::now());
        std::mem::take(&mut counts.new)
    }

    /// The transaction failed: they are counted still.
    pub fn give_back(&self, taken: Vec<Refused>) {
        let new = &mut self.lock().new;
        for old in taken {
            match new.iter_mut().find(|r| (r.source, r.reason) == (old.source, old.reason)) {
                Some(known) => {
                    known.count += old.count;
                    known.first_at = old.first_at;
                }
                None => new.push(old),
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_one_for_each_reason_and_survive_a_failed_write() {
        let all = Refusals::default();
        assert_eq!(all.due_in(), None);
        assert!(all.note(Source::Gitea, Reason::WrongSignature, 10), "the writer hears of the first");
        assert!(!all.note(Source::Gitea, Reason::WrongSignature, 20));
        assert!(!all.note(Source::Plane, Reason::WrongSignature, 30));
        assert_eq!(all.due_in(), Some(Duration::ZERO));
        let taken = all.take();
        assert_eq!((taken.len(), taken[0].count, taken[0].first_at, taken[0].last_at), (2, 2, 10, 20));
        all.note(Source::Gitea, Reason::WrongSignature, 40);
        let wait = all.due_in().unwrap();
        assert!(wait > Duration::ZERO && wait <= PAUSE, "not again at once: {wait:?}");
        all.give_back(taken);
        let again = all.take();
        let gitea = again.iter().find(|r| r.source == Source::Gitea).unwrap();
        assert_eq!((again.len(), gitea.count, gitea.first_at, gitea.last_at), (2, 3, 10, 40));
        assert_eq!(all.due_in(), None);
    }
}
