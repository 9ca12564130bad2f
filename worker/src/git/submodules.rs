//! The submodules that a commit of a project registers: read from the commit (never from a folder), checked by
//! `submodule_address`, fetched into mirrors of their own, and put into a folder at the recorded commits. Git's own
//! `submodule` command is not used: it believes the configuration of folders and remotes.
//!
//! A submodule in a folder is a repository of its own in the folder's git directory (`orch-module-...`), with a copy of its
//! objects: what is done there reaches no mirror.

use super::call::Call;
use super::command::{Output, run};
use super::config_pin;
use super::error::{GitError, SubmoduleFault, clean_tail};
use super::handover::Handover;
use super::lfs::open_inside;
use super::remote::Remote;
use super::repos::{Place, Repos};
use super::submodule_address::{SubmoduleRules, is_safe_path};
use super::workshop::{Tenant, Workshop};
use super::worktree::Worktree;
use orch_common::domain::stage::CommitId;
use orch_common::domain::submodule::SubmoduleWhy;
use rustix::fs::{Mode, OFlags, ResolveFlags, openat2};
use rustix::io::Errno;
use sha2::{Digest, Sha256};
use std::io::Read;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use tokio_util::sync::CancellationToken;

/// Below the folder of all repositories; no forge has an owner of this name.
const FOLDER: &str = ".submodules";
/// Levels of submodules in submodules.
const DEEPEST: usize = 5;
/// Submodules of one commit, all levels together.
const MOST: usize = 100;

/// A folder that submodules are put into.
#[derive(Debug, Clone, Copy)]
pub struct SubmoduleFolder<'a> {
    pub folder: &'a Path,
    /// The git directory of the folder; the submodules' repositories are made below it.
    pub git_dir: &'a Path,
    /// Who owns both, if not the worker's user.
    pub tenant: Option<&'a Tenant>,
}

/// One submodule, with its commit in a mirror.
#[derive(Debug, Clone)]
struct Module {
    /// From the top of the project.
    path: String,
    commit: CommitId,
    mirror: PathBuf,
}

impl Repos {
    /// Puts the submodules of the worktree's head into its folder, or into the workshop of an own user.
    /// [`GitError::Submodule`] where only a person can help.
    pub async fn furnish_submodules(
        &self,
        worktree: &Worktree,
        shop: Option<&Workshop>,
        rules: &SubmoduleRules<'_>,
        cancel: &CancellationToken,
    ) -> Result<(), GitError> {
        // The commit decides; this only saves a call where there are none.
        if worktree.path.join(".gitmodules").symlink_metadata().is_err() {
            return Ok(());
        }
        let head = self.head(worktree, cancel).await?;
        let git_dir = shop.map_or_else(|| worktree.admin.clone(), Workshop::git_dir);
        let (folder, tenant) = shop.map_or((worktree.path.as_path(), None), |s| (s.path.as_path(), Some(s.tenant())));
        let into = SubmoduleFolder { folder, git_dir: &git_dir, tenant };
        self.submodules_into(&worktree.repo, &head, rules, &into, cancel).await
    }

    /// Puts the submodules of a commit of `repo` into a folder in which that commit is checked out.
    pub async fn submodules_into(
        &self,
        repo: &str,
        commit: &CommitId,
        rules: &SubmoduleRules<'_>,
        into: &SubmoduleFolder<'_>,
        cancel: &CancellationToken,
    ) -> Result<(), GitError> {
        let mirror = self.place(repo)?.mirror;
        for module in self.fetch_submodules(&mirror, commit, rules, cancel).await? {
            self.install(&module, into, cancel).await?;
        }
        Ok(())
    }

    /// Submodules that `head` points to another commit of than `base` does, where their remote has no such commit:
    /// path, address and commit.
    pub async fn unpublished_submodules(
        &self,
        worktree: &Worktree,
        base: &str,
        rules: &SubmoduleRules<'_>,
        cancel: &CancellationToken,
    ) -> Result<Option<(String, String, CommitId)>, GitError> {
        let head = self.head(worktree, cancel).await?;
        let ours = self.registered(&worktree.mirror, &head, cancel).await?;
        if ours.is_empty() {
            return Ok(None);
        }
        let theirs = match self.forge_head(&worktree.repo, base, cancel).await? {
            Some(base) => self.registered(&worktree.mirror, &base, cancel).await?,
            None => Vec::new(),
        };
        for new in ours.into_iter().filter(|module| !theirs.contains(module)) {
            // What must not be fetched is said before the next agent starts, which cannot have it either.
            let Ok(remote) = rules.resolve(&new.url, rules.remote.url()) else { continue };
            match self.have_commit(&remote, &new.commit, cancel).await {
                Ok(Some(_)) => {}
                Ok(None) | Err(GitError::NotFound { .. }) => {
                    return Ok(Some((clean_tail(new.path.as_bytes()), remote.url().to_owned(), new.commit)));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    /// All submodules of a commit, outer ones first, each with its commit in its mirror.
    async fn fetch_submodules(
        &self,
        mirror: &Path,
        commit: &CommitId,
        rules: &SubmoduleRules<'_>,
        cancel: &CancellationToken,
    ) -> Result<Vec<Module>, GitError> {
        let mut todo = vec![(mirror.to_owned(), commit.clone(), String::new(), rules.remote.url().to_owned(), 0usize)];
        let mut found: Vec<Module> = Vec::new();
        while let Some((mirror, commit, above, address, depth)) = todo.pop() {
            for registered in self.registered(&mirror, &commit, cancel).await? {
                let fault = |why| registered.fault(&above, why);
                if depth >= DEEPEST {
                    return Err(fault(SubmoduleWhy::Depth));
                }
                if found.len() >= MOST {
                    return Err(fault(SubmoduleWhy::Count));
                }
                if !is_safe_path(&registered.path) {
                    return Err(fault(SubmoduleWhy::Path));
                }
                let remote = rules.resolve(&registered.url, &address).map_err(fault)?;
                let there = match self.have_commit(&remote, &registered.commit, cancel).await {
                    Ok(Some(there)) => there,
                    Ok(None) | Err(GitError::NotFound { .. }) => return Err(fault(SubmoduleWhy::Commit)),
                    Err(GitError::AuthFailed { .. }) => return Err(fault(SubmoduleWhy::Credentials)),
                    Err(error) => return Err(error),
                };
                let path = format!("{above}{}", registered.path);
                let below = format!("{path}/");
                todo.push((there.clone(), registered.commit.clone(), below, remote.url().to_owned(), depth + 1));
                found.push(Module { path, commit: registered.commit, mirror: there });
            }
        }
        found.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(found)
    }

    /// Where a submodule's repository is mirrored.
    fn submodule_place(&self, remote: &Remote) -> Result<Place, GitError> {
        let all = self.root().join(FOLDER);
        let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&all);
        made.map_err(|e| GitError::io(format!("making {}", all.display()), e))?;
        let home = all.join(short_hash(remote.url()));
        Ok(Place { mirror: home.join("mirror.git"), home })
    }

    /// The mirror that has the commit, fetched if need be; `None` when the remote has it not.
    async fn have_commit(
        &self,
        remote: &Remote,
        commit: &CommitId,
        cancel: &CancellationToken,
    ) -> Result<Option<PathBuf>, GitError> {
        let place = self.submodule_place(remote)?;
        let lock = self.lock(&place, cancel).await?;
        let kept = wanted(commit);
        if place.mirror.is_dir() && self.resolve(&place.mirror, &kept, cancel).await?.is_some() {
            return Ok(Some(place.mirror));
        }
        self.fetch_soundly(&place, remote, &lock, cancel).await?;
        if !self.has(&place.mirror, commit, cancel).await? {
            // Not on a branch: many a forge gives a commit by its name.
            let fetch = ["fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--no-recurse-submodules", "--"];
            let fetch = Call::bare(&place.mirror).args(fetch).args([remote.url(), commit.as_str()]);
            let fetch = fetch.network(remote, self.settings().network_timeout);
            self.try_git(&place.mirror, fetch, cancel).await?;
        }
        if !self.has(&place.mirror, commit, cancel).await? {
            return Ok(None);
        }
        self.set_ref(&place.mirror, &kept, commit, cancel).await?;
        Ok(Some(place.mirror))
    }

    async fn has(&self, mirror: &Path, commit: &CommitId, cancel: &CancellationToken) -> Result<bool, GitError> {
        let look = Call::bare(mirror).args(["cat-file", "-e", &format!("{commit}^{{commit}}")]);
        Ok(run(self.settings(), look, cancel).await?.code == 0)
    }

    /// Makes the submodule's repository in the folder, or brings it to its commit. What an agent has changed in it stays.
    async fn install(
        &self,
        module: &Module,
        into: &SubmoduleFolder<'_>,
        cancel: &CancellationToken,
    ) -> Result<(), GitError> {
        let place = into.folder.join(&module.path);
        let git_dir = into.git_dir.join(format!("orch-module-{}", short_hash(&module.path)));
        if !leads_nowhere_else(into.folder, &module.path) {
            let (path, url) = (clean_tail(module.path.as_bytes()), String::new());
            return Err(GitError::Submodule(Box::new(SubmoduleFault { path, url, why: SubmoduleWhy::Path })));
        }
        match link_of(into.folder, &module.path) {
            Link::None => self.init_module(into, &place, &git_dir, cancel).await?,
            Link::To(dir) if dir == git_dir.display().to_string() => {}
            Link::To(_) | Link::Other => {
                tracing::info!(
                    path = module.path,
                    "the submodule is a repository of the agent's own making; left alone"
                );
                return Ok(());
            }
        }
        let call = || inside(&git_dir, &place, into.tenant);
        if into.tenant.is_none() {
            config_pin::write_module(&git_dir, &module.mirror)?;
        }
        let at = self.run_inside(call().args(["rev-parse", "--verify", "--quiet", "HEAD^{commit}"]), cancel).await?;
        if at.code == 0 && at.line() == module.commit.as_str() {
            return Ok(());
        }
        self.hand_module_over(module, into, &call, cancel).await?;
        if at.code == 0 {
            // Commits of an agent, if they are some, are not lost with the head.
            let name = format!("refs/orch/left/{}", at.line());
            self.run_inside(call().args(["update-ref", &name, &at.line()]), cancel).await?;
        }
        let checkout = || {
            let checkout = ["checkout", "--quiet", "--detach", "--no-recurse-submodules", module.commit.as_str(), "--"];
            self.run_inside(call().args(checkout), cancel)
        };
        if checkout().await?.code == 0 {
            return Ok(());
        }
        tracing::warn!(
            path = module.path,
            "what was changed in a submodule is in the way of its new commit; stashed there"
        );
        let stash = call().args(["stash", "push", "--quiet", "--include-untracked"]);
        self.run_inside(self.settings().committer.signs(stash), cancel).await?;
        let output = checkout().await?;
        if output.code == 0 { Ok(()) } else { Err(output.error()) }
    }

    async fn init_module(
        &self,
        into: &SubmoduleFolder<'_>,
        place: &Path,
        git_dir: &Path,
        cancel: &CancellationToken,
    ) -> Result<(), GitError> {
        let separate = format!("--separate-git-dir={}", git_dir.display());
        let mut init = Call::bare(into.folder).without_env("GIT_DIR");
        init = init.args(["init", "--quiet", "--template=", &separate, "--"]).args([place]);
        if let Some(tenant) = into.tenant {
            init = init.owned_by(tenant);
        }
        let output = self.run_inside(init, cancel).await?;
        if output.code == 0 { Ok(()) } else { Err(output.error()) }
    }

    /// Copies the commit and its history from the mirror into the submodule's repository.
    async fn hand_module_over<'a>(
        &self,
        module: &Module,
        into: &SubmoduleFolder<'_>,
        call: &impl Fn() -> Call<'a>,
        cancel: &CancellationToken,
    ) -> Result<(), GitError> {
        let name = wanted(&module.commit);
        let bundle = into.tenant.map(|tenant| Handover::new(self.root(), tenant, false)).transpose()?;
        let source = match &bundle {
            Some(bundle) => {
                let pack = Call::bare(&module.mirror).args(["bundle", "create", "--quiet"]).args([bundle.file()]);
                let pack = pack.args([&name]).within(self.settings().network_timeout);
                self.git(&module.mirror, pack, cancel).await?;
                bundle.give()?;
                bundle.file()
            }
            None => &module.mirror,
        };
        let fetch = ["fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--no-recurse-submodules", "--"];
        let fetch = call().args(fetch).args([source.as_os_str(), format!("+{name}:{name}").as_ref()]);
        let fetch = fetch.env("GIT_ALLOW_PROTOCOL", "file").within(self.settings().network_timeout);
        let output = self.run_inside(fetch, cancel).await?;
        if output.code == 0 { Ok(()) } else { Err(output.error()) }
    }

    async fn run_inside(&self, call: Call<'_>, cancel: &CancellationToken) -> Result<Output, GitError> {
        run(self.settings(), call, cancel).await
    }
}

/// A call in a submodule's repository.
fn inside<'a>(git_dir: &Path, place: &'a Path, tenant: Option<&Tenant>) -> Call<'a> {
    let call = Call::linked(git_dir, git_dir, place);
    match tenant {
        Some(tenant) => call.owned_by(tenant),
        None => call,
    }
}

/// Keeps a recorded commit, whatever becomes of the branches.
fn wanted(commit: &CommitId) -> String {
    format!("refs/orch/recorded/{commit}")
}

fn short_hash(text: &str) -> String {
    hex::encode(Sha256::digest(text.as_bytes())).chars().take(32).collect()
}

/// What is at `<path>/.git`.
#[derive(Debug, PartialEq, Eq)]
enum Link {
    None,
    To(String),
    Other,
}

fn link_of(folder: &Path, path: &str) -> Link {
    let file = Path::new(path).join(".git");
    if folder.join(&file).symlink_metadata().is_err() {
        return Link::None;
    }
    let mut text = String::new();
    let read = open_inside(folder, &file).and_then(|f| f.take(8192).read_to_string(&mut text));
    match (read, text.trim_end().strip_prefix("gitdir: ")) {
        (Ok(_), Some(dir)) => Link::To(dir.to_owned()),
        _ => Link::Other,
    }
}

/// Whether the path is a folder below `folder`, or is to become one, without a link on the way.
fn leads_nowhere_else(folder: &Path, path: &str) -> bool {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let Ok(top) = rustix::fs::open(folder, flags, Mode::empty()) else { return false };
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    // What is missing has an outermost part that is missing: all before it was looked at.
    matches!(openat2(top, path, flags, Mode::empty(), resolve).map(drop), Ok(()) | Err(Errno::NOENT))
}
