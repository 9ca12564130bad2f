//! Ending a run: politely, then by force, then everything it left behind.

use super::watch::{Ended, Status};
use crate::agent::identity::Identity;
use crate::agent::procfs;
use crate::agent::record::{ExitReason, RunSpec};
use crate::agent::sweep::{Quarry, sweep};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitOptions, kill_process, kill_process_group, setpriority_process, wait};
use std::time::Duration;

/// What does not go in this time (an uninterruptible wait, another user's program) is left with its SIGKILL pending.
const SWEEP_LIMIT: Duration = Duration::from_secs(30);
const HIGHEST_PRIORITY: i32 = -20;

/// A run that is over, with nothing of it left.
pub(super) struct End {
    pub reason: ExitReason,
    pub status: Option<Status>,
    pub swept: u32,
}

impl End {
    /// It was over before it began.
    pub fn unstarted(reason: ExitReason) -> End {
        End { reason, status: None, swept: 0 }
    }
}

/// Asks the agent and its group to end; wakes them first-hand if they were stopped. The agent must not be reaped yet:
/// until then its number, and so the group's, can not be anybody else's.
pub(in crate::agent) fn terminate(leader: Pid) {
    signal_group(leader, Signal::TERM);
    signal_group(leader, Signal::CONT);
}

/// A group is empty if its leader moved into another; then the leader alone is meant.
fn signal_group(leader: Pid, signal: Signal) {
    if kill_process_group(leader, signal) == Err(Errno::SRCH) {
        let _ended = kill_process(leader, signal);
    }
}

/// Kills the agent if it still lives and all that it started, and reaps every one of them.
pub(super) fn finish(spec: &RunSpec, own: &Identity, leader: Pid, ended: Ended) -> End {
    let quarry = Quarry::marked(&spec.run_id, Some(own)).below_caller(leader.as_raw_nonzero().get());
    let (status, swept) = end_all(&quarry, leader, ended.status);
    End { reason: ended.reason, status, swept }
}

/// Kills `leader`, a child, if it still lives, and what belongs to the quarry, and reaps every one of them. The leader's
/// end, `status` where that is known already, and how many others were killed.
pub(in crate::agent) fn end_all(quarry: &Quarry, leader: Pid, status: Option<Status>) -> (Option<Status>, u32) {
    // Among hundreds of runnable processes the one that stops them must come first; only root may ask for it.
    let _refused = setpriority_process(None, HIGHEST_PRIORITY);
    signal_group(leader, Signal::STOP);
    let mut reaper = Reaper { leader, status, looked: false, reaped: false };
    let swept = sweep(quarry, SWEEP_LIMIT, || reaper.reap());
    (reaper.status, swept.killed)
}

struct Reaper {
    leader: Pid,
    status: Option<Status>,
    looked: bool,
    reaped: bool,
}

impl Reaper {
    /// Kills the agent's group for as long as its number is taken by the agent, then collects the dead. True while any
    /// child is left. The first time, what the agent left behind stays as it is: it is to be counted.
    fn reap(&mut self) -> bool {
        if !self.looked {
            self.looked = true;
            if has_company(self.leader) {
                return true;
            }
        }
        if !self.reaped {
            signal_group(self.leader, Signal::KILL);
            let _moved_away = kill_process(self.leader, Signal::KILL);
        }
        self.collect()
    }

    fn collect(&mut self) -> bool {
        loop {
            match wait(WaitOptions::NOHANG) {
                Ok(Some((pid, end))) if pid == self.leader => {
                    self.reaped = true;
                    self.status.get_or_insert(Status { code: end.exit_status(), signal: end.terminating_signal() });
                }
                Ok(Some(_)) | Err(Errno::INTR) => {}
                Ok(None) => return true,
                Err(_) => return false,
            }
        }
    }
}

/// The agent has living company: children of its own, or orphans that came to the caller.
fn has_company(leader: Pid) -> bool {
    let (me, leader) = (std::process::id().cast_signed(), leader.as_raw_nonzero().get());
    procfs::children(me).iter().any(|c| c.pid != leader && !c.is_gone()) || !procfs::children(leader).is_empty()
}

/// Milliseconds of processor time of all reaped descendants, and KiB of the largest.
pub(super) fn usage() -> (u64, u64) {
    let Ok(usage) = getrusage(UsageWho::RUSAGE_CHILDREN) else { return (0, 0) };
    let cpu_ms = (usage.user_time() + usage.system_time()).num_milliseconds();
    (u64::try_from(cpu_ms).unwrap_or(0), u64::try_from(usage.max_rss()).unwrap_or(0))
}
