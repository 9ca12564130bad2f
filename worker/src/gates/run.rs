//! One run of a project's tests in a task's worktree: started with an attendant (a process group of its own), watched,
//! bounded in time, output and (if wanted) memory, and nothing of it left alive afterwards.
//!
//! It runs what an agent wrote, so it gets nothing of ours: see `command` for its environment.

use super::command::TestCommand;
use super::log::BoundedLog;
use super::sweep::{Marker, SweepOnDrop, sweep};
use super::verdict::{end_of, infra, unfit, unstarted};
use crate::agent::attend::{Attendant, Terms};
use crate::git::group::Group;
use orch_common::domain::fault::Fault;
use orch_common::domain::gate::{TestEnd, TestEvidence};
use std::io;
use std::path::Path;
use std::process::ExitStatus;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe::Receiver;
use tokio_util::sync::CancellationToken;

/// Bounds of a run.
#[derive(Debug, Clone)]
pub struct TestLimits {
    pub timeout: Duration,
    /// Between SIGTERM and SIGKILL.
    pub grace: Duration,
    /// The most that the log file holds, in bytes.
    pub log_cap: usize,
    /// Address space of each process, in bytes. Some runtimes reserve far more than they use.
    pub memory: Option<u64>,
}

impl Default for TestLimits {
    fn default() -> Self {
        let (timeout, grace) = (Duration::from_secs(900), Duration::from_secs(5));
        TestLimits { timeout, grace, log_cap: 4 << 20, memory: None }
    }
}

/// What to run, and where.
#[derive(Debug, Clone)]
pub struct TestRun<'a> {
    pub command: &'a TestCommand,
    /// The worktree. Two runs never share one: what an interrupted earlier run left there is killed first.
    pub dir: &'a Path,
    /// The log file to write; its folder must exist.
    pub log: &'a Path,
    pub limits: TestLimits,
    /// The project's own environment.
    pub env: &'a [(String, String)],
    /// Numeric user and group to run as, if not our own.
    pub user: Option<(u32, u32)>,
    /// Who ends what the tests leave, and the tests when the worker is gone. `None`: only what bears the marker is ended,
    /// and memory is not limited.
    pub attendant: Option<&'a Attendant>,
}

/// The caller gave up; everything that was started has been killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the test run was cancelled")]
pub struct Cancelled;

/// How long the output may stay open after everything known is dead.
const DRAIN: Duration = Duration::from_secs(2);

/// Runs the tests to their end, whatever it is. What could not even be started is evidence, too.
pub async fn run_tests(run: TestRun<'_>, cancel: &CancellationToken) -> Result<TestEvidence, Cancelled> {
    let began = Instant::now();
    let evidence = |end: TestEnd, tail: String, output_sha256: Option<String>| TestEvidence {
        command: run.command.to_string(),
        duration_ms: u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
        end,
        tail,
        output_sha256,
    };
    end_interrupted(run.dir).await;
    let place = place_of(run.dir);
    if cancel.is_cancelled() {
        return Err(Cancelled);
    }
    let marker = Marker::new("ORCH_TEST_RUN", uuid::Uuid::new_v4().to_string());
    let backstop = SweepOnDrop::new(marker.clone());
    let started = match start(&run, [&marker, &place]) {
        Ok(started) => started,
        Err(end) => return Ok(evidence(end, String::new(), None)),
    };
    let (ending, status, (tail, hash)) = finish(started, &run.limits, &marker, cancel).await;
    backstop.spare();
    let end = match (ending, status) {
        (Ending::Cancelled, _) => return Err(Cancelled),
        (Ending::TimedOut, _) => infra(format!("timeout after {} s", run.limits.timeout.as_secs_f32())),
        (Ending::ByItself, Ok(status)) => end_of(status, &tail, free_space(&run)),
        (Ending::ByItself, Err(e)) => infra(format!("its end could not be seen: {e}")),
    };
    Ok(evidence(end, tail, Some(hash)))
}

/// What every process of a run in this folder is known by.
fn place_of(dir: &Path) -> Marker {
    Marker::new("ORCH_TEST_DIR", dir.to_string_lossy())
}

/// Kills what an interrupted run has left in the folder. To be done before the folder is made anew.
pub(super) async fn end_interrupted(dir: &Path) {
    let interrupted = sweep(&place_of(dir)).await;
    if interrupted > 0 {
        tracing::warn!(dir = %dir.display(), interrupted, "killed what an interrupted test run had left");
    }
}

/// A run with its output on the way into the log.
struct Started {
    group: Group,
    log: Arc<Mutex<BoundedLog>>,
    reader: tokio::task::JoinHandle<()>,
}

enum Ending {
    ByItself,
    TimedOut,
    Cancelled,
}

fn start(run: &TestRun<'_>, markers: [&Marker; 2]) -> Result<Started, TestEnd> {
    let what = |what: &'static str| move |e: io::Error| infra(format!("{what}: {e}"));
    if !run.dir.is_dir() {
        return Err(infra(format!("there is no folder {}", run.dir.display())));
    }
    let terms = Terms { user: run.user, memory: run.limits.memory };
    let mut start = run
        .command
        .start(run.dir, run.env, run.attendant, terms)
        .ok_or_else(|| unfit(Fault::NoTests, "the test command is empty"))?;
    let log = BoundedLog::create(run.log, run.limits.log_cap).map_err(what("the log cannot be written"))?;
    let (output, input) = io::pipe().map_err(what("no pipe for the output"))?;
    let output = Receiver::from_owned_fd(output.into()).map_err(what("no pipe for the output"))?;
    start.command.stderr(input.try_clone().map_err(what("no pipe for the output"))?).stdout(input);
    start.command.envs(markers.map(Marker::pair));
    let group = Group::spawn(start).map_err(|e| unstarted(&e))?;
    let log = Arc::new(Mutex::new(log));
    let reader = tokio::spawn(copy_output(output, Arc::clone(&log)));
    Ok(Started { group, log, reader })
}

/// Waits for the end, makes it final, and collects what was said: its end, and the hash of all of it.
async fn finish(
    run: Started,
    limits: &TestLimits,
    marker: &Marker,
    cancel: &CancellationToken,
) -> (Ending, io::Result<ExitStatus>, (String, String)) {
    let Started { group, log, mut reader } = run;
    let ending = tokio::select! {
        biased;
        _ = group.ended() => Ending::ByItself,
        () = cancel.cancelled() => Ending::Cancelled,
        () = tokio::time::sleep(limits.timeout) => Ending::TimedOut,
    };
    if !matches!(ending, Ending::ByItself) {
        group.terminate();
        tokio::time::timeout(limits.grace, group.ended()).await.ok();
    }
    let status = group.reap().await;
    let escaped = sweep(marker).await;
    if escaped > 0 {
        tracing::info!(escaped, "killed what the tests had left running");
    }
    if tokio::time::timeout(DRAIN, &mut reader).await.is_err() {
        reader.abort();
    }
    let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
    let said = (log.finish(), log.sha256());
    (ending, status, said)
}

async fn copy_output(mut output: Receiver, log: Arc<Mutex<BoundedLog>>) {
    let mut chunk = Vec::with_capacity(64 << 10);
    while let Ok(n) = output.read_buf(&mut chunk).await {
        if n == 0 {
            return;
        }
        log.lock().unwrap_or_else(PoisonError::into_inner).push(&chunk);
        chunk.clear();
    }
}

/// The least free space in bytes where the run could write.
fn free_space(run: &TestRun<'_>) -> Option<u64> {
    let temporary = std::env::temp_dir();
    let places = [Some(run.dir), run.log.parent(), Some(temporary.as_path())];
    let free = |path: &Path| {
        let stat = rustix::fs::statvfs(path).ok()?;
        Some(stat.f_bavail.saturating_mul(stat.f_frsize))
    };
    places.into_iter().flatten().filter_map(free).min()
}
