//! This machine: the database, the disk, git, the agent program, who may read what.

use super::Asked;
use super::report::Report;
use crate::agent::Identity;
use crate::clients::causes::{self, What, diagnose_git};
use crate::context::remote_of;
use crate::ctl::moment::iso;
use crate::effects::shared;
use crate::git::probe;
use futures_util::future::join_all;
use orch_common::config::{Config, Project};
use orch_common::store::deliveries::{self, Source};
use orch_common::store::refusals::{self, Refused};
use orch_common::store::{Conn, Store, StoreError, StoreOptions, standing, workers};
use std::collections::BTreeMap;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;

/// Less free space than this is a matter of hours, in MiB; half of it, of minutes.
const ROOM_MIB: u64 = 2048;

/// What the database knows that other checks ask for.
#[derive(Default)]
pub struct Known {
    /// It could be read: what it does not know has not come.
    pub readable: bool,
    /// When the newest delivery of each source came, in ms.
    plane_heard: Option<i64>,
    gitea_heard: Option<i64>,
    /// The same of repositories, by name in lower case.
    about: BTreeMap<String, i64>,
    /// What was refused.
    pub refused: Vec<Refused>,
    /// Services that asked for a pause, with its end (ms).
    paused: Vec<(&'static str, i64)>,
    /// Process numbers of the workers that live on this machine.
    pub workers: Vec<i32>,
    store: Option<Store>,
}

/// What has come of a repository, and what was refused: another value, and something came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arrived {
    pub about: Option<i64>,
    refused: i64,
}

impl Known {
    /// When the newest delivery of a source came.
    pub fn heard(&self, source: Source) -> Option<i64> {
        match source {
            Source::Plane => self.plane_heard,
            Source::Gitea => self.gitea_heard,
        }
    }

    /// When the newest delivery about a repository came.
    pub fn heard_about(&self, repo: &str) -> Option<i64> {
        self.about.get(&repo.to_lowercase()).copied()
    }

    /// Looked at again.
    pub fn arrived(&self, repo: &str) -> Arrived {
        let look = |store: &Store| -> Result<Arrived, StoreError> {
            let conn: &mut Conn = &mut *store.connection()?;
            let refused = refusals::all(conn)?.iter().filter(|r| r.source == Source::Gitea).map(|r| r.count).sum();
            Ok(Arrived { about: deliveries::last_about(conn, repo)?, refused })
        };
        self.store.as_ref().and_then(|store| look(store).ok()).unwrap_or(Arrived { about: None, refused: 0 })
    }
}

/// Path, schema, journal; the worker's signs of life.
pub fn database(report: &Report, config: &Config, now: i64) -> Known {
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
    match look(config, now) {
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
            for (what, until) in &known.paused {
                let found = format!("takes no calls until {}, as it asked", iso(*until));
                report.warn(format!("{what}.pause"), found, format!("wait, or `orchctl limits lift {what}`"));
            }
            attended(report, &known);
            known
        }
        Err(error) => {
            let (found, todo) = trouble(&error);
            report.fail("database", found, todo);
            Known::default()
        }
    }
}

/// What is wrong with a database that cannot be used, and what helps.
fn trouble(error: &StoreError) -> (String, &'static str) {
    let todo = match error {
        StoreError::NotMigrated(_) => "run `orchctl migrate`; a worker's start does it as well",
        StoreError::Newer(_) => "install that version, or restore a backup from before it (`orchctl restore`)",
        StoreError::Busy => "look again: another program is writing",
        StoreError::NotWritable(_) => "see that the disk has room, and that this user may write the file",
        StoreError::Open { .. } => "see that database.path names a database that this user may read and write",
        StoreError::Durability(_) => "put the database on a local disk (no network file system)",
        StoreError::Corrupt(_) | StoreError::Sql(_) => "restore a backup (`orchctl restore`)",
        StoreError::FilesLost(_) => {
            "end orch-api and orch-worker (they bring what they have into the database first), then start them"
        }
        StoreError::LostOwnership => "look again",
    };
    let is_older = matches!(error, StoreError::NotMigrated(why) if why.contains("orchctl migrate"));
    let found = match (is_older, error) {
        (true, _) => "its schema is older than this program".to_owned(),
        (false, StoreError::Newer(_)) => "it is of a newer version than this program".to_owned(),
        (false, _) => error.to_string(),
    };
    (found, todo)
}

/// What is active has a job, or is named what it waits for.
fn attended(report: &Report, known: &Known) {
    let look = |store: &Store| standing::unattended(&mut *store.connection()?);
    match known.store.as_ref().map(look) {
        Some(Ok(left)) if left.is_empty() => report.ok("tasks", "what is active has a job, or says what it waits for"),
        Some(Ok(left)) => {
            let keys: Vec<&str> = left.iter().map(|task| task.key.as_str()).collect();
            let found = format!("active, with nothing that would go on with them: {}", keys.join(", "));
            report.fail("tasks", found, "`orchctl tasks retry KEY` starts the role of its stage anew");
        }
        Some(Err(error)) => report.fail("tasks", error.to_string(), "look at the database"),
        None => {}
    }
}

fn look(config: &Config, now: i64) -> Result<(Known, Option<u64>), StoreError> {
    let store = Store::open(&StoreOptions { pool_size: 1, ..StoreOptions::new(&config.database.path) })?;
    store.check_schema()?;
    // A lock that is taken and given back: the file can be written.
    store.write_now(|_| Ok(()))?;
    let conn: &mut Conn = &mut *store.connection()?;
    let known_workers = workers::all(conn)?;
    let newest = known_workers.iter().map(|w| w.heartbeat_at).max();
    let heartbeat = newest.map(|at| u64::try_from(now.saturating_sub(at) / 1000).unwrap_or(0));
    let mut about = BTreeMap::new();
    for project in config.projects.iter() {
        if let Some(at) = deliveries::last_about(conn, &project.repo)? {
            about.insert(project.repo.to_lowercase(), at);
        }
    }
    let known = Known {
        readable: true,
        plane_heard: deliveries::last_received(conn, Source::Plane)?,
        gitea_heard: deliveries::last_received(conn, Source::Gitea)?,
        about,
        refused: refusals::all(conn)?,
        paused: shared::limits(conn, now)?,
        workers: known_workers.into_iter().filter_map(living).collect(),
        store: Some(store.clone()),
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
pub fn disk(report: &Report, config: &Config) {
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
pub async fn git(report: &Report, asked: &Asked<'_>) {
    match report.during("git", probe::version(asked.git)).await {
        Ok(version) => match parsed(&version) {
            Some(found) if found >= (2, 38) => report.ok("git", version),
            _ => report.fail("git", version, "install git 2.38 or later"),
        },
        Err(error) => return report.fail("git", error.to_string(), "install git and have it on PATH"),
    }
    join_all(asked.config.projects.iter().map(|project| repository(report, asked, project))).await;
}

async fn repository(report: &Report, asked: &Asked<'_>, project: &Project) {
    let check = format!("git {}", project.repo);
    let remote = match remote_of(asked.config, project) {
        Ok(remote) => remote,
        Err(error) => return report.fail(check, error.to_string(), "set gitea.url, or the project's remote"),
    };
    match report.during(&check, probe::has_branch(asked.git, &remote, &project.default_branch)).await {
        Ok(true) => report.ok(check, format!("{} is readable and has {}", remote.url(), project.default_branch)),
        Ok(false) => {
            let found = format!("{} has no branch {}", remote.url(), project.default_branch);
            report.fail(check, found, "push that branch, or set the project's default_branch");
        }
        Err(error) => match diagnose_git(&causes::Asked::forge(What::Repo(&project.repo)), &error) {
            Some(why) => report.failed(check, why),
            None => report.fail(check, format!("{}: {error}", remote.url()), "see that the address is reachable"),
        },
    }
}

/// `git version 2.47.1` -> (2, 47).
fn parsed(version: &str) -> Option<(u32, u32)> {
    let mut numbers = version.split_whitespace().nth(2)?.split('.');
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

/// The configuration file holds or names secrets: nobody else may read it.
pub fn permissions(report: &Report, file: Option<&Path>) {
    if let Some(file) = file {
        private(report, "file", file);
    }
    for (name, path) in std::env::vars_os().filter_map(|(k, v)| Some((k.into_string().ok()?, v))) {
        if name.starts_with("ORCH_") && name.ends_with("_FILE") {
            private(report, &name, Path::new(&path));
        }
    }
}

fn private(report: &Report, what: &str, path: &Path) {
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
    fn no_cure_repeats_what_was_found_and_none_is_a_migration_where_that_cannot_help() {
        let old = "migration 8 is not applied; run `orchctl migrate`".to_owned();
        for error in [StoreError::NotMigrated(old), StoreError::Newer("install it".into()), StoreError::Busy] {
            let (found, todo) = trouble(&error);
            assert!(!found.contains("run `") && !found.contains("install"), "{found} -> {todo}");
            assert_eq!(todo.contains("migrate"), matches!(error, StoreError::NotMigrated(_)), "{found} -> {todo}");
        }
    }

    #[test]
    fn the_version_of_git_is_read() {
        assert_eq!(parsed("git version 2.47.1"), Some((2, 47)));
        assert_eq!(parsed("git version 2.39.5 (Apple Git-154)"), Some((2, 39)));
        assert_eq!(parsed("what"), None);
    }
}
