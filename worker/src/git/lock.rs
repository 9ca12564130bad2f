//! One writer per repository: tasks of this process wait on a mutex, other processes on a lock of a file.
//! The file's lock is handed to git as its standard input (see `Call::holding`), so a fetch that outlives a
//! killed worker still keeps the next worker out; it dies with the last holder and is never stale.

use super::delete::delete;
use super::error::GitError;
use crate::untrusted::open_private;
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use rustix::fs::OFlags;
use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::OwnedMutexGuard;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// The in-process half: a mutex per lock file.
#[derive(Debug, Default)]
pub(super) struct Locks(Mutex<HashMap<PathBuf, Arc<tokio::sync::Mutex<()>>>>);

/// Held: nobody else changes this repository's mirror or set of worktrees.
#[derive(Debug)]
pub(super) struct RepoLock {
    file: Flock<File>,
    _here: OwnedMutexGuard<()>,
}

impl RepoLock {
    /// A second handle on the lock, for a child.
    pub(super) fn handle(&self) -> Result<Stdio, GitError> {
        self.file.try_clone().map(Stdio::from).map_err(|e| GitError::io("sharing the repository's lock", e))
    }
}

impl Locks {
    /// Waits for the lock on `path` (created if missing), at most `limit`.
    pub(super) async fn take(
        &self,
        path: &Path,
        limit: Duration,
        cancel: &CancellationToken,
    ) -> Result<RepoLock, GitError> {
        let here = Arc::clone(self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(path.into()).or_default());
        let both = async {
            let here = here.lock_owned().await;
            Ok(RepoLock { file: wait_for_file(path).await?, _here: here })
        };
        tokio::select! {
            () = cancel.cancelled() => Err(GitError::Cancelled),
            () = tokio::time::sleep_until(Instant::now() + limit) => Err(GitError::Timeout { seconds: limit.as_secs() }),
            got = both => got,
        }
    }
}

/// Asks again and again instead of blocking a thread: a blocked `flock` can neither be cancelled nor keep
/// the runtime from shutting down.
async fn wait_for_file(path: &Path) -> Result<Flock<File>, GitError> {
    let mut pause = Duration::from_millis(5);
    loop {
        let path = path.to_owned();
        let attempt = tokio::task::spawn_blocking(move || try_file(&path)).await.map_err(io::Error::other);
        match attempt.and_then(|inner| inner) {
            Ok(Some(lock)) => return Ok(lock),
            Ok(None) => tokio::time::sleep(pause).await,
            Err(e) => return Err(GitError::io("locking the repository", e)),
        }
        pause = (pause * 2).min(Duration::from_millis(200));
    }
}

fn try_file(path: &Path) -> io::Result<Option<Flock<File>>> {
    if path.symlink_metadata().is_ok_and(|about| !about.is_file()) {
        tracing::warn!(lock = %path.display(), "something else was in the place of the repository's lock; removed");
        delete(path)?;
    }
    let file = open_private(path, OFlags::RDWR)?;
    match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Ok(lock) => Ok(Some(lock)),
        Err((_, Errno::EWOULDBLOCK)) => Ok(None),
        Err((_, e)) => Err(e.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn one_holder_here_and_in_other_processes() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let cancel = CancellationToken::new();
        // Two sets of mutexes stand for two processes: only the file is between them.
        let (here, elsewhere) = (Locks::default(), Locks::default());
        let held = here.take(&path, LONG, &cancel).await.unwrap();
        for other in [&here, &elsewhere] {
            let refused = other.take(&path, Duration::from_millis(50), &cancel).await;
            assert!(matches!(refused, Err(GitError::Timeout { .. })), "{refused:?}");
        }
        drop(held);
        drop(elsewhere.take(&path, LONG, &cancel).await.unwrap());
        here.take(&path, LONG, &cancel).await.unwrap();
    }

    #[tokio::test]
    async fn waiting_can_be_cancelled() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let (locks, cancel) = (Locks::default(), CancellationToken::new());
        let _held = locks.take(&path, LONG, &cancel).await.unwrap();
        let (waiting, ()) = tokio::join!(locks.take(&path, LONG, &cancel), async { cancel.cancel() });
        assert!(matches!(waiting, Err(GitError::Cancelled)));
    }

    /// Run as a process of its own by the test below: takes the lock, leaves it with a child, dies at once.
    #[tokio::test]
    #[ignore = "a helper process, not a test"]
    async fn holder_that_is_killed() {
        let Some(path) = std::env::var_os("LOCK_UNDER_TEST") else { return };
        let held = Locks::default().take(Path::new(&path), LONG, &CancellationToken::new()).await.unwrap();
        let mut sleep = tokio::process::Command::new("sleep");
        let child = sleep.arg("1000").stdin(held.handle().unwrap()).stdout(Stdio::null()).spawn().unwrap();
        println!("child={}", child.id().unwrap());
        rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL).unwrap();
    }

    #[tokio::test]
    async fn a_child_keeps_it_when_its_worker_is_killed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let out = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "git::lock::tests::holder_that_is_killed", "--ignored", "--nocapture"])
            .env("LOCK_UNDER_TEST", &path)
            .stderr(Stdio::null())
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let said = String::from_utf8(out.stdout).unwrap();
        let pid = said.lines().find_map(|l| l.split_once("child=")?.1.parse().ok()).expect("the child's id");
        let (locks, cancel) = (Locks::default(), CancellationToken::new());
        assert!(locks.take(&path, Duration::from_millis(100), &cancel).await.is_err(), "the child still holds it");
        let child = rustix::process::Pid::from_raw(pid).unwrap();
        rustix::process::kill_process(child, rustix::process::Signal::KILL).unwrap();
        locks.take(&path, LONG, &cancel).await.unwrap();
    }
}
