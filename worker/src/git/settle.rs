//! Bringing a worktree back to a state that can be worked with, whatever a killed git, a killed worker or a
//! confused agent left: stale locks, a broken index, HEAD elsewhere, a change of ours that was cut short.
//! Work is never lost by it: what cannot stay is preserved.

use super::delete::{delete, delete_tree, delete_unless_file};
use super::error::GitError;
use super::index_file;
use super::refs;
use super::repos::Repos;
use super::workshop::Workshop;
use super::worktree::{Site, Worktree};
use crate::untrusted;
use orch_common::domain::stage::CommitId;
use std::path::PathBuf;
use tokio_util::sync::CancellationToken;

impl Repos {
    /// Makes the worktree usable: removes the locks that a killed git left, takes back a change of ours that
    /// was cut short, makes a broken index anew, brings HEAD back to the task's branch.
    pub(super) async fn settle(&self, w: &Site, cancel: &CancellationToken) -> Result<(), GitError> {
        self.pin_all(w).await?;
        remove_left_locks(w);
        self.mend_index(w, cancel).await?;
        self.settle_on_branch(w, cancel).await
    }

    /// [`Repos::settle`] where nothing is taken out of the folder next: an index that looks whole is believed.
    pub(super) async fn settle_to_begin(
        &self,
        w: &Site,
        head: &CommitId,
        cancel: &CancellationToken,
    ) -> Result<(), GitError> {
        if !index_file::is_readable(&w.admin.join("index"), head.as_str().len() / 2) {
            self.mend_index(w, cancel).await?;
        }
        self.settle_on_branch(w, cancel).await
    }

    async fn settle_on_branch(&self, w: &Site, cancel: &CancellationToken) -> Result<(), GitError> {
        if is_changing(w) {
            tracing::warn!(key = w.key, "a change of the folder was cut short; taken back");
            self.preserve(w, None, cancel).await?;
            self.put_back(w, cancel).await?;
        }
        self.return_to_branch(w, cancel).await
    }

    /// Puts HEAD on the task's branch and the files to its commit, whatever was there.
    pub(super) async fn take_branch(&self, w: &Site, cancel: &CancellationToken) -> Result<(), GitError> {
        open_change(w)?;
        let head = w.call().args(["symbolic-ref", "HEAD", &w.branch_ref()]);
        self.git(&w.mirror, head, cancel).await?;
        let files = w.call().args(["reset", "--hard", "--quiet", "--no-recurse-submodules"]);
        self.git(&w.mirror, files, cancel).await?;
        close_change(w)
    }

    /// Puts the folder back to the branch's head: what lay there uncommitted has been accounted for. Ignored files stay.
    pub async fn put_aside(
        &self,
        worktree: &Worktree,
        shop: Option<&Workshop>,
        cancel: &CancellationToken,
    ) -> Result<(), GitError> {
        match shop {
            Some(shop) if shop.is_whole() => {
                let room = shop.room();
                self.do_in(&room, room.call().args(["reset", "--hard", "--quiet"]), cancel).await?;
                self.do_in(&room, room.call().args(["clean", "-ffdq"]), cancel).await.map(drop)
            }
            Some(_) => Ok(()),
            None => {
                open_change(worktree)?;
                remove_left_locks(worktree);
                self.mend_index(worktree, cancel).await?;
                self.put_back(worktree, cancel).await
            }
        }
    }

    async fn put_back(&self, w: &Site, cancel: &CancellationToken) -> Result<(), GitError> {
        let new = w.call().args(["clean", "-ffdq"]);
        self.git(&w.mirror, new, cancel).await?;
        self.take_branch(w, cancel).await
    }

    /// An unreadable index is replaced by the head's, so the files' changes stay changes.
    async fn mend_index(&self, w: &Site, cancel: &CancellationToken) -> Result<(), GitError> {
        let index = w.admin.join("index");
        let readable = w.call().args(["ls-files", "--cached"]).cut_at(1);
        if index.exists() && self.try_git(&w.mirror, readable, cancel).await?.code == 0 {
            return Ok(());
        }
        delete_tree(&index).await?;
        let from_head = w.call().args(["reset", "--mixed", "--quiet"]);
        self.git(&w.mirror, from_head, cancel).await.map(drop)
    }

    /// Commits made beside the branch are taken over if they follow it, else preserved and left.
    async fn return_to_branch(&self, w: &Site, cancel: &CancellationToken) -> Result<(), GitError> {
        if refs::is_on(&w.admin, &w.branch_ref()) {
            return Ok(());
        }
        let call = w.call().args(["symbolic-ref", "--quiet", "HEAD"]);
        let on = self.try_git(&w.mirror, call, cancel).await?;
        if on.code == 0 && on.line() == w.branch_ref() {
            return Ok(());
        }
        tracing::warn!(key = w.key, "the worktree had left its branch");
        let (ours, out) = (self.head(w, cancel).await?, self.checked_out(w, cancel).await?);
        match out {
            Some(out) if self.is_ancestor(&w.mirror, &ours, &out, cancel).await? => {
                self.set_ref(&w.mirror, &w.branch_ref(), &out, cancel).await?;
                let head = w.call().args(["symbolic-ref", "HEAD", &w.branch_ref()]);
                self.git(&w.mirror, head, cancel).await?;
            }
            out => {
                self.preserve(w, out.as_ref(), cancel).await?;
                self.take_branch(w, cancel).await?;
            }
        }
        for unfinished in ["rebase-merge", "rebase-apply"] {
            delete_tree(&w.admin.join(unfinished)).await?;
        }
        Ok(())
    }
}

/// Exists while we change the folder: if it is there later, we were killed in the middle.
fn marker(w: &Site) -> PathBuf {
    w.admin.join("orch-changing")
}

/// We were killed while we changed the folder.
pub(super) fn is_changing(w: &Site) -> bool {
    marker(w).exists()
}

/// To be called before the first step that a kill must not leave half done.
pub(super) fn open_change(w: &Site) -> Result<(), GitError> {
    let what = "beginning a change of the worktree";
    delete_unless_file(&marker(w)).map_err(|e| GitError::io(what, e))?;
    untrusted::write(&marker(w), b"").map_err(|e| GitError::io(what, e.into()))
}

/// The folder is whole again.
pub(super) fn close_change(w: &Site) -> Result<(), GitError> {
    delete(&marker(w)).map_err(|e| GitError::io("ending a change of the worktree", e))
}

/// The locks of this worktree and of what says where its branch is; only its one agent could hold them, and that has ended.
pub(super) fn remove_left_locks(w: &Site) {
    let refs = [w.branch_ref(), w.origin_ref(), w.synced_ref()].map(|name| w.mirror.join(format!("{name}.lock")));
    for lock in ["index.lock", "HEAD.lock"].map(|name| w.admin.join(name)).into_iter().chain(refs) {
        if lock.symlink_metadata().is_ok() && delete(&lock).is_ok() {
            tracing::warn!(lock = %lock.display(), "removed a lock that a killed git left");
        }
    }
}
