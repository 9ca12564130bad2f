//! The supervisor of one run: a process of its own, so that the worker can be stopped, replaced or killed while
//! the agent works. It starts the agent, holds it to its limits, collects whatever it leaves behind and
//! writes down how it ended. One thread, no runtime, no network, no database.
//!
//! It is a sub-reaper: a process that escapes the agent's group and session by forking twice becomes its child, so
//! "no child left" is proof that nothing of the run lives (see [`super::sweep`]).

mod logs;
mod result;
pub(super) mod signals;
mod spawn;
pub(super) mod stop;
pub(super) mod watch;

use super::identity::Identity;
use super::record::{ExitReason, ExitRecord, KILLED, RunSpec};
use super::run_dir::{RunDir, RunDirError};
use logs::LogFile;
use orch_common::failpoint::{self, Point};
use signals::Signals;
use std::ffi::{OsStr, OsString};
use std::io::{BufRead, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

/// The hidden subcommand.
pub const SUBCOMMAND: &str = "supervise";
/// Its option: the run's folder.
pub const RUN_DIR_OPTION: &str = "--run-dir";
/// Or this one: the folder is the first line of standard input, a pipe of the worker's or a connection that the service
/// manager accepted.
pub const FROM_STDIN_OPTION: &str = "--run-dir-from-stdin";
/// The longest path that the system takes.
const LONGEST_LINE: u64 = 4096;

/// How often, and how far apart, a refused exit record is tried again.
const RECORD_ATTEMPTS: u32 = 120;
const RECORD_PAUSE: Duration = Duration::from_secs(1);

/// Why a supervisor gave up before there was anything to record.
#[derive(Debug, thiserror::Error)]
enum SuperviseError {
    #[error(transparent)]
    RunDir(#[from] RunDirError),
    #[error("{0}: {1}")]
    System(&'static str, std::io::Error),
}

/// Runs the hidden subcommand if the program's arguments (its name first) ask for it. To be called before anything
/// that starts a thread or reads the configuration: a supervisor has neither.
pub fn if_asked(args: impl IntoIterator<Item = OsString>) -> Option<ExitCode> {
    let mut args = args.into_iter().skip(1);
    if args.next()? != SUBCOMMAND {
        return None;
    }
    match (args.next(), args.next(), args.next()) {
        (Some(option), Some(dir), None) if option == RUN_DIR_OPTION => Some(supervise(Path::new(&dir))),
        (Some(option), None, None) if option == FROM_STDIN_OPTION => Some(supervise_named()),
        _ => {
            eprintln!("usage: {SUBCOMMAND} {RUN_DIR_OPTION} DIR | {FROM_STDIN_OPTION}");
            Some(ExitCode::from(2))
        }
    }
}

/// Supervises the run in `run_dir` from start to end. 0: an exit record was written, or the run was not this process's
/// to start.
pub fn supervise(run_dir: &Path) -> ExitCode {
    told(detach().and_then(|signals| run(&RunDir::at(run_dir), &signals)))
}

fn told(end: Result<(), SuperviseError>) -> ExitCode {
    match end {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("supervise: {e}");
            ExitCode::FAILURE
        }
    }
}

/// The same for the folder that standard input names, absolutely. That may be long in coming, and what the worker's
/// group or terminal is told meanwhile is not meant for this process; the input's end is.
fn supervise_named() -> ExitCode {
    let signals = match detach() {
        Ok(signals) => signals,
        Err(e) => return told(Err(e)),
    };
    let mut line = Vec::new();
    let read = std::io::stdin().lock().take(LONGEST_LINE).read_until(b'\n', &mut line);
    match (read, line.strip_suffix(b"\n").map(|path| Path::new(OsStr::from_bytes(path)))) {
        (Ok(_), Some(dir)) if dir.is_absolute() => told(run(&RunDir::at(dir), &signals)),
        (Ok(_), _) => {
            eprintln!("supervise: standard input does not begin with an absolute folder and a line's end");
            ExitCode::from(2)
        }
        (Err(e), _) => {
            eprintln!("supervise: {e}");
            ExitCode::FAILURE
        }
    }
}

fn run(dir: &RunDir, signals: &Signals) -> Result<(), SuperviseError> {
    let spec = dir.read_spec()?;
    failpoint::here(Point::SuperviseStart);
    let _lock = dir.lock()?;
    failpoint::here(Point::SuperviseLocked);
    if dir.is_fenced() || dir.has_exit() {
        return Ok(());
    }
    dir.reserve_exit()?;
    let own = Identity::own().map_err(|e| SuperviseError::System("own identity", e))?;
    dir.write_supervisor(&own)?;
    failpoint::here(Point::SuperviseKnown);
    announce();
    failpoint::here(Point::SuperviseAnnounced);
    let record = supervised(dir, &spec, &own, signals);
    failpoint::here(Point::SuperviseSwept);
    let written = write_record(dir, &record);
    failpoint::here(Point::SuperviseRecorded);
    written
}

/// Own session, own signals, and the parent of every orphan to come. A session leader already has a session.
fn detach() -> Result<Signals, SuperviseError> {
    let signals = Signals::catch().map_err(|e| SuperviseError::System("signal handlers", e))?;
    let _leader_already = rustix::process::setsid();
    nix::sys::prctl::set_child_subreaper(true).map_err(|e| SuperviseError::System("sub-reaper", e.into()))?;
    Ok(signals)
}

/// Tells the launcher, if it still listens, that the run has a supervisor.
fn announce() {
    let mut out = std::io::stdout();
    let _nobody_listens = out.write_all(b"\n").and_then(|()| out.flush());
}

/// The run from the spawn to the last sweep.
fn supervised(dir: &RunDir, spec: &RunSpec, own: &Identity, signals: &Signals) -> ExitRecord {
    let mut record = ExitRecord {
        run_id: spec.run_id.clone(),
        reason: ExitReason::Exited,
        exit_code: None,
        signal: None,
        started_at_ms: now_ms(),
        finished_at_ms: 0,
        cpu_ms: 0,
        max_rss_kb: 0,
        swept: 0,
    };
    match start_and_watch(dir, spec, own, signals) {
        Ok(end) => {
            let status = end.status.unwrap_or_default();
            record.exit_code = if end.reason.is_kill() { Some(KILLED) } else { status.code };
            record.signal = status.signal;
            record.swept = end.swept;
            record.reason = end.reason;
        }
        Err(e) => record.reason = ExitReason::SpawnFailed { error: e.to_string() },
    }
    (record.cpu_ms, record.max_rss_kb) = stop::usage();
    record.finished_at_ms = now_ms();
    record
}

fn start_and_watch(
    dir: &RunDir,
    spec: &RunSpec,
    own: &Identity,
    signals: &Signals,
) -> Result<stop::End, spawn::SpawnError> {
    // Looked at after the supervisor made itself known: a wish left before is seen here, a later one is signalled.
    if let Some(why) = watch::wish_to_stop(dir, signals) {
        return Ok(stop::End::unstarted(ExitReason::Stopped { why }));
    }
    let spawned = spawn::spawn(dir, spec)?;
    let mut logs = [LogFile::new(spawned.log, spec), LogFile::new(spawned.stderr, spec)];
    let result = result::ResultTail::new(spawned.read);
    let ended = watch::until_ended(dir, spec, signals, spawned.leader, (&mut logs, result));
    failpoint::here(Point::SuperviseEnded);
    let kept_from = [ended.kept_from, u64::MAX];
    let end = stop::finish(spec, own, spawned.leader, ended);
    logs.iter_mut().zip(kept_from).for_each(|(log, kept_from)| log.trim_fully(kept_from));
    Ok(end)
}

/// A disk that is full now may not stay so, and a run without a record would be run again. A folder that was removed
/// says that nobody wants to know.
fn write_record(dir: &RunDir, record: &ExitRecord) -> Result<(), SuperviseError> {
    let mut attempts = 1..RECORD_ATTEMPTS;
    loop {
        match dir.write_exit(record) {
            Ok(()) => return Ok(()),
            Err(e) if attempts.next().is_none() || !dir.path().exists() => return Err(e.into()),
            Err(_) => std::thread::sleep(RECORD_PAUSE),
        }
    }
}

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
