//! Git's own locks of what all tasks of a mirror share: refs, `packed-refs`, the configuration, the shallow boundary. A git that
//! was killed, or lost with the power, leaves its lock, and no other git ever removes it. It has no living owner if no git is at
//! work in this repository: whoever looks holds the repository's own lock, so what is left are gits of agents.

use super::delete::delete;
use crate::agent::procfs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Git's own locks are held for well under a second; one this old was left, whoever is at work.
const OLD: Duration = Duration::from_secs(600);
/// One this young may be of a program that is not called git, and is gone in a moment.
const YOUNG: Duration = Duration::from_secs(2);

/// Removes the locks in a mirror that outlived their owner.
pub(super) fn remove_left(mirror: &Path) {
    let mut at_work = None;
    for lock in locks(mirror) {
        let Ok(about) = lock.symlink_metadata() else { continue };
        let age = about.modified().ok().and_then(|at| at.elapsed().ok()).unwrap_or_default();
        let left = about.is_dir()
            || age > OLD
            || (age > YOUNG && !*at_work.get_or_insert_with(|| is_git_at_work(mirror.parent().unwrap_or(mirror))));
        if left && delete(&lock).is_ok() {
            tracing::warn!(lock = %lock.display(), "removed a lock that a killed git left");
        }
    }
}

fn locks(mirror: &Path) -> Vec<PathBuf> {
    let shared = ["packed-refs.lock", "config.lock", "HEAD.lock", "shallow.lock"].map(|name| mirror.join(name));
    let mut locks: Vec<PathBuf> = shared.into_iter().filter(|lock| lock.symlink_metadata().is_ok()).collect();
    let mut folders = vec![mirror.join("refs")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok) {
            // No branch, and so no folder of one, has such a name.
            if entry.path().extension().is_some_and(|end| end == "lock") {
                locks.push(entry.path());
            } else if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                folders.push(entry.path());
            }
        }
    }
    locks
}

/// Whether a git works in this folder, or was told of it. What may not be looked at is another user's, who has nothing here.
fn is_git_at_work(home: &Path) -> bool {
    procfs::all().any(|process| {
        let about = PathBuf::from(format!("/proc/{}", process.pid));
        let read = |name: &str| std::fs::read(about.join(name)).unwrap_or_default();
        let names = |text: &[u8]| text.windows(home.as_os_str().len()).any(|part| part == home.as_os_str().as_bytes());
        read("comm").starts_with(b"git")
            && !process.is_gone()
            && (std::fs::read_link(about.join("cwd")).is_ok_and(|cwd| cwd.starts_with(home))
                || names(&read("cmdline"))
                || names(&read("environ")))
    })
}
