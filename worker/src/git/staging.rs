//! An index of our own over an agent's folder. What becomes a commit is what lies in the folder: flags of the agent's
//! index (`skip-worktree`, `assume-unchanged`, intent to add), a sparse checkout, a monitor of files, a damaged or locked
//! index have no say. Repositories inside the folder become files without their `.git`, unless they are registered
//! submodules or worktrees of this very repository; the artifacts' folder is taken although it is ignored.

use super::call::Call;
use super::command::{Output, run};
use super::error::GitError;
use super::nested::{Found, listed};
use super::repos::Repos;
use super::workshop::Tenant;
use super::worktree::Site;
use orch_common::domain::stage::CommitId;
use rustix::fs::{AtFlags, CWD, Mode, OFlags, renameat, unlinkat};
use std::collections::BTreeSet;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use tokio_util::sync::CancellationToken;

/// The most that a list of files may weigh, in bytes.
pub(super) const LIST_CAP: usize = 256 << 20;

/// A folder, and the repository that its content goes into.
#[derive(Debug, Clone)]
pub(super) struct Room {
    /// Holds objects and refs.
    pub(super) git_dir: PathBuf,
    pub(super) work: PathBuf,
    /// Who owns both, if not the worker.
    pub(super) tenant: Option<Tenant>,
    /// The worker's own repository of the project; LFS content goes into its store.
    pub(super) mirror: PathBuf,
}

impl Room {
    /// The worker's own worktree; it need not be sound, only the mirror.
    pub(super) fn of(w: &Site) -> Room {
        Room { git_dir: w.mirror.clone(), work: w.path.clone(), tenant: None, mirror: w.mirror.clone() }
    }

    /// A call in it. Without an index that is named it uses the repository's.
    pub(super) fn call(&self) -> Call<'_> {
        let call = Call::linked(&self.git_dir, &self.git_dir, &self.work);
        match &self.tenant {
            Some(tenant) => call.owned_by(tenant),
            None => call,
        }
    }

    pub(super) fn inside(&self, folder: &[u8]) -> Room {
        Room { work: self.work.join(std::ffi::OsStr::from_bytes(folder)), ..self.clone() }
    }
}

/// What staging met that is not in the tree, or is there in another form; paths from the top of the folder.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Notes {
    /// Repositories that were taken in as files.
    pub(super) nested: Vec<PathBuf>,
    /// Worktrees of this repository: not taken in.
    pub(super) worktrees: Vec<PathBuf>,
    /// Registered submodules that are checked out in the folder, with the commit that the tree holds of them.
    pub(super) submodules: Vec<(PathBuf, Option<String>)>,
    /// Pointers to a commit of another repository, whose files nobody has.
    pub(super) empty: Vec<PathBuf>,
    /// Files that cannot be read, or are none (a pipe in the place of a tracked file).
    pub(super) unread: Vec<PathBuf>,
}

/// The folder as a tree.
#[derive(Debug)]
pub(super) struct Staged {
    pub(super) tree: String,
    pub(super) notes: Notes,
    index: PathBuf,
}

/// An index under its own name, and the folder that it describes.
pub(super) struct Own<'a> {
    pub(super) room: &'a Room,
    pub(super) index: PathBuf,
    pub(super) depth: usize,
}

impl Own<'_> {
    pub(super) fn call(&self) -> Call<'_> {
        self.room.call().env("GIT_INDEX_FILE", &self.index)
    }
}

impl Repos {
    /// A call in a room whose exit code the caller reads.
    pub(super) async fn try_in(
        &self,
        room: &Room,
        call: Call<'_>,
        cancel: &CancellationToken,
    ) -> Result<Output, GitError> {
        match &room.tenant {
            Some(_) => run(self.settings(), call, cancel).await,
            None => self.try_git(&room.git_dir, call, cancel).await,
        }
    }

    /// A call in a room that must succeed.
    pub(super) async fn do_in(
        &self,
        room: &Room,
        call: Call<'_>,
        cancel: &CancellationToken,
    ) -> Result<Output, GitError> {
        let output = self.try_in(room, call, cancel).await?;
        if output.code == 0 { Ok(output) } else { Err(output.error()) }
    }

    /// The folder's content as a tree, on top of `tip` (files that are tracked there count although they are ignored).
    /// `key` names the index and the artifacts' folder.
    pub(super) async fn stage(
        &self,
        room: &Room,
        tip: Option<&CommitId>,
        key: &str,
        cancel: &CancellationToken,
    ) -> Result<Staged, GitError> {
        let own = Own { room, index: room.git_dir.join(format!("orch-index-{key}")), depth: 0 };
        let notes = self.fill(&own, tip, Some(key), cancel).await?;
        if let Some(tip) = tip {
            self.leave_dirt_out(&own, tip, cancel).await?;
        }
        let tree = self.do_in(room, own.call().args(["write-tree"]), cancel).await?.line();
        if notes != Notes::default() {
            tracing::info!(key, ?notes, "the folder holds more than files");
        }
        Ok(Staged { tree, notes, index: own.index })
    }

    /// Replaces the index of `git_dir` by one that says what `tip` has, with no flag of anybody's.
    pub(super) async fn make_index(
        &self,
        room: &Room,
        tip: &CommitId,
        key: &str,
        git_dir: &Path,
        cancel: &CancellationToken,
    ) -> Result<(), GitError> {
        let own = Own { room, index: room.git_dir.join(format!("orch-index-{key}")), depth: 0 };
        remove_index(&own.index)?;
        self.do_in(room, own.call().args(["read-tree", tip.as_str()]), cancel).await?;
        // Its exit code only says that files differ.
        self.try_in(room, own.call().args(["update-index", "-q", "--refresh"]), cancel).await?;
        let made = Staged { tree: String::new(), notes: Notes::default(), index: own.index };
        made.becomes_index_of(git_dir)
    }

    /// Makes the index of what lies in the folder.
    pub(super) async fn fill(
        &self,
        own: &Own<'_>,
        tip: Option<&CommitId>,
        key: Option<&str>,
        cancel: &CancellationToken,
    ) -> Result<Notes, GitError> {
        remove_index(&own.index)?;
        let begin = own.call().args(["read-tree", tip.map_or("--empty", CommitId::as_str)]);
        self.do_in(own.room, begin, cancel).await?;
        let artifacts = key.map(|key| format!("docs/work-items/{key}")).filter(|dir| is_folder(&own.room.work, dir));
        let found = self.look(own, artifacts.as_deref(), cancel).await?;
        let mut notes = Notes { unread: self.add(own, &[], &found, cancel).await?, ..Notes::default() };
        if let Some(dir) = &artifacts {
            self.add(own, &["--force", dir], &found, cancel).await?;
        }
        self.take_nested(own, found, &mut notes, cancel).await?;
        Ok(notes)
    }

    /// The repositories inside the folder.
    async fn look(
        &self,
        own: &Own<'_>,
        artifacts: Option<&str>,
        cancel: &CancellationToken,
    ) -> Result<Vec<Found>, GitError> {
        let mut call = own.call().args(["ls-files", "-z", "--stage", "--others", "--exclude-standard"]);
        call.cap = LIST_CAP;
        let mut found = listed(&self.do_in(own.room, call, cancel).await?.stdout);
        if let Some(dir) = artifacts {
            let mut call = own.call().args(["ls-files", "-z", "--others", "--", dir]);
            call.cap = LIST_CAP;
            found.extend(listed(&self.do_in(own.room, call, cancel).await?.stdout));
            found.dedup_by(|a, b| a.path == b.path);
        }
        Ok(found)
    }

    /// `git add` of all that is no repository of its own; gives what could not be added.
    async fn add(
        &self,
        own: &Own<'_>,
        how: &[&str],
        found: &[Found],
        cancel: &CancellationToken,
    ) -> Result<Vec<PathBuf>, GitError> {
        let (flags, dir) = match how {
            [flag, dir] => (Some(*flag), Some(*dir)),
            [] | [_, ..] => (None, None),
        };
        let mut spec = dir.map_or_else(|| b":(top)".to_vec(), |dir| format!(":(top,literal){dir}").into_bytes());
        for nested in found {
            spec.extend_from_slice(b"\0:(top,exclude,literal)");
            spec.extend_from_slice(&nested.path);
        }
        let add = || {
            let add = own.call().args(["add", "--all", "--ignore-errors"]).args(flags);
            add.args(["--pathspec-from-file=-", "--pathspec-file-nul"]).input(spec.clone())
        };
        let output = self.try_in(own.room, add(), cancel).await?;
        let output = self.add_unconverted(own, output, &add, cancel).await?;
        if output.code == 0 {
            return Ok(Vec::new());
        }
        // Single files are reported by the exit code 1; everything else is no news about the agent's files.
        let error = output.error();
        if output.code != 1 || matches!(error, GitError::NoSpace | GitError::Corrupt { .. }) {
            return Err(error);
        }
        self.not_added(own, found, cancel).await
    }

    /// What still differs from the index after everything was added.
    async fn not_added(
        &self,
        own: &Own<'_>,
        found: &[Found],
        cancel: &CancellationToken,
    ) -> Result<Vec<PathBuf>, GitError> {
        let mut call = own.call().args(["ls-files", "-z", "--modified", "--others", "--exclude-standard"]);
        call.cap = LIST_CAP;
        let left = self.do_in(own.room, call, cancel).await?;
        let nested: BTreeSet<&[u8]> = found.iter().map(|f| f.path.as_slice()).collect();
        let names = left.stdout.split(|b| *b == 0).map(|name| name.strip_suffix(b"/").unwrap_or(name));
        let names: BTreeSet<&[u8]> = names.filter(|name| !name.is_empty() && !nested.contains(name)).collect();
        Ok(names.into_iter().map(super::commit::path_of).collect())
    }

    /// `names` as `ls-files -z` gives them.
    pub(super) async fn remove_from(
        &self,
        own: &Own<'_>,
        names: Vec<u8>,
        cancel: &CancellationToken,
    ) -> Result<(), GitError> {
        if names.is_empty() {
            return Ok(());
        }
        let remove = own.call().args(["update-index", "-z", "--force-remove", "--stdin"]).input(names);
        self.do_in(own.room, remove, cancel).await.map(drop)
    }
}

impl Staged {
    /// Puts the index in the place of the agent's, so that both agree with the folder.
    pub(super) fn becomes_index_of(self, git_dir: &Path) -> Result<(), GitError> {
        let (from, to) = (folder_of(&self.index)?, folder(git_dir)?);
        let name = self.index.file_name().unwrap_or_default();
        unlinkat(&to, "index.lock", AtFlags::empty()).ok();
        renameat(&from, name, &to, "index").map_err(|e| GitError::io("replacing the worktree's index", e.into()))
    }

    /// Nothing of it is needed any more.
    pub(super) fn discard(self) -> Result<(), GitError> {
        remove_index(&self.index)
    }
}

/// A real folder below `top`, no link on the way to it.
fn is_folder(top: &Path, dir: &str) -> bool {
    let mut at = top.to_owned();
    dir.split('/').all(|part| {
        at.push(part);
        at.symlink_metadata().is_ok_and(|about| about.is_dir())
    })
}

/// No link is followed on the last step: an agent's folder may be one.
fn folder(path: &Path) -> Result<OwnedFd, GitError> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let what = || format!("opening {}", path.display());
    rustix::fs::openat(CWD, path, flags, Mode::empty()).map_err(|e| GitError::io(what(), e.into()))
}

fn folder_of(file: &Path) -> Result<OwnedFd, GitError> {
    folder(file.parent().unwrap_or(Path::new("/")))
}

/// Also its lock, which a killed git leaves. Nothing there is fine.
pub(super) fn remove_index(index: &Path) -> Result<(), GitError> {
    let (folder, name) = (folder_of(index)?, index.file_name().unwrap_or_default());
    let mut lock = name.to_owned();
    lock.push(".lock");
    unlinkat(&folder, lock, AtFlags::empty()).ok();
    match unlinkat(&folder, name, AtFlags::empty()) {
        Ok(()) | Err(rustix::io::Errno::NOENT) => Ok(()),
        Err(e) => Err(GitError::io("removing an index of ours", e.into())),
    }
}
