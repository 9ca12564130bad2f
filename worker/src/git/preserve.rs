//! Nothing that an agent wrote is thrown away by us: what is not on the task's branch is kept under
//! `refs/orch/preserved/<KEY>/<number>`, each an annotated tag whose first line says what it is. A ref is its own record:
//! who finds one that people were not told of tells them (see `account`). These refs are never removed.

use super::call::Call;
use super::commit::Identity;
use super::error::GitError;
use super::nested::has_files;
use super::repos::{Place, Repos, commit_id};
use super::staging::Room;
use super::worktree::{Site, lost};
use crate::clock::now_ms;
use orch_common::domain::leftover::{LeftKind, Leftover};
use orch_common::domain::stage::CommitId;
use std::path::Path;
use tokio_util::sync::CancellationToken;

/// One kept piece.
#[derive(Debug, Clone)]
pub(super) struct Kept {
    pub(super) left: Leftover,
    commit: String,
    tree: String,
    number: u64,
}

impl Repos {
    /// Everything that is kept of a work item's agents, oldest first. No mirror: nothing.
    pub async fn kept(&self, repo: &str, key: &str, cancel: &CancellationToken) -> Result<Vec<Leftover>, GitError> {
        let mirror = self.place(repo)?.mirror;
        if !mirror.is_dir() {
            return Ok(Vec::new());
        }
        let key = super::check::key(key)?;
        let kept = self.list_kept(&mirror, key, cancel).await?.into_iter().map(|kept| kept.left);
        Ok(kept.chain(self.set_aside(repo, key)?).collect())
    }

    /// Folders that were moved aside; nothing of ours removes them.
    fn set_aside(&self, repo: &str, key: &str) -> Result<Vec<Leftover>, GitError> {
        let shops = self.workshop_path(repo, key)?;
        let folders = [self.place(repo)?.home.join("work"), shops.parent().unwrap_or(&shops).to_owned()];
        let entries = folders.iter().filter_map(|folder| std::fs::read_dir(folder).ok()).flatten();
        let start = format!("{key}.lost-");
        let lost = entries.filter_map(Result::ok).filter(|e| e.file_name().to_string_lossy().starts_with(&start));
        Ok(lost.map(|entry| Leftover::new(LeftKind::Aside, &entry.path().to_string_lossy())).collect())
    }

    async fn list_kept(&self, mirror: &Path, key: &str, cancel: &CancellationToken) -> Result<Vec<Kept>, GitError> {
        let format = "--format=%(refname)%00%(*objectname)%00%(*tree)%00%(contents:subject)";
        let call = Call::bare(mirror).args(["for-each-ref", format, &format!("refs/orch/preserved/{key}/")]);
        let listed = String::from_utf8_lossy(&self.git(mirror, call, cancel).await?.stdout).into_owned();
        let mut kept: Vec<Kept> = listed.lines().filter_map(one).collect();
        kept.sort_by_key(|kept| kept.number);
        Ok(kept)
    }

    /// Keeps a commit under the next number, unless the forge, the task's branch or a piece that is kept already has it.
    /// False where the forge or the branch has it: then it is nothing that was left.
    pub(super) async fn keep(
        &self,
        w: &Site,
        kind: LeftKind,
        name: &str,
        commit: &CommitId,
        cancel: &CancellationToken,
    ) -> Result<bool, GitError> {
        let tip = self.resolve(&w.mirror, &w.branch_ref(), cancel).await?;
        self.keep_beside(w, (kind, name), commit, tip.as_ref(), cancel).await
    }

    /// [`Repos::keep`]; `tip` is what stays of the task's branch.
    pub(super) async fn keep_beside(
        &self,
        w: &Site,
        (kind, name): (LeftKind, &str),
        commit: &CommitId,
        tip: Option<&CommitId>,
        cancel: &CancellationToken,
    ) -> Result<bool, GitError> {
        let kept = self.list_kept(&w.mirror, &w.key, cancel).await?;
        let tree = self.tree_of(&Room::of(w), commit, cancel).await?;
        let same = |k: &&Kept| k.commit == commit.as_str() || (k.left.kind == kind && is_ours(kind) && k.tree == tree);
        if kept.iter().any(|k| same(&k)) {
            return Ok(true);
        }
        if !self.is_beside(w, commit, tip, cancel).await? {
            return Ok(false);
        }
        let number = kept.last().map_or(0, |last| last.number) + 1;
        let (left, seconds) = (Leftover::new(kind, name), now_ms() / 1000);
        let tag = format!(
            "object {commit}\ntype commit\ntag {}-{number}\ntagger Orch <orch@localhost> {seconds} +0000\n\n{kind}: {}\n",
            w.key, left.name
        );
        let tag = self.git(&w.mirror, Call::bare(&w.mirror).args(["mktag"]).input(tag.into_bytes()), cancel).await?;
        let name = format!("{}/{number}", w.preserved_ref());
        self.set_ref(&w.mirror, &name, &commit_id(&tag.line())?, cancel).await?;
        tracing::warn!(key = w.key, %kind, left = left.name, %commit, kept = name, "an agent's leftover is preserved");
        Ok(true)
    }

    /// Whether neither the forge nor the task's branch has the commit, nor one of the kept pieces as its history.
    async fn is_beside(
        &self,
        w: &Site,
        commit: &CommitId,
        tip: Option<&CommitId>,
        cancel: &CancellationToken,
    ) -> Result<bool, GitError> {
        let call = Call::bare(&w.mirror)
            .args(["rev-list", "--max-count=1", commit.as_str(), "--not", "--remotes=origin"])
            .args([format!("--glob={}/*", w.preserved_ref())])
            .args(tip.map(CommitId::as_str))
            .args(["--"]);
        Ok(!self.git(&w.mirror, call, cancel).await?.line().is_empty())
    }

    /// Preserves a folder that is about to be rebuilt. Where that is not possible the folder itself is kept
    /// beside its place; only a lack of time, space or patience is an error.
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
            Ok(()) => Ok(()),
            Err(e @ (GitError::NoSpace | GitError::Timeout { .. } | GitError::Cancelled)) => Err(e),
            Err(e) => {
                tracing::warn!(key = w.key, error = %e, "the work could not be preserved; its folder is set aside");
                std::fs::rename(&w.path, lost(place, &w.key)?).map_err(|e| GitError::io("setting the folder aside", e))
            }
        }
    }

    /// Keeps the folder's files as they are, and the commit `also` that was checked out beside the branch.
    pub(super) async fn preserve(
        &self,
        w: &Site,
        also: Option<&CommitId>,
        cancel: &CancellationToken,
    ) -> Result<(), GitError> {
        if let Some(also) = also {
            self.keep(w, LeftKind::Head, &format!("at {}", also.short()), also, cancel).await?;
        }
        let tip = self.resolve(&w.mirror, &w.branch_ref(), cancel).await?;
        let room = Room::of(w);
        let staged = self.stage(&room, tip.as_ref(), &w.key, cancel).await?;
        let tree = staged.tree.clone();
        self.keep_repositories(w, &staged.notes, cancel).await?;
        staged.discard()?;
        self.keep_files(w, &tree, also.or(tip.as_ref()), cancel).await
    }

    /// Keeps a tree of uncommitted files, if it differs from the commit that it began from.
    pub(super) async fn keep_files(
        &self,
        w: &Site,
        tree: &str,
        parent: Option<&CommitId>,
        cancel: &CancellationToken,
    ) -> Result<(), GitError> {
        let room = Room::of(w);
        if let Some(parent) = parent
            && self.tree_of(&room, parent, cancel).await? == tree
        {
            return Ok(());
        }
        let parents: Vec<CommitId> = parent.cloned().into_iter().collect();
        let (message, author) = ("Uncommitted work, preserved", Identity::of_us(self.settings()));
        let saved = self.commit_tree(&room, tree, &parents, message, author, cancel).await?;
        let names = self.changed_names(&room, &saved, cancel).await?;
        self.keep(w, LeftKind::Files, &names, &saved, cancel).await.map(drop)
    }

    /// The first files that a commit changed, for people.
    pub(super) async fn changed_names(
        &self,
        room: &Room,
        commit: &CommitId,
        cancel: &CancellationToken,
    ) -> Result<String, GitError> {
        let call =
            room.call().args(["diff-tree", "-r", "-z", "--root", "--no-commit-id", "--name-only", "--no-renames"]);
        let output = self.do_in(room, call.args([commit.as_str()]).cut_at(4096), cancel).await?;
        let names: Vec<String> = output
            .stdout
            .split(|b| *b == 0)
            .filter(|n| !n.is_empty())
            .map(|n| String::from_utf8_lossy(n).into())
            .collect();
        let more = if names.len() > 5 { ", ..." } else { "" };
        Ok(format!("{}{more}", names.into_iter().take(5).collect::<Vec<_>>().join(", ")))
    }

    /// Forgets the refs under which pieces came in.
    pub(super) async fn drop_incoming(&self, w: &Site, cancel: &CancellationToken) -> Result<(), GitError> {
        let below = format!("refs/orch/incoming/{}", w.key);
        let list = Call::bare(&w.mirror).args(["for-each-ref", "--format=delete %(refname)", &below]);
        let list = self.git(&w.mirror, list, cancel).await?.stdout;
        let call = Call::bare(&w.mirror).args(["update-ref", "--no-deref", "--stdin"]).input(list);
        self.git(&w.mirror, call, cancel).await.map(drop)
    }
}

/// Commits that we make ourselves: the same content twice is the same piece.
fn is_ours(kind: LeftKind) -> bool {
    matches!(kind, LeftKind::Files | LeftKind::Index | LeftKind::Worktree | LeftKind::Submodule)
}

/// A line of the list.
fn one(line: &str) -> Option<Kept> {
    let mut parts = line.splitn(4, '\0');
    let (name, commit, tree, subject) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let (kind, said) = subject.split_once(": ").unwrap_or((subject.trim_end_matches(':'), ""));
    let left = Leftover::new(kind.parse().unwrap_or(LeftKind::Files), said);
    let left = Leftover { kept: Some(name.to_owned()), commit: Some(commit.to_owned()), ..left };
    let number = name.rsplit('/').next()?.parse().ok()?;
    Some(Kept { left, commit: commit.to_owned(), tree: tree.to_owned(), number })
}
