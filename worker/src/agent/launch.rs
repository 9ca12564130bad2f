//! Starting a run: its folder, then its supervisor, by the worker itself or by the service manager. After that the
//! worker is no longer needed for the run to end well.

use super::adopt::{self, AdoptError, Found};
use super::identity::{Identity, signal};
use super::record::{BadSpec, RunSpec};
use super::run_dir::{RunDir, RunDirError};
use super::supervise::{FROM_STDIN_OPTION, SUBCOMMAND};
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

/// A supervisor that the worker started while it was still preparing the run: it has loaded itself and waits to be told
/// the folder. One that is dropped ends at once, and so does one whose worker ends: it waits on a pipe.
#[derive(Debug, Default)]
pub struct Standby(Option<Child>);

impl Standby {
    /// Its number, for whoever looks from outside.
    pub fn pid(&self) -> Option<u32> {
        self.0.as_ref().and_then(Child::id)
    }
}

impl Starter {
    /// Starts a supervisor for the launch that comes; where that is not possible, or not ours to do, the launch does it.
    /// To be called inside a runtime; takes as long as executing a program does.
    pub fn stand_by(&self) -> Standby {
        match self {
            Starter::Worker(program) => Standby(spawn(program).ok()),
            Starter::Socket(_) => Standby::default(),
        }
    }
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
    launch_with(run_dir, spec, prompt, starter, Standby::default()).await
}

/// [`launch`], with a supervisor that stands by, if there is one.
pub async fn launch_with(
    run_dir: &Path,
    spec: &RunSpec,
    prompt: &[u8],
    starter: &Starter,
    standby: Standby,
) -> Result<Launched, LaunchError> {
    spec.check()?;
    let path = std::path::absolute(run_dir).map_err(|e| super::run_dir::io_error(run_dir, e))?;
    let dir = RunDir::create(path)?;
    dir.write_prompt(prompt)?;
    dir.write_spec(spec)?;
    failpoint::here(Point::AgentFolder);
    let (child, taken) = match starter {
        Starter::Worker(program) => {
            let mut child = told(&dir, program, standby).await.map_err(|source| failed(program, source))?;
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
    make_durable(dir);
    if let Some(mut child) = child {
        tokio::spawn(async move { child.wait().await });
    }
    Ok(Launched { supervisor })
}

fn failed(by: &Path, source: io::Error) -> LaunchError {
    LaunchError::Supervisor { by: by.to_owned(), source }
}

async fn begun(dir: &RunDir, answer: Option<impl AsyncRead + Unpin>) -> Option<Identity> {
    failpoint::here(Point::AgentSpawned);
    taken(dir, answer).await
}

/// Nothing waits for it, and it is not begun before the supervisor has written what it must: what is lost with the power
/// is a run that ended with the power, and only people read its prompt.
fn make_durable(dir: RunDir) {
    tokio::task::spawn_blocking(move || {
        if let Err(e) = dir.sync() {
            tracing::warn!(error = %e, "a run's prompt may not survive a power loss");
        }
    });
}

/// The environment is empty: it would show the worker's secrets to whoever may read `/proc`. The working folder holds
/// no mount busy.
fn spawn(program: &Path) -> io::Result<Child> {
    Command::new(program)
        .args([SUBCOMMAND, FROM_STDIN_OPTION])
        .env_clear()
        .envs(failpoint::passed_on())
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(false)
        .spawn()
}

/// The supervisor that stands by, or a new one if that has ended meanwhile, told its folder.
async fn told(dir: &RunDir, program: &Path, standby: Standby) -> io::Result<Child> {
    if let Some(mut child) = standby.0
        && matches!(child.try_wait(), Ok(None))
        && tell(&mut child, dir).await.is_ok()
    {
        return Ok(child);
    }
    let mut child = spawn(program)?;
    // One that does not read it does not answer either, which is noticed.
    tell(&mut child, dir).await.ok();
    Ok(child)
}

/// One short line: it is written whole or, the reader being gone, not at all.
async fn tell(child: &mut Child, dir: &RunDir) -> io::Result<()> {
    let mut stdin = child.stdin.take().ok_or_else(|| io::Error::other("the supervisor has no input"))?;
    stdin.write_all(&line(dir)).await?;
    stdin.flush().await
}

fn line(dir: &RunDir) -> Vec<u8> {
    [dir.path().as_os_str().as_bytes(), b"\n"].concat()
}

/// The connection becomes the supervisor's standard input and output: the folder goes in, the answer comes out.
async fn ask(dir: &RunDir, socket: &Path) -> io::Result<UnixStream> {
    let mut stream = UnixStream::connect(socket).await?;
    stream.write_all(&line(dir)).await?;
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
