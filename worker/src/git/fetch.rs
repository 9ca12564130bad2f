//! Bringing the forge's branches into the mirror.

use super::call::Call;
use super::error::GitError;
use super::lock::RepoLock;
use super::remote::Remote;
use super::repos::Repos;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Git's own locks are held for well under a second; one this old was left by a killed process.
const STALE_LOCK: Duration = Duration::from_secs(600);

impl Repos {
    /// Brings every branch of the forge into the mirror (made or rebuilt if need be), and drops those that
    /// are gone there. The tasks' own branches are not touched.
    pub async fn fetch(&self, repo: &str, remote: &Remote, cancel: &CancellationToken) -> Result<(), GitError> {
        let place = self.place(repo)?;
        let lock = self.lock(&place, cancel).await?;
        if !self.is_sound(&place.mirror, cancel).await? {
            return self.build(&place, remote, &lock, cancel).await;
        }
        remove_stale_locks(&place.mirror);
        match self.fetch_into(&place.mirror, remote, &lock, cancel).await {
            Err(GitError::Corrupt { tail }) => {
                tracing::warn!(%tail, "the fetch found damage");
                self.build(&place, remote, &lock, cancel).await
            }
            other => other,
        }
    }

    /// The bare fetch. The URL is named, so no `remote.*` of the repository's configuration has a say.
    pub(super) async fn fetch_into(
        &self,
        mirror: &Path,
        remote: &Remote,
        lock: &RepoLock,
        cancel: &CancellationToken,
    ) -> Result<(), GitError> {
        let call = Call::bare(mirror)
            .args(["fetch", "--quiet", "--prune", "--no-write-fetch-head", "--no-recurse-submodules"])
            .args(["--", remote.url(), "+refs/heads/*:refs/remotes/origin/*"])
            .network(remote, self.settings().network_timeout)
            .holding(lock.handle()?);
        self.git(mirror, call, cancel).await.map(drop)
    }
}

/// Removes lock files that outlived their owner; git itself never does.
fn remove_stale_locks(mirror: &Path) {
    let mut folders: Vec<PathBuf> = vec![mirror.join("refs")];
    let mut locks: Vec<PathBuf> =
        ["packed-refs.lock", "config.lock", "HEAD.lock", "shallow.lock"].map(|name| mirror.join(name)).to_vec();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok) {
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => folders.push(entry.path()),
                Ok(_) if entry.path().extension().is_some_and(|e| e == "lock") => locks.push(entry.path()),
                Ok(_) | Err(_) => {}
            }
        }
    }
    for lock in locks {
        let age = lock.symlink_metadata().ok().and_then(|m| m.modified().ok()?.elapsed().ok());
        if age.is_some_and(|age| age > STALE_LOCK) {
            tracing::warn!(lock = %lock.display(), "removed a lock that a killed git left");
            std::fs::remove_file(&lock).ok();
        }
    }
}
