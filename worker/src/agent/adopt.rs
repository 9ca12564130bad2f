//! Finding a run again: by the worker that started it, or by its successor that knows only the folder. Whoever gets
//! the run's lock while there is no exit record knows that no supervisor lives, and makes sure that none will.

use super::identity::{Delivery, Identity, signal};
use super::record::{ExitRecord, StopRequest};
use super::run_dir::{RunDir, RunDirError, RunLock};
use super::sweep::{Quarry, sweep};
use orch_common::domain::run::StopReason;
use rustix::process::Signal;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// For the orphans of a killed supervisor.
const SWEEP_LIMIT: Duration = Duration::from_secs(30);
/// The lock may be held by a supervisor that has not said its name yet, or by another worker's sweep.
const BUSY_LIMIT: Duration = Duration::from_secs(40);
const BUSY_PAUSE: Duration = Duration::from_millis(2);

/// What became of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// Its supervisor lives: wait for it.
    Alive(Identity),
    /// It ended and said how.
    Ended(ExitRecord),
    /// Its supervisor was killed or never came. What it left was killed; it will never start again.
    Lost,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RunEnd {
    /// With a record.
    Ended(ExitRecord),
    /// Without one.
    Lost,
}

/// What a request to stop reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopSent {
    /// The supervisor was signalled.
    Signalled,
    /// There is none (yet, or any more). One that comes will find the wish and not start the agent.
    Noted,
}

/// Why nothing can be said about a run now.
#[derive(Debug, thiserror::Error)]
pub enum AdoptError {
    /// The folder can not be read or written.
    #[error(transparent)]
    RunDir(#[from] RunDirError),
    /// Another process has the lock and does not say who it is; try again later.
    #[error("run {} is held by an unknown process", .0.display())]
    Busy(PathBuf),
    /// The system refused to look at a process.
    #[error("process of run {run}: {source}", run = run.display())]
    Process {
        /// The run's folder.
        run: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
}

/// Looks at a run. May kill, and may take seconds: not for an async thread.
pub fn examine(run_dir: &Path) -> Result<Found, AdoptError> {
    // A folder that is not there may be about to be made, by a worker that was asleep: it must find the fence.
    let dir = RunDir::create(run_dir)?;
    let deadline = Instant::now() + BUSY_LIMIT;
    loop {
        if let Ok(Some(record)) = dir.read_exit() {
            return Ok(Found::Ended(record));
        }
        if let Some(lock) = dir.try_lock()? {
            return give_up(&dir, lock);
        }
        if let Some(identity) = dir.read_supervisor()?.filter(Identity::is_alive) {
            return Ok(Found::Alive(identity));
        }
        if Instant::now() > deadline {
            return Err(AdoptError::Busy(run_dir.into()));
        }
        std::thread::sleep(BUSY_PAUSE);
    }
}

/// The holder of the lock is alone with the run. A record may have come just before; one that can not be read came from
/// a supervisor that was done, so there is nothing to save.
fn give_up(dir: &RunDir, lock: RunLock) -> Result<Found, AdoptError> {
    if let Ok(Some(record)) = dir.read_exit() {
        return Ok(Found::Ended(record));
    }
    dir.fence()?;
    if let Ok(spec) = dir.read_spec() {
        let supervisor = dir.read_supervisor().ok().flatten();
        let agent = dir.read_agent().ok().flatten();
        let quarry = Quarry::marked(&spec.run_id, supervisor.as_ref()).with(agent.as_ref());
        let swept = sweep(&quarry, SWEEP_LIMIT, || false);
        tracing::warn!(run = %spec.run_id, killed = swept.killed, left = swept.left, "run lost its supervisor");
    }
    drop(lock);
    Ok(Found::Lost)
}

/// Waits until a run is over, whoever started it. Sleeps on the supervisor itself; dropping the future is harmless.
pub async fn wait_end(run_dir: &Path) -> Result<RunEnd, AdoptError> {
    let failed = |source| AdoptError::Process { run: run_dir.into(), source };
    loop {
        let path = run_dir.to_owned();
        let found = tokio::task::spawn_blocking(move || examine(&path)).await.map_err(|e| failed(e.into()))?;
        match found? {
            Found::Ended(record) => return Ok(RunEnd::Ended(record)),
            Found::Lost => return Ok(RunEnd::Lost),
            Found::Alive(identity) => gone(&identity).await.map_err(failed)?,
        }
    }
}

/// Returns when the process has ended.
#[expect(deprecated, reason = "its successor is unsafe; an OwnedFd keeps the promise that it asks for")]
async fn gone(identity: &Identity) -> io::Result<()> {
    let Some(process) = identity.open()? else { return Ok(()) };
    AsyncFd::with_interest(process, Interest::READABLE)?.readable().await?.retain_ready();
    Ok(())
}

/// Asks for the end of a run. Returns at once; [`wait_end`] tells when and how it came. The first reason given counts
/// if the supervisor has read it; the last one otherwise.
pub fn request_stop(run_dir: &Path, why: StopReason) -> Result<StopSent, AdoptError> {
    let dir = RunDir::at(run_dir);
    dir.write_stop(&StopRequest { reason: why })?;
    let Some(identity) = dir.read_supervisor()? else { return Ok(StopSent::Noted) };
    match signal(&identity, Signal::TERM).map_err(|source| AdoptError::Process { run: run_dir.into(), source })? {
        Delivery::Sent => Ok(StopSent::Signalled),
        Delivery::Gone => Ok(StopSent::Noted),
    }
}
