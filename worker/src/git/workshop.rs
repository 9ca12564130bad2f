//! Where agents that run as a Unix user of their own work: a repository per task that this user owns whole. It has
//! the task's branch and its base and no other, shares no object, hook or setting with the mirror, and what is done in
//! it is done as that user: whatever an agent planted there has an agent's rights. Work goes in and out as bundles,
//! files of objects, through a folder that neither side can make the other follow a link in.

use super::call::Call;
use super::check;
use super::command::{Output, run, run_ok};
use super::commit::Identity;
use super::delete::delete_tree;
use super::error::GitError;
use super::handover::Handover;
use super::nested::has_files;
use super::repos::{Place, Repos, commit_id, off_the_runtime};
use super::shared;
use super::special::{may_block, remove};
use super::staging::Room;
use super::worktree::{Site, Worktree};
use orch_common::domain::leftover::LeftKind;
use orch_common::domain::stage::CommitId;
use std::ffi::OsStr;
use std::fs::{self, DirBuilder, Permissions};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use tokio_util::sync::CancellationToken;

/// Below the folder of all repositories; no forge has an owner of this name.
pub(super) const FOLDER: &str = ".agents";

/// The user that agents run as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tenant {
    /// User number.
    pub uid: u32,
    /// Group number.
    pub gid: u32,
    /// For the tools that want one.
    pub home: PathBuf,
}

/// The workshop of one task.
#[derive(Debug, Clone)]
pub struct Workshop {
    /// The folder that agents work in.
    pub path: PathBuf,
    tenant: Tenant,
    mirror: PathBuf,
}

impl Workshop {
    pub(super) fn git_dir(&self) -> PathBuf {
        self.path.join(".git")
    }

    pub(super) fn tenant(&self) -> &Tenant {
        &self.tenant
    }

    /// A free name beside it, in a folder of ours.
    pub(super) fn aside(&self) -> Result<PathBuf, GitError> {
        let names = (1..10_000).map(|n| self.path.with_extension(format!("lost-{n}")));
        let free = names.into_iter().find(|path| path.symlink_metadata().is_err());
        free.ok_or_else(|| GitError::Other { tail: "too many repositories were set aside".into() })
    }

    /// Whether it is a repository that we made.
    pub(super) fn is_whole(&self) -> bool {
        let origin = self.git_dir().join("orch-workshop").symlink_metadata();
        self.git_dir().symlink_metadata().is_ok_and(|about| about.is_dir()) && self.exists() && origin.is_ok()
    }

    pub(super) fn room(&self) -> Room {
        Room {
            git_dir: self.git_dir(),
            work: self.path.clone(),
            tenant: Some(self.tenant.clone()),
            mirror: self.mirror.clone(),
        }
    }

    fn exists(&self) -> bool {
        self.git_dir().join("HEAD").symlink_metadata().is_ok()
    }
}

impl Repos {
    /// The workshop of the worktree's task, there or not yet.
    pub fn workshop(&self, worktree: &Site, tenant: &Tenant) -> Result<Workshop, GitError> {
        let path = self.workshop_path(&worktree.repo, &worktree.key)?;
        Ok(Workshop { path, tenant: tenant.clone(), mirror: worktree.mirror.clone() })
    }

    pub(super) fn workshop_path(&self, repo: &str, key: &str) -> Result<PathBuf, GitError> {
        let (owner, name) = check::repo(repo)?;
        Ok(self.root().join(FOLDER).join(owner).join(name).join(check::key(key)?))
    }

    /// Makes everything of this repository but what is the agents' user's unreadable to others, and the folder `inner`
    /// (below the root, there or not) reachable.
    pub(super) fn close_to_others(&self, repo: &str, inner: &Path) -> Result<(), GitError> {
        let place: Place = self.place(repo)?;
        let closed = |path: &Path| set_mode(path, 0o700);
        set_mode(self.root(), 0o711)?;
        closed(&place.home)?;
        place.home.parent().map_or(Ok(()), closed)?;
        let mut between: Vec<&Path> = inner.ancestors().skip(1).take_while(|above| *above != self.root()).collect();
        between.reverse();
        for folder in between {
            fs::create_dir_all(folder).map_err(|e| GitError::io(format!("making {}", folder.display()), e))?;
            set_mode(folder, 0o711)?;
        }
        Ok(())
    }

    /// Brings the workshop (made if need be) to the worktree's head. What was not committed in it stays, unless it
    /// is in the way; then it is stashed there. `base` comes along for comparison. No agent may be at work in it.
    pub async fn furnish(
        &self,
        worktree: &Worktree,
        base: &str,
        shop: &Workshop,
        cancel: &CancellationToken,
    ) -> Result<(), GitError> {
        self.close_to_others(&worktree.repo, &shop.path)?;
        if !shop.is_whole() && has_files(&shop.path) {
            self.mend_workshop(worktree, base, shop, &mut Vec::new(), cancel).await?;
        } else if !shop.is_whole() {
            delete_tree(&shop.path).await?;
            self.make(worktree, shop, cancel).await?;
        }
        tidy(shop).await?;
        self.bring_in(worktree, base, shop, cancel).await?;
        self.check_out(worktree, shop, cancel).await
    }

    /// The branch and its base as the mirror has them.
    pub(super) async fn bring_in(
        &self,
        worktree: &Site,
        base: &str,
        shop: &Workshop,
        cancel: &CancellationToken,
    ) -> Result<(), GitError> {
        let bundle = Handover::new(self.root(), &shop.tenant, false)?;
        let names = [worktree.branch_ref(), format!("refs/remotes/origin/{}", check::branch(base)?)];
        // What the forge has on the branch, which differs where it could not be joined.
        let forge =
            self.resolve(&worktree.mirror, &worktree.origin_ref(), cancel).await?.map(|_| worktree.origin_ref());
        let pack = Call::bare(&worktree.mirror).args(["bundle", "create", "--quiet"]).args([bundle.file()]);
        let pack = pack.args(&names).args(&forge);
        let kept = format!("{}/*", worktree.preserved_ref());
        let pack = pack.args([format!("--glob={kept}")]);
        self.git(&worktree.mirror, pack.within(self.settings().network_timeout), cancel).await?;
        bundle.give()?;
        let take = |from: &str, to: &str| format!("+{from}:refs/remotes/origin/{to}");
        let mut specs = vec![take(&names[0], &worktree.branch), take(&names[1], base), format!("+{kept}:{kept}")];
        specs.extend(forge.map(|name| format!("+{name}:refs/remotes/forge/{}", worktree.branch)));
        let fetch = ["fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--no-recurse-submodules", "--"];
        let fetch = self.inside(shop).args(fetch).args([bundle.file()]).args(&specs);
        self.do_inside(fetch.env("GIT_ALLOW_PROTOCOL", "file"), cancel).await.map(drop)
    }

    async fn make(&self, worktree: &Site, shop: &Workshop, cancel: &CancellationToken) -> Result<(), GitError> {
        let io = |e| GitError::io(format!("making {}", shop.path.display()), e);
        DirBuilder::new().mode(0o700).create(&shop.path).map_err(io)?;
        chown(&shop.path, Some(shop.tenant.uid), Some(shop.tenant.gid)).map_err(io)?;
        self.init(worktree, shop, cancel).await
    }

    /// An empty repository around whatever lies in the folder, with a mark that says whose it is.
    pub(super) async fn init(
        &self,
        worktree: &Site,
        shop: &Workshop,
        cancel: &CancellationToken,
    ) -> Result<(), GitError> {
        let format = self.git(
            &worktree.mirror,
            Call::bare(&worktree.mirror).args(["rev-parse", "--show-object-format"]),
            cancel,
        );
        let format = format!("--object-format={}", format.await?.line());
        let init = Call::bare(&shop.path).owned_by(&shop.tenant).without_env("GIT_DIR");
        let init = init.args(["init", "--quiet", "--template=", &format, "--initial-branch", &worktree.branch]);
        self.do_inside(init, cancel).await?;
        let mark = self.inside(shop).args(["config", "--file", ".git/orch-workshop", "orch.key", &worktree.key]);
        self.do_inside(mark, cancel).await.map(drop)
    }

    /// Goes to the mirror's head without touching uncommitted work, or puts that aside.
    async fn check_out(
        &self,
        worktree: &Worktree,
        shop: &Workshop,
        cancel: &CancellationToken,
    ) -> Result<(), GitError> {
        let theirs = format!("refs/remotes/origin/{}", worktree.branch);
        let at = self.try_inside(self.inside(shop).args(["symbolic-ref", "--quiet", "HEAD"]), cancel).await?;
        let born = self.inside(shop).args(["rev-parse", "--verify", "--quiet", "HEAD^{commit}"]);
        let born = self.try_inside(born, cancel).await?.code == 0;
        if born && at.line() == worktree.branch_ref() {
            let merge = ["merge", "--quiet", "--ff-only", "--no-stat", "--no-autostash", &theirs];
            if self.try_inside(self.inside(shop).args(merge), cancel).await?.code == 0 {
                return Ok(());
            }
        }
        if born {
            tracing::warn!(key = worktree.key, "the workshop had left the branch; its files are stashed");
            let stash = ["stash", "push", "--quiet", "--include-untracked"];
            self.try_inside(Identity::of_us(self.settings()).signs(self.inside(shop).args(stash)), cancel).await?;
        }
        let head = ["checkout", "--quiet", "--force", "--no-track", "-B", &worktree.branch, &theirs, "--"];
        self.do_inside(self.inside(shop).args(head), cancel).await.map(drop)
    }

    /// Takes what was done in the workshop into the worktree's branch; with `commit`, also what was not committed, by
    /// this author with this message. Nothing to take is fine. No agent may be at work in it.
    pub async fn collect(
        &self,
        worktree: &Worktree,
        shop: &Workshop,
        commit: Option<(&str, &Identity)>,
        cancel: &CancellationToken,
    ) -> Result<(), GitError> {
        if !shop.exists() {
            return Ok(());
        }
        tidy(shop).await?;
        if let Some((message, author)) = commit {
            self.commit_inside(shop, &worktree.key, message, author, cancel).await?;
        }
        let news = self.inside(shop).args(["rev-list", "--count", "HEAD", "--not", "--remotes=origin", "--"]);
        let news = self.try_inside(news, cancel).await?;
        if news.code != 0 || news.line() == "0" {
            return Ok(());
        }
        let bundle = Handover::new(self.root(), &shop.tenant, true)?;
        let pack = self.inside(shop).args(["bundle", "create", "--quiet"]).args([bundle.file()]);
        let pack = pack.args(["HEAD", "--not", "--remotes=origin"]).within(self.settings().network_timeout);
        self.do_inside(pack, cancel).await?;
        let copy = bundle.take()?;
        let theirs = self.take_in(worktree, copy.path(), cancel).await?;
        if self.is_related(worktree, &theirs, cancel).await? {
            self.adopt_lfs(&worktree.mirror, &theirs, &shop.git_dir(), cancel).await?;
            return self.join_with(worktree, theirs, cancel).await;
        }
        self.keep(worktree, LeftKind::Head, &format!("at {}", theirs.short()), &theirs, cancel).await.map(drop)
    }

    /// The objects are checked one by one on their way in: nobody vouches for who packed them.
    async fn take_in(&self, w: &Site, bundle: &Path, cancel: &CancellationToken) -> Result<CommitId, GitError> {
        let incoming = format!("refs/orch/incoming/{}/HEAD", w.key);
        self.unpack(w, bundle, &format!("+HEAD:{incoming}"), cancel).await?;
        let found = self.resolve(&w.mirror, &incoming, cancel).await?;
        self.drop_incoming(w, cancel).await?;
        found.ok_or(GitError::NotFound { what: incoming })
    }

    pub(super) async fn unpack(
        &self,
        w: &Site,
        bundle: &Path,
        spec: &str,
        cancel: &CancellationToken,
    ) -> Result<(), GitError> {
        let fetch = Call::bare(&w.mirror)
            .args(["-c", "fetch.fsckObjects=true"])
            .args(["fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--no-recurse-submodules", "--"])
            .args([bundle.as_os_str(), spec.as_ref()])
            .env("GIT_ALLOW_PROTOCOL", "file")
            .within(self.settings().network_timeout);
        self.git(&w.mirror, fetch, cancel).await.map(drop)
    }

    async fn commit_inside(
        &self,
        shop: &Workshop,
        key: &str,
        message: &str,
        author: &Identity,
        cancel: &CancellationToken,
    ) -> Result<(), GitError> {
        let room = shop.room();
        let born = self.inside(shop).args(["rev-parse", "--verify", "--quiet", "HEAD^{commit}"]);
        let born = self.try_inside(born, cancel).await?;
        let tip = if born.code == 0 { Some(commit_id(&born.line())?) } else { None };
        let staged = self.stage(&room, tip.as_ref(), key, cancel).await?;
        let was = match &tip {
            Some(tip) => Some(self.tree_of(&room, tip, cancel).await?),
            None => None,
        };
        if was.as_ref() != Some(&staged.tree) {
            let parents: Vec<CommitId> = tip.into_iter().collect();
            let commit = self.commit_tree(&room, &staged.tree, &parents, message, author, cancel).await?;
            self.do_inside(self.inside(shop).args(["update-ref", "HEAD", commit.as_str()]), cancel).await?;
        }
        staged.becomes_index_of(&shop.git_dir())
    }

    /// Removes the workshop of a task, if it had one.
    pub async fn remove_workshop(&self, repo: &str, key: &str) -> Result<(), GitError> {
        delete_tree(&self.workshop_path(repo, key)?).await
    }

    /// The commit that is checked out in the workshop.
    pub async fn head_inside(&self, shop: &Workshop, cancel: &CancellationToken) -> Result<CommitId, GitError> {
        let head = self.inside(shop).args(["rev-parse", "--verify", "HEAD^{commit}"]);
        commit_id(&self.do_inside(head, cancel).await?.line())
    }

    /// A call in the workshop, as its owner.
    fn inside<'a>(&self, shop: &'a Workshop) -> Call<'a> {
        let git_dir = shop.git_dir();
        Call::linked(&git_dir, &git_dir, &shop.path).owned_by(&shop.tenant)
    }

    async fn do_inside(&self, call: Call<'_>, cancel: &CancellationToken) -> Result<Output, GitError> {
        run_ok(self.settings(), call, cancel).await
    }

    async fn try_inside(&self, call: Call<'_>, cancel: &CancellationToken) -> Result<Output, GitError> {
        run(self.settings(), call, cancel).await
    }
}

/// A killed git leaves its locks; only the one agent could hold them, and that has ended. No link is followed on the
/// way to them.
pub(super) async fn tidy(shop: &Workshop) -> Result<(), GitError> {
    let shop = shop.clone();
    off_the_runtime(move || {
        tidy_now(&shop);
        Ok(())
    })
    .await
}

fn tidy_now(shop: &Workshop) {
    // Git would wait for the other end, call after call.
    for path in remove(&shop.git_dir(), true, &|name, kind, _| may_block(kind) || is_lock(name)) {
        tracing::warn!(file = %path.display(), "no file that git can read, or a lock that a killed git left; removed from a workshop");
    }
    shared::clear_work(&shop.path);
}

/// Only the agent's gits work there, and it has ended. No ref, and no file of git's own, has such a name.
fn is_lock(name: &OsStr) -> bool {
    Path::new(name).extension().is_some_and(|end| end == "lock")
}

pub(super) fn set_mode(path: &Path, mode: u32) -> Result<(), GitError> {
    let io = |e| GitError::io(format!("closing {}", path.display()), e);
    let now = fs::metadata(path).map_err(io)?.permissions();
    if now.mode() & 0o7777 == mode {
        return Ok(());
    }
    fs::set_permissions(path, Permissions::from_mode(mode)).map_err(io)
}
