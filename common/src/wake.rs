//! A commit by any process wakes the others, without a socket between them: the kernel says that SQLite wrote
//! beside the database, and SQLite says whether that was a commit. Only an accelerator: a caller polls as well,
//! because a network file system says nothing. Reads one pragma, never the data.
//!
//! Two signals are needed because neither is enough. inotify fires when the frames of a commit are *written*,
//! which is before they are synced and before a reader can see them; whoever looks at once finds nothing and would
//! sleep again. `PRAGMA data_version` moves exactly when another connection's commit becomes visible, but has to be
//! asked.

use diesel::prelude::*;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify, InotifyEvent};
use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::io::unix::AsyncFd;
use tokio::time::Instant;

/// How long after a write a commit may take to become visible; a sync on a busy disk is the long part.
const SETTLE: Duration = Duration::from_secs(2);
/// Where a commit has become visible, one that was written beside it is waited for this many times as long as that took,
/// and no shorter than this.
const AS_SLOW: u32 = 20;
const AT_LEAST: Duration = Duration::from_millis(100);
/// Between two looks while a write settles: the first, and the longest.
const FIRST_LOOK: Duration = Duration::from_micros(100);
const LONGEST_LOOK: Duration = Duration::from_millis(500);
/// What the runtime's clock counts in.
const TICK: Duration = Duration::from_millis(1);
/// Looks in a row that may follow each other at once; under a steady stream of writes there is one in each
/// [`SPACING`].
const BURST: f64 = 16.0;
const SPACING: Duration = Duration::from_millis(2);

/// Waits for commits to one database.
pub struct Waker {
    events: AsyncFd<Watch>,
    /// The database, its write-ahead log and its rollback journal, as names in their folder.
    names: [OsString; 3],
    commits: Commits,
    /// Until when writes that were seen may still become a commit. Kept between calls, so that a caller may drop
    /// [`Waker::changed`] at any point and lose nothing.
    unsettled: Option<Instant>,
    /// How long to wait before the next look: the longer ago the last write was, the longer.
    look: Duration,
    /// Looks that may be taken at once, as they stood at the last one.
    credit: (f64, Instant),
}

impl Waker {
    /// Begins to watch. The folder must exist, the database need not. Must be called inside a tokio runtime.
    pub fn watch(db_path: &Path) -> io::Result<Waker> {
        let name = db_path.file_name().ok_or_else(|| io::Error::other("the database has no file name"))?;
        let folder = db_path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let inotify = Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC)?;
        let wanted = AddWatchFlags::IN_MODIFY | AddWatchFlags::IN_CREATE | AddWatchFlags::IN_MOVED_TO;
        inotify.add_watch(folder, wanted | AddWatchFlags::IN_ONLYDIR)?;
        let beside = |suffix: &str| {
            let mut name = name.to_owned();
            name.push(suffix);
            name
        };
        let mut commits = Commits::of(db_path);
        commits.moved_on();
        let names = [name.to_owned(), beside("-wal"), beside("-journal")];
        Ok(Waker {
            events: register(Watch(inotify))?,
            names,
            commits,
            unsettled: None,
            look: FIRST_LOOK,
            credit: (BURST, Instant::now()),
        })
    }

    /// Returns when another connection (of any process) has committed since the last return, or since
    /// [`Waker::watch`]. Many commits are one return. May be dropped and called again without losing one.
    pub async fn changed(&mut self) {
        loop {
            if self.take_events() {
                self.begin_settling();
            }
            if self.commits.moved_on() {
                self.settle_sooner();
                return;
            }
            if self.unsettled.is_some_and(|until| Instant::now() < until) {
                let breath = self.breath();
                if self.look < TICK {
                    pause(breath).await;
                    self.look *= 2;
                    continue;
                }
                let look = self.look;
                tokio::select! {
                    () = tokio::time::sleep(look) => self.look = (look * 3).min(LONGEST_LOOK),
                    // Another write begins another settling.
                    () = self.written() => {}
                }
                continue;
            }
            self.unsettled = None;
            self.written().await;
        }
    }

    fn begin_settling(&mut self) {
        self.unsettled = Some(Instant::now() + SETTLE);
        self.look = FIRST_LOOK;
    }

    /// Of the writes that were seen at least one has become visible; the others are on the same disk.
    fn settle_sooner(&mut self) {
        self.unsettled = self.unsettled.map(|until| {
            let now = Instant::now();
            let took = SETTLE.saturating_sub(until.saturating_duration_since(now));
            until.min(now + (took * AS_SLOW).max(AT_LEAST))
        });
    }

    /// How long to wait in any case before the next look.
    fn breath(&mut self) -> Duration {
        let (credit, at) = self.credit;
        let now = Instant::now();
        let credit = (credit + now.duration_since(at).div_duration_f64(SPACING)).min(BURST);
        self.credit = ((credit - 1.0).max(0.0), now);
        if credit < 1.0 { SPACING } else { FIRST_LOOK }
    }

    /// Waits for a write. If the kernel cannot be asked any more, the caller's polling is what is left, and this
    /// never returns. May be dropped at any point and loses nothing.
    async fn written(&mut self) {
        loop {
            match self.events.readable_mut().await {
                Ok(mut guard) => {
                    // Only a real read says that there is nothing; readiness alone may be old.
                    let read = guard.try_io(|events| events.get_ref().0.read_events().map_err(io::Error::from));
                    if let Ok(Ok(events)) = read
                        && concerns(&self.names, &events)
                    {
                        self.begin_settling();
                        return;
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "file watch failed; commits of other processes are seen by polling only");
                    std::future::pending().await
                }
            }
        }
    }

    /// Empties the kernel's queue; whether anything in it was about the database.
    fn take_events(&mut self) -> bool {
        let mut any = false;
        while let Ok(events) = self.events.get_ref().0.read_events() {
            any |= concerns(&self.names, &events);
        }
        any
    }
}

#[expect(deprecated, reason = "its successor asks for `unsafe`; the descriptor is owned by what is registered")]
fn register(watch: Watch) -> io::Result<AsyncFd<Watch>> {
    AsyncFd::new(watch)
}

/// The runtime's clock counts whole milliseconds, a commit on a fast disk takes a tenth of one.
async fn pause(span: Duration) {
    if span < TICK {
        let slept = tokio::task::spawn_blocking(move || std::thread::sleep(span)).await;
        if slept.is_ok() {
            return;
        }
    }
    tokio::time::sleep(span).await;
}

fn concerns(names: &[OsString; 3], events: &[InotifyEvent]) -> bool {
    // An overflow has no name: something was lost, so look.
    events.iter().any(|event| event.name.as_ref().is_none_or(|name| names.contains(name)))
}

/// What tokio can wait for.
struct Watch(Inotify);

impl AsRawFd for Watch {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_fd().as_raw_fd()
    }
}

/// Whether there was a commit since the last look, by a connection that is kept for it.
struct Commits {
    path: PathBuf,
    /// The connection, which file it is open on (device, inode), and the version seen last.
    seen: Option<(SqliteConnection, (u64, u64), i64)>,
}

#[derive(QueryableByName)]
struct DataVersion {
    #[diesel(sql_type = diesel::sql_types::BigInt)]
    data_version: i64,
}

impl Commits {
    fn of(path: &Path) -> Commits {
        Commits { path: path.to_owned(), seen: None }
    }

    /// Whether the database is another one than at the last look. A database that cannot be asked (not there,
    /// being recovered) has not moved on; a file put in its place has.
    fn moved_on(&mut self) -> bool {
        let Some(file) = std::fs::metadata(&self.path).ok().map(|m| (m.dev(), m.ino())) else { return false };
        match self.seen.as_mut().filter(|(_, open, _)| *open == file) {
            Some((connection, _, last)) => version(connection).is_some_and(|now| std::mem::replace(last, now) != now),
            None => {
                let open = open(&self.path).and_then(|mut c| version(&mut c).map(|now| (c, file, now)));
                let opened = open.is_some();
                self.seen = open;
                opened
            }
        }
    }
}

/// A connection to a database that exists; it never makes one, and never waits for a lock.
fn open(path: &Path) -> Option<SqliteConnection> {
    let absolute = std::path::absolute(path).ok()?;
    let mut url = url::Url::from_file_path(absolute).ok()?;
    url.set_query(Some("mode=rw"));
    SqliteConnection::establish(url.as_str()).ok()
}

fn version(connection: &mut SqliteConnection) -> Option<i64> {
    diesel::sql_query("PRAGMA data_version").get_result::<DataVersion>(connection).ok().map(|row| row.data_version)
}

#[cfg(test)]
mod tests {
    use super::*;
    use diesel::connection::SimpleConnection;

    const SOON: Duration = Duration::from_secs(10);

    fn connect(path: &Path) -> SqliteConnection {
        let mut connection = SqliteConnection::establish(path.to_str().unwrap()).unwrap();
        connection.batch_execute("PRAGMA busy_timeout=5000; PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL").unwrap();
        connection
    }

    fn table(path: &Path) -> SqliteConnection {
        let mut connection = connect(path);
        connection.batch_execute("CREATE TABLE IF NOT EXISTS t(x)").unwrap();
        connection
    }

    async fn wakes(waker: &mut Waker) {
        tokio::time::timeout(SOON, waker.changed()).await.expect("a commit wakes");
    }

    /// Nothing more to say: what was there is taken, and what comes next is new.
    async fn is_quiet(waker: &mut Waker) {
        let more = tokio::time::timeout(Duration::from_millis(100), waker.changed()).await;
        assert!(more.is_err(), "woken without a commit");
    }

    #[tokio::test]
    async fn a_commit_of_another_connection_wakes_at_once_and_is_visible_then() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("orch.db");
        let (mut writer, mut reader) = (table(&path), connect(&path));
        let mut waker = Waker::watch(&path).unwrap();
        let mut waits = Vec::new();
        for n in 1..=20 {
            let (done, told) = std::sync::mpsc::channel();
            let thread = std::thread::spawn(move || {
                writer.batch_execute("INSERT INTO t VALUES (1)").unwrap();
                done.send(std::time::Instant::now()).unwrap();
                writer
            });
            wakes(&mut waker).await;
            let woken = std::time::Instant::now();
            #[derive(QueryableByName)]
            struct Count {
                #[diesel(sql_type = diesel::sql_types::BigInt)]
                n: i64,
            }
            let count: Count = diesel::sql_query("SELECT count(*) AS n FROM t").get_result(&mut reader).unwrap();
            assert_eq!(count.n, n, "woken before the commit could be seen");
            waits.push(woken.saturating_duration_since(told.recv().unwrap()));
            writer = thread.join().unwrap();
        }
        waits.sort();
        assert!(waits[waits.len() / 2] < Duration::from_millis(50), "{waits:?}");
    }

    #[tokio::test]
    async fn another_process_wakes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("orch.db");
        drop(table(&path));
        let mut waker = Waker::watch(&path).unwrap();
        let child = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "wake::tests::child"])
            .env("ORCH_TEST_WAKE_CHILD", &path)
            .stdout(std::process::Stdio::null())
            .spawn();
        wakes(&mut waker).await;
        assert!(child.unwrap().wait().unwrap().success());
    }

    /// Not a test of its own: the other process of the test above.
    #[test]
    #[ignore = "the other process of a test"]
    fn child() {
        let Some(path) = std::env::var_os("ORCH_TEST_WAKE_CHILD") else { return };
        connect(Path::new(&path)).batch_execute("INSERT INTO t VALUES (1)").unwrap();
    }

    #[tokio::test]
    async fn many_commits_are_one_return_also_those_before_the_call() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("orch.db");
        let mut writer = table(&path);
        let mut waker = Waker::watch(&path).unwrap();
        for _ in 0..50 {
            writer.batch_execute("INSERT INTO t VALUES (1)").unwrap();
        }
        wakes(&mut waker).await;
        is_quiet(&mut waker).await;
        writer.batch_execute("INSERT INTO t VALUES (1)").unwrap();
        wakes(&mut waker).await;
    }

    #[tokio::test]
    async fn what_is_no_commit_does_not_wake() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("orch.db");
        let mut writer = table(&path);
        let mut waker = Waker::watch(&path).unwrap();
        writer.batch_execute("BEGIN IMMEDIATE; INSERT INTO t VALUES (1); ROLLBACK").unwrap();
        std::fs::write(folder.path().join("other.txt"), "x").unwrap();
        is_quiet(&mut waker).await;
        let commit = async {
            writer.batch_execute("BEGIN IMMEDIATE; INSERT INTO t VALUES (1)").unwrap();
            tokio::time::sleep(Duration::from_millis(20)).await;
            writer.batch_execute("COMMIT").unwrap();
        };
        tokio::join!(wakes(&mut waker), commit);
    }

    #[tokio::test]
    async fn a_dropped_wait_loses_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("orch.db");
        let mut writer = table(&path);
        let mut waker = Waker::watch(&path).unwrap();
        writer.batch_execute("BEGIN IMMEDIATE; INSERT INTO t VALUES (1)").unwrap();
        for _ in 0..20 {
            let early = tokio::time::timeout(Duration::from_micros(500), waker.changed()).await;
            assert!(early.is_err());
        }
        writer.batch_execute("COMMIT").unwrap();
        wakes(&mut waker).await;
    }

    #[tokio::test]
    async fn a_log_that_starts_anew_and_a_database_that_comes_anew_are_followed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("orch.db");
        let mut waker = Waker::watch(&path).unwrap();
        let mut writer = table(&path);
        wakes(&mut waker).await;
        writer.batch_execute("PRAGMA wal_checkpoint(TRUNCATE); INSERT INTO t VALUES (1)").unwrap();
        wakes(&mut waker).await;
        drop(writer);
        for suffix in ["", "-wal", "-shm"] {
            let _ = std::fs::remove_file(folder.path().join(format!("orch.db{suffix}")));
        }
        is_quiet(&mut waker).await;
        let mut writer = table(&path);
        wakes(&mut waker).await;
        is_quiet(&mut waker).await;
        writer.batch_execute("INSERT INTO t VALUES (1)").unwrap();
        wakes(&mut waker).await;
    }
}
