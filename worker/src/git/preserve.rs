//! Nothing that an agent wrote is thrown away by us: before a folder is rebuilt or its files are put back,
//! what is in it becomes a commit under `refs/orch/preserved/<KEY>` (the previous one is its parent). A
//! temporary index is used, so the worktree's own may be damaged or missing.

use super::commit::Identity;
use super::delete::delete_tree;
use super::error::GitError;
use super::nested::has_files;
use super::repos::{Place, Repos};
use super::staging::Room;
use super::worktree::{Site, lost};
use orch_common::domain::stage::CommitId;
use tokio_util::sync::CancellationToken;

impl Repos {
    /// Preserves a folder that is about to be rebuilt. Where that is not possible the folder itself is kept
    /// beside its place (one per work item); only a lack of time, space or patience is an error.
    pub(super) async fn preserve_or_set_aside(
        &self,
        place: &Place,
        w: &Site,
        cancel: &CancellationToken,
    ) -> Result<(), GitError> {
        if !has_files(&w.path) {
            return Ok(());
        }
        match self.preserve(w, None, cancel).await {
            Ok(_) => Ok(()),
            Err(e @ (GitError::NoSpace | GitError::Timeout { .. } | GitError::Cancelled)) => Err(e),
            Err(e) => {
                tracing::warn!(key = w.key, error = %e, "the work could not be preserved; its folder is set aside");
                let aside = lost(place, &w.key);
                delete_tree(&aside).await?;
                std::fs::rename(&w.path, &aside).map_err(|e| GitError::io("setting the folder aside", e))
            }
        }
    }

    /// Commits the folder's files as they are, beside every branch, with the commit `also` as one of its
    /// parents. `None` when there is nothing that the branch has not.
    pub(super) async fn preserve(
        &self,
        w: &Site,
        also: Option<&CommitId>,
        cancel: &CancellationToken,
    ) -> Result<Option<CommitId>, GitError> {
        let room = Room::of(w);
        let tip = self.resolve(&w.mirror, &w.branch_ref(), cancel).await?;
        let staged = self.stage(&room, tip.as_ref(), &w.key, cancel).await?;
        let tree = staged.tree.clone();
        staged.discard()?;
        if let Some(tip) = &tip
            && also.is_none()
            && self.tree_of(&room, tip, cancel).await? == tree
        {
            return Ok(None);
        }
        let name = w.preserved_ref();
        let previous = self.resolve(&w.mirror, &name, cancel).await?;
        let parents: Vec<CommitId> = tip.iter().chain(&previous).chain(also).cloned().collect();
        let (message, author) = ("Uncommitted work, preserved", Identity::of_us(self.settings()));
        let saved = self.commit_tree(&room, &tree, &parents, message, author, cancel).await?;
        self.set_ref(&w.mirror, &name, &saved, cancel).await?;
        tracing::warn!(key = w.key, commit = %saved, "uncommitted work preserved");
        Ok(Some(saved))
    }
}
