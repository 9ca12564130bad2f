//! The accounting in a workshop: everything is looked at, and packed, with the rights of the agents' user; what comes
//! out of it is a bundle, whose objects are checked on their way into the mirror.

use super::account::{Ended, say};
use super::adopt::PATIENCE;
use super::call::Call;
use super::commit::Identity;
use super::delete::delete_tree;
use super::error::GitError;
use super::handover::Handover;
use super::nested::has_files;
use super::repos::{Repos, commit_id};
use super::staging::Notes;
use super::workshop::{Tenant, Workshop, tidy};
use super::worktree::{Site, Worktree};
use orch_common::domain::leftover::{LeftKind, Leftover};
use orch_common::domain::stage::CommitId;
use std::path::PathBuf;
use tokio_util::sync::CancellationToken;

/// A ref in the workshop, and what it is.
type Piece = (String, LeftKind, String);

/// Below it pieces get a name until they are packed.
const LEFT: &str = "refs/orch/left";
/// Refs that are looked at.
const MOST: usize = 500;

impl Repos {
    pub(super) async fn account_workshop(
        &self,
        w: &Site,
        ended: &Ended<'_>,
        tenant: &Tenant,
        found: &mut Vec<Leftover>,
        cancel: &CancellationToken,
    ) -> Result<(), GitError> {
        let shop = self.workshop(w, tenant)?;
        if !has_files(&shop.path) {
            return Ok(());
        }
        let worktree = self.ensure_worktree(&w.repo, &w.key, &w.branch, ended.base, cancel).await?;
        if !shop.is_whole() {
            self.mend_workshop(&worktree, ended.base, &shop, found, cancel).await?;
        }
        tidy(&shop).await?;
        self.collect(&worktree, &shop, None, cancel).await?;
        let mut pieces = self.pieces_of_refs(w, &shop, cancel).await?;
        self.pieces_of_files(w, &shop, ended.well, &mut pieces, found, cancel).await?;
        self.bring_out(w, &shop, &pieces, cancel).await?;
        if !ended.well {
            let head = self.head(w, cancel).await?;
            self.note_unpublished(w, &head, found, cancel).await?;
            if let Ok(inside) = self.head_inside(&shop, cancel).await {
                self.make_index(&shop.room(), &inside, &w.key, &shop.git_dir(), cancel).await?;
            }
        }
        Ok(())
    }

    /// Makes the repository of a workshop again around the files that lie there: they are the work. What of another
    /// repository stands in its place is kept, or moved aside.
    pub(super) async fn mend_workshop(
        &self,
        worktree: &Worktree,
        base: &str,
        shop: &Workshop,
        found: &mut Vec<Leftover>,
        cancel: &CancellationToken,
    ) -> Result<(), GitError> {
        tracing::warn!(key = worktree.key, "the workshop's repository was gone or replaced; made again");
        let git_dir = shop.git_dir();
        let there = git_dir.symlink_metadata();
        let is_folder = there.as_ref().is_ok_and(|about| about.is_dir());
        let kept = is_folder && self.adopt_workshop(worktree, shop, cancel).await?;
        if there.is_ok() {
            let aside = shop.aside()?;
            std::fs::rename(&git_dir, &aside).map_err(|e| GitError::io("setting a repository aside", e))?;
            if kept || !is_folder {
                delete_tree(&aside).await?;
            }
        }
        self.init(worktree, shop, cancel).await?;
        self.bring_in(worktree, base, shop, cancel).await?;
        let room = shop.room();
        let theirs = format!("refs/remotes/origin/{}", worktree.branch);
        for args in [&["update-ref", &worktree.branch_ref(), &theirs][..], &["reset", "--mixed", "--quiet"]] {
            self.do_in(&room, room.call().args(args), cancel).await?;
        }
        found.push(Leftover::new(LeftKind::Link, ".git"));
        Ok(())
    }

    async fn adopt_workshop(&self, w: &Site, shop: &Workshop, cancel: &CancellationToken) -> Result<bool, GitError> {
        let room = shop.room();
        let list = room.call().args(["for-each-ref", "--format=%(refname)", "refs/heads/", "refs/stash"]);
        let listed = self.try_in(&room, list, cancel).await?;
        if listed.code != 0 {
            return Ok(false);
        }
        let names = String::from_utf8_lossy(&listed.stdout).into_owned();
        let piece = |name: &str| (name.to_owned(), LeftKind::Repository, format!(".git, {name}"));
        let mut pieces: Vec<Piece> = names.lines().take(MOST).map(piece).collect();
        // Commits that no branch has, where the agent's HEAD is on none.
        let head = format!("{LEFT}/HEAD");
        let detached = room.call().args(["update-ref", "--no-deref", &head, "HEAD"]);
        if self.try_in(&room, detached, cancel).await?.code == 0 {
            pieces.push((head, LeftKind::Repository, ".git".into()));
        }
        self.bring_out(w, shop, &pieces, cancel).await.map(|()| true)
    }

    /// Branches, tags and stashes with commits that are neither checked out nor from the mirror.
    async fn pieces_of_refs(
        &self,
        w: &Site,
        shop: &Workshop,
        cancel: &CancellationToken,
    ) -> Result<Vec<Piece>, GitError> {
        let room = shop.room();
        let list = room.call().args(["for-each-ref", "--format=%(refname)"]);
        let listed = String::from_utf8_lossy(&self.do_in(&room, list, cancel).await?.stdout).into_owned();
        let ours = ["refs/remotes/", "refs/orch/", "refs/stash", "refs/replace/"];
        let names = listed.lines().filter(|name| !ours.iter().any(|prefix| name.starts_with(prefix)));
        let mut pieces: Vec<Piece> =
            names.take(MOST).map(|name| (name.to_owned(), LeftKind::Ref, name.to_owned())).collect();
        let stashes = room.call().args(["log", "--walk-reflogs", "--format=%H %gs", "refs/stash", "--"]);
        let stashes = self.try_in(&room, stashes, cancel).await?;
        let stashes = if stashes.code == 0 { stashes.stdout } else { Vec::new() };
        for line in String::from_utf8_lossy(&stashes).lines().take(MOST) {
            if let Some((id, message)) = line.split_once(' ') {
                self.name_inside(shop, id, LeftKind::Stash, message, &mut pieces, cancel).await?;
            }
        }
        let mut beside = Vec::new();
        for piece in pieces {
            let mut call = room.call().args(["rev-list", "--max-count=1", &piece.0, "--not", "--remotes=origin"]);
            if self.head_inside(shop, cancel).await.is_ok() {
                call = call.args(["HEAD"]);
            }
            let output = self.try_in(&room, call.args(["--"]), cancel).await?;
            if output.code == 0 && !output.line().is_empty() {
                beside.push(piece);
            }
        }
        tracing::debug!(key = w.key, pieces = beside.len(), "refs in a workshop beside the work");
        Ok(beside)
    }

    async fn name_inside(
        &self,
        shop: &Workshop,
        id: &str,
        kind: LeftKind,
        name: &str,
        pieces: &mut Vec<Piece>,
        cancel: &CancellationToken,
    ) -> Result<(), GitError> {
        let full = format!("{LEFT}/{kind}-{}", pieces.len());
        let room = shop.room();
        self.do_in(&room, room.call().args(["update-ref", "--no-deref", &full, id]), cancel).await?;
        pieces.push((full, kind, name.to_owned()));
        Ok(())
    }

    async fn pieces_of_files(
        &self,
        w: &Site,
        shop: &Workshop,
        well: bool,
        pieces: &mut Vec<Piece>,
        found: &mut Vec<Leftover>,
        cancel: &CancellationToken,
    ) -> Result<(), GitError> {
        let room = shop.room();
        // With nothing checked out the files are compared with what the branch is elsewhere.
        let tip = match self.head_inside(shop, cancel).await {
            Ok(head) => head,
            Err(_) => {
                let theirs = format!("refs/remotes/origin/{}^{{commit}}", w.branch);
                commit_id(
                    &self.do_in(&room, room.call().args(["rev-parse", "--verify", &theirs]), cancel).await?.line(),
                )?
            }
        };
        let staged = self.stage(&room, Some(&tip), &w.key, cancel).await?;
        let (tree, notes) = (staged.tree.clone(), staged.notes.clone());
        staged.discard()?;
        say(&notes, found);
        if let Some((index, names)) = self.staged_elsewhere(&room, &shop.git_dir(), &tip, &tree, cancel).await? {
            self.name_inside(shop, index.as_str(), LeftKind::Index, &names, pieces, cancel).await?;
        }
        self.pieces_of_repositories(shop, &notes, pieces, cancel).await?;
        if !well && tree != self.tree_of(&room, &tip, cancel).await? {
            let (message, author) = ("Uncommitted work, preserved", Identity::of_us(self.settings()));
            let saved = self.commit_tree(&room, &tree, std::slice::from_ref(&tip), message, author, cancel).await?;
            let names = self.changed_names(&room, &saved, cancel).await?;
            self.name_inside(shop, saved.as_str(), LeftKind::Files, &names, pieces, cancel).await?;
        }
        Ok(())
    }

    /// The commits of repositories inside the folder, as far as they did not fetch them themselves.
    async fn pieces_of_repositories(
        &self,
        shop: &Workshop,
        notes: &Notes,
        pieces: &mut Vec<Piece>,
        cancel: &CancellationToken,
    ) -> Result<(), GitError> {
        let room = shop.room();
        let nested = notes.nested.iter().map(|path| (path, LeftKind::History));
        let trees = notes.worktrees.iter().map(|path| (path, LeftKind::Worktree));
        let modules = notes.submodules.iter().map(|(path, _)| (path, LeftKind::Submodule));
        for (path, kind) in nested.chain(trees).chain(modules) {
            let git_dir: PathBuf = shop.path.join(path).join(".git");
            let ask = |args: &[&str]| {
                let call = Call::bare(&shop.path).without_env("GIT_DIR").env("GIT_DIR", &git_dir);
                call.owned_by(shop.tenant()).args(args).within(PATIENCE)
            };
            let own = ask(&["rev-list", "--max-count=1", "--all", "--not", "--remotes", "--"]);
            let own = self.try_in(&room, own, cancel).await?;
            if own.code != 0 || own.line().is_empty() {
                continue;
            }
            let into = format!("{LEFT}/{kind}-{}", pieces.len());
            let fetch = ["fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--no-recurse-submodules", "--"];
            let fetch = room.call().args(fetch).args([&git_dir]).args([format!("+HEAD:{into}")]);
            let fetch = fetch.env("GIT_ALLOW_PROTOCOL", "file").within(PATIENCE);
            if self.try_in(&room, fetch, cancel).await?.code == 0 {
                pieces.push((into, kind, path.to_string_lossy().into_owned()));
            }
        }
        Ok(())
    }

    /// Packs the pieces, checks them on their way into the mirror, and keeps them there.
    async fn bring_out(
        &self,
        w: &Site,
        shop: &Workshop,
        pieces: &[Piece],
        cancel: &CancellationToken,
    ) -> Result<(), GitError> {
        if !pieces.is_empty() {
            self.pack_and_keep(w, shop, pieces, cancel).await?;
        }
        let room = shop.room();
        let names = room.call().args(["for-each-ref", "--format=delete %(refname)", &format!("{LEFT}/")]);
        let names = self.try_in(&room, names, cancel).await?.stdout;
        let forget = room.call().args(["update-ref", "--no-deref", "--stdin"]).input(names);
        self.try_in(&room, forget, cancel).await.map(drop)
    }

    async fn pack_and_keep(
        &self,
        w: &Site,
        shop: &Workshop,
        pieces: &[Piece],
        cancel: &CancellationToken,
    ) -> Result<(), GitError> {
        let bundle = Handover::new(self.root(), shop.tenant(), true)?;
        let room = shop.room();
        let pack = room.call().args(["bundle", "create", "--quiet"]).args([bundle.file()]);
        let pack = pack.args(pieces.iter().map(|(name, ..)| name)).args(["--not", "--remotes=origin"]).within(PATIENCE);
        let packed = self.try_in(&room, pack, cancel).await?;
        if packed.code != 0 && String::from_utf8_lossy(&packed.stderr).contains("empty bundle") {
            return Ok(());
        }
        if packed.code != 0 {
            return Err(packed.error());
        }
        let copy = bundle.take()?;
        self.unpack(w, copy.path(), &format!("+refs/*:refs/orch/incoming/{}/*", w.key), cancel).await?;
        for (name, kind, said) in pieces {
            let incoming = name.strip_prefix("refs/").unwrap_or(name);
            let incoming = format!("refs/orch/incoming/{}/{incoming}", w.key);
            if let Some(commit) = self.resolve(&w.mirror, &incoming, cancel).await? {
                self.keep(w, *kind, said, &commit, cancel).await?;
            }
        }
        self.drop_incoming(w, cancel).await
    }

    /// Whether a commit shares any history with the branch.
    pub(super) async fn is_related(
        &self,
        w: &Site,
        theirs: &CommitId,
        cancel: &CancellationToken,
    ) -> Result<bool, GitError> {
        let ours = self.head(w, cancel).await?;
        let call = Call::bare(&w.mirror).args(["merge-base", ours.as_str(), theirs.as_str()]);
        let output = self.try_git(&w.mirror, call, cancel).await?;
        if output.code > 1 { Err(output.error()) } else { Ok(output.code == 0) }
    }
}
