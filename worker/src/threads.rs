//! What this worker has read of work items lately, so that steps that follow each other closely read once. Every deed of others
//! that a webhook tells of, or that asking brings, makes it read anew; what nobody told of is a minute late at most. With other
//! workers about, their news do not come here: then nothing is remembered.

use crate::clients::plane::WorkItem;
use crate::events::PlaneChange;
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
    /// Title and description were read then; they are kept with the task.
    text: Option<Instant>,
    thread: Option<Thread>,
}

#[derive(Debug)]
struct Thread {
    read: Instant,
    /// The item's change (ms) that the thread was read at.
    updated_at: i64,
    /// What people said, oldest first.
    said: Vec<String>,
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
        let mut known = self.known();
        let Some(item) = known.items.get_mut(id) else { return };
        match what {
            PlaneChange::Comment(_) => item.thread = None,
            PlaneChange::OtherField(_) => item.text = None,
            // Neither is told to an agent.
            PlaneChange::StateChanged { .. } | PlaneChange::LabelsChanged => {}
            PlaneChange::ItemCreated(_) | PlaneChange::ItemDeleted | PlaneChange::ItemArchived => {
                known.items.remove(id);
            }
        }
    }

    /// The item was read; one that was just made has no thread yet.
    pub fn met(&self, found: &WorkItem) {
        let is_new = found.updated_at - found.created_at <= JUST_MADE_MS;
        self.with(&found.id, |item| {
            item.text = Some(Instant::now());
            if is_new && item.thread.is_none() {
                let (read, updated_at) = (Instant::now(), found.updated_at);
                item.thread = Some(Thread { read, updated_at, said: Vec::new() });
            }
        });
    }

    /// The thread was read when the item's last change was at `updated_at`.
    pub fn heard(&self, id: &str, updated_at: i64, said: &[String]) {
        let thread = Thread { read: Instant::now(), updated_at, said: said.to_vec() };
        self.with(id, |item| item.thread = Some(thread));
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

    /// Whether title and description as kept with the task were read just now.
    pub fn knows_text(&self, id: &str) -> bool {
        self.known().items.get(id).and_then(|item| item.text).is_some_and(|read| read.elapsed() < FRESH)
    }

    /// What people said in its thread, where that was read just now, or nothing has touched the item since.
    pub fn said(&self, id: &str, updated_at: Option<i64>) -> Option<Vec<String>> {
        let known = self.known();
        let thread = known.items.get(id)?.thread.as_ref()?;
        let is_fresh = thread.read.elapsed() < FRESH || updated_at == Some(thread.updated_at);
        is_fresh.then(|| thread.said.clone())
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

    fn read(threads: &Threads) {
        threads.met(&item(0, 9_000));
        threads.heard("i", 9_000, &["a word".to_owned()]);
    }

    #[test]
    fn what_was_just_read_is_read_once_until_somebody_does_something() {
        let said = Some(vec!["a word".to_owned()]);
        let state = || PlaneChange::StateChanged { to: "s".into(), at: None };
        let table = [
            ("nothing", vec![], true, said.clone()),
            ("moves and labels are not told", vec![state(), PlaneChange::LabelsChanged], true, said.clone()),
            ("a comment", vec![comment()], true, None),
            ("another text", vec![PlaneChange::OtherField("description_html".into())], false, said),
            ("both", vec![comment(), PlaneChange::OtherField("name".into())], false, None),
            ("gone", vec![PlaneChange::ItemDeleted], false, None),
        ];
        for (what, changes, text, thread) in table {
            let threads = Threads::default();
            read(&threads);
            changes.iter().for_each(|change| threads.hear("i", change));
            assert_eq!((threads.knows_text("i"), threads.said("i", None)), (text, thread), "{what}");
            assert!(!threads.knows_text("other") && threads.said("other", None).is_none());
        }
    }

    #[test]
    fn only_an_item_that_was_just_made_has_no_thread() {
        for (updated_at, known) in [(0, true), (2_000, true), (2_001, false)] {
            let threads = Threads::default();
            threads.met(&item(0, updated_at));
            assert_eq!(threads.said("i", None).is_some(), known, "{updated_at}");
        }
        let threads = Threads::default();
        threads.heard("i", 0, &["a word".to_owned()]);
        threads.met(&item(0, 0));
        assert_eq!(threads.said("i", None), Some(vec!["a word".to_owned()]), "what was read is not forgotten");
    }

    #[test]
    fn with_other_workers_nothing_is_remembered() {
        let threads = Threads::default();
        read(&threads);
        threads.share_among(2);
        assert!(!threads.knows_text("i") && threads.said("i", None).is_none());
        read(&threads);
        assert!(!threads.knows_text("i") && threads.said("i", None).is_none());
        threads.share_among(1);
        read(&threads);
        assert!(threads.knows_text("i") && threads.said("i", None).is_some());
    }
}
