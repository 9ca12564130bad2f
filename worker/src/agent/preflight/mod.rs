//! Can the agent program be executed at all? Asked before a job is claimed, so that a broken installation costs no
//! attempt. Costs no tokens and proves no credentials: those show at the first run.

use super::account::Account;
use super::record::MARKER;
use super::sweep::{Quarry, sweep};
use rustix::process::{Pid, Signal, kill_process_group};
use std::ffi::OsStr;
use std::io;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant, SystemTime};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};
use tokio::sync::Mutex;

/// For `--version` to answer.
pub const ANSWER_LIMIT: Duration = Duration::from_secs(5);
/// How long an answer counts, good or bad.
pub const DEFAULT_TTL: Duration = Duration::from_secs(45);
const OUTPUT_LIMIT: u64 = 4096;
const SHOWN_CHARS: usize = 200;
const SWEEP_LIMIT: Duration = Duration::from_secs(5);

/// Why a program can not be named.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ResolveError {
    /// No folder of PATH has it.
    #[error("'{0}' is not on PATH")]
    NotOnPath(String),
    /// There is no such file.
    #[error("{}: no such file", .0.display())]
    Missing(PathBuf),
    /// There is, but it is a folder or not marked as a program.
    #[error("{}: not an executable file", .0.display())]
    NotExecutable(PathBuf),
}

/// The absolute path of the agent program: a bare name is looked up on this process's PATH, anything with a slash is
/// taken from the current folder. Links are kept, so that an upgrade behind a link is followed.
pub fn resolve(bin: &str) -> Result<PathBuf, ResolveError> {
    resolve_on(bin, std::env::var_os("PATH").as_deref().unwrap_or_default())
}

fn resolve_on(bin: &str, path: &OsStr) -> Result<PathBuf, ResolveError> {
    if bin.contains('/') {
        let file = std::path::absolute(bin).map_err(|_| ResolveError::Missing(bin.into()))?;
        return match executable(&file) {
            Some(true) => Ok(file),
            Some(false) => Err(ResolveError::NotExecutable(file)),
            None => Err(ResolveError::Missing(file)),
        };
    }
    let candidates = std::env::split_paths(path).filter(|d| d.is_absolute()).map(|d| d.join(bin));
    candidates
        .filter(|_| !bin.is_empty())
        .find(|file| executable(file) == Some(true))
        .ok_or_else(|| ResolveError::NotOnPath(bin.chars().take(SHOWN_CHARS).collect()))
}

/// Looked at, not connected to: a connection is a supervisor.
fn is_socket(path: &Path) -> bool {
    path.metadata().is_ok_and(|m| m.file_type().is_socket())
}

/// None: no such file.
fn executable(file: &Path) -> Option<bool> {
    file.metadata().ok().map(|m| m.is_file() && m.permissions().mode() & 0o111 != 0)
}

/// The last answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PreflightReport {
    /// Agents can be started.
    pub ok: bool,
    /// Why not; none if they can.
    pub reason: Option<String>,
    /// The first line of what `--version` printed.
    pub version: Option<String>,
    /// The program that was asked and is to be spawned; none until it was found once.
    pub path: Option<PathBuf>,
    /// Milliseconds since the epoch.
    pub checked_at_ms: i64,
}

/// Asks the agent program for its version, now and then.
#[derive(Debug)]
pub struct Preflight {
    bin: String,
    user: Option<String>,
    socket: Option<PathBuf>,
    ttl: Duration,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    path: Option<PathBuf>,
    last: Option<(Instant, PreflightReport)>,
}

impl Preflight {
    /// `bin` as configured; `user` is the account agents run as, if not the worker's own.
    pub fn new(bin: impl Into<String>, user: Option<String>, ttl: Duration) -> Preflight {
        Preflight { bin: bin.into(), user, socket: None, ttl, state: Mutex::default() }
    }

    /// Runs are started by way of this socket, which has to be there as well.
    pub fn by(mut self, socket: Option<PathBuf>) -> Preflight {
        self.socket = socket;
        self
    }

    /// The answer, at most `ttl` old. Those who ask meanwhile wait for the same one.
    pub async fn check(&self) -> PreflightReport {
        let mut state = self.state.lock().await;
        if let Some((at, report)) = &state.last
            && at.elapsed() < self.ttl
        {
            return report.clone();
        }
        self.ask(&mut state).await
    }

    /// A new answer, whatever was known: for the probe of a breaker that was open.
    pub async fn check_now(&self) -> PreflightReport {
        self.ask(&mut *self.state.lock().await).await
    }

    /// The last answer, however old; never starts anything.
    pub async fn last(&self) -> Option<PreflightReport> {
        self.state.lock().await.last.as_ref().map(|(_, report)| report.clone())
    }

    async fn ask(&self, state: &mut State) -> PreflightReport {
        let answer = self.version(state).await;
        let path = state.path.clone();
        let checked_at_ms = now_ms();
        let report = match answer {
            Ok(version) => PreflightReport { ok: true, reason: None, version: Some(version), path, checked_at_ms },
            Err(reason) => PreflightReport { ok: false, reason: Some(reason), version: None, path, checked_at_ms },
        };
        state.last = Some((Instant::now(), report.clone()));
        report
    }

    /// The program is looked up until it is found once; from then on this path is asked, and spawned.
    async fn version(&self, state: &mut State) -> Result<String, String> {
        if let Some(socket) = self.socket.as_ref().filter(|path| !is_socket(path)) {
            return Err(format!("{}: the service manager's socket is not there", socket.display()));
        }
        let path = match &state.path {
            Some(path) => path.clone(),
            None => state.path.insert(resolve(&self.bin).map_err(|e| e.to_string())?).clone(),
        };
        ask_version(&path, self.user.as_deref(), ANSWER_LIMIT).await
    }
}

/// Runs `program --version` and makes sure that nothing of it is left.
async fn ask_version(program: &Path, user: Option<&str>, limit: Duration) -> Result<String, String> {
    let shown = program.display();
    let mark = uuid::Uuid::new_v4().to_string();
    let mut child = start(program, user, &mark).map_err(|e| format!("{shown}: {e}"))?;
    let group = child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
    let answer = tokio::time::timeout(limit, answer(&mut child)).await;
    if !matches!(answer, Ok(Ok(_))) {
        end(&mut child, group, mark).await;
    }
    match answer {
        Ok(Ok((status, out, err))) => judge(&shown.to_string(), status, &out, &err),
        Ok(Err(e)) => Err(format!("{shown}: {e}")),
        Err(_) => Err(format!("{shown} --version gave no answer within {} s", limit.as_secs())),
    }
}

fn start(program: &Path, user: Option<&str>, mark: &str) -> io::Result<Child> {
    let account = user.map(Account::to_become).transpose().map_err(io::Error::other)?.flatten();
    let mut command = Command::new(program);
    command.arg("--version").env_clear().env(MARKER, mark).current_dir("/").process_group(0).kill_on_drop(true);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    if let Some(account) = account {
        command.uid(account.uid).gid(account.gid);
    }
    command.spawn()
}

async fn answer(child: &mut Child) -> io::Result<(ExitStatus, Vec<u8>, Vec<u8>)> {
    let (out, err) = (child.stdout.take(), child.stderr.take());
    tokio::try_join!(child.wait(), first_bytes(out), first_bytes(err))
}

/// One that prints for ever meets a closed pipe.
async fn first_bytes(source: Option<impl AsyncRead + Unpin>) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if let Some(source) = source {
        source.take(OUTPUT_LIMIT).read_to_end(&mut bytes).await?;
    }
    Ok(bytes)
}

/// The group is killed before its leader is reaped, while its number can be nobody else's; then the escaped.
async fn end(child: &mut Child, group: Option<Pid>, mark: String) {
    if let Some(group) = group.filter(|_| child.id().is_some()) {
        let _empty = kill_process_group(group, Signal::KILL);
    }
    let _ended = child.kill().await;
    let quarry = Quarry::marked(&mark, None);
    let _swept = tokio::task::spawn_blocking(move || sweep(&quarry, SWEEP_LIMIT, || false)).await;
}

fn judge(program: &str, status: ExitStatus, out: &[u8], err: &[u8]) -> Result<String, String> {
    match (status.success(), first_line(out), first_line(err)) {
        (true, Some(version), _) => Ok(version),
        (true, None, _) => Err(format!("{program} --version printed nothing")),
        (false, out, err) => {
            let said = err.or(out).map_or(String::new(), |line| format!(": {line}"));
            Err(format!("{program} --version failed ({status}){said}"))
        }
    }
}

/// The first line that says something, fit to be shown.
fn first_line(bytes: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(bytes);
    let line = text.lines().map(str::trim).find(|l| !l.is_empty())?;
    Some(line.chars().filter(|c| !c.is_control()).take(SHOWN_CHARS).collect())
}

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
