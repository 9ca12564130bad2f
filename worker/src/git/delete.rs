//! Removing a folder that strangers filled: never follows a symlink, and copes with folders that were made
//! read-only (package caches do that).

use super::error::GitError;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Removes a file, a symlink (not its target) or a whole folder; nothing there is fine.
pub(super) async fn delete_tree(path: &Path) -> Result<(), GitError> {
    let path = path.to_owned();
    let what = format!("removing {}", path.display());
    let done = tokio::task::spawn_blocking(move || delete(&path)).await.map_err(io::Error::other);
    done.and_then(|inner| inner).map_err(|e| GitError::io(what, e))
}

/// The same, on this thread.
pub(super) fn delete(path: &Path) -> io::Result<()> {
    let kind = match path.symlink_metadata() {
        Ok(meta) => meta.file_type(),
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(e),
    };
    if !kind.is_dir() {
        return std::fs::remove_file(path);
    }
    match std::fs::remove_dir_all(path) {
        Err(e) if e.kind() == io::ErrorKind::PermissionDenied => {
            make_writable(path)?;
            std::fs::remove_dir_all(path)
        }
        other => other,
    }
}

/// Makes way for a file of ours.
pub(super) fn delete_unless_file(path: &Path) -> io::Result<()> {
    if path.symlink_metadata().is_ok_and(|about| !about.is_file()) { delete(path) } else { Ok(()) }
}

/// Gives the owner back the right to change every folder below (and including) `top`.
fn make_writable(top: &Path) -> io::Result<()> {
    let mut folders: Vec<PathBuf> = vec![top.to_owned()];
    while let Some(folder) = folders.pop() {
        std::fs::set_permissions(&folder, PermissionsExt::from_mode(0o700))?;
        for entry in std::fs::read_dir(&folder)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                folders.push(entry.path());
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn files_folders_symlinks_and_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let kept = dir.path().join("kept");
        std::fs::create_dir(&kept).unwrap();
        std::fs::write(kept.join("file"), "x").unwrap();
        let top = dir.path().join("top");
        std::fs::create_dir_all(top.join("a/b")).unwrap();
        std::os::unix::fs::symlink(&kept, top.join("a/link")).unwrap();
        std::fs::set_permissions(top.join("a"), PermissionsExt::from_mode(0o500)).unwrap();
        delete_tree(&top).await.unwrap();
        assert!(!top.exists() && kept.join("file").exists());
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(&kept, &link).unwrap();
        delete_tree(&link).await.unwrap();
        assert!(link.symlink_metadata().is_err() && kept.join("file").exists());
        delete_tree(&link).await.unwrap();
    }

    #[test]
    fn read_only_folders_become_writable() {
        let dir = tempfile::tempdir().unwrap();
        let deep = dir.path().join("a/b");
        std::fs::create_dir_all(&deep).unwrap();
        std::fs::set_permissions(&deep, PermissionsExt::from_mode(0o500)).unwrap();
        make_writable(dir.path()).unwrap();
        assert_eq!(deep.metadata().unwrap().permissions().mode() & 0o777, 0o700);
    }
}
