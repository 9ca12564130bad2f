//! Nothing that an agent wrote is thrown away by us: before a folder is rebuilt or its files are put back,
//! what is in it becomes a commit under `refs/orch/preserved/<KEY>` (the previous one is its parent). A
//! temporary index is used, so the worktree's own may be damaged or missing.

use super::call::Call;
use super::delete::delete_tree;
use super::error::GitError;
use super::repos::{Place, Repos, commit_id};
use super::worktree::{Site, lost};
use orch_common::domain::stage::CommitId;
use std::path::Path;
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
        let index = tempfile::Builder::new().prefix("orch-index-").tempdir_in(&w.mirror);
        let index = index.map_err(|e| GitError::io("making a temporary index", e))?;
        let index = index.path().join("index");
        let call = || Call::linked(&w.mirror, &w.mirror, &w.path).env("GIT_INDEX_FILE", &index);
        let tip = self.resolve(&w.mirror, &w.branch_ref(), cancel).await?;
        if let Some(tip) = &tip {
            self.git(&w.mirror, call().args(["read-tree", tip.as_str()]), cancel).await?;
        }
        self.stage_everything(&w.mirror, call, cancel).await?;
        let tree = self.git(&w.mirror, call().args(["write-tree"]), cancel).await?.line();
        if let Some(tip) = &tip {
            let of_tip = call().args(["rev-parse", &format!("{tip}^{{tree}}")]);
            if also.is_none() && self.git(&w.mirror, of_tip, cancel).await?.line() == tree {
                return Ok(None);
            }
        }
        let name = w.preserved_ref();
        let previous = self.resolve(&w.mirror, &name, cancel).await?;
        let mut commit = call().args(["commit-tree", "-m", "Uncommitted work, preserved", &tree]);
        for parent in tip.iter().chain(&previous).chain(also) {
            commit = commit.args(["-p", parent.as_str()]);
        }
        let commit = self.settings().committer.signs(commit);
        let saved = commit_id(&self.git(&w.mirror, commit, cancel).await?.line())?;
        self.set_ref(&w.mirror, &name, &saved, cancel).await?;
        tracing::warn!(key = w.key, commit = %saved, "uncommitted work preserved");
        Ok(Some(saved))
    }
}

/// Whether a real folder is there with anything but git's own entry in it.
fn has_files(path: &Path) -> bool {
    path.symlink_metadata().is_ok_and(|m| m.is_dir())
        && std::fs::read_dir(path).is_ok_and(|all| all.filter_map(Result::ok).any(|e| e.file_name() != ".git"))
}
