//! What this process has seen of a mirror and need not look at again: which ids git said are commits, when the forge
//! was last fetched from. Any failure that smells of damage forgets all of it, and so does another mirror in its place.
//! It saves calls and decides nothing: whoever finds nothing here asks git, or the forge.

use orch_common::domain::stage::CommitId;
use std::collections::{HashMap, HashSet};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Ids that are remembered of one mirror; with more, all are asked for again.
const MOST_COMMITS: usize = 4096;

/// Mirrors by their path.
#[derive(Debug, Default)]
pub(super) struct Memory(Mutex<HashMap<PathBuf, Seen>>);

#[derive(Debug, Default)]
struct Seen {
    /// Device and inode: a rebuilt mirror is another folder.
    folder: (u64, u64),
    commits: HashSet<CommitId>,
    /// When the last fetch that succeeded began.
    fetched: Option<Instant>,
    /// Git missed an object.
    damaged: bool,
}

impl Memory {
    fn all(&self) -> MutexGuard<'_, HashMap<PathBuf, Seen>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn with<T: Default>(&self, mirror: &Path, then: impl FnOnce(&mut Seen) -> T) -> T {
        let Ok(about) = mirror.symlink_metadata() else { return T::default() };
        let folder = (about.dev(), about.ino());
        let mut all = self.all();
        let seen = all.entry(mirror.to_owned()).or_default();
        if seen.folder != folder {
            *seen = Seen { folder, ..Seen::default() };
        }
        then(seen)
    }

    /// Git said that this is a commit. What has such a name stays one for as long as it can be read at all.
    pub(super) fn learn(&self, mirror: &Path, commit: &CommitId) {
        self.with(mirror, |seen| {
            if seen.commits.len() >= MOST_COMMITS {
                seen.commits.clear();
            }
            seen.commits.insert(commit.clone());
        });
    }

    /// Whether git said so.
    pub(super) fn knows(&self, mirror: &Path, commit: &CommitId) -> bool {
        self.with(mirror, |seen| seen.commits.contains(commit))
    }

    /// Git missed an object; which one is told by nobody.
    pub(super) fn note_damage(&self, mirror: &Path) {
        self.with(mirror, |seen| seen.damaged = true);
    }

    /// Whether it did since the forge was last asked for everything.
    pub(super) fn is_damaged(&self, mirror: &Path) -> bool {
        self.with(mirror, |seen| seen.damaged)
    }

    /// The forge was asked for everything.
    pub(super) fn repaired(&self, mirror: &Path) {
        self.with(mirror, |seen| seen.damaged = false);
    }

    /// A fetch that began at `began` brought everything.
    pub(super) fn fetched(&self, mirror: &Path, began: Instant) {
        self.with(mirror, |seen| seen.fetched = seen.fetched.max(Some(began)));
    }

    /// Whether a fetch that succeeded began no longer than `span` ago.
    pub(super) fn fetched_within(&self, mirror: &Path, span: Duration) -> bool {
        self.with(mirror, |seen| seen.fetched.is_some_and(|began| began.elapsed() < span))
    }

    /// Whether a fetch that succeeded began at this time or later.
    pub(super) fn fetched_since(&self, mirror: &Path, at: Instant) -> bool {
        self.with(mirror, |seen| seen.fetched.is_some_and(|began| began >= at))
    }

    /// Something is wrong with the mirror, or may be.
    pub(super) fn doubt(&self, mirror: &Path) {
        if let Some(seen) = self.all().get_mut(mirror) {
            *seen = Seen { folder: seen.folder, damaged: seen.damaged, ..Seen::default() };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn commit(n: usize) -> CommitId {
        format!("{n:040x}").parse().unwrap()
    }

    #[test]
    fn a_mirror_is_remembered_until_it_is_doubted_or_another_one() {
        let dir = tempfile::tempdir().unwrap();
        let (mirror, other) = (dir.path().join("mirror.git"), dir.path().join("other.git"));
        let memory = Memory::default();
        let learn = |at: &Path| {
            memory.learn(at, &commit(1));
            memory.fetched(at, Instant::now());
        };
        let knows = |at: &Path| (memory.knows(at, &commit(1)), memory.fetched_within(at, HOUR));
        learn(&mirror);
        assert_eq!(knows(&mirror), (false, false), "nothing is there");
        std::fs::create_dir(&mirror).unwrap();
        std::fs::create_dir(&other).unwrap();
        learn(&mirror);
        assert_eq!((knows(&mirror), knows(&other)), ((true, true), (false, false)));
        assert!(!memory.knows(&mirror, &commit(2)) && !memory.fetched_within(&mirror, Duration::ZERO));
        memory.doubt(&mirror);
        assert_eq!(knows(&mirror), (false, false));
        learn(&mirror);
        std::fs::remove_dir(&mirror).unwrap();
        std::fs::rename(&other, &mirror).unwrap();
        assert_eq!(knows(&mirror), (false, false), "rebuilt");
    }

    #[test]
    fn an_older_fetch_that_ends_later_counts_by_its_beginning_and_the_table_is_bounded() {
        let dir = tempfile::tempdir().unwrap();
        let (memory, now) = (Memory::default(), Instant::now());
        let Some(long_ago) = now.checked_sub(Duration::from_secs(60)) else { return };
        memory.fetched(dir.path(), long_ago);
        assert!(!memory.fetched_within(dir.path(), Duration::from_secs(30)));
        memory.fetched(dir.path(), now);
        memory.fetched(dir.path(), long_ago);
        assert!(memory.fetched_within(dir.path(), Duration::from_secs(30)));
        for n in 1..=MOST_COMMITS + 1 {
            memory.learn(dir.path(), &commit(n));
        }
        assert!(memory.knows(dir.path(), &commit(MOST_COMMITS + 1)) && !memory.knows(dir.path(), &commit(1)));
    }
}
