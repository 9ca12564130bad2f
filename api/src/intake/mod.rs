//! The way into the queue. Requests hand their delivery to the one writer of this process and wait for its commit;
//! nothing else in the API writes to the database.

mod checkpoint;
mod phase;
mod refusals;
mod writer;

pub use checkpoint::AT_THE_LATEST as CHECKPOINT_PAGES;
pub use phase::{Phase, Standing};
pub use writer::LOCK_ATTEMPT;

use crate::limits::Held;
use orch_common::store::StoreOptions;
use orch_common::store::deliveries::{Intake as Committed, NewDelivery, Source};
use orch_common::store::refusals::Reason;
use refusals::Refusals;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

/// Deliveries that may wait for the writer; beyond, senders are told at once. A request that waits holds its
/// connection, so the bound is met only where senders give up and come back while the database stands still.
const QUEUE_DEPTH: usize = 1024;

/// Why a delivery is not in the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IntakeError {
    /// Nothing is known to be committed; sending it again later helps, and cannot double it.
    #[error("{0}")]
    Unavailable(&'static str),
    /// The database refuses this very delivery; sending it again changes nothing.
    #[error("the database refuses this delivery")]
    Rejected,
}

/// What a delivery's sender is told.
pub type Outcome = Result<Committed, IntakeError>;

/// One delivery on its way to the writer.
struct Item {
    new: NewDelivery,
    answer: oneshot::Sender<Outcome>,
    /// Its share of the memory, until the commit.
    _held: Held,
}

/// What the writer receives.
enum Message {
    Delivery(Box<Item>),
    /// A refused request was counted.
    Refusal,
    /// Nothing that was accepted comes after it.
    Stop,
}

/// The handle that requests have; cheap to clone.
#[derive(Clone)]
pub struct Intake {
    queue: SyncSender<Message>,
    standing: Arc<Standing>,
    refusals: Arc<Refusals>,
}

/// The writer's thread, for the one who stops it.
pub struct Writer {
    queue: SyncSender<Message>,
    thread: JoinHandle<()>,
    gone: CancellationToken,
}

impl Intake {
    /// Starts the writer. It opens the database by itself and keeps trying; until the schema is current every
    /// delivery is [`IntakeError::Unavailable`].
    pub fn start(options: StoreOptions) -> io::Result<(Intake, Writer)> {
        let (queue, deliveries) = sync_channel(QUEUE_DEPTH);
        let standing = Arc::new(Standing::default());
        let gone = CancellationToken::new();
        let refusals = Arc::new(Refusals::default());
        let (theirs, counted) = (Arc::clone(&standing), Arc::clone(&refusals));
        let guard = gone.clone().drop_guard();
        let thread = std::thread::Builder::new().name("intake".into()).spawn(move || {
            // However the thread ends, `gone` is cancelled, and the channel's end drops what was not taken.
            let _guard = guard;
            writer::work(&deliveries, &options, &theirs, &counted);
        })?;
        Ok((Intake { queue: queue.clone(), standing, refusals }, Writer { queue, thread, gone }))
    }

    /// Hands a delivery over and waits for its commit, at most `patience`. A sender that was told to come back
    /// may find its delivery committed meanwhile: it is a duplicate then.
    pub async fn commit(&self, new: NewDelivery, held: Held, patience: Duration) -> Outcome {
        if let Some(why) = self.standing.refusal() {
            return Err(IntakeError::Unavailable(why));
        }
        let (answer, committed) = oneshot::channel();
        let item = Box::new(Item { new, answer, _held: held });
        self.queue.try_send(Message::Delivery(item)).map_err(|refused| match refused {
            TrySendError::Full(_) => IntakeError::Unavailable("too many deliveries wait for the database"),
            TrySendError::Disconnected(_) => IntakeError::Unavailable("the service is stopping"),
        })?;
        match tokio::time::timeout(patience, committed).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) => Err(IntakeError::Unavailable("the writer gave it back")),
            Err(_) => Err(IntakeError::Unavailable("the database did not commit in time")),
        }
    }

    /// Counts a request that was not taken.
    pub fn refused(&self, source: Source, reason: Reason) {
        if self.refusals.note(source, reason, crate::clock::now_ms()) {
            // Where the queue is full, the writer looks at them after its next commit.
            let _busy = self.queue.try_send(Message::Refusal);
        }
    }

    /// How the database stands with the writer.
    pub fn standing(&self) -> &Standing {
        &self.standing
    }
}

impl Writer {
    /// Fires when the thread has ended, by [`Writer::stop`] or by a fault.
    pub fn gone(&self) -> CancellationToken {
        self.gone.clone()
    }

    /// Commits everything that was accepted so far, then ends the thread; blocks until it has. `false` = it had
    /// ended by a fault.
    pub fn stop(self) -> bool {
        let _ended = self.queue.send(Message::Stop);
        self.thread.join().is_ok()
    }
}

#[cfg(test)]
mod tests;
