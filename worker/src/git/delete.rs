//! Removing a folder that strangers filled: no link is followed, whoever changes the folder meanwhile, folders without
//! any rights are no obstacle, and however deep it is, it takes a few open files and no recursion: what is deeper than
//! one level is moved up first.

use super::error::GitError;
use rustix::fs::{AtFlags, CWD, Dir, Mode, OFlags, chownat, openat, renameat, unlinkat};
use rustix::io::Errno;
use rustix::path::Arg;
use rustix::process::geteuid;
use std::ffi::CString;
use std::fs::Permissions;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// Names that are held at a time: a folder may have millions.
const MOST_NAMES: usize = 4096;
/// Begins the names of folders that were moved up.
const RAISED: &str = ".orch-removing-";

/// Removes a file, a symlink (not its target) or a whole folder; nothing there is fine.
pub(super) async fn delete_tree(path: &Path) -> Result<(), GitError> {
    let path = path.to_owned();
    let what = format!("removing {}", path.display());
    let done = tokio::task::spawn_blocking(move || delete(&path)).await.map_err(io::Error::other);
    done.and_then(|inner| inner).map_err(|e| GitError::io(what, e))
}

/// The same, on this thread.
pub(crate) fn delete(path: &Path) -> io::Result<()> {
    if gone(CWD, path)? {
        return Ok(());
    }
    let top = enter(CWD, path)?;
    let mut raised = 0;
    loop {
        let names = names_in(&top)?;
        if names.is_empty() {
            return Ok(unlinkat(CWD, path, AtFlags::REMOVEDIR)?);
        }
        for name in names {
            clear(&top, &name, &mut raised)?;
        }
    }
}

/// Makes way for a file of ours.
pub(super) fn delete_unless_file(path: &Path) -> io::Result<()> {
    if path.symlink_metadata().is_ok_and(|about| !about.is_file()) { delete(path) } else { Ok(()) }
}

/// Removes one entry of `top`; the folders in it become entries of `top`.
fn clear(top: &OwnedFd, name: &CString, raised: &mut u64) -> io::Result<()> {
    if gone(top, name)? {
        return Ok(());
    }
    let folder = enter(top, name)?;
    loop {
        let names = names_in(&folder)?;
        if names.is_empty() {
            return Ok(unlinkat(top, name, AtFlags::REMOVEDIR)?);
        }
        for inner in names {
            if !gone(&folder, &inner)? && unlinkat(&folder, &inner, AtFlags::REMOVEDIR).is_err() {
                raise(&folder, &inner, top, raised)?;
            }
        }
    }
}

/// Removes what is no folder; false = it is one.
fn gone(at: impl AsFd, name: impl Arg) -> io::Result<bool> {
    match unlinkat(at, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => Ok(true),
        Err(Errno::ISDIR) => Ok(false),
        Err(e) => Err(e.into()),
    }
}

fn raise(folder: &OwnedFd, name: &CString, top: &OwnedFd, raised: &mut u64) -> io::Result<()> {
    // Moving a folder writes to it: its own rights count.
    enter(folder, name)?;
    loop {
        *raised += 1;
        match renameat(folder, name, top, format!("{RAISED}{raised}")) {
            Ok(()) => return Ok(()),
            // An earlier removal that was cut short, or a file of that name.
            Err(Errno::NOTEMPTY | Errno::EXIST | Errno::NOTDIR) => {}
            Err(e) => return Err(e.into()),
        }
    }
}

/// Opens a folder (nothing else), with all rights in it.
fn enter(at: impl AsFd, name: impl Arg) -> io::Result<OwnedFd> {
    let way = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let held = openat(at, name, way, Mode::empty())?;
    let list = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    // Through the descriptor it is this folder and no other, also where its name leads elsewhere by now.
    let same = format!("/proc/self/fd/{}", held.as_raw_fd());
    // Only an owner may change a mode; a worker with the right to may own what the agents' user made.
    let _ = chownat(CWD, &same, Some(geteuid()), None, AtFlags::empty());
    let opened = std::fs::set_permissions(&same, Permissions::from_mode(0o700));
    match openat(CWD, &same, list, Mode::empty()) {
        Ok(folder) => Ok(folder),
        Err(e) => opened.and(Err(e.into())),
    }
}

/// Some of the names, none only where the folder is empty.
fn names_in(folder: &OwnedFd) -> io::Result<Vec<CString>> {
    let mut names = Vec::new();
    for entry in Dir::read_from(folder)? {
        let entry = entry?;
        if !matches!(entry.file_name().to_bytes(), b"." | b"..") {
            names.push(entry.file_name().to_owned());
            if names.len() == MOST_NAMES {
                break;
            }
        }
    }
    Ok(names)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    /// Folders in each other.
    pub(crate) fn dig(top: &Path, levels: usize) {
        let mut at = openat(CWD, top, OFlags::PATH | OFlags::DIRECTORY, Mode::empty()).unwrap();
        for _ in 0..levels {
            rustix::fs::mkdirat(&at, "deep", Mode::RWXU).unwrap();
            at = openat(&at, "deep", OFlags::PATH | OFlags::DIRECTORY, Mode::empty()).unwrap();
        }
    }

    #[tokio::test]
    async fn a_folder_of_many_names_goes_in_parts() {
        let dir = tempfile::tempdir().unwrap();
        let top = dir.path().join("top");
        for folder in ["", "inner"] {
            std::fs::create_dir(top.join(folder)).unwrap();
            for n in 0..MOST_NAMES + 10 {
                std::fs::write(top.join(folder).join(n.to_string()), "").unwrap();
            }
        }
        delete_tree(&top).await.unwrap();
        assert!(!top.exists());
    }

    #[tokio::test]
    async fn files_folders_symlinks_and_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let kept = dir.path().join("kept");
        std::fs::create_dir(&kept).unwrap();
        std::fs::write(kept.join("file"), "x").unwrap();
        let top = dir.path().join("top");
        std::fs::create_dir_all(top.join("a/b/c/d")).unwrap();
        for place in ["link", "a/link", "a/b/c/d/link"] {
            symlink(&kept, top.join(place)).unwrap();
        }
        delete_tree(&top).await.unwrap();
        assert!(!top.exists() && kept.join("file").exists());
        let link = dir.path().join("link");
        symlink(&kept, &link).unwrap();
        delete_tree(&link).await.unwrap();
        assert!(link.symlink_metadata().is_err() && kept.join("file").exists());
        delete_tree(&link).await.unwrap();
    }

    #[tokio::test]
    async fn folders_without_any_rights_are_no_obstacle() {
        let dir = tempfile::tempdir().unwrap();
        let top = dir.path().join("top");
        std::fs::create_dir_all(top.join("a/b/c")).unwrap();
        std::fs::write(top.join("a/b/c/file"), "x").unwrap();
        for closed in ["a/b/c", "a/b", "a", ""] {
            std::fs::set_permissions(top.join(closed), Permissions::from_mode(0o000)).unwrap();
        }
        delete_tree(&top).await.unwrap();
        assert!(!top.exists());
    }

    #[tokio::test]
    async fn a_deep_tree_goes_with_what_an_earlier_removal_left_of_it() {
        let dir = tempfile::tempdir().unwrap();
        let top = dir.path().join("top");
        // Deeper than a path may be long, and than files may be open.
        std::fs::create_dir(&top).unwrap();
        dig(&top, 5_000);
        for (name, file) in [("1", true), ("2", false)] {
            let left = top.join(format!("{RAISED}{name}"));
            if file { std::fs::write(left, "") } else { std::fs::create_dir_all(left.join("x/y")) }.unwrap();
        }
        delete_tree(&top).await.unwrap();
        assert!(!top.exists());
    }
}
