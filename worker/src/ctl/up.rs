//! `orchctl up`: both processes under one terminal, for trying Orch on one's own repository. For good, a service manager
//! does this better.

use super::complain;
use super::desk::{Desk, options};
use super::error::CtlError;
use super::text;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use orch_common::store::Store;
use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{ExitCode, ExitStatus, Stdio};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;

/// The programs, beside this one, and how their lines are marked.
const PROGRAMS: [(&str, &str); 2] = [("api", "orch-api"), ("worker", "orch-worker")];
/// For the last lines of a process that has ended.
const LAST_LINES: Duration = Duration::from_secs(1);

/// Runs both until one ends or a signal comes; the exit code is that of the first to end.
pub fn run(desk: &Desk) -> Result<ExitCode, CtlError> {
    let config = desk.config()?;
    if config.projects.is_empty() {
        let why =
            "no project is configured, so there is nothing to do: run `orchctl init`, which writes a configuration";
        return Err(CtlError::Usage(why.into()));
    }
    let commands = commands(desk.config_file())?;
    // Here and at once, so that the API answers from its first moment.
    Store::open_and_migrate(&options(&config.database.path))?;
    say(&format!("starting orch-api on {} and orch-worker; Ctrl-C stops both", config.api.bind));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(unable)?;
    let code = runtime.block_on(attend(commands))?;
    // A supervisor may hold an end of a pipe; nothing waits for it.
    runtime.shutdown_background();
    Ok(ExitCode::from(code))
}

/// The system refused something that has nothing to do with Orch.
fn unable(error: std::io::Error) -> CtlError {
    CtlError::Failed(format!("this system does not let both run: {error}"))
}

fn commands(config: Option<&Path>) -> Result<Vec<(&'static str, Command)>, CtlError> {
    let own = std::env::current_exe().map_err(unable)?;
    PROGRAMS.iter().map(|(mark, name)| Ok((*mark, command(&own.with_file_name(name), config)?))).collect()
}

fn command(program: &PathBuf, config: Option<&Path>) -> Result<Command, CtlError> {
    if !program.is_file() {
        let why = format!("{} is not there; `cargo build --workspace --bins` makes it", program.display());
        return Err(CtlError::Failed(why));
    }
    let mut command = Command::new(program);
    if let Some(config) = config {
        command.arg("--config").arg(config);
    }
    if std::env::var_os("ORCH_LOG_FORMAT").is_none() {
        command.env("ORCH_LOG_FORMAT", "text");
    }
    // A group of its own: Ctrl-C reaches this program alone, which then asks each of them once.
    command.process_group(0).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    Ok(command)
}

/// A process that was started.
struct Running {
    mark: &'static str,
    child: Child,
    ended: Option<ExitStatus>,
}

async fn attend(commands: Vec<(&'static str, Command)>) -> Result<u8, CtlError> {
    let (mut term, mut int) =
        (signal(SignalKind::terminate()).map_err(unable)?, signal(SignalKind::interrupt()).map_err(unable)?);
    let mut lines = JoinSet::new();
    let mut processes = Vec::new();
    for (mark, command) in commands {
        processes.push(start(mark, command, &mut lines)?);
    }
    let [api, worker] = processes.as_mut_slice() else { return Ok(1) };
    let mut first = None;
    while api.ended.is_none() || worker.ended.is_none() {
        let ask = tokio::select! {
            ended = api.wait(), if api.ended.is_none() => api.note(ended.map_err(unable)?, &mut first),
            ended = worker.wait(), if worker.ended.is_none() => worker.note(ended.map_err(unable)?, &mut first),
            _ = term.recv() => stopping(&mut first),
            _ = int.recv() => stopping(&mut first),
        };
        // Asked twice, they do not wait: only a person's second signal may do that.
        if ask {
            api.ask_to_stop();
            worker.ask_to_stop();
        }
    }
    let _cut = tokio::time::timeout(LAST_LINES, async { while lines.join_next().await.is_some() {} }).await;
    say("stopped; agents at work go on, the next worker finds them");
    let failed = [api.code(), worker.code()].into_iter().find(|code| *code != 0);
    Ok(match first {
        Some(First::Ended(code)) => code,
        Some(First::Signal) | None => failed.unwrap_or(0),
    })
}

/// What began the end.
enum First {
    Signal,
    Ended(u8),
}

/// A signal came; whoever runs is to be asked.
fn stopping(first: &mut Option<First>) -> bool {
    if first.is_none() {
        say("stopping both; a second signal does not wait");
        *first = Some(First::Signal);
    }
    true
}

fn start(mark: &'static str, mut command: Command, lines: &mut JoinSet<()>) -> Result<Running, CtlError> {
    let mut child = command.spawn().map_err(|error| CtlError::Failed(format!("{mark} cannot be started: {error}")))?;
    lines.spawn(pass_on(mark, child.stdout.take()));
    lines.spawn(pass_on(mark, child.stderr.take()));
    Ok(Running { mark, child, ended: None })
}

impl Running {
    async fn wait(&mut self) -> std::io::Result<ExitStatus> {
        self.child.wait().await
    }

    /// Whether the other one is to be asked to stop: this end was not wanted.
    fn note(&mut self, ended: ExitStatus, first: &mut Option<First>) -> bool {
        self.ended = Some(ended);
        let unwanted = first.is_none();
        if unwanted {
            complain(&format!("{} has ended ({ended}); stopping the other", self.mark));
            *first = Some(First::Ended(self.code()));
        }
        unwanted
    }

    /// The number is its own as long as it was not waited for.
    fn ask_to_stop(&self) {
        if let Some(pid) = self.child.id().and_then(|id| i32::try_from(id).ok())
            && let Err(error) = kill(Pid::from_raw(pid), Signal::SIGTERM)
        {
            complain(&format!("{} cannot be told to stop: {error}", self.mark));
        }
    }

    /// As a shell counts: 128 and the signal for one that was killed.
    fn code(&self) -> u8 {
        let Some(ended) = self.ended else { return 0 };
        let code = ended.code().or_else(|| ended.signal().map(|signal| 128 + signal)).unwrap_or(1);
        u8::try_from(code).unwrap_or(1)
    }
}

/// Each line with the mark of its process, until the pipe is closed.
async fn pass_on(mark: &'static str, pipe: Option<impl AsyncRead + Unpin>) {
    let Some(pipe) = pipe else { return };
    let mut pipe = BufReader::new(pipe);
    let mut line = Vec::new();
    while pipe.read_until(b'\n', &mut line).await.is_ok_and(|n| n > 0) {
        print(mark, &String::from_utf8_lossy(&line));
        line.clear();
    }
}

fn say(what: &str) {
    print("orchctl", what);
}

/// One write a line, so that lines do not mix; a closed terminal is no reason to stop working.
fn print(mark: &str, line: &str) {
    let whole = format!("{mark:<7} | {}\n", text::one_line(line));
    let mut out = std::io::stdout();
    let _closed = out.write_all(whole.as_bytes()).and_then(|()| out.flush());
}
