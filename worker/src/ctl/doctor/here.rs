//! This machine: the database, the disk, git, the agent program, who may read what.

use super::report::Report;
use crate::agent::Identity;
use crate::context::remote_of;
use crate::git::{GitError, GitSettings, probe};
use orch_common::config::Config;
use orch_common::store::{Conn, Store, StoreError, StoreOptions, deliveries, workers};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;

/// Less free space than this is a matter of hours, in MiB; half of it, of minutes.
const ROOM_MIB: u64 = 2048;

/// What the database knows that other checks ask for.
#[derive(Debug, Default)]
pub struct Known {
    /// When the newest delivery of each source came, in ms.
    pub plane_heard: Option<i64>,
    pub gitea_heard: Option<i64>,
    /// Process numbers of the workers that live on this machine.
    pub workers: Vec<i32>,
}

/// Path, schema, journal; the worker's signs of life.
pub fn database(report: &mut Report, config: &Config, now: i64) -> Known {
    let path = &config.database.path;
    let folder = path.parent().filter(|f| !f.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if !path.exists() {
        match writable(folder) {
            Ok(()) => report.warn("database", format!("{} is not there yet", path.display()), "run `orchctl migrate`"),
            Err(why) => report.fail("database", why, "make the folder, or set database.path"),
        }
        return Known::default();
    }
    if let Err(why) = writable(folder) {
        report.fail("database", why, "the journal is made beside the file: the folder must be writable");
        return Known::default();
    }
    match look(path, now) {
        Ok((known, heartbeat)) => {
            report.ok("database", format!("{} opens, its schema is current, its journal is a WAL", path.display()));
            match heartbeat {
                Some(age_s) if age_s <= config.worker.heartbeat_dead_s => {
                    report.ok("worker", format!("a worker gave a sign of life {age_s} s ago"));
                }
                Some(age_s) => {
                    report.warn("worker", format!("the last sign of life is {age_s} s old"), "start orch-worker");
                }
                None => report.warn("worker", "none has ever run on this database", "start orch-worker"),
            }
            known
        }
        Err(error) => {
            report.fail("database", error.to_string(), "run `orchctl migrate`, or restore a backup");
            Known::default()
        }
    }
}

fn look(path: &Path, now: i64) -> Result<(Known, Option<u64>), StoreError> {
    let store = Store::open(&StoreOptions { pool_size: 1, ..StoreOptions::new(path) })?;
    store.check_schema()?;
    // A lock that is taken and given back: the file can be written.
    store.write_now(|_| Ok(()))?;
    let conn: &mut Conn = &mut *store.connection()?;
    let known_workers = workers::all(conn)?;
    let newest = known_workers.iter().map(|w| w.heartbeat_at).max();
    let heartbeat = newest.map(|at| u64::try_from(now.saturating_sub(at) / 1000).unwrap_or(0));
    let known = Known {
        plane_heard: deliveries::last_received(conn, deliveries::Source::Plane)?,
        gitea_heard: deliveries::last_received(conn, deliveries::Source::Gitea)?,
        workers: known_workers.into_iter().filter_map(living).collect(),
    };
    Ok((known, heartbeat))
}

fn living(worker: workers::Worker) -> Option<i32> {
    let start_ticks = u64::try_from(worker.pid_start).ok()?;
    let identity = Identity { pid: worker.pid, start_ticks, boot_id: worker.boot_id };
    identity.is_alive().then_some(identity.pid)
}

fn writable(folder: &Path) -> Result<(), String> {
    tempfile::tempfile_in(folder).map(drop).map_err(|e| format!("{} cannot be written: {e}", folder.display()))
}

/// Free space where the database, the worktrees and the logs are.
pub fn disk(report: &mut Report, config: &Config) {
    let parent = |path: &Path| {
        let there = path.ancestors().find(|p| !p.as_os_str().is_empty() && p.exists());
        there.map_or_else(|| Path::new(".").to_path_buf(), Path::to_path_buf)
    };
    let places = [&config.database.path, &config.worker.repos_dir, &config.worker.runs_dir];
    let mut seen = Vec::new();
    for place in places.map(|p| parent(p)) {
        let Ok(device) = place.metadata().map(|m| m.dev()) else { continue };
        if seen.contains(&device) {
            continue;
        }
        seen.push(device);
        let check = format!("disk {}", place.display());
        match rustix::fs::statvfs(&place) {
            Ok(found) => {
                let mib = found.f_bavail.saturating_mul(found.f_frsize) >> 20;
                match mib {
                    m if m >= ROOM_MIB => report.ok(check, format!("{mib} MiB free")),
                    m if m >= ROOM_MIB / 2 => report.warn(check, format!("only {mib} MiB free"), "make room"),
                    _ => report.fail(check, format!("only {mib} MiB free"), "make room: a full disk stops everything"),
                }
            }
            Err(error) => report.warn(check, error.to_string(), "look at the mount"),
        }
    }
}

/// The program, and every project's repository with the worker's own credentials.
pub async fn git(report: &mut Report, config: &Config) {
    let settings = GitSettings::default();
    match probe::version(&settings).await {
        Ok(version) => match parsed(&version) {
            Some(found) if found >= (2, 38) => report.ok("git", version),
            _ => report.fail("git", version, "install git 2.38 or later"),
        },
        Err(error) => report.fail("git", error.to_string(), "install git and have it on PATH"),
    }
    for project in config.projects.iter() {
        let check = format!("git {}", project.repo);
        let remote = match remote_of(config, project) {
            Ok(remote) => remote,
            Err(error) => {
                report.fail(check, error.to_string(), "set gitea.url, or the project's remote");
                continue;
            }
        };
        match probe::has_branch(&settings, &remote, &project.default_branch).await {
            Ok(true) => report.ok(check, format!("{} is readable and has {}", remote.url(), project.default_branch)),
            Ok(false) => {
                let found = format!("{} has no branch {}", remote.url(), project.default_branch);
                report.fail(check, found, "push that branch, or set the project's default_branch");
            }
            Err(error @ GitError::AuthFailed { .. }) => {
                report.fail(check, error.to_string(), "give the token's account read and write access");
            }
            Err(error) => report.fail(check, format!("{}: {error}", remote.url()), "see that the address is reachable"),
        }
    }
}

/// `git version 2.47.1` -> (2, 47).
fn parsed(version: &str) -> Option<(u32, u32)> {
    let mut numbers = version.split_whitespace().nth(2)?.split('.');
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

/// The configuration file holds or names secrets: nobody else may read it.
pub fn permissions(report: &mut Report, file: Option<&Path>) {
    if let Some(file) = file {
        private(report, "file", file);
    }
    for (name, path) in std::env::vars_os().filter_map(|(k, v)| Some((k.into_string().ok()?, v))) {
        if name.starts_with("ORCH_") && name.ends_with("_FILE") {
            private(report, &name, Path::new(&path));
        }
    }
}

fn private(report: &mut Report, what: &str, path: &Path) {
    let check = format!("permissions {what}");
    match path.metadata().map(|m| m.permissions().mode()) {
        Ok(mode) if mode & 0o007 == 0 => report.ok(check, format!("{} is closed to others", path.display())),
        Ok(mode) => {
            let found = format!("{} is open to everybody (mode {:03o})", path.display(), mode & 0o777);
            report.warn(check, found, "chmod o-rwx");
        }
        Err(error) => report.fail(check, format!("{}: {error}", path.display()), "see that it exists"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_of_git_is_read() {
        assert_eq!(parsed("git version 2.47.1"), Some((2, 47)));
        assert_eq!(parsed("git version 2.39.5 (Apple Git-154)"), Some((2, 39)));
        assert_eq!(parsed("what"), None);
    }
}
