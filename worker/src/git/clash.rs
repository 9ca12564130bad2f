//! What people pushed to a task's branch and what was committed here cannot simply be joined: both sides are read out for
//! whoever is to join them, and what is no longer on a rewritten branch is kept.

use super::call::Call;
use super::error::GitError;
use super::repos::Repos;
use super::worktree::{Site, Worktree};
use orch_common::domain::clash::{Clash, NAMED};
use orch_common::domain::leftover::LeftKind;
use orch_common::domain::stage::CommitId;
use tokio_util::sync::CancellationToken;

/// A line for a commit: id, author, subject.
const LINE: &str = "--format=%h %an: %s";
/// The longest line, in characters.
const LINE_MAX: usize = 200;

impl Repos {
    /// Both sides of what an attempt to join them ended with; `None` = that was no clash of commits. Our side of a rewritten
    /// branch is kept under a ref at once: the branch itself will give way.
    pub async fn clash_of(
        &self,
        w: &Worktree,
        error: &GitError,
        cancel: &CancellationToken,
    ) -> Result<Option<Clash>, GitError> {
        let (ours, theirs, files, rewritten) = match error {
            GitError::Conflict { ours, theirs, paths } if !paths.is_empty() => (ours, theirs, paths.as_slice(), false),
            GitError::Diverged { ours, theirs } => (ours, theirs, [].as_slice(), true),
            GitError::Conflict { .. }
            | GitError::BadName { .. }
            | GitError::NotFound { .. }
            | GitError::AuthFailed { .. }
            | GitError::Unavailable { .. }
            | GitError::Rejected { .. }
            | GitError::Declined { .. }
            | GitError::InUse { .. }
            | GitError::TooLarge { .. }
            | GitError::Timeout { .. }
            | GitError::NoSpace
            | GitError::Lfs(_)
            | GitError::Submodule(_)
            | GitError::Corrupt { .. }
            | GitError::Cancelled
            | GitError::Io { .. }
            | GitError::Other { .. } => return Ok(None),
        };
        if rewritten {
            self.keep_rewritten(w, ours, cancel).await?;
        }
        Ok(Some(Clash {
            theirs: theirs.to_string(),
            ours: ours.to_string(),
            their_commits: self.commits_beside(w, theirs, ours, cancel).await?,
            our_commits: self.commits_beside(w, ours, theirs, cancel).await?,
            files: named(files.iter().map(|name| on_one_line(name)).collect()),
            rewritten,
        }))
    }

    /// Takes the forge's version of a branch that somebody rewrote there. Commits that only we have are kept first. No agent
    /// may be at work in it.
    pub async fn give_way(&self, w: &Worktree, theirs: &CommitId, cancel: &CancellationToken) -> Result<(), GitError> {
        self.settle(w, cancel).await?;
        let ours = self.head(w, cancel).await?;
        self.replace(w, ours, theirs.clone(), cancel).await?;
        self.set_ref(&w.mirror, &w.synced_ref(), theirs, cancel).await
    }

    /// Whether the forge had the branch and has it no longer, as it was fetched last: somebody deleted or renamed it.
    pub async fn is_gone(&self, w: &Worktree, cancel: &CancellationToken) -> Result<bool, GitError> {
        Ok(self.resolve(&w.mirror, &w.origin_ref(), cancel).await?.is_none()
            && self.resolve(&w.mirror, &w.synced_ref(), cancel).await?.is_some())
    }

    /// A person wants a branch that is gone made again: the next push makes it.
    pub async fn forget_gone(&self, w: &Worktree, cancel: &CancellationToken) -> Result<(), GitError> {
        let call = Call::bare(&w.mirror).args(["update-ref", "--no-deref", "-d", &w.synced_ref()]);
        self.git(&w.mirror, call, cancel).await.map(drop)
    }

    /// Keeps the commits of a branch that was rewritten at the forge, if the forge has them nowhere.
    pub(super) async fn keep_rewritten(
        &self,
        w: &Site,
        ours: &CommitId,
        cancel: &CancellationToken,
    ) -> Result<(), GitError> {
        let name = format!("up to {}", ours.short());
        self.keep_beside(w, (LeftKind::Rewritten, &name), ours, None, cancel).await.map(drop)
    }

    async fn commits_beside(
        &self,
        w: &Site,
        of: &CommitId,
        without: &CommitId,
        cancel: &CancellationToken,
    ) -> Result<Vec<String>, GitError> {
        let call = Call::bare(&w.mirror).args(["log", "--no-color", "--no-decorate", LINE, "--max-count=1000"]);
        let call = call.args([of.as_str(), "--not", without.as_str(), "--"]);
        let listed = self.git(&w.mirror, call.cut_at(256 * 1024), cancel).await?;
        Ok(named(String::from_utf8_lossy(&listed.stdout).lines().map(on_one_line).collect()))
    }
}

/// Outside text, fit for one line.
fn on_one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '?' } else { c }).take(LINE_MAX).collect()
}

/// The first ones, and how many more.
fn named(mut all: Vec<String>) -> Vec<String> {
    let more = all.len().saturating_sub(NAMED);
    all.truncate(NAMED);
    all.extend((more > 0).then(|| format!("+{more}")));
    all
}
