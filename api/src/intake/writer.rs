//! The one writer: a thread with a connection of its own that commits what has gathered since its last commit,
//! many deliveries in one transaction (group commit). On a disk whose sync takes 2 ms that is the difference between 400
//! and 12,000 deliveries a second. It never migrates and never answers before the commit has returned.

use super::checkpoint::Checkpoints;
use super::phase::{Phase, Standing};
use super::refusals::Refusals;
use super::{IntakeError, Item, Message, Outcome};
use crate::clock::now_ms;
use orch_common::failpoint::{self, Point};
use orch_common::store::deliveries::{self, Intake as Committed};
use orch_common::store::{Files, Store, StoreError, StoreOptions, refusals};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
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
    /// Waits for something, at most so long (`None` = for ever), and takes what else is there.
    fn next(queue: &Receiver<Message>, at_most: Option<Duration>) -> Batch {
        let mut batch = Batch::default();
        let mut bytes = 0;
        let mut next = match at_most {
            Some(span) => queue.recv_timeout(span),
            None => queue.recv().map_err(|_| RecvTimeoutError::Disconnected),
        };
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

/// The open database, and which file that is.
struct Database {
    store: Store,
    file: Option<(u64, u64)>,
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
        Ok(Database { file: file_at(store.path()), store, checkpoints })
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
        let Batch { items, stop } = Batch::next(queue, Some(LOOK_AGAIN));
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
        let Batch { items, stop } = Batch::next(queue, Some(at_most));
        let end = match items.is_empty() {
            true => (database.store.files() == Files::Lost).then_some(End::Lost),
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
        Ok(_) if database.is_replaced() => Some(disown(batch)),
        Ok(_) if database.store.files() == Files::Lost => Some(lose(batch)),
        Err(StoreError::FilesLost(_)) => Some(lose(batch)),
        Ok(committed) => {
            batch.into_iter().zip(committed).for_each(|(item, outcome)| item.answer(Ok(outcome)));
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
            item.answer(outcome);
            None
        }
        Err(error) if error.is_constraint() => {
            tracing::error!(%error, source = %item.new.source, "the database refuses this delivery for good");
            item.answer(Err(IntakeError::Rejected));
            None
        }
        Err(error) => fail(standing, vec![item], &error),
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

/// Takes back a commit to a file that is no longer the database.
fn disown(batch: Vec<Item>) -> End {
    tracing::error!(deliveries = batch.len(), "the database's file was replaced; opening the new one");
    answer_all(batch, Err(IntakeError::Unavailable("the database was replaced")));
    End::Reopen
}

/// Acknowledges nothing of what went into a log that has no name any more.
fn lose(batch: Vec<Item>) -> End {
    let outcome = Err(IntakeError::Unavailable("the database's log was taken away"));
    answer_all(batch, outcome);
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
