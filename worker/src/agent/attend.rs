//! The attendant of one command that is not an agent: a call of git, or a project's tests. A process between the worker
//! and the command, in a session of its own, that passes the command's end on and lets nothing of it live on: neither
//! what the command left (a sub-reaper gets what escaped by forking twice, whatever its session and its environment),
//! nor the command itself when the worker is gone. One thread, no runtime; standard input and output, folder and
//! environment are the command's.
//!
//! It has the worker's rights where the command has somebody else's, so the command cannot end it. One of the same user
//! can: what is left then is for the worker to find by its marker.

use super::supervise::signals::Signals;
use super::supervise::stop::{end_all, terminate};
use super::supervise::watch::{Status, reap_orphans, status_of};
use super::sweep::Quarry;
use rustix::process::{Pid, PidfdFlags, Signal, getpid, getppid, kill_process, pidfd_open, setsid};
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// The hidden subcommand.
const SUBCOMMAND: &str = "attend";
const PARENT_OPTION: &str = "--parent";
const USER_OPTION: &str = "--user";
const MEMORY_OPTION: &str = "--memory";
const USAGE: &str = "usage: attend --parent PID [--user UID:GID] [--memory BYTES] -- PROGRAM [ARGUMENT]...";

/// From SIGTERM to SIGKILL when the worker is gone: long enough for git to remove its lock files.
const GRACE: Duration = Duration::from_secs(2);
/// Signals wake it; this is for one that was lost.
const TICK: Duration = Duration::from_secs(1);

/// The program that attends: `orch-worker`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attendant(pub PathBuf);

/// What else is to hold for a command.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Terms {
    /// Numeric user and group to run as, if not our own.
    pub user: Option<(u32, u32)>,
    /// Address space of each process, in bytes.
    pub memory: Option<u64>,
}

impl Attendant {
    /// `program` with an attendant. Arguments, environment, folder, input and output that are added are the program's.
    pub(crate) fn of(&self, program: &OsStr, terms: Terms) -> tokio::process::Command {
        let mut command = tokio::process::Command::new(&self.0);
        command.args([SUBCOMMAND, PARENT_OPTION, &getpid().as_raw_nonzero().to_string()]);
        if let Some((user, group)) = terms.user {
            command.args([USER_OPTION, &format!("{user}:{group}")]);
        }
        if let Some(bytes) = terms.memory {
            command.args([MEMORY_OPTION, &bytes.to_string()]);
        }
        command.arg("--").arg(program);
        command
    }
}

/// What the arguments say.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Order {
    parent: i32,
    user: Option<(u32, u32)>,
    memory: Option<u64>,
    program: OsString,
    args: Vec<OsString>,
}

/// Runs the hidden subcommand if the program's arguments (its name first) ask for it. To be called before anything
/// that starts a thread or reads the configuration.
pub fn if_asked(args: impl IntoIterator<Item = OsString>) -> Option<ExitCode> {
    let mut args = args.into_iter().skip(1);
    if args.next()? != SUBCOMMAND {
        return None;
    }
    let Some(order) = read(args) else {
        eprintln!("{USAGE}");
        return Some(ExitCode::from(2));
    };
    Some(attend(&order))
}

fn read(mut args: impl Iterator<Item = OsString>) -> Option<Order> {
    let (mut parent, mut user, mut memory) = (None, None, None);
    loop {
        let option = args.next()?;
        if option == "--" {
            break;
        }
        let value = args.next()?.into_string().ok()?;
        match option.to_str()? {
            PARENT_OPTION => parent = Some(value.parse().ok()?),
            MEMORY_OPTION => memory = Some(value.parse().ok()?),
            USER_OPTION => {
                let (uid, gid) = value.split_once(':')?;
                user = Some((uid.parse().ok()?, gid.parse().ok()?));
            }
            _ => return None,
        }
    }
    Some(Order { parent: parent?, user, memory, program: args.next()?, args: args.collect() })
}

/// The command's own exit code or signal; 126 or 127 if it could not be started, as of a shell.
fn attend(order: &Order) -> ExitCode {
    let (signals, parent) = match prepare(order) {
        Ok(prepared) => prepared,
        Err(e) => {
            eprintln!("orch-worker attend: {e}");
            return ExitCode::from(126);
        }
    };
    let leader = match start(order) {
        Ok(leader) => leader,
        Err(e) => {
            eprintln!("orch-worker attend: {} cannot be started: {e}", order.program.display());
            return ExitCode::from(if e.kind() == io::ErrorKind::NotFound { 127 } else { 126 });
        }
    };
    let status = until_ended(leader, parent, &signals);
    let (status, _killed) = end_all(&Quarry::of_caller(leader.as_raw_nonzero().get()), leader, status);
    pass_on(status.unwrap_or_default())
}

/// Own session, own signals, the parent of every orphan to come, and a handle on the worker.
fn prepare(order: &Order) -> io::Result<(Signals, OwnedFd)> {
    let signals = Signals::catch()?;
    let _leader_already = setsid();
    nix::sys::prctl::set_child_subreaper(true)?;
    let number = (order.parent > 0).then(|| Pid::from_raw(order.parent)).flatten();
    let number = number.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
    let parent = pidfd_open(number, PidfdFlags::NONBLOCK)?;
    // The handle is opened first: if that process is the parent now, it is the parent that is held.
    if getppid() == Some(number) { Ok((signals, parent)) } else { Err(io::Error::other("the worker is gone")) }
}

/// In a process group of its own.
fn start(order: &Order) -> io::Result<Pid> {
    if let Some(bytes) = order.memory {
        nix::sys::resource::setrlimit(nix::sys::resource::Resource::RLIMIT_AS, bytes, bytes)?;
    }
    let mut command = std::process::Command::new(&order.program);
    command.args(&order.args).process_group(0);
    if let Some((user, group)) = order.user {
        // The supplementary groups are given up with the user number.
        command.uid(user).gid(group);
    }
    Ok(Pid::from_child(&command.spawn()?))
}

/// Returns when the command has ended (and is still to be reaped), or is to be killed.
fn until_ended(leader: Pid, parent: OwnedFd, signals: &Signals) -> Option<Status> {
    let mut parent = Some(parent);
    let mut kill_at: Option<Instant> = None;
    let (mut told, mut signalled) = (false, false);
    loop {
        let status = status_of(leader);
        if status.is_some() || signals.end_at_once() || kill_at.is_some_and(|at| Instant::now() >= at) {
            return status;
        }
        if signalled {
            reap_orphans(leader);
        }
        if parent.as_ref().is_some_and(is_gone) {
            parent = None;
            kill_at = Some(Instant::now() + GRACE);
        }
        if !told && (signals.stop_wanted() || kill_at.is_some()) {
            told = true;
            terminate(leader);
        }
        let rest = kill_at.map_or(TICK, |at| at.saturating_duration_since(Instant::now()).min(TICK));
        signalled = signals.wait_or(parent.as_ref().map(AsFd::as_fd), rest);
    }
}

/// A process descriptor becomes readable at the process's end.
fn is_gone(process: &OwnedFd) -> bool {
    let mut fds = [rustix::event::PollFd::new(process, rustix::event::PollFlags::IN)];
    matches!(rustix::event::poll(&mut fds, Some(&rustix::event::Timespec::default())), Ok(n) if n > 0)
}

/// Ends as the command did.
fn pass_on(status: Status) -> ExitCode {
    if let Some(signal) = status.signal {
        // One dump of the command's memory is enough.
        let _core_anyway = nix::sys::prctl::set_dumpable(false);
        if signal == Signal::KILL.as_raw() {
            let _impossible = kill_process(getpid(), Signal::KILL);
        }
        let _unknown = signal_hook::low_level::emulate_default_handler(signal);
        return ExitCode::from(u8::try_from(128 + signal).unwrap_or(u8::MAX));
    }
    ExitCode::from(status.code.and_then(|code| u8::try_from(code).ok()).unwrap_or(u8::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_is_read_whole_or_not_at_all() {
        let read = |line: &str| super::read(line.split(' ').map(OsString::from));
        let order = |user, memory, args: &[&str]| Order {
            parent: 7,
            user,
            memory,
            program: "sh".into(),
            args: args.iter().map(OsString::from).collect(),
        };
        for (line, wanted) in [
            ("--parent 7 -- sh", Some(order(None, None, &[]))),
            (
                "--parent 7 --user 3:4 --memory 99 -- sh -c --parent",
                Some(order(Some((3, 4)), Some(99), &["-c", "--parent"])),
            ),
            ("--parent 7 -- sh --", Some(order(None, None, &["--"]))),
            ("--parent 7 --", None),
            ("--parent 7 sh", None),
            ("-- sh", None),
            ("--parent x -- sh", None),
            ("--parent 7 --user 3 -- sh", None),
            ("--parent 7 --other 3 -- sh", None),
        ] {
            assert_eq!(read(line), wanted, "{line}");
        }
    }
}
