//! Brings the log into the database beside the writer: done by the commit that happens to be due, as SQLite does by
//! itself, it would hold up every delivery for tens of milliseconds.

use orch_common::store::Store;
use std::io;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

/// Bytes in the log, by estimate, after which it is brought in: little at a time, so that the commits beside it notice
/// little.
const EVERY: usize = 2 * 1024 * 1024;

/// What a delivery adds to the log beside its payload: a page of the index of keys, and its part of the pages that all change.
const PER_DELIVERY: usize = 5 * 1024;

/// The log's pages at which a commit does it after all, because nobody else came to it: 48 MiB.
pub const AT_THE_LATEST: u32 = 12_288;

/// Counts what is written, and has a thread that does the work; it ends when this is dropped.
pub(super) struct Checkpoints {
    due: SyncSender<()>,
    written: usize,
}

impl Checkpoints {
    pub(super) fn start(store: Store) -> io::Result<Checkpoints> {
        let (due, dues) = sync_channel(1);
        std::thread::Builder::new().name("checkpoint".into()).spawn(move || work(&store, &dues))?;
        Ok(Checkpoints { due, written: 0 })
    }

    /// Notes a commit that stored payloads of so many bytes.
    pub(super) fn wrote(&mut self, payloads: impl Iterator<Item = usize>) {
        self.written += payloads.map(|bytes| PER_DELIVERY + bytes).sum::<usize>();
        if self.written >= EVERY {
            self.written = 0;
            // One that is under way does for both.
            let _under_way = self.due.try_send(());
        }
    }
}

fn work(store: &Store, dues: &Receiver<()>) {
    while dues.recv().is_ok() {
        if let Err(error) = store.checkpoint() {
            tracing::debug!(%error, "the log was not brought into the database; a later commit does it");
        }
    }
}
