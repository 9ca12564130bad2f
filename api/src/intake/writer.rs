//! The one writer: a thread with a connection of its own that commits what has gathered since its last commit,
//! many deliveries in one transaction. On a disk whose sync takes 2 ms that is the difference between 400 and 12,000
//! deliveries a second. When it is quiet it takes apart what came in a crowd. It never migrates and never answers
//! before the commit has returned.

use super::checkpoint::Checkpoints;
use super::courier::Bags;
use super::crowd::Crowd;
use super::inbox::{Found, Outlet};
use super::phase::{Phase, Standing};
use super::refusals::Refusals;
use super::{IntakeError, Item, Outcome};
use crate::clock::now_ms;
use orch_common::failpoint::{self, Point};
use orch_common::store::deliveries::{Intake as Committed, Recent, any_bundled, unbundle_oldest};
use orch_common::store::{Files, Store, StoreError, StoreOptions, refusals};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant};

/// Deliveries of one transaction on a disk that takes long to sync: as many as wait, so that its time is shared by many.
const BATCH: usize = 256;
/// The same on a quick disk. The first need not wait for the last there, and their senders, and the threads that answer
/// them, have something to do while the next are committed.
const SMALL_BATCH: usize = 64;
/// A disk is quick where a transaction takes less than this.
const QUICK: Duration = Duration::from_micros(1500);

/// Payload bytes of one transaction (a single delivery may be larger), so that others are not kept waiting.
const BATCH_BYTES: usize = 4 * 1024 * 1024;

/// How long a batch waits for another process's write lock. Plane waits 30 s for its answer; Gitea, which never
/// sends again, has been answered 503 by then, and its delivery is saved all the same.
const LOCK_PATIENCE: Duration = Duration::from_secs(20);

/// One attempt of that wait; between two the phase says what is going on.
pub const LOCK_ATTEMPT: Duration = Duration::from_millis(500);

/// How often a database that is not ready is looked at.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// How long others of a crowd are waited for.
const LINGER: Duration = Duration::from_micros(500);

/// So long without a delivery it is quiet.
const QUIET: Duration = Duration::from_millis(5);

/// Runs until told to stop.
pub(super) fn work(outlet: &Outlet, options: &StoreOptions, standing: &Standing, refusals: &Refusals) {
    while let Some(mut database) = become_ready(outlet, options, standing) {
        match serve(outlet, &mut database, standing, refusals) {
            End::Stop => return,
            End::Reopen => {
                standing.enter(Phase::Opening);
            }
            End::Lost => return rescue(&database, standing),
        }
    }
}

/// The open database, and which file that is.
struct Database {
    store: Store,
    file: Option<(u64, u64)>,
    checkpoints: Checkpoints,
    recent: Recent,
    /// After how long without a delivery to go on with what a crowd has left; `None` = there is nothing left.
    left: Option<Duration>,
}

impl Database {
    fn open(options: &StoreOptions) -> Result<Self, StoreError> {
        let store = Store::open(options)?;
        store.check_schema()?;
        let checkpoints = Checkpoints::start(store.clone()).map_err(|e| StoreError::Open {
            path: store.path().display().to_string(),
            why: format!("no thread for it: {e}"),
        })?;
        let left = any_bundled(&mut *store.connection()?)?.then_some(QUIET);
        Ok(Database { file: file_at(store.path()), store, checkpoints, recent: Recent::default(), left })
    }

    /// Makes the deliveries of one bundle jobs of their own; after the last of them, brings some of their keys into the index.
    fn tidy(&mut self) {
        let Database { store, recent, .. } = self;
        let tidied = match store.write_now(unbundle_oldest) {
            Ok(0) => store.write_now(|c| recent.index_when_quiet(c)).inspect(|_| recent.committed()),
            unbundled => unbundled.map(|_| true),
        };
        self.left = match tidied {
            Ok(more) => more.then_some(QUIET),
            Err(error) => {
                tracing::debug!(%error, "what came in a crowd stays as it is for now");
                Some(LOOK_AGAIN)
            }
        };
    }

    /// Writes down what was refused; where that fails it is counted on.
    fn note(&self, refusals: &Refusals) {
        let new = refusals.take();
        if let Err(error) = self.store.write_now(|conn| refusals::add(conn, &new)) {
            tracing::debug!(%error, "what was refused is counted, and not written yet");
            refusals.give_back(new);
        }
    }

    /// Another file, or none, is at its path by now: what is committed here is committed to nowhere.
    fn is_replaced(&self) -> bool {
        file_at(self.store.path()) != self.file
    }
}

/// Device and inode.
fn file_at(path: &Path) -> Option<(u64, u64)> {
    std::fs::metadata(path).ok().map(|file| (file.dev(), file.ino()))
}

/// Why [`serve`] ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Stop,
    /// The database is no longer what it was when it was opened.
    Reopen,
    /// Its log was taken away: every program that has it open has to end.
    Lost,
}

/// Opens the database as soon as it can be and its schema is current; `None` = told to stop before.
fn become_ready(outlet: &Outlet, options: &StoreOptions, standing: &Standing) -> Option<Database> {
    loop {
        let phase = match Database::open(options) {
            Ok(database) => {
                standing.opened();
                standing.enter(Phase::Ready);
                tracing::info!("the database is ready: deliveries are accepted");
                return Some(database);
            }
            Err(StoreError::NotMigrated(why)) => Phase::Outdated(why),
            Err(StoreError::Newer(why)) => Phase::Newer(why),
            Err(other) => Phase::Unusable(other.to_string()),
        };
        if standing.enter(phase.clone()) {
            tracing::warn!(?phase, "no delivery is accepted until the database is ready");
        }
        match outlet.wait(1, Some(LOOK_AGAIN)) {
            Found::End => return None,
            // It slipped in while the phase changed.
            Found::Some => {
                let outcome = Err(IntakeError::Unavailable("the database is not ready"));
                say_all(outlet.take(BATCH, usize::MAX).into_iter().map(|item| (item, outcome)));
            }
            Found::Nothing => {}
        }
    }
}

/// Commits batch after batch.
fn serve(outlet: &Outlet, database: &mut Database, standing: &Standing, refusals: &Refusals) -> End {
    let mut usual = Duration::ZERO;
    let mut crowd = Crowd::default();
    loop {
        if let Some(enough) = crowd.worth_waiting_for() {
            outlet.wait(enough, Some(LINGER));
        }
        let due = refusals.due_in();
        if due == Some(Duration::ZERO) {
            database.note(refusals);
            continue;
        }
        match outlet.wait(1, database.left.into_iter().chain(due).chain([LOOK_AGAIN]).min()) {
            Found::End => {
                database.note(refusals);
                return End::Stop;
            }
            Found::Nothing if database.store.files() == Files::Lost => return End::Lost,
            Found::Nothing if database.left.is_none() => {}
            Found::Nothing => database.tidy(),
            Found::Some => {
                let batch = outlet.take(if usual < QUICK { SMALL_BATCH } else { BATCH }, BATCH_BYTES);
                let (many, began) = (batch.len(), Instant::now());
                if let Some(end) = commit(database, batch, standing) {
                    return end;
                }
                // One that waited for somebody does not make a disk slow.
                usual = (usual * 7 + began.elapsed().min(2 * QUICK)) / 8;
                crowd.was(many, outlet.waiting());
            }
        }
    }
}

/// Commits a batch and answers each of its senders.
fn commit(database: &mut Database, batch: Vec<Item>, standing: &Standing) -> Option<End> {
    match patiently(standing, || insert(database, &batch)) {
        Ok(_) if database.is_replaced() => Some(disown(batch)),
        Ok(_) if database.store.files() == Files::Lost => Some(lose(batch)),
        Err(StoreError::FilesLost(_)) => Some(lose(batch)),
        Ok(committed) => {
            say_all(batch.into_iter().zip(committed.into_iter().map(Ok)));
            None
        }
        Err(error) if error.is_constraint() => {
            tracing::error!(%error, deliveries = batch.len(), "a delivery was refused; trying each by itself");
            batch.into_iter().find_map(|item| commit_alone(database, item, standing))
        }
        Err(error) => fail(standing, batch, &error),
    }
}

/// Commits one delivery of a batch that one of them spoilt.
fn commit_alone(database: &mut Database, item: Item, standing: &Standing) -> Option<End> {
    match patiently(standing, || insert(database, std::slice::from_ref(&item))) {
        Ok(_) if database.is_replaced() => Some(disown(vec![item])),
        Ok(_) if database.store.files() == Files::Lost => Some(lose(vec![item])),
        Err(StoreError::FilesLost(_)) => Some(lose(vec![item])),
        Ok(committed) => {
            let outcome = committed.into_iter().next().ok_or(IntakeError::Rejected);
            item.say(outcome);
            None
        }
        Err(error) if error.is_constraint() => {
            tracing::error!(%error, source = %item.new.source, "the database refuses this delivery for good");
            item.say(Err(IntakeError::Rejected));
            None
        }
        Err(error) => fail(standing, vec![item], &error),
    }
}

fn insert(database: &mut Database, batch: &[Item]) -> Result<Vec<Committed>, StoreError> {
    let now = now_ms();
    let Database { store, recent, checkpoints, left, .. } = database;
    failpoint::here(Point::IntakeCommit);
    let committed = store.write_now(|conn| recent.insert_all(conn, batch.iter().map(|item| &item.new), now))?;
    failpoint::here(Point::IntakeCommitted);
    recent.committed();
    checkpoints.wrote(recent.stored_bytes());
    if recent.has_bundled() {
        *left = Some(QUIET);
    }
    Ok(committed)
}

/// Tries again while another process holds the write lock.
fn patiently<T>(standing: &Standing, mut attempt: impl FnMut() -> Result<T, StoreError>) -> Result<T, StoreError> {
    let give_up = Instant::now() + LOCK_PATIENCE;
    loop {
        match attempt() {
            Err(StoreError::Busy) if Instant::now() < give_up => {
                if standing.enter(Phase::Failing(StoreError::Busy.to_string())) {
                    tracing::warn!("another process holds the database's write lock; deliveries wait");
                }
            }
            other => {
                if other.as_ref().err().is_none_or(StoreError::is_constraint) {
                    recovered(standing);
                }
                return other;
            }
        }
    }
}

/// Takes back a commit to a file that is no longer the database.
fn disown(batch: Vec<Item>) -> End {
    tracing::error!(deliveries = batch.len(), "the database's file was replaced; opening the new one");
    let outcome = Err(IntakeError::Unavailable("the database was replaced"));
    say_all(batch.into_iter().map(|item| (item, outcome)));
    End::Reopen
}

/// Acknowledges nothing of what went into a log that has no name any more.
fn lose(batch: Vec<Item>) -> End {
    let outcome = Err(IntakeError::Unavailable("the database's log was taken away"));
    say_all(batch.into_iter().map(|item| (item, outcome)));
    End::Lost
}

/// Brings what was acknowledged into the database before the process ends.
fn rescue(database: &Database, standing: &Standing) {
    standing.enter(Phase::Unusable("its log was taken away while it was open".into()));
    match database.store.rescue() {
        Ok(()) => tracing::error!("{LOST}; what was acknowledged is in the database"),
        Err(error) => {
            tracing::error!(%error, "{LOST}; not all of what was acknowledged lately could be brought into the database")
        }
    }
}

/// What is said of it; whoever reads it has to do nothing where a service manager starts both again.
const LOST: &str = "the database's -wal or -shm was taken away while it was open: this process ends, and the worker has to end too, \
                    before the database is opened again";

/// Tells a batch's senders to come back.
fn fail(standing: &Standing, batch: Vec<Item>, error: &StoreError) -> Option<End> {
    tracing::error!(%error, deliveries = batch.len(), "the queue cannot be written");
    let outcome = Err(IntakeError::Unavailable("the queue cannot be written"));
    say_all(batch.into_iter().map(|item| (item, outcome)));
    if let StoreError::NotMigrated(why) = error {
        standing.enter(Phase::Outdated(why.clone()));
        return Some(End::Reopen);
    }
    standing.enter(Phase::Failing(error.to_string()));
    None
}

fn recovered(standing: &Standing) {
    if standing.enter(Phase::Ready) {
        tracing::info!("the queue can be written again");
    }
}

impl Item {
    /// Answers this one by itself.
    fn say(self, outcome: Outcome) {
        say_all(std::iter::once((self, outcome)));
    }
}

fn say_all(outcomes: impl Iterator<Item = (Item, Outcome)>) {
    let mut bags = Bags::default();
    for (item, outcome) in outcomes {
        bags.add(item, outcome);
    }
    bags.send();
}
