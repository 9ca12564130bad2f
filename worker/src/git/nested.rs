//! Repositories inside an agent's folder, told from git's lists and the first bytes of their `.git`; none of them is
//! entered by git, whose configuration would be obeyed there.

use rustix::fs::{Mode, OFlags, open};
use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// A path and an end of line.
const LONGEST_LINK: u64 = 8192;

/// A pointer of the tree, or a repository that is not in the tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    /// From the top of the folder.
    pub(super) path: Vec<u8>,
    /// The commit that the tree has of it.
    pub(super) pointer: Option<String>,
}

/// Reads `ls-files -z --stage --others`: pointers (`160000 <id> 0<TAB>path`) and untracked repositories (`path/`).
pub(super) fn listed(stdout: &[u8]) -> Vec<Found> {
    stdout.split(|b| *b == 0).filter_map(one).collect()
}

fn one(line: &[u8]) -> Option<Found> {
    if let Some(rest) = line.strip_prefix(b"160000 ") {
        let tab = rest.iter().position(|b| *b == b'\t')?;
        let id = rest.split(|b| *b == b' ').next()?;
        return Some(Found { path: rest.get(tab + 1..)?.to_vec(), pointer: Some(String::from_utf8_lossy(id).into()) });
    }
    let path = line.strip_suffix(b"/")?;
    Some(Found { path: path.to_vec(), pointer: None })
}

/// The paths in `config -z --get-regexp` of a `.gitmodules`: `name\nvalue\0`.
pub(super) fn registered(stdout: &[u8]) -> BTreeSet<Vec<u8>> {
    let entries = stdout.split(|b| *b == 0);
    let values = entries.filter_map(|e| e.get(e.iter().position(|b| *b == b'\n')? + 1..));
    values.map(|path| path.strip_suffix(b"/").unwrap_or(path).to_vec()).collect()
}

/// Whether a real folder is there with anything but git's own entry in it.
pub(super) fn has_files(path: &Path) -> bool {
    path.symlink_metadata().is_ok_and(|m| m.is_dir())
        && std::fs::read_dir(path).is_ok_and(|all| all.filter_map(Result::ok).any(|e| e.file_name() != ".git"))
}

/// Whether the folder is a linked worktree of the repository `git_dir`.
pub(super) fn is_worktree_of(folder: &Path, git_dir: &Path) -> bool {
    let Some(text) = small_file(&folder.join(".git"), LONGEST_LINK) else { return false };
    let begin = [b"gitdir: ", git_dir.join("worktrees").as_os_str().as_bytes(), b"/"].concat();
    text.starts_with(&begin)
}

/// A regular file, whole, if it is not longer than `most`; no link is followed, nothing is waited for.
pub(super) fn small_file(path: &Path, most: u64) -> Option<Vec<u8>> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = File::from(open(path, flags, Mode::empty()).ok()?);
    let about = file.metadata().ok()?;
    let mut bytes = Vec::new();
    let fits = about.is_file() && about.len() <= most && file.take(most).read_to_end(&mut bytes).is_ok();
    fits.then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pointers_and_untracked_repositories_are_told_from_files() {
        let id = "a".repeat(40);
        let text = format!("100644 {id} 0\ta/b\0160000 {id} 0\todd\nname\0new/\0file\0");
        let found = listed(text.as_bytes());
        let wanted =
            [Found { path: b"odd\nname".to_vec(), pointer: Some(id) }, Found { path: b"new".to_vec(), pointer: None }];
        assert_eq!(found, wanted);
        assert!(listed(b"").is_empty());
    }

    #[test]
    fn registered_submodules_are_the_values() {
        let found = registered(b"submodule.a.path\nlibs/a\0submodule.b.path\nlibs/b/\0");
        assert_eq!(found, BTreeSet::from([b"libs/a".to_vec(), b"libs/b".to_vec()]));
        assert!(registered(b"").is_empty());
    }
}
