//! Where the project's tests run: a repository per task with exactly the judged commit checked out, made from the mirror
//! for every run and never from a folder that an agent worked in. Its index, refs and settings are its own, so that what
//! the tests commit, stash, change or delete ends there. The path of a task's checkout does not change: build caches
//! contain absolute paths.
//!
//! Of an earlier run only the cache folders stay that the project names (see `caches`).

use super::caches::Caches;
use super::call::Call;
use super::check;
use super::command::{Output, run_ok};
use super::delete::delete_tree;
use super::error::GitError;
use super::handover::Handover;
use super::repos::Repos;
use super::workshop::Tenant;
use orch_common::domain::stage::CommitId;
use std::fs::{self, DirBuilder};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, chown};
use std::path::PathBuf;
use tokio_util::sync::CancellationToken;

/// Below the folder of all repositories; no forge has an owner of this name.
const FOLDER: &str = ".tests";

/// The place of a task's checkout, filled or not.
#[derive(Debug, Clone)]
pub struct Checkout {
    /// The folder that the tests run in.
    pub path: PathBuf,
    mirror: PathBuf,
    caches: PathBuf,
    repo: String,
    /// Who it belongs to, and whom the tests run as, if not the worker.
    tenant: Option<Tenant>,
}

/// What is to be checked out.
#[derive(Debug, Clone, Copy)]
pub struct Judged<'a> {
    pub commit: &'a CommitId,
    /// The task's branch; `refs/remotes/origin/<branch>` is the commit.
    pub branch: &'a str,
    /// The branch that tools compare with, `refs/remotes/origin/<base>`, if the forge has it.
    pub base: &'a str,
}

impl Checkout {
    fn git_dir(&self) -> PathBuf {
        self.path.join(".git")
    }

    /// A call in the checkout, as its owner. Nothing but the tests has written there, and nothing before they run.
    pub(super) fn call(&self) -> Call<'_> {
        let git_dir = self.git_dir();
        self.owned(Call::linked(&git_dir, &git_dir, &self.path))
    }

    fn owned<'a>(&self, call: Call<'a>) -> Call<'a> {
        match &self.tenant {
            Some(tenant) => call.owned_by(tenant),
            None => call,
        }
    }

    fn owner(&self) -> Option<(u32, u32)> {
        self.tenant.as_ref().map(|t| (t.uid, t.gid))
    }
}

/// A ref of the mirror, and what it is called in the checkout.
struct Handed {
    name: String,
    id: String,
}

impl Repos {
    /// The checkout of work item `key`, there or not yet. With `tenant` it belongs wholly to that user.
    pub fn checkout(&self, repo: &str, key: &str, tenant: Option<&Tenant>) -> Result<Checkout, GitError> {
        let (path, caches) = self.checkout_paths(repo, key)?;
        let mirror = self.place(repo)?.mirror;
        Ok(Checkout { path, mirror, caches, repo: repo.to_owned(), tenant: tenant.cloned() })
    }

    fn checkout_paths(&self, repo: &str, key: &str) -> Result<(PathBuf, PathBuf), GitError> {
        let (owner, name) = check::repo(repo)?;
        let (folder, key) = (self.root().join(FOLDER).join(owner).join(name), check::key(key)?);
        // No key has a dot.
        Ok((folder.join(key), folder.join(format!("{key}.caches"))))
    }

    /// Makes the checkout anew: the judged commit's files and nothing else but the `caches` (relative paths) of the last
    /// run. A cache is dropped if it is part of the commit or no longer a folder. Nothing may run in the checkout.
    pub async fn check_out_for_tests(
        &self,
        to: &Checkout,
        judged: Judged<'_>,
        caches: &[String],
        cancel: &CancellationToken,
    ) -> Result<(), GitError> {
        let kept = Caches::new(&to.path, &to.caches, caches, to.owner());
        kept.put_aside().await?;
        delete_tree(&to.path).await?;
        self.begin(to, cancel).await?;
        self.hand_over(to, judged, cancel).await?;
        let files = ["checkout", "--quiet", "--detach", "--force", judged.commit.as_str(), "--"];
        self.in_checkout(to.call().args(files), cancel).await?;
        kept.put_back().await
    }

    /// Removes the checkout of a task, with its caches, if there is one.
    pub(super) async fn remove_checkout(&self, repo: &str, key: &str) -> Result<(), GitError> {
        let (path, caches) = self.checkout_paths(repo, key)?;
        delete_tree(&path).await?;
        delete_tree(&caches).await
    }

    /// An empty folder with an empty repository in it.
    async fn begin(&self, to: &Checkout, cancel: &CancellationToken) -> Result<(), GitError> {
        let io = |e| GitError::io(format!("making {}", to.path.display()), e);
        match &to.tenant {
            Some(_) => self.close_to_others(&to.repo, &to.path)?,
            None => to.path.parent().map_or(Ok(()), fs::create_dir_all).map_err(io)?,
        }
        DirBuilder::new().mode(0o700).create(&to.path).map_err(io)?;
        if let Some((uid, gid)) = to.owner() {
            chown(&to.path, Some(uid), Some(gid)).map_err(io)?;
        }
        let format = Call::bare(&to.mirror).args(["rev-parse", "--show-object-format"]);
        let format = format!("--object-format={}", self.git(&to.mirror, format, cancel).await?.line());
        let init = ["init", "--quiet", "--template=", &format, "--initial-branch=none"];
        let init = to.owned(Call::bare(&to.path)).without_env("GIT_DIR").args(init);
        self.in_checkout(init, cancel).await.map(drop)
    }

    /// Brings the objects and the refs: the worker's own checkout reads the mirror's objects, another user's gets copies.
    async fn hand_over(&self, to: &Checkout, judged: Judged<'_>, cancel: &CancellationToken) -> Result<(), GitError> {
        let refs = self.refs_for(to, judged, cancel).await?;
        match &to.tenant {
            Some(tenant) => self.bundle_for(to, tenant, judged.branch, &refs, cancel).await?,
            None => borrow_objects(to)?,
        }
        let mut lines = format!("create refs/remotes/origin/{} {}\n", check::branch(judged.branch)?, judged.commit);
        lines.extend(refs.iter().map(|r| format!("create {} {}\n", r.name, r.id)));
        self.in_checkout(to.call().args(["update-ref", "--stdin"]).input(lines.into_bytes()), cancel).await.map(drop)
    }

    /// The base, and the tags of the commit's history: builds make version numbers of them.
    async fn refs_for(
        &self,
        to: &Checkout,
        judged: Judged<'_>,
        cancel: &CancellationToken,
    ) -> Result<Vec<Handed>, GitError> {
        let tags = Call::bare(&to.mirror).args(["for-each-ref", "--format=%(objectname) %(refname)"]);
        let tags = tags.args([&format!("--merged={}", judged.commit), "refs/tags/"]);
        let tags = self.git(&to.mirror, tags, cancel).await?.stdout;
        let tags = String::from_utf8_lossy(&tags).into_owned();
        let handed = |line: &str| line.split_once(' ').map(|(id, name)| Handed { name: name.into(), id: id.into() });
        let mut refs: Vec<Handed> = tags.lines().filter_map(handed).collect();
        let name = format!("refs/remotes/origin/{}", check::branch(judged.base)?);
        if let Some(base) = self.resolve(&to.mirror, &name, cancel).await?.filter(|_| judged.base != judged.branch) {
            refs.push(Handed { name, id: base.to_string() });
        }
        Ok(refs)
    }

    /// Copies what the branch (the commit is on it) and the refs reach, in a file that the other user can read and not change.
    async fn bundle_for(
        &self,
        to: &Checkout,
        tenant: &Tenant,
        branch: &str,
        refs: &[Handed],
        cancel: &CancellationToken,
    ) -> Result<(), GitError> {
        let bundle = Handover::new(self.root(), tenant, false)?;
        let limit = self.settings().network_timeout;
        let branch = format!("refs/heads/{}", check::branch(branch)?);
        let names = std::iter::once(branch.as_str()).chain(refs.iter().map(|r| r.name.as_str()));
        let names = names.flat_map(|name| [name, "\n"]).collect::<String>();
        let pack = Call::bare(&to.mirror).args(["bundle", "create", "--quiet"]).args([bundle.file()]);
        let pack = pack.args(["--stdin"]).input(names.into_bytes()).within(limit);
        self.git(&to.mirror, pack, cancel).await?;
        bundle.give()?;
        let unpack = to.call().args(["bundle", "unbundle"]).args([bundle.file()]).within(limit);
        self.in_checkout(unpack, cancel).await.map(drop)
    }

    async fn in_checkout(&self, call: Call<'_>, cancel: &CancellationToken) -> Result<Output, GitError> {
        run_ok(self.settings(), call, cancel).await
    }
}

/// Lets the checkout read the mirror's objects. What is written, packed or pruned in the checkout is its own.
fn borrow_objects(to: &Checkout) -> Result<(), GitError> {
    let info = to.git_dir().join("objects/info");
    let io = |e| GitError::io("naming the mirror's objects", e);
    fs::create_dir_all(&info).map_err(io)?;
    let line = [to.mirror.join("objects").as_os_str().as_bytes(), b"\n"].concat();
    fs::write(info.join("alternates"), line).map_err(io)
}
