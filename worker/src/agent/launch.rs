//! Starting a run: its folder, then its supervisor. After that the worker is no longer needed for the run to end well.

use super::adopt;
use super::identity::Identity;
use super::record::{BadSpec, RunSpec};
use super::run_dir::{RunDir, RunDirError};
use super::supervise::{RUN_DIR_OPTION, SUBCOMMAND};
use orch_common::failpoint::{self, Point};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::process::{Child, ChildStdout, Command};

/// For the supervisor to say that it has the run. Long, because a loaded machine is no reason to fail.
const ANSWER_LIMIT: Duration = Duration::from_secs(20);

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
    #[error("{program}: {source}", program = program.display())]
    Supervisor {
        /// The worker's own program.
        program: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// The supervisor ended, or was ended, without taking the run.
    #[error("the supervisor of {} did not take the run", .0.display())]
    NotTaken(PathBuf),
}

/// Writes the run's folder and starts its supervisor, `worker_exe supervise --run-dir run_dir`. Returns when the
/// supervisor has the run, which is about when the agent is executed.
pub async fn launch(run_dir: &Path, spec: &RunSpec, prompt: &[u8], worker_exe: &Path) -> Result<Launched, LaunchError> {
    spec.check()?;
    let path = std::path::absolute(run_dir).map_err(|e| super::run_dir::io_error(run_dir, e))?;
    let dir = RunDir::create(path)?;
    dir.write_prompt(prompt)?;
    dir.write_spec(spec)?;
    failpoint::here(Point::AgentFolder);
    let mut child =
        start(&dir, worker_exe).map_err(|source| LaunchError::Supervisor { program: worker_exe.to_owned(), source })?;
    failpoint::here(Point::AgentSpawned);
    let stdout = child.stdout.take();
    make_durable(dir.clone());
    let taken = taken(&dir, stdout).await;
    let Some(supervisor) = taken else {
        abandon(&dir, child).await;
        return Err(LaunchError::NotTaken(dir.path().to_owned()));
    };
    failpoint::here(Point::AgentTaken);
    tokio::spawn(async move { child.wait().await });
    Ok(Launched { supervisor })
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
fn start(dir: &RunDir, worker_exe: &Path) -> io::Result<Child> {
    Command::new(worker_exe)
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

/// One byte says that the supervisor has the lock and wrote down who it is; the end of the pipe, that it never will.
async fn taken(dir: &RunDir, stdout: Option<ChildStdout>) -> Option<Identity> {
    let answer = tokio::time::timeout(ANSWER_LIMIT, stdout?.read_u8()).await;
    match answer {
        Ok(Ok(_)) => dir.read_supervisor().ok().flatten(),
        Ok(Err(_)) | Err(_) => None,
    }
}

/// Ends a supervisor that did not answer and whatever it may have started since.
async fn abandon(dir: &RunDir, mut child: Child) {
    let _ended = child.kill().await;
    let path = dir.path().to_owned();
    match tokio::task::spawn_blocking(move || adopt::examine(&path)).await {
        Ok(Ok(_)) => {}
        Ok(Err(e)) => tracing::error!(error = %e, "a run that did not start could not be fenced"),
        Err(e) => tracing::error!(error = %e, "a run that did not start could not be fenced"),
    }
}
