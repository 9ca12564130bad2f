//! Opening the database and running transactions: pragmas that are read back, one pool per process, writers
//! that wait fairly for their turn.

use super::error::StoreError;
use super::migrate;
use crate::failpoint::{self, Point};
use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::r2d2::{ConnectionManager, CustomizeConnection, Pool, PooledConnection};
use diesel::sql_types::Text;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// An open connection; every function of the store takes one.
pub type Conn = SqliteConnection;

/// How long SQLite itself waits for a lock before it hands the wait to [`Store::write`]'s own loop, in ms. SQLite's
/// handler sleeps longer and longer and so starves those who wait; many short waits are fair.
const BUSY_TIMEOUT_MS: u32 = 12;

/// Pages in memory per connection, in KiB. A batch of deliveries must fit, or its pages are written twice.
const CACHE_KIB: u32 = 4000;

/// Pages in the log before they are brought into the database. Pages that many commits change (the indexes) are
/// brought once; 16 MiB is far below the size to which the log is cut back.
const CHECKPOINT_PAGES: u32 = 4096;

/// What a commit survives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// `synchronous=FULL`: a commit is on the disk when it returns.
    Full,
    /// `synchronous=NORMAL`: a power cut may undo the last commits (never tears them); for scratch data.
    Normal,
}

impl Durability {
    const fn pragma(self) -> &'static str {
        match self {
            Durability::Full => "2",
            Durability::Normal => "1",
        }
    }
}

/// How to open a store.
#[derive(Debug, Clone)]
pub struct StoreOptions {
    pub path: PathBuf,
    /// Connections kept open.
    pub pool_size: u32,
    pub durability: Durability,
    /// How long a writer waits for its turn before it reports [`StoreError::Busy`].
    pub patience: Duration,
}

impl StoreOptions {
    /// The defaults of a daemon: 4 connections, full durability, 30 s of patience.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        StoreOptions {
            path: path.into(),
            pool_size: 4,
            durability: Durability::Full,
            patience: Duration::from_secs(30),
        }
    }
}

/// A handle on the database, cheap to clone.
#[derive(Clone)]
pub struct Store {
    pool: Pool<ConnectionManager<SqliteConnection>>,
    path: PathBuf,
    patience: Duration,
}

#[derive(Debug)]
struct Pragmas {
    durability: Durability,
}

impl CustomizeConnection<SqliteConnection, diesel::r2d2::Error> for Pragmas {
    fn on_acquire(&self, conn: &mut SqliteConnection) -> Result<(), diesel::r2d2::Error> {
        // The order matters: without the timeout, switching to WAL fails while somebody else writes.
        let pragmas = format!(
            "PRAGMA busy_timeout = 5000; PRAGMA journal_mode = WAL; PRAGMA synchronous = {}; PRAGMA foreign_keys = ON; \
             PRAGMA temp_store = MEMORY; PRAGMA cache_size = -{CACHE_KIB}; PRAGMA journal_size_limit = 33554432; \
             PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}; \
             PRAGMA busy_timeout = {BUSY_TIMEOUT_MS};",
            self.durability.pragma()
        );
        conn.batch_execute(&pragmas).map_err(diesel::r2d2::Error::QueryError)
    }
}

#[derive(QueryableByName)]
struct PragmaText {
    #[diesel(sql_type = Text)]
    value: String,
}

impl Store {
    /// Opens (and where missing creates) the database, without touching its schema.
    ///
    /// # Errors
    /// [`StoreError::Open`] where the file or its folder cannot be used, [`StoreError::Durability`] where the
    /// journal mode or the synchronous level read back differ from what was set.
    pub fn open(options: &StoreOptions) -> Result<Store, StoreError> {
        let open = |why: String| StoreError::Open { path: options.path.display().to_string(), why };
        if let Some(folder) = options.path.parent().filter(|f| !f.as_os_str().is_empty()) {
            std::fs::create_dir_all(folder).map_err(|e| open(format!("cannot create {}: {e}", folder.display())))?;
        }
        let url = options.path.to_str().ok_or_else(|| open("the path is not UTF-8".into()))?;
        // The pool tries a bad path again and again; this says at once what is wrong with it.
        SqliteConnection::establish(url).map_err(|e| open(e.to_string()))?;
        let pool = Pool::builder()
            .max_size(options.pool_size.max(1))
            .min_idle(Some(1))
            .test_on_check_out(false)
            .connection_timeout(Duration::from_secs(10))
            .connection_customizer(Box::new(Pragmas { durability: options.durability }))
            .build(ConnectionManager::new(url))
            .map_err(|e| open(e.to_string()))?;
        let store = Store { pool, path: options.path.clone(), patience: options.patience };
        store.verify(options.durability)?;
        Ok(store)
    }

    /// [`Store::open`], then brings the schema up to date. Migrators exclude each other by a lock file.
    pub fn open_and_migrate(options: &StoreOptions) -> Result<Store, StoreError> {
        let store = Store::open(options)?;
        store.migrate()?;
        Ok(store)
    }

    /// Applies the pending migrations; returns their names.
    pub fn migrate(&self) -> Result<Vec<String>, StoreError> {
        migrate::run(&mut *self.connection()?, &self.path)
    }

    /// Whether every migration of this program, and no unknown one, is applied.
    pub fn check_schema(&self) -> Result<(), StoreError> {
        migrate::check(&mut *self.connection()?)
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A pooled connection.
    pub fn connection(&self) -> Result<PooledConnection<ConnectionManager<SqliteConnection>>, StoreError> {
        let give_up = Duration::from_secs(10).min(self.patience.max(Duration::from_millis(100)));
        self.pool.get_timeout(give_up).map_err(|e| {
            // r2d2 adds the reason where a connection could not be opened; without one, all are taken.
            let why = e.to_string();
            match why.split_once(": ") {
                None => StoreError::Busy,
                Some(_) => StoreError::Open { path: self.path.display().to_string(), why },
            }
        })
    }

    /// Runs `f` on a connection without a transaction, on the blocking pool.
    pub async fn read<T, F>(&self, f: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&mut Conn) -> Result<T, StoreError> + Send + 'static,
    {
        let store = self.clone();
        blocking(move || f(&mut *store.connection()?)).await
    }

    /// Runs `f` in one immediate transaction, on the blocking pool. `f` may run again only if nothing of it
    /// was done: the wait is for the transaction's begin.
    pub async fn write<T, F>(&self, f: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnMut(&mut Conn) -> Result<T, StoreError> + Send + 'static,
    {
        let store = self.clone();
        blocking(move || store.write_now(f)).await
    }

    /// [`Store::write`] for callers that are already on a thread of their own.
    pub fn write_now<T, F>(&self, f: F) -> Result<T, StoreError>
    where
        F: FnMut(&mut Conn) -> Result<T, StoreError>,
    {
        immediate(&mut *self.connection()?, self.patience, f)
    }

    fn verify(&self, durability: Durability) -> Result<(), StoreError> {
        let mut conn = self.connection()?;
        for (pragma, wanted) in [("journal_mode", "wal"), ("synchronous", durability.pragma()), ("foreign_keys", "1")] {
            let sql = format!("SELECT CAST({pragma} AS TEXT) AS value FROM pragma_{pragma}");
            let found: PragmaText = diesel::sql_query(sql).get_result(&mut *conn)?;
            if !found.value.eq_ignore_ascii_case(wanted) {
                return Err(StoreError::Durability(format!("{pragma} is {}, wanted {wanted}", found.value)));
            }
        }
        Ok(())
    }
}

/// Runs `f` in an immediate transaction, waiting up to `patience` for the writer's lock in many short waits.
pub(crate) fn immediate<T, F>(conn: &mut Conn, patience: Duration, mut f: F) -> Result<T, StoreError>
where
    F: FnMut(&mut Conn) -> Result<T, StoreError>,
{
    let give_up = Instant::now() + patience;
    if failpoint::refuses(Point::TxnBegin) {
        return Err(StoreError::NotWritable("a fail point says so".into()));
    }
    loop {
        let attempt = conn.immediate_transaction(|c| f(c).inspect(|_| failpoint::here(Point::TxnInside)));
        match attempt {
            Err(StoreError::Busy) if Instant::now() < give_up => std::thread::sleep(Duration::from_millis(1)),
            other => return other.inspect(|_| failpoint::here(Point::TxnCommitted)),
        }
    }
}

async fn blocking<T: Send + 'static>(
    f: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    match tokio::task::spawn_blocking(f).await {
        Ok(result) => result,
        Err(join) => Err(StoreError::Corrupt(format!("a database call did not finish: {join}"))),
    }
}
