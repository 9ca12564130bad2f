//! A child process in a process group of its own, whose end is noticed *before* it is reaped: as long as the
//! leader is a zombie its number cannot be given to anyone else, so a signal to the group hits only ours.
//! It knows nothing of what runs; timeouts and what an end means are the callers'.

use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};
use std::io;
use std::process::ExitStatus;
use tokio::net::unix::pipe::Receiver;
use tokio::process::{Child, Command};

/// A running group. Dropping it kills every process that is still in it.
#[derive(Debug)]
pub(crate) struct Group {
    child: Child,
    leader: Pid,
    /// A process descriptor, which becomes readable at the end; the pipe type is tokio's only safe way to wait
    /// for a foreign descriptor, nothing is ever read from it.
    ended: Receiver,
    reaped: bool,
}

impl Group {
    /// Starts `command` as the leader of a new group.
    pub(crate) fn spawn(command: &mut Command) -> io::Result<Group> {
        let mut child = command.process_group(0).spawn()?;
        let leader = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        let watched = leader.ok_or_else(|| io::Error::other("the child has no process id")).and_then(|leader| {
            let descriptor = pidfd_open(leader, PidfdFlags::NONBLOCK)?;
            Ok((leader, Receiver::from_owned_fd_unchecked(descriptor)?))
        });
        match watched {
            Ok((leader, ended)) => Ok(Group { child, leader, ended, reaped: false }),
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

    /// The leader's process id, which is also the group's.
    pub(crate) fn leader(&self) -> Pid {
        self.leader
    }

    /// Returns when the leader has ended; may be asked again and again.
    pub(crate) async fn ended(&self) -> io::Result<()> {
        self.ended.readable().await
    }

    /// Signals every process of the group; one that is gone is no error.
    pub(crate) fn signal(&self, signal: Signal) {
        if !self.reaped {
            kill_process_group(self.leader, signal).ok();
        }
    }

    /// Kills whatever is left of the group and collects the leader's exit.
    pub(crate) async fn reap(mut self) -> io::Result<ExitStatus> {
        self.signal(Signal::KILL);
        let status = self.child.wait().await;
        self.reaped = true;
        status
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::process::test_kill_process_group;
    use std::time::Duration;

    #[tokio::test]
    async fn the_end_is_seen_before_the_exit_is_collected() {
        let group = Group::spawn(Command::new("sh").args(["-c", "exit 7"])).unwrap();
        group.ended().await.unwrap();
        group.ended().await.unwrap();
        assert!(test_kill_process_group(group.leader()).is_ok(), "a zombie keeps its number");
        assert_eq!(group.reap().await.unwrap().code(), Some(7));
    }

    #[tokio::test]
    async fn dropping_it_kills_the_whole_group() {
        let mut command = Command::new("sh");
        command.args(["-c", "sleep 1000 & sleep 1000"]);
        let group = Group::spawn(&mut command).unwrap();
        let leader = group.leader();
        drop(group);
        let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
        while test_kill_process_group(leader).is_ok() {
            assert!(tokio::time::Instant::now() < deadline, "the group lives on");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}
