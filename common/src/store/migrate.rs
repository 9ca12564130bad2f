//! The schema: migrations embedded in the binary, applied by one process at a time.

use super::connection::Conn;
use super::error::StoreError;
use diesel::migration::{Migration, MigrationSource, MigrationVersion};
use diesel::sqlite::Sqlite;
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};
use nix::fcntl::{Flock, FlockArg};
use std::collections::BTreeSet;
use std::fs::File;
use std::path::Path;

pub(super) const MIGRATIONS: EmbeddedMigrations = embed_migrations!("../migrations");

/// Applies what is pending; returns the names applied. Racing migrators take turns by a lock on
/// `<database>.migrate-lock` (SQLite's own locks let two of them fail now and then).
pub(super) fn run(conn: &mut Conn, path: &Path) -> Result<Vec<String>, StoreError> {
    let lock_path = path.with_extension("migrate-lock");
    let not_writable = |e: &dyn std::fmt::Display| StoreError::NotWritable(format!("{}: {e}", lock_path.display()));
    let file =
        File::options().create(true).write(true).truncate(false).open(&lock_path).map_err(|e| not_writable(&e))?;
    let _held = Flock::lock(file, FlockArg::LockExclusive).map_err(|(_, e)| not_writable(&e))?;
    unknown_versions(conn)?;
    // The lock above excludes other migrators, but a worker may be writing: let SQLite wait for it.
    diesel::connection::SimpleConnection::batch_execute(conn, "PRAGMA busy_timeout = 30000")?;
    let applied = conn
        .run_pending_migrations(MIGRATIONS)
        .map(|v| v.iter().map(MigrationVersion::to_string).collect())
        .map_err(|e| StoreError::NotMigrated(e.to_string()));
    diesel::connection::SimpleConnection::batch_execute(conn, "PRAGMA busy_timeout = 12")?;
    applied
}

/// Fails unless exactly this program's migrations are applied.
pub(super) fn check(conn: &mut Conn) -> Result<(), StoreError> {
    let known = versions()?;
    let applied = applied(conn)?;
    if let Some(missing) = known.difference(&applied).next() {
        return Err(StoreError::NotMigrated(format!("migration {missing} is not applied; run `orchctl migrate`")));
    }
    unknown_versions(conn)
}

fn unknown_versions(conn: &mut Conn) -> Result<(), StoreError> {
    let known = versions()?;
    match applied(conn)?.difference(&known).next() {
        Some(newer) => Err(StoreError::Newer(format!(
            "it has migration {newer}, which orch {} does not know; install the version that made it, or restore a backup from before",
            crate::VERSION
        ))),
        None => Ok(()),
    }
}

fn versions() -> Result<BTreeSet<String>, StoreError> {
    let all: Vec<Box<dyn Migration<Sqlite>>> =
        MIGRATIONS.migrations().map_err(|e| StoreError::NotMigrated(e.to_string()))?;
    Ok(all.iter().map(|m| m.name().version().to_string()).collect())
}

fn applied(conn: &mut Conn) -> Result<BTreeSet<String>, StoreError> {
    use diesel::prelude::*;
    diesel::table! {
        __diesel_schema_migrations (version) { version -> Text, }
    }
    match __diesel_schema_migrations::table.select(__diesel_schema_migrations::version).load::<String>(conn) {
        Ok(found) => Ok(found.into_iter().collect()),
        Err(e) => match StoreError::from(e) {
            StoreError::NotMigrated(_) => Ok(BTreeSet::new()),
            other @ (StoreError::Busy
            | StoreError::Newer(_)
            | StoreError::NotWritable(_)
            | StoreError::Open { .. }
            | StoreError::Durability(_)
            | StoreError::FilesLost(_)
            | StoreError::Corrupt(_)
            | StoreError::LostOwnership
            | StoreError::Sql(_)) => Err(other),
        },
    }
}
