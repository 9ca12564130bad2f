//! The one writer: a thread with a connection of its own that commits what has gathered since its last commit,
//! many deliveries in one transaction (group commit). It never migrates and never answers before the commit has returned.

use super::checkpoint::Checkpoints;
use super::phase::{Phase, Standing};
use super::refusals::Refusals;
use super::{IntakeError, Item, Message, Outcome};
use crate::clock::now_ms;
use orch_common::failpoint::{self, Point};
use orch_common::store::deliveries::{self, Intake as Committed};
use orch_common::store::{Files, Store, StoreError, StoreOptions, refusals};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

/// Deliveries of one transaction at most.
const BATCH: usize = 256;

/// Payload bytes of one transaction (a single delivery may be larger), so that others are not kept waiting.
const BATCH_BYTES: usize = 4 * 1024 * 1024;

/// How long a batch waits for another process's write lock. Plane waits 30 s for its answer; Gitea, which never
/// sends again, has been answered 503 by then, and its delivery is saved all the same.
const LOCK_PATIENCE: Duration = Duration::from_secs(20);

/// One attempt of that wait; between two the phase says what is going on.
pub const LOCK_ATTEMPT: Duration = Duration::from_millis(500);

/// How often a database that is not ready is looked at.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Runs until told to stop.
pub(super) fn work(queue: &Receiver<Message>, options: &StoreOptions, standing: &Standing, refusals: &Refusals) {
    while let Some(mut database) = become_ready(queue, options, standing) {
        match serve(queue, &mut database, standing, refusals) {
            End::Stop => return,
            End::Reopen => {
                standing.enter(Phase::Opening);
            }
            End::Lost => return rescue(&database, standing),
        }
    }
}

/// What is committed together.
#[derive(Default)]
struct Batch {
    items: Vec<Item>,
    /// Told to stop; nothing comes after it.
    stop: bool,
}

impl Batch {
    /// Waits for something, at most so long, and takes what else is there.
    fn next(queue: &Receiver<Message>, at_most: Duration) -> Batch {
        let mut batch = Batch::default();
        let mut bytes = 0;
        let mut next = queue.recv_timeout(at_most);
        loop {
            match next {
                Ok(Message::Delivery(item)) => {
                    bytes += item.new.payload.bytes();
                    batch.items.push(*item);
                }
                Ok(Message::Refusal) => {}
                Ok(Message::Stop) | Err(RecvTimeoutError::Disconnected) => batch.stop = true,
                Err(RecvTimeoutError::Timeout) => return batch,
            }
            if batch.stop || batch.items.len() >= BATCH || bytes >= BATCH_BYTES {
                return batch;
            }
            next = queue.try_recv().map_err(|_| RecvTimeoutError::Timeout);
        }
    }
}

/// The open database.
struct Database {
    store: Store,
    checkpoints: Checkpoints,
}

impl Database {
    fn open(options: &StoreOptions) -> Result<Self, StoreError> {
        let store = Store::open(options)?;
        store.check_schema()?;
        let checkpoints = Checkpoints::start(store.clone()).map_err(|e| StoreError::Open {
            path: store.path().display().to_string(),
            why: format!("no thread for it: {e}"),
        })?;
        Ok(Database { store, checkpoints })
    }

    /// Writes down what was refused; where that fails it is counted on.
    fn note(&self, refusals: &Refusals) {
        let new = refusals.take();
        if let Err(error) = self.store.write_now(|conn| refusals::add(conn, &new)) {
            tracing::debug!(%error, "what was refused is counted, and not written yet");
            refusals.give_back(new);
        }
    }
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
fn become_ready(queue: &Receiver<Message>, options: &StoreOptions, standing: &Standing) -> Option<Database> {
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
        // What slipped in while the phase changed is refused as well.
        let Batch { items, stop } = Batch::next(queue, LOOK_AGAIN);
        answer_all(items, Err(IntakeError::Unavailable("the database is not ready")));
        if stop {
            return None;
        }
    }
}

/// Commits batch after batch.
fn serve(queue: &Receiver<Message>, database: &mut Database, standing: &Standing, refusals: &Refusals) -> End {
    loop {
        if refusals.due_in() == Some(Duration::ZERO) {
            database.note(refusals);
        }
        let at_most = refusals.due_in().map_or(LOOK_AGAIN, |due| due.min(LOOK_AGAIN));
        let Batch { items, stop } = Batch::next(queue, at_most);
        let end = match items.is_empty() {
            true => disowned(database.store.files(), Vec::new()),
            false => commit(database, items, standing),
        };
        // What was acknowledged is brought into the database also where the process is to stop.
        if stop && end != Some(End::Lost) {
            database.note(refusals);
            return End::Stop;
        }
        if let Some(end) = end {
            return end;
        }
    }
}

/// Commits a batch and answers each of its senders.
fn commit(database: &mut Database, batch: Vec<Item>, standing: &Standing) -> Option<End> {
    match patiently(standing, || insert(database, &batch)) {
        Ok(committed) => {
            let files = database.store.files();
            if files != Files::Whole {
                return disowned(files, batch);
            }
            batch.into_iter().zip(committed).for_each(|(item, outcome)| item.answer(Ok(outcome)));
            None
        }
        Err(StoreError::FilesLost(_)) => disowned(Files::Lost, batch),
        Err(error) if error.is_constraint() && batch.len() > 1 => {
            tracing::error!(%error, deliveries = batch.len(), "a delivery was refused; trying each by itself");
            batch.into_iter().find_map(|item| commit(database, vec![item], standing))
        }
        Err(error) if error.is_constraint() => {
            tracing::error!(%error, source = ?batch.first().map(|item| item.new.source), "the database refuses this delivery for good");
            answer_all(batch, Err(IntakeError::Rejected));
            None
        }
        Err(error) => fail(standing, batch, &error),
    }
}

fn insert(database: &mut Database, batch: &[Item]) -> Result<Vec<Committed>, StoreError> {
    let now = now_ms();
    failpoint::here(Point::IntakeCommit);
    let committed = database.store.write_now(|conn| {
        batch.iter().map(|item| deliveries::insert(conn, &item.new, now)).collect::<Result<_, _>>()
    })?;
    failpoint::here(Point::IntakeCommitted);
    database.checkpoints.wrote(batch.iter().map(|item| item.new.payload.bytes()));
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

/// Acknowledges nothing of what went into files that are no longer the database's.
fn disowned(files: Files, batch: Vec<Item>) -> Option<End> {
    let (why, end) = match files {
        Files::Whole => return None,
        Files::Replaced => ("the database was replaced", End::Reopen),
        Files::Lost => ("the database's log was taken away", End::Lost),
    };
    if files == Files::Replaced {
        tracing::error!(deliveries = batch.len(), "the database's file was replaced; opening the new one");
    }
    answer_all(batch, Err(IntakeError::Unavailable(why)));
    Some(end)
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
    answer_all(batch, Err(IntakeError::Unavailable("the queue cannot be written")));
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
    /// A sender that is gone does not hear it.
    fn answer(self, outcome: Outcome) {
        let _gone = self.answer.send(outcome);
    }
}

fn answer_all(batch: Vec<Item>, outcome: Outcome) {
    batch.into_iter().for_each(|item| item.answer(outcome));
}
