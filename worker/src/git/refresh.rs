//! Bringing what people pushed to the task's branch into its worktree. Published history is never changed
//! and a person's work never lost: the forge ahead = fast-forward, both moved = merge, the forge rewritten =
//! the forge's version, unless we hold commits that nobody else has.

use super::error::GitError;
use super::remote::Remote;
use super::repos::Repos;
use super::settle::{close_change, open_change, remove_left_locks};
use super::worktree::{Site, Worktree};
use orch_common::domain::stage::CommitId;
use tokio_util::sync::CancellationToken;

/// What a refresh found and did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refreshed {
    /// The forge has nothing that the branch lacks (the branch may have commits that the forge lacks).
    Unchanged,
    FastForwarded {
        from: CommitId,
        to: CommitId,
    },
    /// Both had commits; `head` joins them.
    Merged {
        ours: CommitId,
        theirs: CommitId,
        head: CommitId,
    },
    /// Someone rewrote the forge's branch; all our commits had been published, so theirs is taken.
    Replaced {
        from: CommitId,
        to: CommitId,
    },
}

impl Repos {
    /// Fetches and joins. Commit first: uncommitted work that is in the way is a [`GitError::Conflict`]
    /// without paths. On every error branch and files are as before. No agent may be at work in it.
    pub async fn refresh(
        &self,
        worktree: &Worktree,
        remote: &Remote,
        cancel: &CancellationToken,
    ) -> Result<Refreshed, GitError> {
        self.fetch(&worktree.repo, remote, cancel).await?;
        self.settle(worktree, cancel).await?;
        let ours = self.head(worktree, cancel).await?;
        self.join_forge(worktree, ours, cancel).await
    }

    /// [`Repos::refresh`] of a worktree that was looked at after the last fetch, and not touched since: no second fetch,
    /// no second look.
    pub async fn join_fetched(&self, worktree: &Worktree, cancel: &CancellationToken) -> Result<Refreshed, GitError> {
        self.join_forge(worktree, worktree.head.clone(), cancel).await
    }

    async fn join_forge(
        &self,
        worktree: &Worktree,
        ours: CommitId,
        cancel: &CancellationToken,
    ) -> Result<Refreshed, GitError> {
        let Some(theirs) = self.resolve(&worktree.mirror, &worktree.origin_ref(), cancel).await? else {
            return Ok(Refreshed::Unchanged);
        };
        let done = self.join(worktree, ours, theirs.clone(), cancel).await?;
        self.set_ref(&worktree.mirror, &worktree.synced_ref(), &theirs, cancel).await?;
        Ok(done)
    }

    async fn join(
        &self,
        w: &Site,
        ours: CommitId,
        theirs: CommitId,
        cancel: &CancellationToken,
    ) -> Result<Refreshed, GitError> {
        if ours == theirs {
            return Ok(Refreshed::Unchanged);
        }
        if self.is_ancestor(&w.mirror, &ours, &theirs, cancel).await? {
            self.merge(w, &ours, &theirs, &["--ff-only"], cancel).await?;
            return Ok(Refreshed::FastForwarded { from: ours, to: theirs });
        }
        // A branch that was only cut back is rewritten, too, although ours has all that is left of it.
        if let Some(synced) = self.resolve(&w.mirror, &w.synced_ref(), cancel).await?
            && synced != theirs
            && !self.is_ancestor(&w.mirror, &synced, &theirs, cancel).await?
        {
            return match self.is_ancestor(&w.mirror, &ours, &synced, cancel).await? {
                true => self.replace(w, ours, theirs, cancel).await,
                false => Err(GitError::Diverged { ours, theirs }),
            };
        }
        if self.is_ancestor(&w.mirror, &theirs, &ours, cancel).await? {
            return Ok(Refreshed::Unchanged);
        }
        self.merge(w, &ours, &theirs, &["--no-ff"], cancel).await?;
        let head = self.head(w, cancel).await?;
        Ok(Refreshed::Merged { ours, theirs, head })
    }

    /// Joins the branch with a commit that was made elsewhere from it: forward where that is possible, else a merge.
    pub(super) async fn join_with(
        &self,
        w: &Site,
        theirs: CommitId,
        cancel: &CancellationToken,
    ) -> Result<(), GitError> {
        self.settle(w, cancel).await?;
        let ours = self.head(w, cancel).await?;
        if self.is_ancestor(&w.mirror, &theirs, &ours, cancel).await? {
            return Ok(());
        }
        let forward = self.is_ancestor(&w.mirror, &ours, &theirs, cancel).await?;
        self.merge(w, &ours, &theirs, if forward { &["--ff-only"] } else { &["--no-ff"] }, cancel).await
    }

    /// The forge's version in the place of ours; what was on ours and is nowhere at the forge is kept.
    pub(super) async fn replace(
        &self,
        w: &Site,
        from: CommitId,
        to: CommitId,
        cancel: &CancellationToken,
    ) -> Result<Refreshed, GitError> {
        self.keep_rewritten(w, &from, cancel).await?;
        self.preserve(w, None, cancel).await?;
        self.set_ref(&w.mirror, &w.branch_ref(), &to, cancel).await?;
        self.take_branch(w, cancel).await?;
        Ok(Refreshed::Replaced { from, to })
    }

    /// Merges, or leaves everything as it was. What only git's own conversions made different is not in the way.
    async fn merge(
        &self,
        w: &Site,
        ours: &CommitId,
        theirs: &CommitId,
        how: &[&str],
        cancel: &CancellationToken,
    ) -> Result<(), GitError> {
        open_change(w)?;
        let mut done = self.merge_once(w, ours, theirs, how, cancel).await;
        if matches!(&done, Err(GitError::Conflict { paths, .. }) if paths.is_empty()) {
            let dirt = self.lift_dirt(w, cancel).await.unwrap_or_default();
            if !dirt.is_empty() {
                done = self.merge_once(w, ours, theirs, how, cancel).await;
                self.write_back(w, dirt).await?;
            }
        }
        close_change(w)?;
        done
    }

    async fn merge_once(
        &self,
        w: &Site,
        ours: &CommitId,
        theirs: &CommitId,
        how: &[&str],
        cancel: &CancellationToken,
    ) -> Result<(), GitError> {
        let message = format!("Merge what the forge has on {}", w.branch);
        let call = w.call().args(["merge", "--quiet", "--no-edit", "--no-verify", "--no-stat", "--no-autostash"]);
        let call = self.settings().committer.signs(call.args(how).args(["-m", &message, theirs.as_str()]));
        let output = match self.try_git(&w.mirror, call, cancel).await {
            Ok(output) if output.code == 0 => return Ok(()),
            Ok(output) => output,
            Err(e) => {
                self.abort_merge(w).await?;
                return Err(e);
            }
        };
        let paths = self.unmerged(w, cancel).await.unwrap_or_default();
        self.abort_merge(w).await?;
        let said = String::from_utf8_lossy(&output.stderr);
        if paths.is_empty() && !said.contains("would be overwritten") && !said.contains("would lose untracked") {
            return Err(output.error());
        }
        Err(GitError::Conflict { ours: ours.clone(), theirs: theirs.clone(), paths })
    }

    async fn unmerged(&self, w: &Site, cancel: &CancellationToken) -> Result<Vec<String>, GitError> {
        let call = w.call().args(["diff", "--name-only", "-z", "--diff-filter=U", "--ignore-submodules=all"]);
        let output = self.git(&w.mirror, call, cancel).await?;
        let names = output.stdout.split(|b| *b == 0).filter(|name| !name.is_empty());
        Ok(names.map(|name| String::from_utf8_lossy(name).into_owned()).collect())
    }

    /// Not cancellable: half a merge must not stay behind.
    async fn abort_merge(&self, w: &Site) -> Result<(), GitError> {
        remove_left_locks(w);
        let never = CancellationToken::new();
        if w.admin.join("MERGE_HEAD").exists() {
            self.git(&w.mirror, w.call().args(["merge", "--abort"]), &never).await?;
        }
        Ok(())
    }
}
