//! One call of the git program. Every call is fenced the same way: an environment built from nothing, no
//! system or user configuration, no hooks, no prompts, no helpers, one allowed transport, explicit folders
//! (so a `.git` file that an agent rewrote is never followed), a process group of its own that is killed on
//! timeout, cancel or drop, and bounded output.
//!
//! It does not interpret output; a call's meaning belongs to the verb that makes it.

use super::call::{Call, Input};
use super::commit::Identity;
use super::error::{GitError, classify, clean_tail};
use super::group::{Group, Start};
use crate::agent::attend::{Attendant, Terms};
use crate::agent::preflight::resolve;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// What the installation says about git.
#[derive(Debug, Clone)]
pub struct GitSettings {
    /// The program; a bare name is looked up on `PATH`.
    pub program: PathBuf,
    /// `GIT_SSH_COMMAND`; `None` = plain `ssh` that never asks and notices a dead connection.
    pub ssh_command: Option<String>,
    /// Who merges and preserved work are by.
    pub committer: Identity,
    /// More environment for git, e.g. `GIT_SSL_CAINFO` or a proxy.
    pub env: Vec<(String, String)>,
    /// Who ends a call when the worker is gone; `None`: nobody.
    pub attendant: Option<Attendant>,
    /// The longest that a local call may take.
    pub local_timeout: Duration,
    /// The longest that a clone, fetch or push may take; also the longest wait for the repository's lock.
    pub network_timeout: Duration,
}

impl Default for GitSettings {
    fn default() -> Self {
        GitSettings {
            program: "git".into(),
            ssh_command: None,
            committer: Identity { name: "Orch".into(), email: "orch@localhost".into() },
            env: Vec::new(),
            attendant: None,
            local_timeout: Duration::from_secs(300),
            network_timeout: Duration::from_secs(1800),
        }
    }
}

impl GitSettings {
    /// With the program's whole path, where it can be found: a child that has to look for it is forked, which costs more
    /// than the look, and it would be looked for at every call.
    pub(super) fn with_program_found(self) -> GitSettings {
        let found = self.program.to_str().and_then(|name| resolve(name).ok());
        GitSettings { program: found.unwrap_or(self.program), ..self }
    }
}

/// From the worker's own environment; everything else is set here or absent.
const INHERITED: &[&str] = &["PATH", "HOME", "SSH_AUTH_SOCK"];

const FIXED_ENV: &[(&str, &str)] = &[
    ("LANG", "C.UTF-8"),
    ("GIT_TERMINAL_PROMPT", "0"),
    ("GIT_CONFIG_NOSYSTEM", "1"),
    ("GIT_CONFIG_GLOBAL", "/dev/null"),
    ("GIT_ATTR_NOSYSTEM", "1"),
    ("GIT_NO_REPLACE_OBJECTS", "1"),
    ("GIT_OPTIONAL_LOCKS", "0"),
    ("GIT_EDITOR", "false"),
    ("GIT_MERGE_AUTOEDIT", "no"),
    ("GIT_ASKPASS", "false"),
    ("GIT_PAGER", "cat"),
];

/// Beats whatever a repository's configuration says. Drivers with free names (filter, merge, diff, alias)
/// cannot be listed here: those are kept out by `config_pin`.
const OVERRIDES: &[&str] = &[
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.untrackedCache=false",
    "core.attributesFile=/dev/null",
    "core.excludesFile=/dev/null",
    "core.alternateRefsCommand=",
    "core.fsync=committed,reference",
    "core.fsyncMethod=batch",
    "credential.helper=",
    "protocol.ext.allow=never",
    "http.followRedirects=false",
    "http.lowSpeedLimit=1",
    "http.lowSpeedTime=120",
    "gc.auto=0",
    "maintenance.auto=false",
    "commit.gpgSign=false",
    "push.gpgSign=false",
    "push.followTags=false",
    "submodule.recurse=false",
    "rerere.enabled=false",
    "merge.verifySignatures=false",
    "log.showSignature=false",
    "advice.graftFileDeprecated=false",
    // Both may be forged: what they say of a history is believed without a look at the commits.
    "core.commitGraph=false",
    "core.multiPackIndex=false",
    "gc.writeCommitGraph=false",
];

const DEFAULT_SSH: &str = "ssh -oBatchMode=yes -oConnectTimeout=30 -oServerAliveInterval=15 -oServerAliveCountMax=4";

/// How long git may tidy up its lock files after SIGTERM, and how long a pipe may stay open after its end.
const GRACE: Duration = Duration::from_secs(3);

/// What a call that ran to its end left.
#[derive(Debug)]
pub(super) struct Output {
    /// The exit code; 128 + n for signal n.
    pub(super) code: i32,
    pub(super) stdout: Vec<u8>,
    pub(super) stderr: Vec<u8>,
}

impl Output {
    /// The first line of the answer.
    pub(super) fn line(&self) -> String {
        String::from_utf8_lossy(self.stdout.split(|b| *b == b'\n').next().unwrap_or_default()).into_owned()
    }

    /// The typed error of a call that failed.
    pub(super) fn error(&self) -> GitError {
        classify(self.code, &self.stderr)
    }
}

/// Runs a call to its end, whatever its exit code.
pub(super) async fn run(s: &GitSettings, call: Call<'_>, cancel: &CancellationToken) -> Result<Output, GitError> {
    if cancel.is_cancelled() {
        return Err(GitError::Cancelled);
    }
    let (cap, cut, limit) = (call.cap, call.cut, call.timeout.unwrap_or(s.local_timeout));
    let verb = call.args.first().map(|a| a.to_string_lossy().into_owned()).unwrap_or_default();
    let (start, input) = prepare(s, call);
    let mut group = Group::spawn(start).map_err(|e| GitError::io(format!("cannot run git {verb}"), e))?;
    feed(group.child().stdin.take(), input);
    let stdout = tokio::spawn(first_bytes(group.child().stdout.take(), cap.saturating_add(1)));
    let stderr = tokio::spawn(last_bytes(group.child().stderr.take(), 8192));

    let stopped = watch(&group, limit, cancel).await;
    let status = group.reap().await.map_err(|e| GitError::io(format!("git {verb}"), e))?;
    let (mut stdout, stderr) = (drained(stdout).await, drained(stderr).await);
    if let Some(why) = stopped {
        return Err(why);
    }
    let overflow = stdout.len() > cap;
    stdout.truncate(cap);
    if overflow && !cut {
        return Err(GitError::TooLarge { cap });
    }
    let code = if overflow { 0 } else { exit_code(status) };
    tracing::trace!(verb, code, stderr = %clean_tail(&stderr), "git");
    Ok(Output { code, stdout, stderr })
}

/// Runs a call that must exit 0.
pub(super) async fn run_ok(s: &GitSettings, call: Call<'_>, cancel: &CancellationToken) -> Result<Output, GitError> {
    let output = run(s, call, cancel).await?;
    if output.code == 0 { Ok(output) } else { Err(output.error()) }
}

fn prepare(s: &GitSettings, call: Call<'_>) -> (Start, Vec<u8>) {
    let user = call.tenant.as_ref().map(|tenant| (tenant.uid, tenant.gid));
    let attendant = s.attendant.as_ref().filter(|_| call.needs_attendant());
    let mut start = Start::of(attendant, s.program.as_os_str(), Terms { user, memory: None });
    let command = &mut start.command;
    command.env_clear().current_dir(call.dir).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.envs(INHERITED.iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
    command.envs(s.env.iter().map(|(k, v)| (k, v)));
    command.envs(FIXED_ENV.iter().copied());
    command.env("GIT_SSH_COMMAND", s.ssh_command.as_deref().unwrap_or(DEFAULT_SSH));
    // No transport at all unless the call says which.
    command.env("GIT_ALLOW_PROTOCOL", "none");
    command.envs(call.env);
    if let Some(tenant) = &call.tenant {
        command.env("HOME", &tenant.home).env_remove("SSH_AUTH_SOCK");
    }
    command.arg("--no-pager");
    for setting in OVERRIDES {
        command.args(["-c", setting]);
    }
    command.args(call.args);
    let bytes = match call.stdin {
        Input::Nothing => {
            command.stdin(Stdio::null());
            Vec::new()
        }
        Input::Held(file) => {
            command.stdin(file);
            Vec::new()
        }
        Input::Bytes(bytes) => {
            command.stdin(Stdio::piped());
            bytes
        }
    };
    (start, bytes)
}

/// Waits for the end; on timeout and cancel asks politely first, so that git removes its lock files.
async fn watch(group: &Group, limit: Duration, cancel: &CancellationToken) -> Option<GitError> {
    let why = tokio::select! {
        end = group.ended() => return end.err().map(|e| GitError::io("waiting for git", e)),
        () = tokio::time::sleep(limit) => GitError::Timeout { seconds: limit.as_secs() },
        () = cancel.cancelled() => GitError::Cancelled,
    };
    group.terminate();
    tokio::time::timeout(GRACE, group.ended()).await.ok();
    Some(why)
}

fn feed(stdin: Option<tokio::process::ChildStdin>, bytes: Vec<u8>) {
    if let Some(mut stdin) = stdin {
        // A git that stops reading early says why by its exit; the broken pipe is no news.
        tokio::spawn(async move { stdin.write_all(&bytes).await.ok() });
    }
}

/// Reads up to `cap` bytes, then closes the pipe: whoever writes on gets EPIPE and ends.
async fn first_bytes(pipe: Option<impl AsyncRead + Unpin>, cap: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    if let Some(pipe) = pipe {
        pipe.take(cap as u64).read_to_end(&mut bytes).await.ok();
    }
    bytes
}

/// Reads to the end and keeps the last `cap` bytes (up to twice that while reading).
async fn last_bytes(pipe: Option<impl AsyncRead + Unpin>, cap: usize) -> Vec<u8> {
    let mut kept = Vec::new();
    let Some(mut pipe) = pipe else { return kept };
    while let Ok(n) = pipe.read_buf(&mut kept).await {
        if n == 0 {
            break;
        }
        if kept.len() > 2 * cap {
            kept.drain(..kept.len() - cap);
        }
    }
    kept
}

/// What a reader collected; something that left the group may hold the pipe open, so the wait is bounded.
async fn drained(mut reader: JoinHandle<Vec<u8>>) -> Vec<u8> {
    match tokio::time::timeout(GRACE, &mut reader).await {
        Ok(bytes) => bytes.unwrap_or_default(),
        Err(_) => {
            reader.abort();
            Vec::new()
        }
    }
}

fn exit_code(status: std::process::ExitStatus) -> i32 {
    use std::os::unix::process::ExitStatusExt;
    status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0))
}
