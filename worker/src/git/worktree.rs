//! The folder that a task's agents work in: one per work item, on the task's branch, linked to the mirror.
//! It is good when the folder exists, points to our mirror, git knows it, and it was finished; else it is
//! made anew and what was in it is preserved. Two work items never share a folder or a branch.

use super::call::Call;
use super::check;
use super::delete::delete_tree;
use super::error::GitError;
use super::nested::has_files;
use super::refs;
use super::repos::{Place, Repos, commit_id};
use super::settle::{is_changing, remove_left_locks};
use crate::untrusted;
use orch_common::domain::leftover::{LeftKind, Leftover};
use orch_common::domain::stage::CommitId;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use tokio_util::sync::CancellationToken;

/// The names and folders of a task's worktree, whether it is there or not.
#[derive(Debug, Clone)]
pub struct Site {
    /// `owner/name`
    pub repo: String,
    /// The work item's id.
    pub key: String,
    /// The task's branch, short.
    pub branch: String,
    /// The folder.
    pub path: PathBuf,
    pub(super) mirror: PathBuf,
    /// What git keeps about the folder.
    pub(super) admin: PathBuf,
}

/// A good worktree.
#[derive(Debug, Clone)]
pub struct Worktree {
    /// The branch's head when the worktree was looked at.
    pub head: CommitId,
    site: Site,
}

impl Deref for Worktree {
    type Target = Site;
    fn deref(&self) -> &Site {
        &self.site
    }
}

impl Site {
    pub(super) fn new(place: &Place, repo: &str, key: &str, branch: &str) -> Site {
        Site {
            repo: repo.to_owned(),
            key: key.to_owned(),
            branch: branch.to_owned(),
            path: place.work(key),
            mirror: place.mirror.clone(),
            admin: place.admin(key),
        }
    }

    /// A call inside the worktree.
    pub(super) fn call(&self) -> Call<'_> {
        Call::linked(&self.admin, &self.mirror, &self.path)
    }

    pub(super) fn branch_ref(&self) -> String {
        format!("refs/heads/{}", self.branch)
    }

    pub(super) fn origin_ref(&self) -> String {
        format!("refs/remotes/origin/{}", self.branch)
    }

    /// Where the branch and the forge last agreed.
    pub(super) fn synced_ref(&self) -> String {
        format!("refs/orch/synced/{}", self.key)
    }

    /// What of agents' work is kept beside the branch is below it, see `preserve`.
    pub(super) fn preserved_ref(&self) -> String {
        format!("refs/orch/preserved/{}", self.key)
    }
}

/// Written last: its presence says that the folder was filled completely, its content for which branch.
pub(super) const READY: &str = "orch-ready";

impl Repos {
    /// The worktree of work item `key` on `branch`: the one that is there, or a new one at (in this order)
    /// our own branch, the forge's branch, the forge's `base`. Needs a mirror; does not use the network. No
    /// agent may be at work in it. [`GitError::NotFound`] when not even `base` exists.
    pub async fn ensure_worktree(
        &self,
        repo: &str,
        key: &str,
        branch: &str,
        base: &str,
        cancel: &CancellationToken,
    ) -> Result<Worktree, GitError> {
        let (place, key, branch, base) =
            (self.place(repo)?, check::key(key)?, check::branch(branch)?, check::branch(base)?);
        if !place.mirror.is_dir() {
            return Err(GitError::NotFound { what: format!("the mirror of {repo}") });
        }
        let _lock = self.lock(&place, cancel).await?;
        let site = Site::new(&place, repo, key, branch);
        refuse_shared_branch(&site)?;
        // What follows may need no call of git, which would do this; the agent's own calls come after it.
        self.pin_all(&site).await?;
        remove_left_locks(&site);
        self.relink(&site, &mut Vec::new(), cancel).await?;
        match self.head_if_good(&site, cancel).await? {
            Some(head) => self.settle_to_begin(&site, &head, cancel).await?,
            None => self.rebuild(&place, &site, base, cancel).await?,
        }
        Ok(Worktree { head: self.head(&site, cancel).await?, site })
    }

    /// Removes the folder, what git knows about it, and the checkout of the tests. Branches and preserved work stay in the
    /// mirror. Account first: this looks at nothing.
    pub async fn remove_worktree(&self, repo: &str, key: &str, cancel: &CancellationToken) -> Result<(), GitError> {
        let (place, key) = (self.place(repo)?, check::key(key)?);
        let _lock = self.lock(&place, cancel).await?;
        delete_tree(&place.work(key)).await?;
        self.remove_checkout(repo, key).await?;
        delete_tree(&place.admin(key)).await
    }

    /// The head of the task's branch now.
    pub async fn head(&self, worktree: &Site, cancel: &CancellationToken) -> Result<CommitId, GitError> {
        let name = worktree.branch_ref();
        self.resolve(&worktree.mirror, &name, cancel).await?.ok_or(GitError::NotFound { what: name })
    }

    /// Whether the folder was finished, for this branch.
    pub(super) fn is_finished(w: &Site) -> bool {
        let folder = w.path.symlink_metadata().is_ok_and(|m| m.is_dir());
        let linked = untrusted::holds(&w.path.join(".git"), &format!("gitdir: {}", w.admin.display()));
        let known = untrusted::holds(&w.admin.join("gitdir"), &w.path.join(".git").display().to_string());
        let ready = untrusted::holds(&w.admin.join(READY), &w.branch);
        folder && linked && known && ready
    }

    /// Gives a folder that is otherwise whole its `.git` back, where an agent removed it or began a repository of its own:
    /// what lies in the folder is still its work. The other repository's commits are taken or kept before it goes.
    pub(super) async fn relink(
        &self,
        w: &Site,
        found: &mut Vec<Leftover>,
        cancel: &CancellationToken,
    ) -> Result<(), GitError> {
        let link = w.path.join(".git");
        let known = untrusted::holds(&w.admin.join("gitdir"), &link.display().to_string());
        let linked = untrusted::holds(&link, &format!("gitdir: {}", w.admin.display()));
        if linked || !known || !untrusted::holds(&w.admin.join(READY), &w.branch) || !has_files(&w.path) {
            return Ok(());
        }
        tracing::warn!(key = w.key, "the folder's link to its repository was gone or replaced; made again");
        let before = self.resolve(&w.mirror, &w.branch_ref(), cancel).await?;
        let is_folder = link.symlink_metadata().is_ok_and(|about| about.is_dir());
        if is_folder && !self.take_over(w, &link, cancel).await? {
            let aside = lost(&self.place(&w.repo)?, &w.key)?;
            std::fs::rename(&link, &aside).map_err(|e| GitError::io("setting a repository aside", e))?;
        }
        delete_tree(&link).await?;
        std::fs::write(&link, format!("gitdir: {}\n", w.admin.display())).map_err(|e| GitError::io("linking", e))?;
        found.push(Leftover::new(LeftKind::Link, ".git"));
        let after = self.resolve(&w.mirror, &w.branch_ref(), cancel).await?;
        found.extend(after.filter(|after| Some(after) != before.as_ref()).map(|after| taken(&after)));
        Ok(())
    }

    /// The commits of a repository that stands in the place of the task's: on the branch if they follow it, else kept.
    async fn take_over(&self, w: &Site, git_dir: &Path, cancel: &CancellationToken) -> Result<bool, GitError> {
        let Some(head) = self.fetch_head(w, git_dir, cancel).await? else {
            return self.adopt(w, git_dir, LeftKind::Repository, ".git", cancel).await;
        };
        if let Some(tip) = self.resolve(&w.mirror, &w.branch_ref(), cancel).await?
            && tip != head
            && self.is_ancestor(&w.mirror, &tip, &head, cancel).await?
        {
            self.set_ref(&w.mirror, &w.branch_ref(), &head, cancel).await?;
        }
        self.drop_incoming(w, cancel).await?;
        self.adopt(w, git_dir, LeftKind::Repository, ".git", cancel).await
    }

    /// The branch's head, where the folder is one that can be worked in.
    async fn head_if_good(&self, w: &Site, cancel: &CancellationToken) -> Result<Option<CommitId>, GitError> {
        if !Repos::is_finished(w) {
            return Ok(None);
        }
        let Some(head) = self.resolve(&w.mirror, &w.branch_ref(), cancel).await? else { return Ok(None) };
        // All that git would look at itself: objects and refs of the mirror, and a HEAD that leads to a commit.
        let whole = ["objects", "refs"].iter().all(|name| w.mirror.join(name).is_dir());
        if whole && refs::is_on(&w.admin, &w.branch_ref()) {
            return Ok(Some(head));
        }
        let call = w.call().args(["rev-parse", "--is-inside-work-tree"]);
        Ok((self.try_git(&w.mirror, call, cancel).await?.code == 0).then_some(head))
    }

    async fn rebuild(&self, place: &Place, w: &Site, base: &str, cancel: &CancellationToken) -> Result<(), GitError> {
        // A first fill of ours that was cut short: no agent has been there, and half-written files are nobody's work.
        let ours = is_changing(w) && !untrusted::holds(&w.admin.join(READY), &w.branch);
        if !ours {
            self.preserve_or_set_aside(place, w, cancel).await?;
        }
        delete_tree(&w.path).await?;
        delete_tree(&w.admin).await?;
        let start = self.start_of(w, base, cancel).await?;
        let call = Call::bare(&w.mirror)
            .args(["worktree", "add", "--quiet", "--detach", "--no-checkout", "--"])
            .args([w.path.as_os_str(), start.as_str().as_ref()]);
        self.git(&w.mirror, call, cancel).await?;
        if !w.admin.is_dir() {
            return Err(GitError::Other { tail: "git keeps the worktree under another name".into() });
        }
        self.set_ref(&w.mirror, &w.branch_ref(), &start, cancel).await?;
        self.take_branch(w, cancel).await?;
        let ready = untrusted::write(&w.admin.join(READY), format!("{}\n", w.branch).as_bytes());
        ready.map_err(|e| GitError::io("finishing", e.into()))
    }

    /// Where a new worktree begins; remembers the forge's commit if that is part of it.
    async fn start_of(&self, w: &Site, base: &str, cancel: &CancellationToken) -> Result<CommitId, GitError> {
        let ours = self.resolve(&w.mirror, &w.branch_ref(), cancel).await?;
        let theirs = self.resolve(&w.mirror, &w.origin_ref(), cancel).await?;
        if let Some(theirs) = theirs {
            let behind = match &ours {
                Some(ours) => self.is_ancestor(&w.mirror, ours, &theirs, cancel).await?,
                None => true,
            };
            if behind {
                self.set_ref(&w.mirror, &w.synced_ref(), &theirs, cancel).await?;
                return Ok(theirs);
            }
        }
        if let Some(ours) = ours {
            return Ok(ours);
        }
        let base_ref = format!("refs/remotes/origin/{base}");
        let base_head = self.resolve(&w.mirror, &base_ref, cancel).await?;
        base_head.ok_or_else(|| GitError::NotFound { what: format!("branch {base} of {}", w.repo) })
    }

    /// The commit that is checked out, on the branch or not; `None` when HEAD leads nowhere.
    pub(super) async fn checked_out(&self, w: &Site, cancel: &CancellationToken) -> Result<Option<CommitId>, GitError> {
        let call = w.call().args(["rev-parse", "--verify", "--quiet", "HEAD^{commit}"]);
        let output = self.try_git(&w.mirror, call, cancel).await?;
        match output.code {
            0 => commit_id(&output.line()).map(Some),
            1 => Ok(None),
            _ => Err(output.error()),
        }
    }
}

/// Commits from beside the branch that are on it now.
pub(super) fn taken(head: &CommitId) -> Leftover {
    let left = Leftover::new(LeftKind::Taken, &format!("up to {}", head.short()));
    Leftover { commit: Some(head.to_string()), ..left }
}

/// Git's own rule against checking a branch out twice is advice; here it is the law.
fn refuse_shared_branch(wanted: &Site) -> Result<(), GitError> {
    let head = format!("ref: {}", wanted.branch_ref());
    for entry in std::fs::read_dir(wanted.mirror.join("worktrees")).into_iter().flatten().filter_map(Result::ok) {
        let other = entry.file_name().to_string_lossy().into_owned();
        let taken = untrusted::holds(&entry.path().join("HEAD"), &head);
        if taken && other != wanted.key {
            return Err(GitError::InUse { branch: wanted.branch.clone(), by: other });
        }
    }
    Ok(())
}

/// Where something goes that could neither be trusted nor preserved: a new name, which nothing removes. No key has a dot.
pub(super) fn lost(place: &Place, key: &str) -> Result<PathBuf, GitError> {
    let names = (1..10_000).map(|n| place.home.join("work").join(format!("{key}.lost-{n}")));
    let free = names.into_iter().find(|path| path.symlink_metadata().is_err());
    free.ok_or_else(|| GitError::Other { tail: format!("too many folders of {key} were set aside") })
}
