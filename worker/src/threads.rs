//! What this worker has read of work items lately, so that a step reads its item once, and steps that follow each other closely
//! read its thread once. Every deed of others that a webhook tells of, or that asking brings, makes it read anew; a comment that
//! nobody told of is a minute late at most. With other workers about, their news do not come here: then nothing is remembered.

use crate::clients::plane::WorkItem;
use crate::clock::now_ms;
use crate::events::PlaneChange;
use crate::html::Picture;
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long something counts as just read.
const FRESH: Duration = Duration::from_secs(60);
/// An item that was touched no later than this after it was made has no comments, in ms.
const JUST_MADE_MS: i64 = 2_000;
/// Items that are remembered; more are forgotten together.
const MOST: usize = 1_000;

/// Of all items.
#[derive(Debug, Default)]
pub struct Threads(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    others: bool,
    items: HashMap<String, Item>,
}

#[derive(Debug, Default)]
struct Item {
    /// As an answer had it, and when (ms).
    found: Option<(i64, WorkItem)>,
    thread: Option<Thread>,
    /// When somebody was last heard to write there, however new the item is.
    commented: Option<Instant>,
}

#[derive(Debug)]
struct Thread {
    read: Instant,
    /// The item's change (ms) that the thread was read at.
    updated_at: i64,
    told: Told,
}

/// What people put into a thread.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Told {
    /// Their words, oldest first.
    pub said: Vec<String>,
    pub pictures: Vec<Picture>,
}

impl Threads {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// So many workers live on this database.
    pub fn share_among(&self, workers: u32) {
        let mut known = self.known();
        known.others = workers > 1;
        if known.others {
            known.items.clear();
        }
    }

    /// Others have done something to the item.
    pub fn hear(&self, id: &str, what: &PlaneChange) {
        if let PlaneChange::Comment(_) = what {
            return self.with(id, |item| (item.thread, item.commented) = (None, Some(Instant::now())));
        }
        let mut known = self.known();
        let Some(item) = known.items.get_mut(id) else { return };
        match what {
            PlaneChange::Comment(_) => {}
            PlaneChange::OtherField(_) => item.found = None,
            // Neither is told to an agent.
            PlaneChange::StateChanged { .. } | PlaneChange::LabelsChanged => {}
            PlaneChange::ItemCreated(_) | PlaneChange::ItemDeleted | PlaneChange::ItemArchived => {
                known.items.remove(id);
            }
        }
    }

    /// The item was in an answer; one that was just made has no thread yet.
    pub fn met(&self, found: &WorkItem) {
        if found.archived_at.is_some() {
            return self.lost(&found.id);
        }
        let is_new = found.updated_at - found.created_at <= JUST_MADE_MS;
        self.with(&found.id, |item| {
            item.found = Some((now_ms(), found.clone()));
            if is_new && item.thread.is_none() && item.commented.is_none() {
                let (read, updated_at) = (Instant::now(), found.updated_at);
                item.thread = Some(Thread { read, updated_at, told: Told::default() });
            }
        });
    }

    /// An answer did not find it.
    pub fn lost(&self, id: &str) {
        self.with(id, |item| (item.found, item.thread) = (None, None));
    }

    /// The thread was asked for at `asked`, when the item's last change was at `updated_at`. What somebody wrote since may not be
    /// in it.
    pub fn heard(&self, id: &str, asked: Instant, updated_at: i64, told: &Told) {
        let thread = Thread { read: asked, updated_at, told: told.clone() };
        self.with(id, |item| {
            if item.commented.is_none_or(|at| at < asked) {
                item.thread = Some(thread);
            }
        });
    }

    fn with(&self, id: &str, change: impl FnOnce(&mut Item)) {
        let mut known = self.known();
        if known.others {
            return;
        }
        if known.items.len() >= MOST {
            known.items.clear();
        }
        change(known.items.entry(id.to_owned()).or_default());
    }

    /// The item as an answer had it since that time (ms), just now.
    pub fn found_since(&self, id: &str, since: i64) -> Option<WorkItem> {
        let known = self.known();
        let (at, item) = known.items.get(id)?.found.as_ref()?;
        let is_fresh = *at >= since && now_ms().saturating_sub(*at) < FRESH.as_millis().try_into().unwrap_or(i64::MAX);
        is_fresh.then(|| item.clone())
    }

    /// What people said in its thread, where that was read just now, or nothing has touched the item since.
    pub fn told(&self, id: &str, updated_at: i64) -> Option<Told> {
        let known = self.known();
        let thread = known.items.get(id)?.thread.as_ref()?;
        let is_fresh = thread.read.elapsed() < FRESH || updated_at == thread.updated_at;
        is_fresh.then(|| thread.told.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::SaidInPlane;

    fn item(created_at: i64, updated_at: i64) -> WorkItem {
        let text = serde_json::json!({
            "id": "i", "name": "Login", "sequence_id": 1, "state": "s",
            "created_at": "2026-11-26T20:00:00Z", "updated_at": "2026-11-26T20:00:00Z",
        });
        WorkItem { created_at, updated_at, ..serde_json::from_value(text).unwrap() }
    }

    fn comment() -> PlaneChange {
        PlaneChange::Comment(SaidInPlane {
            comment_id: "c".into(),
            text: String::new(),
            external_source: None,
            edited: false,
            own_words: true,
        })
    }

    fn a_word() -> Told {
        Told { said: vec!["a word".to_owned()], pictures: Vec::new() }
    }

    fn read(threads: &Threads) {
        threads.met(&item(0, 9_000));
        threads.heard("i", Instant::now(), 9_000, &a_word());
    }

    /// Whether the item and its thread are known.
    fn knows(threads: &Threads) -> (bool, bool) {
        (threads.found_since("i", 0).is_some(), threads.told("i", 0).is_some())
    }

    #[test]
    fn what_was_just_read_is_read_once_until_somebody_does_something() {
        let state = || PlaneChange::StateChanged { to: "s".into(), at: None };
        let table = [
            ("nothing", vec![], (true, true)),
            ("moves and labels are not told", vec![state(), PlaneChange::LabelsChanged], (true, true)),
            ("a comment", vec![comment()], (true, false)),
            ("another text", vec![PlaneChange::OtherField("description_html".into())], (false, true)),
            ("both", vec![comment(), PlaneChange::OtherField("name".into())], (false, false)),
            ("gone", vec![PlaneChange::ItemDeleted], (false, false)),
        ];
        for (what, changes, expected) in table {
            let threads = Threads::default();
            read(&threads);
            changes.iter().for_each(|change| threads.hear("i", change));
            assert_eq!(knows(&threads), expected, "{what}");
            assert!(threads.found_since("other", 0).is_none() && threads.told("other", 0).is_none());
        }
    }

    #[test]
    fn an_item_is_known_since_it_was_met() {
        let threads = Threads::default();
        read(&threads);
        assert_eq!(threads.told("i", 0), Some(a_word()));
        assert_eq!(threads.found_since("i", now_ms() - 5_000).map(|item| item.name), Some("Login".to_owned()));
        assert!(threads.found_since("i", now_ms() + 5_000).is_none(), "a later step reads it itself");
        threads.lost("i");
        assert_eq!(knows(&threads), (false, false));
        read(&threads);
        threads.met(&WorkItem { archived_at: Some("2026-11-26".into()), ..item(0, 0) });
        assert_eq!(knows(&threads), (false, false), "an archived item is asked for");
    }

    #[test]
    fn only_an_item_that_was_just_made_has_no_thread() {
        for (updated_at, known) in [(0, true), (2_000, true), (2_001, false)] {
            let threads = Threads::default();
            threads.met(&item(0, updated_at));
            assert_eq!(threads.told("i", 0).is_some(), known, "{updated_at}");
        }
        let threads = Threads::default();
        threads.hear("i", &comment());
        threads.met(&item(0, 0));
        assert_eq!(threads.told("i", 0), None, "somebody was quick");
        let asked = Instant::now();
        threads.hear("i", &comment());
        threads.heard("i", asked, 0, &a_word());
        assert_eq!(threads.told("i", 0), None, "what was written meanwhile is not in the answer");
        let threads = Threads::default();
        threads.heard("i", Instant::now(), 0, &a_word());
        threads.met(&item(0, 0));
        assert_eq!(threads.told("i", 0), Some(a_word()), "what was read is not forgotten");
    }

    #[test]
    fn with_other_workers_nothing_is_remembered() {
        let threads = Threads::default();
        read(&threads);
        threads.share_among(2);
        assert_eq!(knows(&threads), (false, false));
        read(&threads);
        assert_eq!(knows(&threads), (false, false));
        threads.share_among(1);
        read(&threads);
        assert_eq!(knows(&threads), (true, true));
    }
}
