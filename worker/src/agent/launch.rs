//! Starting a run: its folder, then its supervisor, by the worker itself or by the service manager. After that the
//! worker is no longer needed for the run to end well.

use super::adopt::{self, AdoptError, Found};
use super::identity::{Identity, signal};
use super::record::{BadSpec, RunSpec};
use super::run_dir::{RunDir, RunDirError};
use super::supervise::{RUN_DIR_OPTION, SUBCOMMAND};
use orch_common::failpoint::{self, Point};
use rustix::process::Signal;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::process::{Child, Command};

/// For the supervisor to say that it has the run. Long, because a loaded machine is no reason to fail.
const ANSWER_LIMIT: Duration = Duration::from_secs(20);

/// Between two tries to end a supervisor that answered too late.
const LATE_PAUSE: Duration = Duration::from_millis(20);

/// Who starts the supervisors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Starter {
    /// The worker: this program, as a child of its own, in its own control group.
    Worker(PathBuf),
    /// The service manager: to whoever connects to this socket it gives a supervisor in a unit of its own, with its
    /// own rights and limits, which what happens to the worker's unit does not touch.
    Socket(PathBuf),
}

/// A run that has a supervisor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Launched {
    /// The supervisor. Whether the agent program could be executed is told by the exit record.
    pub supervisor: Identity,
}

/// Why a run was not started. In every case it never will be: the folder is not to be used again.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    /// The specification is not fit to run.
    #[error(transparent)]
    BadSpec(#[from] BadSpec),
    /// The folder could not be written.
    #[error(transparent)]
    RunDir(#[from] RunDirError),
    /// The system could not start the supervisor.
    #[error("{by}: {source}", by = by.display())]
    Supervisor {
        /// The worker's own program, or the service manager's socket.
        by: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// The supervisor ended, or was ended, without taking the run.
    #[error("the supervisor of {} did not take the run", .0.display())]
    NotTaken(PathBuf),
}

/// Writes the run's folder and has its supervisor started. Returns when that has the run, which is about when the agent
/// is executed.
pub async fn launch(run_dir: &Path, spec: &RunSpec, prompt: &[u8], starter: &Starter) -> Result<Launched, LaunchError> {
    spec.check()?;
    let path = std::path::absolute(run_dir).map_err(|e| super::run_dir::io_error(run_dir, e))?;
    let dir = RunDir::create(path)?;
    dir.write_prompt(prompt)?;
    dir.write_spec(spec)?;
    failpoint::here(Point::AgentFolder);
    let (child, taken) = match starter {
        Starter::Worker(program) => {
            let mut child = spawn(&dir, program).map_err(|source| failed(program, source))?;
            let answer = child.stdout.take();
            (Some(child), begun(&dir, answer).await)
        }
        Starter::Socket(socket) => {
            let answer = ask(&dir, socket).await.map_err(|source| failed(socket, source))?;
            (None, begun(&dir, Some(answer)).await)
        }
    };
    let Some(supervisor) = taken else {
        abandon(&dir, child).await;
        return Err(LaunchError::NotTaken(dir.path().to_owned()));
    };
    failpoint::here(Point::AgentTaken);
    if let Some(mut child) = child {
        tokio::spawn(async move { child.wait().await });
    }
    Ok(Launched { supervisor })
}

fn failed(by: &Path, source: io::Error) -> LaunchError {
    LaunchError::Supervisor { by: by.to_owned(), source }
}

/// What there is to do while the supervisor comes up, then its answer.
async fn begun(dir: &RunDir, answer: Option<impl AsyncRead + Unpin>) -> Option<Identity> {
    failpoint::here(Point::AgentSpawned);
    make_durable(dir.clone());
    taken(dir, answer).await
}

/// Nothing waits for it: what is lost with the power is a run that ended with the power, and only people read its prompt.
fn make_durable(dir: RunDir) {
    tokio::task::spawn_blocking(move || {
        if let Err(e) = dir.sync() {
            tracing::warn!(error = %e, "a run's prompt may not survive a power loss");
        }
    });
}

/// The environment is empty: it would show the worker's secrets to whoever may read `/proc`. The working folder holds
/// no mount busy.
fn spawn(dir: &RunDir, program: &Path) -> io::Result<Child> {
    Command::new(program)
        .args([SUBCOMMAND.as_ref(), RUN_DIR_OPTION.as_ref(), dir.path().as_os_str()])
        .env_clear()
        .envs(failpoint::passed_on())
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(false)
        .spawn()
}

/// The connection becomes the supervisor's standard input and output: the folder goes in, the answer comes out.
async fn ask(dir: &RunDir, socket: &Path) -> io::Result<UnixStream> {
    let mut stream = UnixStream::connect(socket).await?;
    let line = [dir.path().as_os_str().as_bytes(), b"\n"].concat();
    stream.write_all(&line).await?;
    Ok(stream)
}

/// One byte says that the supervisor has the lock and wrote down who it is; the end of the pipe, that it never will.
async fn taken(dir: &RunDir, answer: Option<impl AsyncRead + Unpin>) -> Option<Identity> {
    let answer = tokio::time::timeout(ANSWER_LIMIT, answer?.read_u8()).await;
    match answer {
        Ok(Ok(_)) => dir.read_supervisor().ok().flatten(),
        Ok(Err(_)) | Err(_) => None,
    }
}

/// Ends a supervisor that did not answer and whatever it may have started since.
async fn abandon(dir: &RunDir, child: Option<Child>) {
    if let Some(mut child) = child {
        let _ended = child.kill().await;
    }
    let path = dir.path().to_owned();
    match tokio::task::spawn_blocking(move || see_it_gone(&path)).await {
        Ok(Ok(())) => {}
        Ok(Err(e)) => tracing::error!(error = %e, "a run that did not start could not be fenced"),
        Err(e) => tracing::error!(error = %e, "a run that did not start could not be fenced"),
    }
}

/// One that is no child of ours may still come, or have come by now; then it is ended like the other.
fn see_it_gone(run_dir: &Path) -> Result<(), AdoptError> {
    while let Found::Alive(late) = adopt::examine(run_dir)? {
        signal(&late, Signal::KILL).map_err(|source| AdoptError::Process { run: run_dir.to_owned(), source })?;
        std::thread::sleep(LATE_PAUSE);
    }
    Ok(())
}
