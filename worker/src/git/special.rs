//! Finding what is neither a file nor a folder, or too large for what it stands for, below a folder that an agent writes
//! to, and removing it. No link is followed on the way: each folder is opened below the one before.

use super::delete::delete;
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, Stat, open, openat, statat, unlinkat};
use std::ffi::OsStr;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Entries that are looked at in one go. More are no honest repository's; git will take its time with them.
const MOST: usize = 2_000_000;
/// Deeper than a path may be.
const DEEPEST: usize = 2048;

/// What is found, by its name and what the system says of it; true: remove it.
pub(super) type Judge<'a> = &'a dyn Fn(&OsStr, FileType, u64) -> bool;

/// A pipe, a socket, a device: opening it for reading may never return.
pub(super) fn may_block(kind: FileType) -> bool {
    matches!(kind, FileType::Fifo | FileType::Socket | FileType::CharacterDevice | FileType::BlockDevice)
}

/// Removes what `judge` says from `folder`, and with `deep` from the folders in it; gives what was removed. A folder that
/// is not there, or not one, is left alone. Only files, links and the like are judged, and folders whose name is.
pub(super) fn remove(folder: &Path, deep: bool, judge: Judge<'_>) -> Vec<PathBuf> {
    let mut sweep = Sweep { judge, deep, left: MOST, removed: Vec::new() };
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    if let Ok(top) = open(folder, flags, Mode::empty()) {
        sweep.look(top, folder, 0);
    }
    sweep.removed
}

struct Sweep<'a> {
    judge: Judge<'a>,
    deep: bool,
    left: usize,
    removed: Vec<PathBuf>,
}

impl Sweep<'_> {
    fn look(&mut self, folder: OwnedFd, path: &Path, depth: usize) {
        let mut below = Vec::new();
        for entry in Dir::read_from(&folder).into_iter().flatten().filter_map(Result::ok) {
            let name = OsStr::from_bytes(entry.file_name().to_bytes());
            if name == "." || name == ".." {
                continue;
            }
            let Some(left) = self.left.checked_sub(1) else { return };
            self.left = left;
            let Ok(about) = statat(&folder, name, AtFlags::SYMLINK_NOFOLLOW) else { continue };
            if (self.judge)(name, kind_of(&about), u64::try_from(about.st_size).unwrap_or(0)) {
                self.remove(&folder, path, name, kind_of(&about));
            } else if self.deep && kind_of(&about) == FileType::Directory && depth < DEEPEST {
                below.push(name.to_owned());
            }
        }
        for name in below {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            if let Ok(next) = openat(&folder, &name, flags, Mode::empty()) {
                self.look(next, &path.join(&name), depth + 1);
            }
        }
    }

    fn remove(&mut self, folder: &OwnedFd, path: &Path, name: &OsStr, kind: FileType) {
        let path = path.join(name);
        let gone = if kind == FileType::Directory {
            delete(&path).is_ok()
        } else {
            if kind == FileType::Fifo {
                let_go(folder, name);
            }
            unlinkat(folder, name, AtFlags::empty()).is_ok()
        };
        if gone {
            self.removed.push(path);
        }
    }
}

/// Who waits for the other end of a pipe has it for a moment, and then the end of the file.
fn let_go(folder: &OwnedFd, name: &OsStr) {
    let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let _closed_again = openat(folder, name, flags, Mode::empty());
}

fn kind_of(about: &Stat) -> FileType {
    FileType::from_raw_mode(about.st_mode)
}
