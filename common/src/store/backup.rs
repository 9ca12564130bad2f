//! An online, consistent copy of the database, and putting one back without ever overwriting.

use super::connection::Store;
use super::error::StoreError;
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::Text;
use std::fs::File;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

#[derive(QueryableByName)]
struct Check {
    #[diesel(sql_type = Text)]
    integrity_check: String,
}

/// Writes a consistent copy to `to` while others read and write. Fails if the file exists; a copy that was cut short
/// (full disk, killed) never bears the name.
pub fn backup(store: &Store, to: &Path) -> Result<(), StoreError> {
    refuse_existing(to)?;
    let not_writable = |e: std::io::Error| StoreError::NotWritable(format!("{}: {e}", to.display()));
    let folder = to.parent().filter(|f| !f.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // A folder of its own keeps two backups to one place apart, and the data from other users' eyes meanwhile.
    let part = folder.join(format!(".backup-{}", uuid::Uuid::new_v4()));
    std::fs::DirBuilder::new().mode(0o700).create(&part).map_err(not_writable)?;
    let made = copy_into(store, &part.join("db"), to);
    std::fs::remove_dir_all(&part).map_err(not_writable).and(made)?;
    File::open(folder).and_then(|f| f.sync_all()).map_err(not_writable)
}

fn copy_into(store: &Store, part: &Path, to: &Path) -> Result<(), StoreError> {
    let text = part.to_str().ok_or_else(|| StoreError::NotWritable("the path is not UTF-8".into()))?;
    sql_query("VACUUM INTO ?").bind::<Text, _>(text).execute(&mut *store.connection()?)?;
    let not_writable = |e: std::io::Error| StoreError::NotWritable(format!("{}: {e}", to.display()));
    File::open(part).and_then(|f| f.sync_all()).map_err(not_writable)?;
    // A hard link, unlike a rename, fails if the target has come into being meanwhile.
    std::fs::hard_link(part, to).map_err(not_writable)
}

/// Puts a backup in place of a database that does not exist yet, after checking it whole.
pub fn restore(from: &Path, to: &Path) -> Result<(), StoreError> {
    for suffix in ["", "-wal", "-shm"] {
        let mut name = to.as_os_str().to_owned();
        name.push(suffix);
        refuse_existing(Path::new(&name))?;
    }
    check_integrity(from)?;
    let not_writable = |e: std::io::Error| StoreError::NotWritable(format!("{}: {e}", to.display()));
    if let Some(folder) = to.parent().filter(|f| !f.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder).map_err(not_writable)?;
    }
    let part = to.with_extension("restore-part");
    std::fs::copy(from, &part).map_err(not_writable)?;
    File::open(&part).and_then(|f| f.sync_all()).map_err(not_writable)?;
    std::fs::hard_link(&part, to).map_err(not_writable)?;
    std::fs::remove_file(&part).map_err(not_writable)
}

fn check_integrity(file: &Path) -> Result<(), StoreError> {
    let open = |why: String| StoreError::Open { path: file.display().to_string(), why };
    if !file.is_file() {
        return Err(open("no such file".into()));
    }
    // In SQLite's URL form these three have a meaning of their own.
    let path = file.display().to_string().replace('%', "%25").replace('?', "%3f").replace('#', "%23");
    let url = format!("file:{path}?mode=ro");
    let mut conn = SqliteConnection::establish(&url).map_err(|e| open(e.to_string()))?;
    let rows: Vec<Check> = sql_query("PRAGMA integrity_check").load(&mut conn).map_err(|e| open(e.to_string()))?;
    match rows.first() {
        Some(r) if r.integrity_check == "ok" => Ok(()),
        Some(r) => Err(open(format!("it is damaged: {}", r.integrity_check))),
        None => Err(open("it cannot be checked".into())),
    }
}

fn refuse_existing(path: &Path) -> Result<(), StoreError> {
    if path.exists() {
        return Err(StoreError::NotWritable(format!("{} exists and is never overwritten", path.display())));
    }
    Ok(())
}
