//! A command in a process group of its own, whose end is noticed *before* it is reaped: as long as the
//! leader is a zombie its number cannot be given to anyone else, so a signal to the group hits only ours.
//! It knows nothing of what runs; timeouts and what an end means are the callers'.
//!
//! Where there is an attendant, that is the child, and the command is the attendant's (see [`crate::agent::attend`]).

use crate::agent::attend::{Attendant, Terms};
use crate::agent::privileges;
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, kill_process_group, pidfd_open};
use std::ffi::OsStr;
use std::io;
use std::process::ExitStatus;
use std::time::Duration;
use tokio::net::unix::pipe::Receiver;
use tokio::process::{Child, Command};

/// For an attendant to kill what is left: longer than it looks for that.
const ATTENDANT_LIMIT: Duration = Duration::from_secs(40);

/// A command that is to become a group.
pub(crate) struct Start {
    /// For its arguments, environment, folder, input and output.
    pub(crate) command: Command,
    attended: bool,
    lent: bool,
}

impl Start {
    /// With an attendant if there is one. Without, the memory is not limited.
    pub(crate) fn of(attendant: Option<&Attendant>, program: &OsStr, terms: Terms) -> Start {
        if let Some(attendant) = attendant {
            return Start { command: attendant.of(program, terms), attended: true, lent: terms.user.is_some() };
        }
        let mut command = Command::new(program);
        if let Some((user, group)) = terms.user {
            // The supplementary groups are given up with the user number.
            command.uid(user).gid(group);
        }
        Start { command, attended: false, lent: false }
    }

    /// An attendant that is to start somebody else's program needs rights that nothing else of ours gets.
    fn spawn(&mut self) -> io::Result<Child> {
        if !self.attended {
            self.command.process_group(0);
        }
        if !self.lent {
            return self.command.spawn();
        }
        let runtime = tokio::runtime::Handle::current();
        privileges::lending(|| {
            let _inside = runtime.enter();
            self.command.spawn()
        })
    }
}

/// A running group. Dropping it kills every process that is still in it, and with an attendant all that came of it.
#[derive(Debug)]
pub(crate) struct Group {
    child: Child,
    leader: Pid,
    attended: bool,
    /// A process descriptor, which becomes readable at the end; the pipe type is tokio's only safe way to wait
    /// for a foreign descriptor, nothing is ever read from it.
    ended: Receiver,
    reaped: bool,
}

impl Group {
    /// Starts the command as the leader of a new group.
    pub(crate) fn spawn(mut start: Start) -> io::Result<Group> {
        let mut child = start.spawn()?;
        let attended = start.attended;
        // The command keeps its own copies of pipes and files; they must not outlive the child's.
        drop(start);
        let leader = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        let watched = leader.ok_or_else(|| io::Error::other("the child has no process id")).and_then(|leader| {
            let descriptor = pidfd_open(leader, PidfdFlags::NONBLOCK)?;
            Ok((leader, Receiver::from_owned_fd_unchecked(descriptor)?))
        });
        match watched {
            Ok((leader, ended)) => Ok(Group { child, leader, attended, ended, reaped: false }),
            Err(e) => {
                // No handle on its end: it must not run unwatched.
                child.start_kill().ok();
                Err(e)
            }
        }
    }

    /// The pipes and the like.
    pub(crate) fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// The child's process id; without an attendant it is also the group's.
    #[cfg(test)]
    pub(crate) fn leader(&self) -> Pid {
        self.leader
    }

    /// Returns when the leader has ended; may be asked again and again.
    pub(crate) async fn ended(&self) -> io::Result<()> {
        self.ended.readable().await
    }

    /// Asks every process of the group to end; one that is gone is no error.
    pub(crate) fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    /// An attendant is told, who tells the group.
    fn signal(&self, signal: Signal) {
        if self.reaped {
            return;
        }
        if self.attended {
            kill_process(self.leader, signal).ok();
        } else {
            kill_process_group(self.leader, signal).ok();
        }
    }

    /// An attendant that were killed could kill nothing.
    fn kill(&self) {
        self.signal(if self.attended { Signal::QUIT } else { Signal::KILL });
    }

    /// Kills whatever is left of the group and collects the leader's exit.
    pub(crate) async fn reap(mut self) -> io::Result<ExitStatus> {
        self.kill();
        let status = match tokio::time::timeout(ATTENDANT_LIMIT, self.child.wait()).await {
            Ok(status) => status,
            // Stopped by its own command, or waiting for what cannot be killed.
            Err(_) => {
                self.signal(Signal::KILL);
                self.child.wait().await
            }
        };
        self.reaped = true;
        status
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::process::test_kill_process_group;

    fn shell(line: &str) -> Start {
        let mut start = Start::of(None, "sh".as_ref(), Terms::default());
        start.command.args(["-c", line]);
        start
    }

    #[tokio::test]
    async fn the_end_is_seen_before_the_exit_is_collected() {
        let group = Group::spawn(shell("exit 7")).unwrap();
        group.ended().await.unwrap();
        group.ended().await.unwrap();
        assert!(test_kill_process_group(group.leader()).is_ok(), "a zombie keeps its number");
        assert_eq!(group.reap().await.unwrap().code(), Some(7));
    }

    #[tokio::test]
    async fn dropping_it_kills_the_whole_group() {
        let group = Group::spawn(shell("sleep 1000 & sleep 1000")).unwrap();
        let leader = group.leader();
        drop(group);
        let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
        while test_kill_process_group(leader).is_ok() {
            assert!(tokio::time::Instant::now() < deadline, "the group lives on");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}
