//! Opening the database and running transactions: pragmas that are read back, readers side by side, and one connection
//! that writes, since SQLite lets one write at a time anyway.

use super::error::StoreError;
use super::files::{Files, Kept};
use super::migrate;
use super::turn::{Turn, Turnstile};
use crate::failpoint::{self, Point};
use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::query_builder::{AstPass, QueryFragment, QueryId};
use diesel::r2d2::{ConnectionManager, CustomizeConnection, Pool, PooledConnection};
use diesel::sql_types::Text;
use diesel::sqlite::Sqlite;
use scheduled_thread_pool::ScheduledThreadPool;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// An open connection; every function of the store takes one.
pub type Conn = SqliteConnection;

/// How long a reader waits for a lock (another process recovers the log), in ms.
const READERS_TIMEOUT_MS: u32 = 12;

/// Writers wait by themselves: SQLite's handler sleeps longer and longer and so starves those who wait.
const WRITERS_TIMEOUT_MS: u32 = 0;

/// How long opening waits for others.
const OPENING: Duration = Duration::from_secs(10);
/// How long the last transaction of ours may take.
const RESCUE: Duration = Duration::from_secs(5);
const LOOK_AGAIN: Duration = Duration::from_millis(2);

/// Pages in memory of the connection that writes, in KiB. A usual batch of deliveries fits; the pages of a larger one are written
/// twice.
const WRITERS_CACHE_KIB: u32 = 2000;
/// The same of one that reads.
const READERS_CACHE_KIB: u32 = 500;

/// Pages in the log before they are brought into the database by whoever commits next. Pages that many commits change
/// (the indexes) are brought once; 16 MiB is far below the size to which the log is cut back.
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
    /// Connections for reading; one for writing comes on top.
    pub pool_size: u32,
    pub durability: Durability,
    /// How long a writer waits for its turn before it reports [`StoreError::Busy`].
    pub patience: Duration,
    /// Pages of the log at which a commit also brings them into the database. More for who calls
    /// [`Store::checkpoint`] in time.
    pub checkpoint_pages: u32,
}

impl StoreOptions {
    /// The defaults of a daemon: 3 connections for reading, full durability, 30 s of patience.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        StoreOptions {
            path: path.into(),
            pool_size: 3,
            durability: Durability::Full,
            patience: Duration::from_secs(30),
            checkpoint_pages: CHECKPOINT_PAGES,
        }
    }
}

/// A handle on the database, cheap to clone.
#[derive(Clone)]
pub struct Store {
    readers: Connections,
    writer: Connections,
    path: PathBuf,
    turnstile: Arc<Turnstile>,
    patience: Duration,
    kept: Arc<Kept>,
}

type Connections = Pool<ConnectionManager<SqliteConnection>>;

#[derive(Debug)]
struct Pragmas {
    durability: Durability,
    timeout_ms: u32,
    cache_kib: u32,
    checkpoint_pages: u32,
    kept: Arc<Kept>,
}

impl CustomizeConnection<SqliteConnection, diesel::r2d2::Error> for Pragmas {
    fn on_acquire(&self, conn: &mut SqliteConnection) -> Result<(), diesel::r2d2::Error> {
        // A connection that comes later would make the files anew.
        self.kept
            .check()
            .map_err(|e| diesel::r2d2::Error::QueryError(diesel::result::Error::QueryBuilderError(e.into())))?;
        // The order matters: without the timeout, switching to WAL fails while somebody else writes.
        let pragmas = format!(
            "PRAGMA busy_timeout = 5000; PRAGMA journal_mode = WAL; PRAGMA synchronous = {}; PRAGMA foreign_keys = ON; \
             PRAGMA temp_store = MEMORY; PRAGMA cache_size = -{}; PRAGMA journal_size_limit = 33554432; \
             PRAGMA wal_autocheckpoint = {}; \
             PRAGMA busy_timeout = {};",
            self.durability.pragma(),
            self.cache_kib,
            self.checkpoint_pages,
            self.timeout_ms
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
        let kept = Arc::new(Kept::of(&options.path, url)?);
        // Opens what was closed; seldom has anything to do.
        let spare = Arc::new(ScheduledThreadPool::builder().num_threads(1).thread_name_pattern("store").build());
        let StoreOptions { durability, checkpoint_pages, .. } = *options;
        let connections = |size: u32, open_ahead: u32, timeout_ms, cache_kib| {
            let pragmas = Pragmas { durability, timeout_ms, cache_kib, checkpoint_pages, kept: Arc::clone(&kept) };
            Pool::builder()
                .max_size(size)
                .min_idle(Some(open_ahead))
                .test_on_check_out(false)
                .connection_timeout(OPENING)
                .connection_customizer(Box::new(pragmas))
                .thread_pool(Arc::clone(&spare))
                .build(ConnectionManager::new(url))
                .map_err(|e| open(e.to_string()))
        };
        let writer = connections(1, 1, WRITERS_TIMEOUT_MS, WRITERS_CACHE_KIB)?;
        // One that is open and not asked for is 0.1 MB and more.
        let readers = connections(options.pool_size.max(1), 0, READERS_TIMEOUT_MS, READERS_CACHE_KIB)?;
        let turnstile = Arc::new(Turnstile::of(&options.path));
        let store = Store { readers, writer, path: options.path.clone(), turnstile, patience: options.patience, kept };
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

    /// A pooled connection, for reading.
    pub fn connection(&self) -> Result<PooledConnection<ConnectionManager<SqliteConnection>>, StoreError> {
        let give_up = Duration::from_secs(10).min(self.patience.max(Duration::from_millis(100)));
        self.of(&self.readers, give_up)
    }

    fn of(
        &self,
        pool: &Connections,
        patience: Duration,
    ) -> Result<PooledConnection<ConnectionManager<SqliteConnection>>, StoreError> {
        self.kept.check()?;
        pool.get_timeout(patience).map_err(|e| {
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
        let mut conn = self.of(&self.writer, self.patience.max(Duration::from_millis(100)))?;
        immediate(&mut conn, self.patience, Some(&self.turnstile), f)
    }

    /// Brings the log into the database and lets writers begin it anew. Most of it is done beside the writers; they
    /// wait only while what they added meanwhile is brought as well.
    pub fn checkpoint(&self) -> Result<(), StoreError> {
        let mut conn = self.connection()?;
        conn.batch_execute("PRAGMA wal_checkpoint(PASSIVE)")?;
        conn.batch_execute("PRAGMA wal_checkpoint(PASSIVE)")?;
        let _first_in_line = self.turnstile.wait(Instant::now() + self.patience);
        Ok(conn.batch_execute("PRAGMA wal_checkpoint(RESTART)")?)
    }

    /// Whether the database's files are still those that were opened.
    pub fn files(&self) -> Files {
        self.kept.look()
    }

    /// Where they are not: brings what was committed into the database, as far as it still has a name, and keeps this process
    /// from committing anything more.
    ///
    /// # Errors
    /// [`StoreError::Busy`] where readers or a writer of ours do not come to an end.
    pub fn rescue(&self) -> Result<(), StoreError> {
        // For good: what would be committed after this is in no file that anybody opens again.
        std::mem::forget(self.writer.get_timeout(RESCUE).map_err(|_| StoreError::Busy)?);
        self.kept.rescue()
    }

    fn verify(&self, durability: Durability) -> Result<(), StoreError> {
        let give_up = Instant::now() + OPENING;
        for pool in [&self.writer, &self.readers] {
            let mut conn = self.of(pool, OPENING)?;
            // Others may be making, migrating or recovering it; a connection by itself waits for no longer than in use.
            while let Err(error) = Store::verify_one(&mut conn, durability) {
                if !error.is_busy() || Instant::now() > give_up {
                    return Err(error);
                }
                std::thread::sleep(LOOK_AGAIN);
            }
        }
        Ok(())
    }

    fn verify_one(conn: &mut Conn, durability: Durability) -> Result<(), StoreError> {
        for (pragma, wanted) in [("journal_mode", "wal"), ("synchronous", durability.pragma()), ("foreign_keys", "1")] {
            let sql = format!("SELECT CAST({pragma} AS TEXT) AS value FROM pragma_{pragma}");
            let found: PragmaText = diesel::sql_query(sql).get_result(conn)?;
            if !found.value.eq_ignore_ascii_case(wanted) {
                return Err(StoreError::Durability(format!("{pragma} is {}, wanted {wanted}", found.value)));
            }
        }
        Ok(())
    }
}

/// Runs `f` in an immediate transaction, waiting up to `patience` for the writer's lock, in turn with the
/// others (`None` = out of turn).
pub(crate) fn immediate<T, F>(
    conn: &mut Conn,
    patience: Duration,
    turnstile: Option<&Turnstile>,
    mut f: F,
) -> Result<T, StoreError>
where
    F: FnMut(&mut Conn) -> Result<T, StoreError>,
{
    let give_up = Instant::now() + patience;
    if failpoint::refuses(Point::TxnBegin) {
        return Err(StoreError::NotWritable("a fail point says so".into()));
    }
    let mut turn = turnstile.map(|turnstile| turnstile.wait(give_up));
    loop {
        let attempt = in_transaction(conn, |c| {
            if let Some(turn) = &mut turn {
                turn.pass_on();
            }
            f(c).inspect(|_| failpoint::here(Point::TxnInside))
        });
        match attempt {
            Err(StoreError::Busy) if Instant::now() < give_up => {
                std::thread::sleep(turn.as_ref().map_or(Duration::from_millis(1), Turn::pause));
            }
            other => return other.inspect(|_| failpoint::here(Point::TxnCommitted)),
        }
    }
}

/// Diesel's own would have each word compiled anew each time. A panic leaves the transaction open, and the pool closes a
/// connection that comes back from one.
fn in_transaction<T>(conn: &mut Conn, f: impl FnOnce(&mut Conn) -> Result<T, StoreError>) -> Result<T, StoreError> {
    let say = |conn: &mut Conn, word| Word(word).execute(conn).map_err(StoreError::from);
    let begun = say(conn, "BEGIN IMMEDIATE");
    if matches!(begun, Err(StoreError::Busy)) {
        return Err(StoreError::Busy);
    }
    let done = begun.and_then(|_| f(conn)).and_then(|done| say(conn, "COMMIT").map(|_| done));
    done.inspect_err(|_| {
        // After some errors SQLite has taken it back by itself.
        let _none_open = say(conn, "ROLLBACK");
    })
}

/// Compiled once per connection.
struct Word(&'static str);

impl QueryId for Word {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl RunQueryDsl<SqliteConnection> for Word {}

impl QueryFragment<Sqlite> for Word {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Sqlite>) -> QueryResult<()> {
        out.push_sql(self.0);
        Ok(())
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
