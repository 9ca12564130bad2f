//! What all tasks of a mirror share, apart from its configuration: git obeys and believes these files for every one of
//! them, and agents of our own user can write to them. Looked at before each use and put back where they are not ours.
//! What is put back is said with mirror and file; nothing of it is anybody's work.

use super::config_pin::{self, replace};
use super::delete::delete;
use super::error::GitError;
use super::packed_refs;
use super::special::{may_block, remove};
use super::worktree::{READY, Site};
use crate::untrusted;
use rustix::fs::FileType;
use std::io::Write;
use std::path::{Path, PathBuf};

/// A branch that no task has: HEAD of the mirror is never used.
pub(super) const HEAD: &str = "ref: refs/heads/none\n";

/// No mirror of ours has one of these. They make files vanish or change on their way into a commit, change what history
/// says, lend objects that may go, run programs, or solve conflicts in advance.
const NEVER: [&str; 18] = [
    "commondir",
    "config.worktree",
    "shallow",
    "hooks",
    "branches",
    "remotes",
    "rr-cache",
    "info/attributes",
    "info/exclude",
    "info/grafts",
    "info/sparse-checkout",
    "objects/info/alternates",
    "objects/info/http-alternates",
    "objects/info/commit-graph",
    "objects/info/commit-graphs",
    "objects/pack/multi-pack-index",
    "refs/replace",
    "logs/refs/replace",
];

/// An operator may have moved these to another disk.
const MAY_BE_LINKS: [&str; 3] = ["objects", "refs", "worktrees"];

/// Git opens these of a repository in any case.
const FILES: [&str; 5] = ["HEAD", "config", "packed-refs", "index", "gitdir"];

/// The most that git's own files may weigh: the list of all refs, an index, anything else.
const LARGEST_PACKED: u64 = 256 << 20;
const LARGEST_INDEX: u64 = 1 << 30;
const LARGEST: u64 = 64 << 20;

/// The mirror's own files. Reads two small ones and looks at a handful more.
pub(super) fn put_back(mirror: &Path) -> Result<(), GitError> {
    let odd = |kind| !matches!(kind, FileType::RegularFile | FileType::Directory);
    let removed = remove(mirror, false, &|name, kind, size| {
        let too_large = kind == FileType::RegularFile && size > LARGEST_PACKED;
        let no_file = kind == FileType::Directory && FILES.iter().any(|file| name == *file);
        no_file || too_large || odd(kind) && !MAY_BE_LINKS.iter().any(|known| name == *known)
    });
    told(mirror, &removed);
    for folder in ["info", "objects/info", "logs"] {
        remove_unless_folder(mirror, folder)?;
    }
    clear_worktrees(mirror)?;
    for name in NEVER {
        remove_known(mirror, name)?;
    }
    // One that lacks more than this is damaged, which is not for us to hide.
    let whole = ["objects", "refs"].iter().all(|folder| mirror.join(folder).is_dir());
    if whole && !untrusted::holds(&mirror.join("HEAD"), HEAD.trim_end()) {
        tracing::warn!(mirror = %mirror.display(), file = "HEAD", "changed by somebody; put back");
        replace(mirror, "HEAD", HEAD)?;
    }
    config_pin::restore(mirror)
}

/// Git looks at these of every worktree, whichever it works for.
fn clear_worktrees(mirror: &Path) -> Result<(), GitError> {
    let folder = mirror.join("worktrees");
    for entry in std::fs::read_dir(&folder).into_iter().flatten().filter_map(Result::ok) {
        let admin = entry.path();
        for file in ["HEAD", "gitdir", "commondir", "locked"] {
            if admin.join(file).symlink_metadata().is_ok_and(|about| !about.is_file() || about.len() > LARGEST) {
                remove_known(&admin, file)?;
            }
        }
    }
    Ok(())
}

/// What the mirror knows of one worktree: files that git reads, the link to the mirror, the log of HEAD. A folder that is
/// not there stays away.
pub(super) fn put_back_linked(admin: &Path) -> Result<(), GitError> {
    remove_unless_folder(admin.parent().unwrap_or(admin), admin.file_name().unwrap_or_default())?;
    if !admin.is_dir() {
        return Ok(());
    }
    told(
        admin,
        &remove(admin, false, &|name, kind, size| match kind {
            FileType::Directory => FILES.iter().any(|file| name == *file),
            FileType::RegularFile => size > if name == "index" { LARGEST_INDEX } else { LARGEST },
            FileType::Symlink
            | FileType::Fifo
            | FileType::Socket
            | FileType::CharacterDevice
            | FileType::BlockDevice
            | FileType::Unknown => true,
        }),
    );
    remove_known(admin, "config.worktree")?;
    for folder in ["logs", "refs"] {
        told(admin, &remove(&admin.join(folder), true, &|_, kind, _| !is_plain(kind)));
    }
    // Git believes this file more than its environment where it looks for refs.
    if !untrusted::holds(&admin.join("commondir"), "../..") {
        tracing::warn!(worktree = %admin.display(), file = "commondir", "changed by somebody; put back");
        replace(admin, "commondir", "../..\n")?;
    }
    Ok(())
}

/// What leads from a worktree that was finished to its task's branch, and from the mirror to its folder, where nobody can
/// read it any more: the folder's content stays what it is. Another branch or commit in HEAD is the agent's word.
pub(super) fn put_site_back(w: &Site) -> Result<(), GitError> {
    if !untrusted::holds(&w.admin.join(READY), &w.branch) {
        return Ok(());
    }
    if !is_head(&w.admin.join("HEAD")) {
        tracing::warn!(worktree = %w.admin.display(), file = "HEAD", "removed or garbled by somebody; put back");
        replace(&w.admin, "HEAD", &format!("ref: {}\n", w.branch_ref()))?;
    }
    let folder = w.path.join(".git").display().to_string();
    if !untrusted::holds(&w.admin.join("gitdir"), &folder) {
        tracing::warn!(worktree = %w.admin.display(), file = "gitdir", "changed by somebody; put back");
        replace(&w.admin, "gitdir", &format!("{folder}\n"))?;
    }
    Ok(())
}

fn is_head(path: &Path) -> bool {
    let Ok(Some(bytes)) = untrusted::read(path, 1024) else { return false };
    let text = bytes.trim_ascii_end();
    text.starts_with(b"ref: refs/") || matches!(text.len(), 40 | 64) && text.iter().all(u8::is_ascii_hexdigit)
}

/// Refs and their logs, loose and packed.
pub(super) fn put_refs_back(mirror: &Path) -> Result<(), GitError> {
    let odd_ref = |kind, size| !is_plain(kind) || kind == FileType::RegularFile && size > 4096;
    told(mirror, &remove(&mirror.join("refs"), true, &|_, kind, size| odd_ref(kind, size)));
    told(mirror, &remove(&mirror.join("logs"), true, &|_, kind, _| !is_plain(kind)));
    let Ok(Some(bytes)) = untrusted::read(&mirror.join("packed-refs"), LARGEST_PACKED) else { return Ok(()) };
    match packed_refs::mended(&bytes) {
        Some(mended) => write_packed(mirror, &mended).map_err(|e| GitError::io("mending packed-refs", e)),
        None => Ok(()),
    }
}

/// Under git's own lock for it; a git that has it writes what it knows, and the next look mends that.
fn write_packed(mirror: &Path, text: &[u8]) -> std::io::Result<()> {
    let lock = mirror.join("packed-refs.lock");
    let Ok(mut file) = std::fs::File::options().write(true).create_new(true).open(&lock) else { return Ok(()) };
    tracing::warn!(mirror = %mirror.display(), file = "packed-refs", "not as git writes it, or with replacements; mended");
    let written = file.write_all(text).and_then(|()| std::fs::rename(&lock, mirror.join("packed-refs")));
    written.inspect_err(|_| drop(std::fs::remove_file(&lock)))
}

/// What git would open in a worktree and wait for: it reads these files of every folder on its way.
pub(super) fn clear_work(work: &Path) {
    const READ: [&str; 4] = [".gitattributes", ".gitignore", ".gitmodules", ".mailmap"];
    told(work, &remove(work, true, &|name, kind, _| may_block(kind) && READ.iter().any(|read| name == *read)));
}

fn is_plain(kind: FileType) -> bool {
    matches!(kind, FileType::RegularFile | FileType::Directory)
}

fn told(place: &Path, removed: &[PathBuf]) {
    for path in removed {
        let file = path.strip_prefix(place).unwrap_or(path);
        tracing::warn!(mirror = %place.display(), file = %file.display(), "no file that git can read, or a giant; removed");
    }
}

fn remove_known(place: &Path, name: &str) -> Result<(), GitError> {
    let path = place.join(name);
    if path.symlink_metadata().is_err() {
        return Ok(());
    }
    tracing::warn!(mirror = %place.display(), file = name, "put there by somebody; removed");
    let parent = path.parent().unwrap_or(place);
    told(parent, &remove(parent, false, &|found, kind, _| may_block(kind) && Some(found) == path.file_name()));
    delete(&path).map_err(|e| GitError::io(format!("removing {}", path.display()), e))
}

fn remove_unless_folder(place: &Path, name: impl AsRef<Path>) -> Result<(), GitError> {
    let path = place.join(name.as_ref());
    if path.symlink_metadata().is_ok_and(|about| !about.is_dir()) {
        tracing::warn!(mirror = %place.display(), file = %name.as_ref().display(), "no folder; removed");
        return delete(&path).map_err(|e| GitError::io(format!("removing {}", path.display()), e));
    }
    Ok(())
}
