//! What is kept from agents that run as a user of their own: the database, the runs of others, the mirrors. Looked at
//! once, when the worker starts; a worker that cannot keep them apart does not start.

use super::account::{Account, AccountError};
use crate::git::Tenant;
use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

/// Why agents cannot be kept apart.
#[derive(Debug, thiserror::Error)]
pub enum SeclusionError {
    /// A fault of the configuration or the installation.
    #[error(transparent)]
    Account(#[from] AccountError),
    /// Its owner, or a group of the agents' user, may read it, and that cannot be changed here.
    #[error("{} can be read by the agents' user", .0.display())]
    Open(PathBuf),
    /// The system refused.
    #[error("{path}: {source}", path = path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
}

/// The user `name` as somebody to work for us, with a home that exists; `None` if that is who we are.
pub fn tenant(name: &str, home: Option<&Path>) -> Result<Option<Tenant>, SeclusionError> {
    let Some(account) = Account::to_become(name)? else { return Ok(None) };
    let home = home.map_or(account.home, Path::to_owned);
    let tenant = Tenant { uid: account.uid, gid: account.gid, home };
    if !tenant.home.exists() {
        let io = |source| SeclusionError::Io { path: tenant.home.clone(), source };
        DirBuilder::new().mode(0o700).create(&tenant.home).map_err(io)?;
        chown(&tenant.home, Some(tenant.uid), Some(tenant.gid)).map_err(io)?;
    }
    Ok(Some(tenant))
}

/// Takes the rights of all others away from the database and the folder of the runs, and the right to look around
/// from the folder of the repositories.
pub fn close(tenant: &Tenant, database: &Path, runs: &Path, repos: &Path) -> Result<(), SeclusionError> {
    let beside = |suffix: &str| PathBuf::from(format!("{}{suffix}", database.display()));
    let files = ["", "-wal", "-shm"].map(beside);
    for path in files.iter().filter(|path| path.exists()) {
        limit(path, 0o770)?;
        refuse_readable(tenant, path)?;
    }
    limit(runs, 0o700)?;
    refuse_readable(tenant, runs)?;
    limit(repos, 0o711)
}

/// The first folder on the way to `path` that the tenant may not pass. Access lists are not looked at: a warning's matter.
pub fn blocked_at(tenant: &Tenant, path: &Path) -> Option<PathBuf> {
    let mut way: Vec<&Path> = path.ancestors().skip(1).filter(|folder| !folder.as_os_str().is_empty()).collect();
    way.reverse();
    let closed = |folder: &&Path| folder.metadata().is_ok_and(|meta| rights_of(tenant, &meta) & 0o1 == 0);
    way.into_iter().find(closed).map(Path::to_owned)
}

/// Leaves at most the rights in `mask`.
fn limit(path: &Path, mask: u32) -> Result<(), SeclusionError> {
    let io = |source| SeclusionError::Io { path: path.to_owned(), source };
    let mode = fs::metadata(path).map_err(io)?.permissions().mode() & 0o7777;
    if mode & !mask == 0 {
        return Ok(());
    }
    fs::set_permissions(path, Permissions::from_mode(mode & mask)).map_err(io)
}

fn refuse_readable(tenant: &Tenant, path: &Path) -> Result<(), SeclusionError> {
    let meta = fs::metadata(path).map_err(|source| SeclusionError::Io { path: path.to_owned(), source })?;
    if rights_of(tenant, &meta) & 0o4 == 0 { Ok(()) } else { Err(SeclusionError::Open(path.to_owned())) }
}

/// The three bits that count for the tenant.
fn rights_of(tenant: &Tenant, meta: &fs::Metadata) -> u32 {
    let shift = match (meta.uid() == tenant.uid, meta.gid() == tenant.gid) {
        (true, _) => 6,
        (false, true) => 3,
        (false, false) => 0,
    };
    (meta.permissions().mode() >> shift) & 0o7
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode_of(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn a_closed_folder_on_the_way_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let closed = dir.path().join("closed");
        fs::create_dir(&closed).unwrap();
        let own = fs::metadata(&closed).unwrap();
        let tenant = |uid| Tenant { uid, gid: own.gid() + 1, home: "/".into() };
        let stranger = tenant(own.uid() + 1);
        let open = |path: &Path, mode| fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
        open(dir.path(), 0o711);
        open(&closed, 0o700);
        assert_eq!(blocked_at(&stranger, &closed.join("repos/x")), Some(closed.clone()));
        assert_eq!(blocked_at(&stranger, &closed), None);
        assert_eq!(blocked_at(&tenant(own.uid()), &closed.join("repos")), None);
        open(&closed, 0o711);
        assert_eq!(blocked_at(&stranger, &closed.join("repos/x")), None);
    }

    #[test]
    fn others_lose_their_rights_and_a_shared_owner_or_group_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let (database, runs, repos) = (dir.path().join("db"), dir.path().join("runs"), dir.path().join("repos"));
        let wal = dir.path().join("db-wal");
        for file in [&database, &wal] {
            fs::write(file, "").unwrap();
            fs::set_permissions(file, Permissions::from_mode(0o644)).unwrap();
        }
        for folder in [&runs, &repos] {
            fs::create_dir(folder).unwrap();
            fs::set_permissions(folder, Permissions::from_mode(0o755)).unwrap();
        }
        let own = fs::metadata(&database).unwrap();
        let tenant = |uid, gid| Tenant { uid, gid, home: "/".into() };
        let stranger = tenant(own.uid() + 1, own.gid() + 1);
        close(&stranger, &database, &runs, &repos).unwrap();
        let modes = [&database, &wal, &runs, &repos].map(|p| mode_of(p));
        assert_eq!(modes, [0o640, 0o640, 0o700, 0o711]);
        close(&stranger, &database, &runs, &repos).unwrap();
        for shared in [tenant(own.uid(), own.gid() + 1), tenant(own.uid() + 1, own.gid())] {
            let refused = close(&shared, &database, &runs, &repos).unwrap_err();
            assert!(matches!(&refused, SeclusionError::Open(path) if *path == database), "{refused}");
        }
    }
}
