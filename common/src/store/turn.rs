//! Whose turn it is to wait for the writer's lock. SQLite's lock has no queue: who has just let go of it and wants it
//! again at once gets it again, and the others find it taken whenever they look. So writers of all processes first take
//! a lock on a file beside the database, and only its holder looks for SQLite's, very often; whoever comes back meanwhile
//! finds the turn taken and waits with the others. A courtesy and no safeguard: without the file, or behind a holder that
//! does not move (a stopped process), writers do without: they wait for it once, and from then on only try.

use std::fs::{File, TryLockError};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How long a turn is waited for before a writer does without.
const COURTESY: Duration = Duration::from_secs(1);
/// Between two looks at a turn that is taken: as a rule it is free again in no time.
const LOOK: Duration = Duration::from_micros(200);
const LATER_LOOK: Duration = Duration::from_millis(1);
/// Between two looks at SQLite's lock by who has the turn: while it is held for one statement, and for longer.
const QUICK: Duration = Duration::from_micros(100);
const SLOW: Duration = Duration::from_millis(2);
/// A transaction of ours is over in this time.
const SHORT: Duration = Duration::from_millis(50);

/// Where the turn is waited for. Keeps the file open between two turns; threads that wait at the same time have one each,
/// since those that shared it would share the lock.
pub(crate) struct Turnstile {
    path: PathBuf,
    spare: Mutex<Option<File>>,
    /// The last wait was in vain: the holder does not move. True until the turn is had again.
    stuck: AtomicBool,
}

impl Turnstile {
    pub(super) fn of(database: &Path) -> Turnstile {
        let path = database.with_extension("turn");
        Turnstile { path, spare: Mutex::new(None), stuck: AtomicBool::new(false) }
    }

    fn file(&self) -> std::io::Result<File> {
        let spare = self.spare.lock().ok().and_then(|mut spare| spare.take());
        match spare {
            Some(file) => Ok(file),
            // Nobody else's, or anybody could have the turn and keep it.
            None => File::options().create(true).append(true).mode(0o600).open(&self.path),
        }
    }

    fn keep(&self, file: File) {
        if file.unlock().is_ok()
            && let Ok(mut spare) = self.spare.lock()
        {
            spare.get_or_insert(file);
        }
    }

    /// Waits for the turn, at most until `give_up`.
    pub(super) fn wait(&self, give_up: Instant) -> Turn<'_> {
        let since = Instant::now();
        let Ok(file) = self.file() else { return Turn { lock: None, turnstile: self, since } };
        let courtesy = if self.stuck.load(Ordering::Relaxed) { Duration::ZERO } else { COURTESY };
        let until = give_up.min(since + courtesy);
        loop {
            match file.try_lock() {
                Ok(()) => {
                    self.stuck.store(false, Ordering::Relaxed);
                    return Turn { lock: Some(file), turnstile: self, since: Instant::now() };
                }
                Err(TryLockError::WouldBlock) if Instant::now() < until => {
                    std::thread::sleep(if since.elapsed() < LATER_LOOK { LOOK } else { LATER_LOOK });
                }
                Err(_) => {
                    self.stuck.store(since.elapsed() >= COURTESY || courtesy.is_zero(), Ordering::Relaxed);
                    return Turn { lock: None, turnstile: self, since };
                }
            }
        }
    }
}

/// The turn, until dropped.
pub(super) struct Turn<'a> {
    lock: Option<File>,
    turnstile: &'a Turnstile,
    since: Instant,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.pass_on();
    }
}

impl Turn<'_> {
    /// How long to wait before the next look at SQLite's lock.
    pub(super) fn pause(&self) -> Duration {
        match &self.lock {
            Some(_) if self.since.elapsed() < SHORT => QUICK,
            Some(_) | None => SLOW,
        }
    }

    /// Lets the next one wait for SQLite's lock; called when this one has it.
    pub(super) fn pass_on(&mut self) {
        if let Some(file) = self.lock.take() {
            self.turnstile.keep(file);
        }
    }
}
