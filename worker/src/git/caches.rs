//! Cache folders of a test checkout on their way from one run to the next: they wait beside the checkout while that is
//! made anew. Folders are moved by name within folders that are held open, and no link is ever followed: what lies in a
//! checkout was written by tests. Whatever cannot be moved is not kept; that costs the next run time and nothing else.

use super::delete::delete_tree;
use super::error::GitError;
use rustix::fs::{AtFlags, CWD, FileType, Gid, Mode, OFlags, Uid, chownat, mkdirat, openat, renameat, statat};
use rustix::io::Errno;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

/// The caches of one checkout.
#[derive(Debug, Clone)]
pub(super) struct Caches {
    checkout: PathBuf,
    /// Where they wait; nobody else's to look into.
    aside: PathBuf,
    paths: Vec<String>,
    /// Whose the checkout is, if not ours.
    owner: Option<(u32, u32)>,
}

impl Caches {
    /// `paths` are relative to the checkout and were checked by the configuration.
    pub(super) fn new(checkout: &Path, aside: &Path, paths: &[String], owner: Option<(u32, u32)>) -> Caches {
        Caches { checkout: checkout.to_owned(), aside: aside.to_owned(), paths: paths.to_vec(), owner }
    }

    /// Takes the caches out of the checkout. One that waits already, because an earlier attempt was cut short, goes on
    /// waiting unless the checkout has it.
    pub(super) async fn put_aside(&self) -> Result<(), GitError> {
        if self.paths.is_empty() {
            return delete_tree(&self.aside).await;
        }
        self.make_aside().await?;
        for path in &self.paths {
            let Some((parents, name)) = parts(path) else { continue };
            let waiting = self.aside.join(file_name(path));
            let Ok(from) = descend(&self.checkout, &parents, |_, _| Err(Errno::NOENT)) else { continue };
            if !is_folder_of(&from, name, self.owner) {
                continue;
            }
            delete_tree(&waiting).await?;
            if let Err(error) = renameat(&from, name, CWD, &waiting) {
                tracing::warn!(path, %error, "a cache of the tests is not kept: it cannot be moved");
            }
        }
        Ok(())
    }

    /// Puts them back into a checkout that was just made, and removes those that have no place in it.
    pub(super) async fn put_back(&self) -> Result<(), GitError> {
        for path in &self.paths {
            let waiting = self.aside.join(file_name(path));
            // Between look and move it could have been replaced: what waits is looked at again, where nobody can.
            if !waiting.symlink_metadata().is_ok_and(|about| about.is_dir()) {
                continue;
            }
            if let Some((parents, name)) = parts(path)
                && let Err(error) = self.give(&waiting, &parents, name)
            {
                tracing::warn!(path, %error, "a cache of the tests is not kept: the commit has something in its place");
            }
        }
        delete_tree(&self.aside).await
    }

    fn give(&self, waiting: &Path, parents: &[&str], name: &str) -> Result<(), Errno> {
        let into = descend(&self.checkout, parents, |at, part| self.make_folder(at, part))?;
        match statat(&into, name, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => renameat(CWD, waiting, &into, name),
            Ok(_) => Err(Errno::EXIST),
            Err(e) => Err(e),
        }
    }

    fn make_folder(&self, at: &OwnedFd, name: &str) -> Result<(), Errno> {
        mkdirat(at, name, Mode::from_raw_mode(0o755))?;
        let Some((uid, gid)) = self.owner else { return Ok(()) };
        chownat(at, name, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)), AtFlags::SYMLINK_NOFOLLOW)
    }

    async fn make_aside(&self) -> Result<(), GitError> {
        let ours = self.aside.symlink_metadata().is_ok_and(|about| {
            about.is_dir() && about.uid() == rustix::process::geteuid().as_raw() && about.mode() & 0o077 == 0
        });
        if ours {
            return Ok(());
        }
        delete_tree(&self.aside).await?;
        let made = std::fs::DirBuilder::new().mode(0o700).recursive(true).create(&self.aside);
        made.map_err(|e| GitError::io(format!("making {}", self.aside.display()), e))
    }
}

/// The folders above, and the name.
fn parts(path: &str) -> Option<(Vec<&str>, &str)> {
    let mut parts: Vec<&str> = path.split('/').collect();
    let name = parts.pop()?;
    Some((parts, name))
}

/// One name for a path.
fn file_name(path: &str) -> String {
    path.replace('%', "%25").replace('/', "%2F")
}

/// Opens the folder that is reached through real folders only; `missing` makes, or refuses, one that is not there.
fn descend(
    top: &Path,
    parts: &[&str],
    missing: impl Fn(&OwnedFd, &str) -> Result<(), Errno>,
) -> Result<OwnedFd, Errno> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut at = openat(CWD, top, flags, Mode::empty())?;
    for part in parts {
        let found = match openat(&at, *part, flags, Mode::empty()) {
            Err(Errno::NOENT) => missing(&at, part).and_then(|()| openat(&at, *part, flags, Mode::empty())),
            found => found,
        };
        at = found?;
    }
    Ok(at)
}

/// A real folder, and its owner's who runs the tests.
fn is_folder_of(at: &OwnedFd, name: &str, owner: Option<(u32, u32)>) -> bool {
    let uid = owner.map_or_else(|| rustix::process::geteuid().as_raw(), |(uid, _)| uid);
    statat(at, name, AtFlags::SYMLINK_NOFOLLOW)
        .is_ok_and(|about| FileType::from_raw_mode(about.st_mode) == FileType::Directory && about.st_uid == uid)
}
