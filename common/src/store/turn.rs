//! Whose turn it is to wait for the writer's lock. SQLite's lock has no queue: who has just let go of it and wants it
//! again at once gets it again, and the others find it taken whenever they look. So writers of all processes first take
//! a lock on a file beside the database, and only its holder looks for SQLite's, very often; whoever comes back meanwhile
//! finds the turn taken and waits with the others. A courtesy and no safeguard: without the file, or behind a holder that
//! does not move, writers do without.

use std::fs::{File, TryLockError};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

/// How long a turn is waited for before a writer does without.
const COURTESY: Duration = Duration::from_secs(1);
/// Between two looks at a turn that is taken.
const LOOK: Duration = Duration::from_millis(1);
/// Between two looks at SQLite's lock by who has the turn: while it is held for one statement, and for longer.
const QUICK: Duration = Duration::from_micros(100);
const SLOW: Duration = Duration::from_millis(2);
/// A transaction of ours is over in this time.
const SHORT: Duration = Duration::from_millis(50);

/// The turn, until dropped.
pub(super) struct Turn {
    lock: Option<File>,
    since: Instant,
}

impl Turn {
    /// Waits for it, at most until `give_up`.
    pub(super) fn wait(database: &Path, give_up: Instant) -> Turn {
        let since = Instant::now();
        let path = database.with_extension("turn");
        // Every wait opens the file anew: threads that shared it would share the lock.
        // Nobody else's, or anybody could have the turn and keep it.
        let Ok(file) = File::options().create(true).append(true).mode(0o600).open(path) else {
            return Turn { lock: None, since };
        };
        let until = give_up.min(since + COURTESY);
        loop {
            match file.try_lock() {
                Ok(()) => return Turn { lock: Some(file), since: Instant::now() },
                Err(TryLockError::WouldBlock) if Instant::now() < until => std::thread::sleep(LOOK),
                Err(_) => return Turn { lock: None, since },
            }
        }
    }

    /// How long to wait before the next look at SQLite's lock.
    pub(super) fn pause(&self) -> Duration {
        match &self.lock {
            Some(_) if self.since.elapsed() < SHORT => QUICK,
            Some(_) | None => SLOW,
        }
    }

    /// Lets the next one wait for SQLite's lock; called when this one has it.
    pub(super) fn pass_on(&mut self) {
        self.lock = None;
    }
}
