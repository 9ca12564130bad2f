//! The accounting at the end of a run, whatever ended it: what lies in the folder and in the repository against what is on
//! the task's branch. What is not there is kept (see `preserve`) before anybody resets or deletes anything.
//! What is found is only returned and kept; telling people is the caller's.

use super::check;
use super::command::Output;
use super::commit::Identity;
use super::error::GitError;
use super::nested::has_files;
use super::refs;
use super::repos::Repos;
use super::settle::remove_left_locks;
use super::staging::{Notes, Room};
use super::workshop::Tenant;
use super::worktree::{Site, taken};
use orch_common::domain::leftover::{LeftKind, Leftover};
use orch_common::domain::stage::CommitId;
use std::path::{Path, PathBuf};
use tokio_util::sync::CancellationToken;

/// Whose run is accounted for.
#[derive(Debug, Clone, Copy)]
pub struct Ended<'a> {
    /// `owner/name`
    pub repo: &'a str,
    /// The work item's id.
    pub key: &'a str,
    /// The task's branch, short.
    pub branch: &'a str,
    /// The branch it goes into.
    pub base: &'a str,
    /// The branches of the repository's other tasks.
    pub others: &'a [String],
    /// Its files are committed and published next; else nobody may ever do that.
    pub well: bool,
}

impl Repos {
    /// Accounts for a run that is over. Gives what people have to know and everything that is kept of this work item.
    /// No agent may be at work in it. Harmless to repeat.
    pub async fn account(
        &self,
        ended: &Ended<'_>,
        tenant: Option<&Tenant>,
        cancel: &CancellationToken,
    ) -> Result<Vec<Leftover>, GitError> {
        let (place, key, branch) = (self.place(ended.repo)?, check::key(ended.key)?, check::branch(ended.branch)?);
        if !place.mirror.is_dir() {
            return Ok(Vec::new());
        }
        let site = Site::new(&place, ended.repo, key, branch);
        self.pin_all(&site).await?;
        let mut found = Vec::new();
        match tenant {
            Some(tenant) => self.account_workshop(&site, ended, tenant, &mut found, cancel).await?,
            None => self.account_worktree(&site, ended, &mut found, cancel).await?,
        }
        found.extend(self.kept(ended.repo, key, cancel).await?);
        Ok(found)
    }

    async fn account_worktree(
        &self,
        w: &Site,
        ended: &Ended<'_>,
        found: &mut Vec<Leftover>,
        cancel: &CancellationToken,
    ) -> Result<(), GitError> {
        if has_files(&w.path) {
            self.relink(w, found, cancel).await?;
            match self.resolve(&w.mirror, &w.branch_ref(), cancel).await? {
                Some(tip) if Repos::is_finished(w) => self.account_folder(w, &tip, ended, found, cancel).await?,
                Some(_) | None => self.preserve(w, None, cancel).await?,
            }
        }
        self.keep_stashes(w, ended.others, cancel).await?;
        self.keep_refs(w, ended.others, cancel).await
    }

    async fn account_folder(
        &self,
        w: &Site,
        tip: &CommitId,
        ended: &Ended<'_>,
        found: &mut Vec<Leftover>,
        cancel: &CancellationToken,
    ) -> Result<(), GitError> {
        remove_left_locks(w);
        let room = Room::of(w);
        let staged = self.stage(&room, Some(tip), &w.key, cancel).await?;
        let (tree, notes) = (staged.tree.clone(), staged.notes.clone());
        staged.discard()?;
        if let Some((index, names)) = self.staged_elsewhere(&room, &w.admin, tip, &tree, cancel).await? {
            self.keep(w, LeftKind::Index, &names, &index, cancel).await?;
        }
        self.keep_repositories(w, &notes, cancel).await?;
        say(&notes, found);
        let beside = !refs::is_on(&w.admin, &w.branch_ref());
        self.settle(w, cancel).await?;
        let head = self.head(w, cancel).await?;
        if head != *tip {
            found.push(taken(&head));
        }
        if ended.well {
            return Ok(());
        }
        let was_reset = beside && head == *tip && !self.lies_there(&room, &w.key, &head, &tree, cancel).await?;
        if !was_reset {
            self.keep_files(w, &tree, Some(&head), cancel).await?;
        }
        self.note_unpublished(w, &head, found, cancel).await?;
        // The agent's index has been accounted for; the next agent begins with an honest one.
        self.make_index(&room, &head, &w.key, &w.admin, cancel).await
    }

    /// Whether the folder still has this content.
    async fn lies_there(
        &self,
        room: &Room,
        key: &str,
        tip: &CommitId,
        tree: &str,
        cancel: &CancellationToken,
    ) -> Result<bool, GitError> {
        let staged = self.stage(room, Some(tip), key, cancel).await?;
        let same = staged.tree == tree;
        staged.discard()?;
        Ok(same)
    }

    /// Commits that only the mirror has, where no publication follows.
    pub(super) async fn note_unpublished(
        &self,
        w: &Site,
        head: &CommitId,
        found: &mut Vec<Leftover>,
        cancel: &CancellationToken,
    ) -> Result<(), GitError> {
        let room = Room::of(w);
        let call = room.call().args(["rev-list", "--count", head.as_str(), "--not", "--remotes=origin", "--"]);
        let count = self.do_in(&room, call, cancel).await?.line();
        if count != "0" {
            let left = Leftover::new(LeftKind::Commits, &format!("{count} up to {}", head.short()));
            found.push(Leftover { kept: Some(w.branch_ref()), commit: Some(head.to_string()), ..left });
        }
        Ok(())
    }

    /// What the agent's index (in `admin`) holds that neither `tip` nor the folder (as `tree`) has, as a commit, with the
    /// names of the files.
    pub(super) async fn staged_elsewhere(
        &self,
        room: &Room,
        admin: &Path,
        tip: &CommitId,
        tree: &str,
        cancel: &CancellationToken,
    ) -> Result<Option<(CommitId, String)>, GitError> {
        let index = admin.join("index");
        if !index.symlink_metadata().is_ok_and(|about| about.is_file()) {
            return Ok(None);
        }
        let write = room.call().env("GIT_INDEX_FILE", &index).args(["write-tree"]);
        let written = self.try_in(room, write, cancel).await?;
        // One that is damaged, or in the middle of a merge, holds nothing that can be taken out of it.
        if written.code != 0 || written.line() == tree {
            return Ok(None);
        }
        let theirs = written.line();
        let new = self.differing(room, tip.as_str(), &theirs, cancel).await?;
        let other = self.differing(room, tree, &theirs, cancel).await?;
        let lost: Vec<String> =
            new.iter().filter(|name| other.contains(name)).map(|n| String::from_utf8_lossy(n).into()).collect();
        if lost.is_empty() {
            return Ok(None);
        }
        let (message, author) = ("What was staged, preserved", Identity::of_us(self.settings()));
        let commit = self.commit_tree(room, &theirs, std::slice::from_ref(tip), message, author, cancel).await?;
        Ok(Some((commit, lost.into_iter().take(5).collect::<Vec<_>>().join(", "))))
    }

    /// Files that `to` has other than `from` (what it lacks is no content).
    async fn differing(
        &self,
        room: &Room,
        from: &str,
        to: &str,
        cancel: &CancellationToken,
    ) -> Result<Vec<Vec<u8>>, GitError> {
        let call = room
            .call()
            .args(["diff-tree", "-r", "-z", "--name-only", "--no-renames", "--diff-filter=AMT"])
            .args(["--ignore-submodules=all", from, to, "--"]);
        let output: Output = self.do_in(room, call, cancel).await?;
        Ok(output.stdout.split(|b| *b == 0).filter(|name| !name.is_empty()).map(<[u8]>::to_vec).collect())
    }
}

/// What is told without being kept under a ref.
pub(super) fn say(notes: &Notes, found: &mut Vec<Leftover>) {
    let mut each = |kind, paths: &[PathBuf]| {
        found.extend(paths.iter().map(|path| Leftover::new(kind, &path.to_string_lossy())));
    };
    each(LeftKind::Nested, &notes.nested);
    each(LeftKind::Pointer, &notes.empty);
    each(LeftKind::Unread, &notes.unread);
}
