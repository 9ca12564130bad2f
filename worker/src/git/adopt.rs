//! Commits that only a repository inside an agent's folder has (one that was begun there, a submodule, a worktree): they
//! are fetched into the mirror, checked one by one, and kept. What such a repository has from elsewhere is not fetched.

use super::call::Call;
use super::commit::Identity;
use super::error::GitError;
use super::nested::small_file;
use super::repos::Repos;
use super::staging::{Notes, Room};
use super::worktree::Site;
use orch_common::domain::leftover::LeftKind;
use orch_common::domain::stage::CommitId;
use std::path::Path;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// For a repository that an agent made; what is larger stays where it is.
pub(super) const PATIENCE: Duration = Duration::from_secs(120);

impl Repos {
    /// Keeps what only the repositories inside the folder have.
    pub(super) async fn keep_repositories(
        &self,
        w: &Site,
        notes: &Notes,
        cancel: &CancellationToken,
    ) -> Result<(), GitError> {
        for path in &notes.nested {
            let at = w.path.join(path).join(".git");
            self.adopt(w, &at, LeftKind::History, &path.to_string_lossy(), cancel).await?;
        }
        for (path, pointer) in &notes.submodules {
            self.keep_submodule(w, path, pointer.as_deref(), cancel).await?;
        }
        for path in &notes.worktrees {
            self.keep_worktree(w, path, cancel).await?;
        }
        Ok(())
    }

    /// Fetches and keeps the branches, the stash and the HEAD of a repository as far as it has not fetched them itself.
    /// False where it cannot be read; then nothing of it may be deleted.
    pub(super) async fn adopt(
        &self,
        w: &Site,
        git_dir: &Path,
        kind: LeftKind,
        name: &str,
        cancel: &CancellationToken,
    ) -> Result<bool, GitError> {
        let ask = |args: &[&str]| {
            let call = Call::bare(&w.mirror).without_env("GIT_DIR").env("GIT_DIR", git_dir);
            call.args(args).within(PATIENCE)
        };
        let own = ask(&["rev-list", "--max-count=1", "--all", "--not", "--remotes", "--"]);
        let own = self.try_git(&w.mirror, own, cancel).await?;
        if own.code != 0 {
            return Ok(false);
        }
        if own.line().is_empty() {
            return Ok(true);
        }
        let into = format!("refs/orch/incoming/{}", w.key);
        let specs = [format!("+refs/heads/*:{into}/heads/*"), format!("+refs/stash*:{into}/stash*")];
        if !self.fetch_from(w, git_dir, &specs, cancel).await? {
            return Ok(false);
        }
        self.fetch_from(w, git_dir, &[format!("+HEAD:{into}/HEAD")], cancel).await?;
        for commit in self.incoming(w, cancel).await? {
            self.keep(w, kind, name, &commit, cancel).await?;
        }
        self.drop_incoming(w, cancel).await?;
        Ok(true)
    }

    /// The commit that is checked out in another repository, fetched.
    pub(super) async fn fetch_head(
        &self,
        w: &Site,
        git_dir: &Path,
        cancel: &CancellationToken,
    ) -> Result<Option<CommitId>, GitError> {
        let name = format!("refs/orch/incoming/{}/HEAD", w.key);
        if !self.fetch_from(w, git_dir, &[format!("+HEAD:{name}")], cancel).await? {
            return Ok(None);
        }
        self.resolve(&w.mirror, &name, cancel).await
    }

    async fn fetch_from(
        &self,
        w: &Site,
        git_dir: &Path,
        specs: &[String],
        cancel: &CancellationToken,
    ) -> Result<bool, GitError> {
        let fetch = Call::bare(&w.mirror)
            .args(["-c", "fetch.fsckObjects=true", "fetch", "--quiet", "--no-tags", "--no-write-fetch-head"])
            .args(["--no-recurse-submodules", "--"])
            .args([git_dir])
            .args(specs)
            .env("GIT_ALLOW_PROTOCOL", "file")
            .within(PATIENCE);
        match self.try_git(&w.mirror, fetch, cancel).await {
            Ok(output) if output.code == 0 => Ok(true),
            Ok(output) => {
                let error = output.error();
                if matches!(error, GitError::NoSpace) { Err(error) } else { Ok(false) }
            }
            Err(GitError::Timeout { .. }) => Ok(false),
            Err(e) => Err(e),
        }
    }

    /// What came in, the newest of each ref.
    pub(super) async fn incoming(&self, w: &Site, cancel: &CancellationToken) -> Result<Vec<CommitId>, GitError> {
        let below = format!("refs/orch/incoming/{}", w.key);
        let list = Call::bare(&w.mirror).args(["for-each-ref", "--format=%(objecttype) %(objectname)", &below]);
        let listed = String::from_utf8_lossy(&self.git(&w.mirror, list, cancel).await?.stdout).into_owned();
        let commits = listed.lines().filter_map(|line| line.strip_prefix("commit ")?.parse().ok());
        Ok(commits.collect())
    }

    /// A submodule that is at another commit than the branch says, or has other files than its commit.
    async fn keep_submodule(
        &self,
        w: &Site,
        path: &Path,
        pointer: Option<&str>,
        cancel: &CancellationToken,
    ) -> Result<(), GitError> {
        let (folder, name) = (w.path.join(path), path.to_string_lossy());
        let git_dir = folder.join(".git");
        let ask = Call::bare(&w.mirror).without_env("GIT_DIR").env("GIT_DIR", &git_dir).within(PATIENCE);
        let ask = self.try_git(&w.mirror, ask.args(["rev-parse", "HEAD", "HEAD^{tree}"]), cancel).await?;
        if ask.code != 0 {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&ask.stdout).into_owned();
        let (head, was) = said.split_once('\n').unwrap_or((&said, ""));
        let room = Room { work: folder, ..Room::of(w) };
        let staged = self.stage(&room, None, &format!("{}-sub", w.key), cancel).await?;
        let tree = staged.tree.clone();
        staged.discard()?;
        let changed = tree != was.trim();
        if !changed && pointer.is_none_or(|pointer| pointer == head) {
            return Ok(());
        }
        self.adopt(w, &git_dir, LeftKind::Submodule, &name, cancel).await?;
        if changed {
            let (message, author) = (format!("Files of the submodule {name}"), Identity::of_us(self.settings()));
            let saved = self.commit_tree(&room, &tree, &[], &message, author, cancel).await?;
            self.keep(w, LeftKind::Submodule, &name, &saved, cancel).await?;
        }
        Ok(())
    }

    /// A worktree of the mirror that an agent made inside its folder: its commits and its files.
    async fn keep_worktree(&self, w: &Site, path: &Path, cancel: &CancellationToken) -> Result<(), GitError> {
        let (folder, name) = (w.path.join(path), path.to_string_lossy());
        let link = small_file(&folder.join(".git"), 8192).unwrap_or_default();
        let link = String::from_utf8_lossy(&link).trim_end().to_owned();
        let Some(admin) = link.strip_prefix("gitdir: ").map(Path::new) else { return Ok(()) };
        let Some(tip) = self.head_of(w, admin, cancel).await? else { return Ok(()) };
        let room = Room { work: folder, ..Room::of(w) };
        let staged = self.stage(&room, Some(&tip), &w.key, cancel).await?;
        let tree = staged.tree.clone();
        staged.discard()?;
        if tree == self.tree_of(&room, &tip, cancel).await? {
            return self.keep(w, LeftKind::Worktree, &name, &tip, cancel).await.map(drop);
        }
        let (message, author) = (format!("Files of the worktree {name}"), Identity::of_us(self.settings()));
        let saved = self.commit_tree(&room, &tree, &[tip], &message, author, cancel).await?;
        self.keep(w, LeftKind::Worktree, &name, &saved, cancel).await.map(drop)
    }

    /// The commit that is checked out in a linked worktree of the mirror.
    pub(super) async fn head_of(
        &self,
        w: &Site,
        admin: &Path,
        cancel: &CancellationToken,
    ) -> Result<Option<CommitId>, GitError> {
        let text = small_file(&admin.join("HEAD"), 1024).unwrap_or_default();
        let text = String::from_utf8_lossy(&text).trim_end().to_owned();
        match text.strip_prefix("ref: ") {
            Some(name) if name.starts_with("refs/") => self.resolve(&w.mirror, name, cancel).await,
            Some(_) => Ok(None),
            None => Ok(text.parse().ok()),
        }
    }
}
