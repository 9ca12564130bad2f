//! Starting the agent: its own process group, exactly the given environment, files for input and output.

use crate::agent::account::{Account, AccountError};
use crate::agent::identity::Identity;
use crate::agent::record::{MARKER, RunSpec};
use crate::agent::run_dir::RunDir;
use crate::untrusted;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use orch_common::failpoint::{self, Point};
use rustix::fs::OFlags;
use rustix::process::Pid;
use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::{PermissionsExt, fchown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

/// Open files an agent gets as its soft limit where the system allows as many.
const OPEN_FILES: u64 = 65_536;
/// Added to the agent's badness when memory runs out: it is to be ended before the database's users are.
const OUT_OF_MEMORY_BIAS: &str = "300";

/// Why the agent did not start.
#[derive(Debug, thiserror::Error)]
pub(super) enum SpawnError {
    #[error("{0}: {1}")]
    File(&'static str, io::Error),
    #[error("working folder: not a folder")]
    NoWorkingFolder,
    #[error(transparent)]
    Account(#[from] AccountError),
    #[error("{program}: {source}", program = program.display())]
    Program { program: std::path::PathBuf, source: io::Error },
}

/// A started agent and handles to what it writes.
pub(super) struct Spawned {
    pub leader: Pid,
    pub log: File,
    /// The log again, to be read.
    pub read: File,
    pub stderr: File,
}

/// Starts the agent. It leads a group of its own; the caller must reap it.
pub(super) fn spawn(dir: &RunDir, spec: &RunSpec) -> Result<Spawned, SpawnError> {
    let account = spec.user.as_deref().map(Account::to_become).transpose()?.flatten();
    let prompt = untrusted::open(&dir.prompt()).map_err(|e| SpawnError::File("prompt", e.into()))?;
    let prompt = prompt.ok_or_else(|| SpawnError::File("prompt", io::ErrorKind::NotFound.into()))?;
    let log = open_output(&dir.log(), account.as_ref()).map_err(|e| SpawnError::File("log", e))?;
    // Opened before there is an agent that could put something else in its place.
    let read = File::open(dir.log()).map_err(|e| SpawnError::File("log", e))?;
    let stderr = open_output(&dir.stderr(), account.as_ref()).map_err(|e| SpawnError::File("stderr", e))?;
    if !spec.cwd.is_dir() {
        return Err(SpawnError::NoWorkingFolder);
    }
    limit_own_resources(spec);
    let mut command = command(spec, account.as_ref());
    command.stdin(prompt);
    command.stdout(log.try_clone().map_err(|e| SpawnError::File("log", e))?);
    command.stderr(stderr.try_clone().map_err(|e| SpawnError::File("stderr", e))?);
    let started = command.spawn();
    let child = started.map_err(|source| SpawnError::Program { program: spec.program.clone(), source })?;
    let leader = Pid::from_child(&child);
    failpoint::here(Point::SuperviseSpawned);
    note_agent(dir, leader);
    failpoint::here(Point::SuperviseNoted);
    Ok(Spawned { leader, log, read, stderr })
}

fn command(spec: &RunSpec, account: Option<&Account>) -> Command {
    let mut command = Command::new(&spec.program);
    command.args(&spec.args).env_clear().envs(spec.env.iter().map(|(k, v)| (k, v)));
    command.env(MARKER, &spec.run_id).current_dir(&spec.cwd).process_group(0);
    if let Some(account) = account {
        // The supplementary groups are given up with the user number.
        command.uid(account.uid).gid(account.gid);
    }
    command
}

/// Append only, so that what is there stays. The agent's user owns it, or a tool could not reopen `/dev/stderr`; our
/// group may read it, so that an operator of ours needs no more rights than the database takes.
fn open_output(path: &Path, account: Option<&Account>) -> io::Result<File> {
    let file = untrusted::open_private(path, OFlags::WRONLY | OFlags::APPEND)?;
    if let Some(account) = account {
        file.set_permissions(Permissions::from_mode(0o640))?;
        fchown(&file, Some(account.uid), None)?;
    }
    Ok(file)
}

/// The limits are the supervisor's own too: so they hold from the agent's first instruction. No core dumps (they would
/// fill the disk with credentials) and enough, but not endless, open files. A system that refuses keeps its limits.
fn limit_own_resources(spec: &RunSpec) {
    let _refused = setrlimit(Resource::RLIMIT_CORE, 0, 0);
    if let Ok((_, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        let _refused = setrlimit(Resource::RLIMIT_NOFILE, OPEN_FILES.min(hard), hard);
    }
    // Private memory, not address space: the program's runtime reserves far more of that than it ever uses.
    let memory = spec.max_memory_mb.map(|mb| mb.saturating_mul(1 << 20));
    for (resource, limit) in [(Resource::RLIMIT_NPROC, spec.max_processes), (Resource::RLIMIT_DATA, memory)] {
        if let Some(limit) = limit {
            let _refused = setrlimit(resource, limit, limit);
        }
    }
}

/// For people, and for the sweep if this process is killed. The run goes on without.
fn note_agent(dir: &RunDir, leader: Pid) {
    let pid = leader.as_raw_nonzero().get();
    let _unnoted = Identity::of(pid).map(|identity| dir.write_agent(&identity));
    let _unbiased = fs::write(format!("/proc/{pid}/oom_score_adj"), OUT_OF_MEMORY_BIAS);
}
