//! Turning what an agent left in its worktree into a commit on the task's branch, whatever state the
//! worktree was left in (see `settle`), by an index of our own (see `staging`).

use super::call::Call;
use super::command::GitSettings;
use super::error::GitError;
use super::nested::small_file;
use super::repos::{Repos, commit_id};
use super::staging::Room;
use super::worktree::{Site, Worktree};
use orch_common::domain::stage::CommitId;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use tokio_util::sync::CancellationToken;

/// Who a commit is by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    pub name: String,
    pub email: String,
}

impl Identity {
    /// Who does what no agent and no person did.
    pub(super) fn of_us(settings: &GitSettings) -> &Identity {
        &settings.committer
    }

    /// Makes `call` commit as this person. Characters that git's format cannot hold are dropped.
    pub(super) fn signs<'a>(&self, call: Call<'a>) -> Call<'a> {
        let clean = |text: &str, fallback: &str| {
            let kept: String = text.chars().filter(|c| !c.is_control() && !"<>".contains(*c)).collect();
            if kept.trim().is_empty() { fallback.to_owned() } else { kept }
        };
        let (name, email) = (clean(&self.name, "Orch"), clean(&self.email, "orch@localhost"));
        call.env("GIT_AUTHOR_NAME", &name)
            .env("GIT_AUTHOR_EMAIL", &email)
            .env("GIT_COMMITTER_NAME", &name)
            .env("GIT_COMMITTER_EMAIL", &email)
    }
}

impl Repos {
    /// Commits everything in the worktree that is not ignored, by an index of our own (see `staging`). `None` when there
    /// is nothing to commit, so doing it again is harmless. No agent may be at work in it.
    pub async fn commit_all(
        &self,
        worktree: &Worktree,
        message: &str,
        author: &Identity,
        cancel: &CancellationToken,
    ) -> Result<Option<CommitId>, GitError> {
        self.settle(worktree, cancel).await?;
        let (room, tip) = (Room::of(worktree), self.head(worktree, cancel).await?);
        let staged = self.stage(&room, Some(&tip), &worktree.key, cancel).await?;
        let merged = self.merge_under_way(worktree, &tip, cancel).await?;
        if merged.is_none() && staged.tree == self.tree_of(&room, &tip, cancel).await? {
            staged.becomes_index_of(&worktree.admin)?;
            return Ok(None);
        }
        let parents: Vec<CommitId> = std::iter::once(tip).chain(merged).collect();
        let commit = self.commit_tree(&room, &staged.tree, &parents, message, author, cancel).await?;
        self.set_ref(&worktree.mirror, &worktree.branch_ref(), &commit, cancel).await?;
        staged.becomes_index_of(&worktree.admin)?;
        end_merge(worktree)?;
        Ok(Some(commit))
    }

    /// Whether the worktree differs from its head: changed or new files that are not ignored.
    pub async fn is_dirty(&self, worktree: &Worktree, cancel: &CancellationToken) -> Result<bool, GitError> {
        let (room, tip) = (Room::of(worktree), self.head(worktree, cancel).await?);
        let staged = self.stage(&room, Some(&tip), &worktree.key, cancel).await?;
        let dirty = staged.tree != self.tree_of(&room, &tip, cancel).await?;
        staged.discard()?;
        Ok(dirty)
    }

    /// The tree of a commit.
    pub(super) async fn tree_of(
        &self,
        room: &Room,
        commit: &CommitId,
        cancel: &CancellationToken,
    ) -> Result<String, GitError> {
        let call = room.call().args(["rev-parse", "--verify", "--end-of-options", &format!("{commit}^{{tree}}")]);
        Ok(self.do_in(room, call, cancel).await?.line())
    }

    /// Makes a commit that no ref has yet.
    pub(super) async fn commit_tree(
        &self,
        room: &Room,
        tree: &str,
        parents: &[CommitId],
        message: &str,
        author: &Identity,
        cancel: &CancellationToken,
    ) -> Result<CommitId, GitError> {
        let mut call = room.call().args(["commit-tree", "--no-gpg-sign", tree]);
        for parent in parents {
            call = call.args(["-p", parent.as_str()]);
        }
        let text = format!("{}\n", message.replace('\0', "").trim_end());
        let call = author.signs(call).input(text.into_bytes());
        commit_id(&self.do_in(room, call, cancel).await?.line())
    }

    /// The commit that an agent was merging into the branch when it ended.
    async fn merge_under_way(
        &self,
        w: &Site,
        tip: &CommitId,
        cancel: &CancellationToken,
    ) -> Result<Option<CommitId>, GitError> {
        let Some(text) = small_file(&w.admin.join("MERGE_HEAD"), 8192) else { return Ok(None) };
        let text = String::from_utf8_lossy(&text);
        let Ok(other) = text.lines().next().unwrap_or_default().parse::<CommitId>() else { return Ok(None) };
        let call = Call::bare(&w.mirror).args(["cat-file", "-e", &format!("{other}^{{commit}}")]);
        let there = self.try_git(&w.mirror, call, cancel).await?.code == 0;
        Ok(if there && !self.is_ancestor(&w.mirror, &other, tip, cancel).await? { Some(other) } else { None })
    }
}

/// What git itself removes when a merge is committed.
fn end_merge(w: &Site) -> Result<(), GitError> {
    for name in ["MERGE_HEAD", "MERGE_MSG", "MERGE_MODE", "AUTO_MERGE", "CHERRY_PICK_HEAD", "REVERT_HEAD"] {
        match std::fs::remove_file(w.admin.join(name)) {
            Ok(()) => {}
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
            Err(e) => return Err(GitError::io(format!("removing {name}"), e)),
        }
    }
    Ok(())
}

/// A path out of a `-z` list.
pub(super) fn path_of(bytes: &[u8]) -> std::path::PathBuf {
    OsString::from_vec(bytes.to_vec()).into()
}
