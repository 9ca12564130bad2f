//! Whether the database's files are still the ones that were opened. SQLite keeps what was committed lately in the log beside the
//! database (`-wal`) and its index (`-shm`). Taken away under a program that has them open, they live on without a name: it goes
//! on committing into them, whoever opens the database later makes new ones, and the two no longer see each other. So every store
//! keeps a connection for its life (with it SQLite itself never removes the log while we use it), knows its files by their inodes,
//! and commits nothing more once one is gone. What it has in the log is brought into the database; then the program ends, and the
//! next one opens the database only when all that had it open have ended.

use super::connection::Conn;
use super::error::StoreError;
use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Integer};
use rustix::process::{Flock, FlockOffsetType, FlockType, fcntl_getlk};
use std::collections::HashMap;
use std::ffi::OsString;
use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long bringing the log into the database waits for readers, which are short.
const PATIENCE: Duration = Duration::from_secs(5);
const LOOK_AGAIN: Duration = Duration::from_millis(10);
const OPENING: Duration = Duration::from_secs(10);
/// How long an opener waits for a log that another program may be about to make.
const MAKING: Duration = Duration::from_secs(2);
/// Where SQLite's readers lock the database's file: the bytes after `PENDING_BYTE` and the reserved one.
const SHARED_FIRST: u64 = 0x4000_0000 + 2;
const SHARED_SIZE: u64 = 510;

/// What has become of the files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Files {
    /// They are those that were opened.
    Whole,
    /// Another database, or none, is in its place.
    Replaced,
    /// The log or its index was taken away, or another is in its place.
    Lost,
}

/// Device and inode; `None` = there is nothing.
type Which = Option<(u64, u64)>;

/// The files of an open database.
pub(super) struct Kept {
    database: PathBuf,
    opened: [Which; 3],
    connection: Mutex<SqliteConnection>,
}

#[derive(QueryableByName)]
struct Checkpoint {
    #[diesel(sql_type = Integer)]
    busy: i32,
    #[diesel(sql_type = Integer)]
    log: i32,
    #[diesel(sql_type = Integer)]
    checkpointed: i32,
}

#[derive(QueryableByName)]
struct Version {
    #[diesel(sql_type = BigInt)]
    #[expect(dead_code, reason = "read for the sake of reading")]
    schema_version: i64,
}

impl std::fmt::Debug for Kept {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Kept").field("database", &self.database).finish_non_exhaustive()
    }
}

impl Kept {
    /// Opens the connection that is kept, which makes the files where they are missing.
    pub(super) fn of(database: &Path, url: &str) -> Result<Kept, StoreError> {
        may_be_opened(database)?;
        let open = |why: String| StoreError::Open { path: database.display().to_string(), why };
        let mut connection = SqliteConnection::establish(url).map_err(|e| open(e.to_string()))?;
        let give_up = Instant::now() + OPENING;
        // Others may be making or recovering it.
        while let Err(error) = begin(&mut connection).map_err(StoreError::from) {
            if !error.is_busy() || Instant::now() > give_up {
                return Err(if error.is_busy() { error } else { open(error.to_string()) });
            }
            std::thread::sleep(LOOK_AGAIN);
        }
        Ok(Kept { database: database.to_owned(), opened: files(database), connection: Mutex::new(connection) })
    }

    pub(super) fn look(&self) -> Files {
        let [database, log, index] = files(&self.database);
        match () {
            () if database != self.opened[0] => Files::Replaced,
            () if [log, index] != self.opened[1..] => Files::Lost,
            () => Files::Whole,
        }
    }

    /// Costs three calls of the system.
    ///
    /// # Errors
    /// [`StoreError::FilesLost`] where the log or its index is no longer the one that was opened.
    pub(super) fn check(&self) -> Result<(), StoreError> {
        match self.look() {
            Files::Whole | Files::Replaced => Ok(()),
            Files::Lost => Err(lost(&self.database)),
        }
    }

    /// Brings everything in the log that is open into the database. The caller commits nothing any more.
    pub(super) fn rescue(&self) -> Result<(), StoreError> {
        let mut connection = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        let give_up = Instant::now() + PATIENCE;
        loop {
            let Checkpoint { busy, log, checkpointed } = checkpoint(&mut connection)?;
            if busy == 0 && log == checkpointed {
                return Ok(());
            }
            if Instant::now() > give_up {
                return Err(StoreError::Busy);
            }
            std::thread::sleep(LOOK_AGAIN);
        }
    }
}

/// The log's own file is opened by the first read.
fn begin(conn: &mut Conn) -> QueryResult<()> {
    conn.batch_execute("PRAGMA busy_timeout = 5000; PRAGMA journal_mode = WAL; PRAGMA cache_size = -16")?;
    diesel::sql_query("PRAGMA schema_version").get_result::<Version>(conn).map(drop)
}

fn checkpoint(conn: &mut Conn) -> QueryResult<Checkpoint> {
    diesel::sql_query("PRAGMA wal_checkpoint(PASSIVE)").get_result(conn)
}

/// # Errors
/// [`StoreError::FilesLost`] where other programs have the database open and its log is gone: what is made in its place they
/// would not see.
fn may_be_opened(database: &Path) -> Result<(), StoreError> {
    let give_up = Instant::now() + MAKING;
    loop {
        let [_, log, index] = files(database);
        if (log.is_some() && index.is_some()) || !is_open_elsewhere(database) {
            return Ok(());
        }
        if Instant::now() > give_up {
            return Err(lost(database));
        }
        std::thread::sleep(LOOK_AGAIN);
    }
}

fn lost(database: &Path) -> StoreError {
    let name = database.file_name().unwrap_or_default().to_string_lossy();
    StoreError::FilesLost(format!("{name}-wal or {name}-shm"))
}

fn files(database: &Path) -> [Which; 3] {
    ["", "-wal", "-shm"].map(|ending| {
        let mut path = OsString::from(database);
        path.push(ending);
        std::fs::metadata(path).ok().map(|file| (file.dev(), file.ino()))
    })
}

/// Whether another process has the database open. Each that has holds SQLite's lock on a part of its file.
fn is_open_elsewhere(database: &Path) -> bool {
    // Closing one would drop every lock that this process has on the file, SQLite's too: they stay open.
    static PROBES: Mutex<Option<HashMap<(u64, u64), File>>> = Mutex::new(None);
    let Some(which) = std::fs::metadata(database).ok().map(|file| (file.dev(), file.ino())) else { return false };
    let mut probes = PROBES.lock().unwrap_or_else(PoisonError::into_inner);
    let probes = probes.get_or_insert_default();
    if !probes.contains_key(&which) {
        let Ok(file) = File::options().read(true).write(true).open(database) else { return false };
        let Ok(about) = file.metadata() else { return false };
        probes.insert((about.dev(), about.ino()), file);
    }
    let Some(file) = probes.get(&which) else { return false };
    let (typ, offset_type) = (FlockType::WriteLock, FlockOffsetType::Set);
    let lock = Flock { start: SHARED_FIRST, length: SHARED_SIZE, pid: None, typ, offset_type };
    fcntl_getlk(file, &lock).is_ok_and(|held| held.is_some())
}
