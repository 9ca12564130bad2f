//! Taking the files of nested repositories into the commit of the folder around them, without their `.git`.

use super::error::GitError;
use super::nested::{Found, registered};
use super::repos::Repos;
use super::staging::{LIST_CAP, Notes, Own, Room, remove_index};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use tokio_util::sync::CancellationToken;

/// A repository in a repository in a repository ...
const DEEPEST: usize = 8;

impl Repos {
    pub(super) async fn take_nested(
        &self,
        own: &Own<'_>,
        found: Vec<Found>,
        notes: &mut Notes,
        cancel: &CancellationToken,
    ) -> Result<(), GitError> {
        if found.is_empty() {
            return Ok(());
        }
        let modules =
            own.call().args(["config", "-z", "--blob=:.gitmodules", "--get-regexp", "^submodule\\..*\\.path$"]);
        let modules = registered(&self.try_in(own.room, modules, cancel).await?.stdout);
        for nested in found {
            let (path, folder) = (super::commit::path_of(&nested.path), own.room.inside(&nested.path));
            if super::nested::is_worktree_of(&folder.work, &own.room.git_dir) {
                notes.worktrees.push(path);
            } else if modules.contains(&nested.path) {
                if nested.pointer.is_none() {
                    let add = own.call().args(["update-index", "--add", "-z", "--stdin"]).input(nested.path.clone());
                    self.try_in(own.room, add, cancel).await?;
                }
                notes.submodules.push((path, nested.pointer));
            } else if super::nested::has_files(&folder.work) {
                self.take_in_one(own, &nested, &folder, notes, cancel).await?;
            } else if nested.pointer.is_some() && folder.work.is_dir() {
                notes.empty.push(path);
            } else if nested.pointer.is_some() {
                self.forget(own, &nested.path, cancel).await?;
            }
        }
        Ok(())
    }

    /// The files of a nested repository take the place of its pointer.
    async fn take_in_one(
        &self,
        own: &Own<'_>,
        nested: &Found,
        folder: &Room,
        notes: &mut Notes,
        cancel: &CancellationToken,
    ) -> Result<(), GitError> {
        let path = super::commit::path_of(&nested.path);
        if own.depth >= DEEPEST {
            notes.unread.push(path);
            return Ok(());
        }
        let (depth, mut index) = (own.depth + 1, own.index.clone().into_os_string());
        index.push("-in");
        let inner = Own { room: folder, index: index.into(), depth };
        let inside = Box::pin(self.fill(&inner, None, None, cancel)).await?;
        self.drop_ignored(own, &inner, &nested.path, cancel).await?;
        let tree = self.do_in(folder, inner.call().args(["write-tree"]), cancel).await?.line();
        remove_index(&inner.index)?;
        self.forget(own, &nested.path, cancel).await?;
        let mut prefix = std::ffi::OsString::from("--prefix=");
        prefix.push(&path);
        prefix.push("/");
        let put = own.call().args(["read-tree".into(), prefix, tree.into()]);
        self.do_in(own.room, put, cancel).await?;
        let below = |paths: Vec<PathBuf>| paths.into_iter().map(|p| path.join(p)).collect::<Vec<_>>();
        notes.nested.extend(std::iter::once(path.clone()).chain(below(inside.nested)));
        notes.worktrees.extend(below(inside.worktrees));
        notes.empty.extend(below(inside.empty));
        notes.unread.extend(below(inside.unread));
        Ok(())
    }

    /// The rules of the folder around it hold for a nested repository, too (`node_modules/`, `target/`).
    async fn drop_ignored(
        &self,
        outer: &Own<'_>,
        inner: &Own<'_>,
        at: &[u8],
        cancel: &CancellationToken,
    ) -> Result<(), GitError> {
        let mut list = inner.call().args(["ls-files", "-z"]);
        list.cap = LIST_CAP;
        let names = self.do_in(inner.room, list, cancel).await?.stdout;
        let whole: Vec<u8> = names
            .split(|b| *b == 0)
            .filter(|name| !name.is_empty())
            .flat_map(|name| [at, b"/", name, b"\0"].concat())
            .collect();
        if whole.is_empty() {
            return Ok(());
        }
        // Without an index: one that knows a pointer there refuses to look beyond it.
        let mut ask = outer.call().args(["check-ignore", "--no-index", "-z", "--stdin"]).input(whole);
        ask = ask.env("GIT_INDEX_FILE", inner.index.with_extension("none"));
        ask.cap = LIST_CAP;
        let ignored = self.try_in(outer.room, ask, cancel).await?;
        if ignored.code > 1 {
            return Err(ignored.error());
        }
        let inside = ignored.stdout.split(|b| *b == 0).filter_map(|name| name.strip_prefix(at)?.strip_prefix(b"/"));
        let names: Vec<u8> = inside.flat_map(|name| [name, b"\0"].concat()).collect();
        self.remove_from(inner, names, cancel).await
    }

    /// Takes a pointer, or all files below a path, out of the index.
    async fn forget(&self, own: &Own<'_>, path: &[u8], cancel: &CancellationToken) -> Result<(), GitError> {
        let spec = [b":(top,literal)", path].concat();
        let mut list = own.call().args(["ls-files", "-z", "--"]).args([std::ffi::OsStr::from_bytes(&spec)]);
        list.cap = LIST_CAP;
        let names = self.do_in(own.room, list, cancel).await?.stdout;
        self.remove_from(own, names, cancel).await
    }
}
