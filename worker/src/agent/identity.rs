//! Which process is meant. A process number alone is reused by the system; number, start time and boot
//! together are not. Nothing outside this file turns a stored number into a signal.

use super::procfs;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde::{Deserialize, Serialize};
use std::fs;
use std::io::{self, ErrorKind};
use std::os::fd::OwnedFd;

/// One process, for all time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// Its number.
    pub pid: i32,
    /// Clock ticks from boot to its start.
    pub start_ticks: u64,
    /// The boot it belongs to.
    pub boot_id: String,
}

/// What became of a signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// The very process got it.
    Sent,
    /// The process is no more; nobody was signalled.
    Gone,
}

impl Identity {
    /// The process that has this number now; `NotFound` when there is none.
    pub fn of(pid: i32) -> io::Result<Identity> {
        let stat = procfs::stat(pid)?;
        Ok(Identity { pid, start_ticks: stat.start_ticks, boot_id: boot_id()? })
    }

    /// The calling process.
    pub fn own() -> io::Result<Identity> {
        Identity::of(rustix::process::getpid().as_raw_nonzero().get())
    }

    /// It runs, or at least could: a zombie counts as ended.
    pub fn is_alive(&self) -> bool {
        let same = |s: &procfs::Stat| s.start_ticks == self.start_ticks && !s.is_gone();
        procfs::stat(self.pid).is_ok_and(|s| same(&s)) && self.is_of_this_boot()
    }

    /// It was started since the machine was. One that was not has ended for sure, and its start time means nothing.
    pub fn is_of_this_boot(&self) -> bool {
        boot_id().is_ok_and(|b| b == self.boot_id)
    }

    /// A handle that can only ever mean this process; `None` when it is no more.
    pub fn open(&self) -> io::Result<Option<OwnedFd>> {
        if boot_id()? != self.boot_id {
            return Ok(None);
        }
        open_checked(self.pid, self.start_ticks)
    }
}

/// Signals the process that is meant, or nobody.
pub fn signal(identity: &Identity, sig: Signal) -> io::Result<Delivery> {
    deliver(identity.open()?, sig)
}

/// As [`signal`], for a process seen since this boot.
pub(crate) fn signal_started(pid: i32, start_ticks: u64, sig: Signal) -> io::Result<Delivery> {
    deliver(open_checked(pid, start_ticks)?, sig)
}

fn deliver(process: Option<OwnedFd>, sig: Signal) -> io::Result<Delivery> {
    let Some(process) = process else { return Ok(Delivery::Gone) };
    match pidfd_send_signal(process, sig) {
        Ok(()) => Ok(Delivery::Sent),
        Err(rustix::io::Errno::SRCH) => Ok(Delivery::Gone),
        Err(e) => Err(e.into()),
    }
}

/// The handle is opened before the start time is compared: it stays with the process it was opened on, so a number
/// that is reused in between shows another start time, and one that is reused later no longer matters.
fn open_checked(pid: i32, start_ticks: u64) -> io::Result<Option<OwnedFd>> {
    // Zero and below would mean groups, not processes.
    let Some(number) = Some(pid).filter(|p| *p > 0).and_then(Pid::from_raw) else { return Ok(None) };
    let handle = match pidfd_open(number, PidfdFlags::empty()) {
        Ok(handle) => handle,
        Err(rustix::io::Errno::SRCH) => return Ok(None),
        Err(e) => return Err(e.into()),
    };
    match procfs::stat(pid) {
        Ok(stat) if stat.start_ticks == start_ticks && !stat.is_gone() => Ok(Some(handle)),
        Ok(_) => Ok(None),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e),
    }
}

fn boot_id() -> io::Result<String> {
    Ok(fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::ExitStatusExt;
    use std::process::{Child, Command};

    fn sleeper() -> (Child, Identity) {
        let child = Command::new("sleep").arg("60").spawn().unwrap();
        let identity = Identity::of(child.id() as i32).unwrap();
        (child, identity)
    }

    #[test]
    fn a_stale_identity_signals_nobody() {
        let (mut child, real) = sleeper();
        let stale = [
            Identity { start_ticks: real.start_ticks - 1, ..real.clone() },
            Identity { boot_id: "another".into(), ..real.clone() },
        ];
        for other in stale {
            assert!(!other.is_alive());
            assert_eq!(signal(&other, Signal::KILL).unwrap(), Delivery::Gone);
        }
        assert!(real.is_alive() && child.try_wait().unwrap().is_none());
        assert_eq!(signal(&real, Signal::TERM).unwrap(), Delivery::Sent);
        assert_eq!(child.wait().unwrap().signal(), Some(15));
        assert!(!real.is_alive());
        assert_eq!(signal(&real, Signal::KILL).unwrap(), Delivery::Gone);
    }

    #[test]
    fn impossible_numbers_are_nobody() {
        for pid in [0, -1, i32::MAX] {
            let nobody = Identity { pid, start_ticks: 1, boot_id: boot_id().unwrap() };
            assert!(!nobody.is_alive());
            assert!(matches!(signal(&nobody, Signal::KILL), Ok(Delivery::Gone)), "{pid}");
        }
    }

    #[test]
    fn a_zombie_has_ended() {
        let (mut child, identity) = sleeper();
        signal(&identity, Signal::KILL).unwrap();
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
        while identity.is_alive() && std::time::Instant::now() < deadline {
            std::thread::yield_now();
        }
        assert!(!identity.is_alive());
        child.wait().unwrap();
    }
}
