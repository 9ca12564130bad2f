//! Turning what an agent left in its worktree into a commit on the task's branch, whatever state the
//! worktree was left in (see `settle`). Nested repositories are never entered.

use super::call::Call;
use super::command::GitSettings;
use super::error::GitError;
use super::repos::Repos;
use super::worktree::{Site, Worktree};
use orch_common::domain::stage::CommitId;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::Path;
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
    /// Commits everything in the worktree that is not ignored. `None` when there is nothing to commit, so
    /// doing it again is harmless. Nested repositories and submodules are left out: looking into them would
    /// obey their configuration. No agent may be at work in it.
    pub async fn commit_all(
        &self,
        worktree: &Worktree,
        message: &str,
        author: &Identity,
        cancel: &CancellationToken,
    ) -> Result<Option<CommitId>, GitError> {
        self.settle(worktree, cancel).await?;
        self.stage_everything(&worktree.mirror, || worktree.call(), cancel).await?;
        let merging = worktree.admin.join("MERGE_HEAD").exists();
        if !merging && !self.is_staged(worktree, cancel).await? {
            return Ok(None);
        }
        let commit = worktree
            .call()
            .args(["commit", "--quiet", "--no-verify", "--no-gpg-sign", "--cleanup=whitespace"])
            .args(["--allow-empty-message", "--file=-"])
            .input(message.replace('\0', "").into_bytes());
        self.git(&worktree.mirror, author.signs(commit), cancel).await?;
        self.head(worktree, cancel).await.map(Some)
    }

    /// Whether the worktree differs from its head: changed, staged or new files that are not ignored.
    pub async fn is_dirty(&self, worktree: &Worktree, cancel: &CancellationToken) -> Result<bool, GitError> {
        let call = worktree.call().args(["status", "--porcelain", "-z", "--ignore-submodules=all"]).cut_at(1);
        Ok(!self.git(&worktree.mirror, call, cancel).await?.stdout.is_empty())
    }

    /// `git add` of all that is not a repository of its own. `call` makes a call with the right index.
    pub(super) async fn stage_everything<'a>(
        &self,
        mirror: &Path,
        call: impl Fn() -> Call<'a>,
        cancel: &CancellationToken,
    ) -> Result<(), GitError> {
        let listed = call().args(["ls-files", "-z", "--stage", "--others", "--exclude-standard"]);
        let listed = self.git(mirror, listed, cancel).await?;
        let mut spec = b".".to_vec();
        for name in listed.stdout.split(|b| *b == 0).filter_map(nested_repository) {
            spec.extend_from_slice(b"\0:(top,exclude,literal)");
            spec.extend_from_slice(name);
        }
        let add = call().args(["add", "--all", "--pathspec-from-file=-", "--pathspec-file-nul"]).input(spec);
        self.git(mirror, add, cancel).await.map(drop)
    }

    async fn is_staged(&self, w: &Site, cancel: &CancellationToken) -> Result<bool, GitError> {
        let call = w.call().args(["diff-index", "--cached", "--quiet", "--ignore-submodules=none", "HEAD", "--"]);
        let output = self.try_git(&w.mirror, call, cancel).await?;
        match output.code {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(output.error()),
        }
    }
}

/// The path in a line of `ls-files --stage --others`, if it is a submodule (`160000 ...<TAB>path`) or an
/// untracked repository (`path/`).
fn nested_repository(line: &[u8]) -> Option<&[u8]> {
    if let Some(rest) = line.strip_prefix(b"160000 ") {
        let tab = rest.iter().position(|b| *b == b'\t')?;
        return rest.get(tab + 1..);
    }
    line.strip_suffix(b"/")
}

/// A path out of a `-z` list.
pub(super) fn path_of(bytes: &[u8]) -> std::path::PathBuf {
    OsString::from_vec(bytes.to_vec()).into()
}
