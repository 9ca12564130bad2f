//! The database as a file: making it, copying it while it is in use, putting a copy back. What exists is never
//! overwritten.

use super::desk::{Desk, Open, options};
use super::error::{CtlError, Done};
use super::screen::Screen;
use orch_common::store::{Store, StoreError, backup};
use std::path::{Path, PathBuf};

/// Applies what is pending; makes the file where there is none.
pub fn migrate(desk: &Desk, screen: &mut Screen<'_>) -> Done {
    let config = desk.config()?;
    let path = &config.database.path;
    let applied = Store::open(&options(path))?.migrate()?;
    if applied.is_empty() {
        screen.line(format!("{} is current", path.display()))?;
    }
    for name in applied {
        screen.line(format!("applied {name} to {}", path.display()))?;
    }
    Ok(())
}

/// A consistent copy; readers and writers go on meanwhile.
pub fn backup(desk: &Desk, screen: &mut Screen<'_>, file: &Path) -> Done {
    let Open { config, store } = desk.open_unchecked()?;
    if file.exists() {
        return Err(CtlError::Failed(format!("{} exists and is never overwritten; name another file", file.display())));
    }
    backup::backup(&store, file)?;
    let bytes = file.metadata().map_or_else(|error| error.to_string(), |file| format!("{} bytes", file.len()));
    screen.line(format!("{} is copied to {} ({bytes})", config.database.path.display(), file.display()))?;
    Ok(())
}

/// Puts a copy where the configuration expects the database.
pub fn restore(desk: &Desk, screen: &mut Screen<'_>, file: &Path) -> Done {
    let config = desk.config()?;
    let target = &config.database.path;
    if !file.exists() {
        return Err(CtlError::NotFound(format!("there is no file {}", file.display())));
    }
    if let Some(found) = beside(target).into_iter().find(|path| path.exists()) {
        return Err(CtlError::Failed(format!(
            "{} exists and is never overwritten. Stop orch-api and the workers, move {target} and, where they are, \
             {target}-wal and {target}-shm away, then run this again",
            found.display(),
            target = target.display(),
        )));
    }
    backup::restore(file, target)?;
    screen.line(format!("{} is restored from {}", target.display(), file.display()))?;
    match Store::open(&options(target))?.check_schema() {
        Ok(()) => screen.line("the schema is current; orch-api and the workers may start")?,
        Err(StoreError::NotMigrated(why) | StoreError::Newer(why)) => {
            screen.line(format!("before orch-api starts: {why}"))?
        }
        Err(other) => return Err(other.into()),
    }
    Ok(())
}

/// The database's file and those that SQLite keeps beside it.
fn beside(database: &Path) -> [PathBuf; 3] {
    ["", "-wal", "-shm"].map(|suffix| {
        let mut name = database.as_os_str().to_owned();
        name.push(suffix);
        PathBuf::from(name)
    })
}
