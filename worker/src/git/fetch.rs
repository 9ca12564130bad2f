//! Bringing the forge's branches into the mirror.

use super::call::Call;
use super::check;
use super::error::GitError;
use super::left_locks;
use super::lock::RepoLock;
use super::refs::{self, Found};
use super::remote::Remote;
use super::repos::{Place, Repos, off_the_runtime};
use super::shared;
use super::worktree::Site;
use orch_common::store::heard::Heard;
use std::path::Path;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// How long a fetch of this process lasts for the start of an agent, if nothing was heard of meanwhile and the task's last agent
/// ended before it began. Long enough for the look that fetched and started the agent; short, because a push whose delivery is
/// late or lost is not seen until it is over (it is joined when the agent has ended, as one during its work is).
const FRESH: Duration = Duration::from_secs(10);

/// Where the forge's branches are in a mirror, and where the tasks' own are.
const OF_THE_FORGE: &str = "refs/remotes/origin/";
const OF_TASKS: &str = "refs/heads/";

impl Repos {
    /// [`Repos::fetch`] for a task, unless it can be spared: the task's folder is there, this process has fetched the
    /// repository a moment ago, nothing has smelled of damage since, and the mirror has what was `heard` of the two
    /// branches that matter to the task. `None` = what was heard is not known; then it cannot be spared. `since`: how long
    /// ago the task's last agent ended; only a fetch since then counts. Says whether there was a fetch.
    pub async fn fetch_unless_fresh(
        &self,
        task: (&str, &str, &str, &str),
        heard: Option<&[Heard]>,
        since: Option<Duration>,
        remote: &Remote,
        cancel: &CancellationToken,
    ) -> Result<bool, GitError> {
        let (repo, key, branch, base) = task;
        let (key, branch) = (check::key(key)?, check::branch(branch)?);
        let place = self.place(repo)?;
        let site = Site::new(&place, repo, key, branch);
        let matters = |heard: &&Heard| heard.branch == branch || heard.branch == base;
        let fresh = heard.is_some_and(|all| {
            self.memory().fetched_within(&site.mirror, since.map_or(FRESH, |since| since.min(FRESH)))
                && Repos::is_finished(&site)
                && all.iter().filter(matters).all(|heard| is_there(&site.mirror, heard))
        });
        if fresh {
            self.pin(&site.mirror, Some(&site.admin)).await?;
            return Ok(false);
        }
        self.fetch(repo, remote, cancel).await.map(|()| true)
    }

    /// Brings every branch of the forge into the mirror (made or rebuilt if need be), and drops those that
    /// are gone there. The tasks' own branches are not touched.
    pub async fn fetch(&self, repo: &str, remote: &Remote, cancel: &CancellationToken) -> Result<(), GitError> {
        let place = self.place(repo)?;
        let asked = Instant::now();
        let lock = self.lock(&place, cancel).await?;
        // Who waited for others' fetches needs none of his own where one of them began after he came.
        if self.memory().fetched_since(&place.mirror, asked) {
            return Ok(());
        }
        let began = Instant::now();
        self.fetch_soundly(&place, remote, &lock, cancel).await?;
        self.memory().fetched(&place.mirror, began);
        Ok(())
    }

    /// Whether the mirror is there and sound, as a fetch would leave it. The forge is not asked.
    pub async fn is_in_order(&self, repo: &str, cancel: &CancellationToken) -> Result<bool, GitError> {
        let place = self.place(repo)?;
        let _lock = self.lock(&place, cancel).await?;
        tend(&place.mirror).await?;
        Ok(has_any(&place.mirror, OF_THE_FORGE).await? && self.is_sound(&place.mirror, cancel).await?)
    }

    pub(super) async fn fetch_soundly(
        &self,
        place: &Place,
        remote: &Remote,
        lock: &RepoLock,
        cancel: &CancellationToken,
    ) -> Result<(), GitError> {
        tend(&place.mirror).await?;
        if !self.is_sound(&place.mirror, cancel).await? {
            return self.build(place, remote, lock, cancel).await;
        }
        // What is missing inside of a history that is whole otherwise comes with everything.
        let damaged = self.memory().is_damaged(&place.mirror);
        if damaged {
            tracing::warn!(mirror = %place.mirror.display(), "git missed an object of the mirror; all is fetched anew");
        }
        match self.fetch_into(&place.mirror, remote, lock, (damaged, cancel)).await {
            Ok(()) => {
                self.memory().repaired(&place.mirror);
                Ok(())
            }
            Err(GitError::Corrupt { tail }) => {
                tracing::warn!(%tail, "the fetch found damage");
                self.build(place, remote, lock, cancel).await
            }
            other => other,
        }
    }

    /// The bare fetch; of `everything`, or of what is not there. The URL is named, so no `remote.*` of the repository's configuration has a say.
    pub(super) async fn fetch_into(
        &self,
        mirror: &Path,
        remote: &Remote,
        lock: &RepoLock,
        (everything, cancel): (bool, &CancellationToken),
    ) -> Result<(), GitError> {
        let call = Call::bare(mirror)
            .args(["fetch", "--quiet", "--prune", "--no-write-fetch-head", "--no-recurse-submodules"])
            .args(everything.then_some("--refetch"))
            .args(["--", remote.url(), "+refs/heads/*:refs/remotes/origin/*"])
            .network(remote, self.settings().network_timeout)
            .holding(lock.handle()?);
        self.git(mirror, call, cancel).await?;
        // To git a page in place of an answer is a list without a branch, by which it drops all; the next fetch brings them back.
        if has_any(mirror, OF_THE_FORGE).await? || !has_any(mirror, OF_TASKS).await? {
            return Ok(());
        }
        self.memory().doubt(mirror);
        Err(GitError::Unavailable { tail: "its answer names no branch at all".into() })
    }
}

/// What somebody did to the refs is put back, and what a killed git left is removed.
async fn tend(mirror: &Path) -> Result<(), GitError> {
    let mirror = mirror.to_owned();
    off_the_runtime(move || {
        shared::put_refs_back(&mirror)?;
        left_locks::remove_left(&mirror);
        Ok(())
    })
    .await
}

/// Whether the mirror has any ref below this folder of refs.
async fn has_any(mirror: &Path, folder: &'static str) -> Result<bool, GitError> {
    let mirror = mirror.to_owned();
    off_the_runtime(move || Ok(refs::any_below(&mirror, folder))).await
}

/// Whether the mirror has of a branch what was heard of it.
fn is_there(mirror: &Path, heard: &Heard) -> bool {
    let found = refs::read(mirror, &format!("refs/remotes/origin/{}", heard.branch));
    found == heard.head.clone().map_or(Found::Nothing, Found::Id)
}
