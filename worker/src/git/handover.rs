//! One file of objects that goes from the worker to the agents' user, or back.

use super::delete::delete;
use super::error::GitError;
use super::repos::Repos;
use super::workshop::{FOLDER, Tenant, set_mode};
use std::fs::{self, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

/// The most that an agent's commits may weigh.
const LARGEST: u64 = 4 << 30;

/// A folder for one file that goes from one user to the other; removed when dropped.
pub(super) struct Handover {
    file: PathBuf,
    folder: PathBuf,
    tenant: Tenant,
}

impl Handover {
    /// `from_tenant`: the folder is the tenant's to write in; else ours, and the tenant may only pass through it.
    pub(super) fn new(root: &Path, tenant: &Tenant, from_tenant: bool) -> Result<Handover, GitError> {
        let io = |e| GitError::io("making a folder for a bundle", e);
        let place = root.join(FOLDER);
        fs::create_dir_all(&place).map_err(io)?;
        set_mode(&place, 0o711)?;
        let folder = tempfile::Builder::new().prefix("bundle-").tempdir_in(place).map_err(io)?.keep();
        let handover = Handover { file: folder.join("commits.bundle"), folder, tenant: tenant.clone() };
        if from_tenant {
            chown(&handover.folder, Some(tenant.uid), Some(tenant.gid)).map_err(io)?;
        } else {
            fs::set_permissions(&handover.folder, Permissions::from_mode(0o711)).map_err(io)?;
        }
        Ok(handover)
    }

    pub(super) fn file(&self) -> &Path {
        &self.file
    }

    /// Lets the tenant, and nobody else, read it.
    pub(super) fn give(&self) -> Result<(), GitError> {
        let io = |e| GitError::io("handing a bundle over", e);
        chown(&self.file, None, Some(self.tenant.gid)).map_err(io)?;
        fs::set_permissions(&self.file, Permissions::from_mode(0o640)).map_err(io)
    }

    /// A copy of ours: the tenant can no longer change it, nor could it have been a link to somebody else's file.
    pub(super) fn take(&self) -> Result<tempfile::NamedTempFile, GitError> {
        let io = |e| GitError::io("taking a bundle over", e);
        let flags = nix::libc::O_NOFOLLOW | nix::libc::O_NONBLOCK;
        let from = OpenOptions::new().read(true).custom_flags(flags).open(&self.file).map_err(io)?;
        let meta = from.metadata().map_err(io)?;
        if !meta.is_file() || meta.uid() != self.tenant.uid || meta.nlink() != 1 {
            return Err(GitError::Other { tail: "the bundle is not a file of the agents' user".into() });
        }
        if meta.len() > LARGEST {
            return Err(GitError::TooLarge { cap: usize::try_from(LARGEST).unwrap_or(usize::MAX) });
        }
        let mut copy = tempfile::NamedTempFile::new().map_err(io)?;
        copy_all(&from, copy.as_file_mut()).map_err(io)?;
        Ok(copy)
    }
}

impl Drop for Handover {
    /// The tenant may have put anything in there, as deep as it liked.
    fn drop(&mut self) {
        if let Err(error) = delete(&self.folder) {
            tracing::warn!(%error, folder = %self.folder.display(), "a bundle's folder could not be removed");
        }
    }
}

/// Files for runs, by the run's name; an owner's name never begins with a dot.
const FILES: &str = ".files";

impl Repos {
    /// Where the agents' user finds what is handed over for a run.
    pub fn handed_over(&self, run: &str) -> PathBuf {
        self.root().join(FOLDER).join(FILES).join(run)
    }

    /// Copies files under these names to where the agents' user, and no other, can read them.
    pub fn give_files(&self, tenant: &Tenant, run: &str, files: &[(PathBuf, String)]) -> io::Result<()> {
        let place = self.handed_over(run);
        fs::create_dir_all(&place)?;
        for passed in place.ancestors().skip(1).take(2) {
            fs::set_permissions(passed, Permissions::from_mode(0o711))?;
        }
        let give = |path: &Path, mode: u32| {
            chown(path, None, Some(tenant.gid)).and_then(|()| fs::set_permissions(path, Permissions::from_mode(mode)))
        };
        for (from, name) in files {
            let to = place.join(name);
            fs::copy(from, &to)?;
            give(&to, 0o640)?;
        }
        give(&place, 0o750)
    }
}

fn copy_all(from: &File, to: &mut File) -> io::Result<()> {
    let copied = io::copy(&mut io::Read::take(from, LARGEST), to)?;
    tracing::trace!(bytes = copied, "a bundle was taken over");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::delete::tests::dig;
    use super::*;
    use nix::unistd::{getgid, getuid};

    #[test]
    fn its_folder_goes_whatever_the_tenant_put_there() {
        let root = tempfile::tempdir().unwrap();
        let (uid, gid, home) = (getuid().as_raw(), getgid().as_raw(), root.path().to_owned());
        let tenant = Tenant { uid, gid, home };
        let handover = Handover::new(root.path(), &tenant, true).unwrap();
        let folder = handover.folder.clone();
        dig(&folder, 20_000);
        std::thread::Builder::new().stack_size(256 << 10).spawn(move || drop(handover)).unwrap().join().unwrap();
        assert!(!folder.exists());
    }
}
