//! Finding and ending what a test run left behind: daemons that moved to a session of their own are found by
//! a marker in their environment. A process is signalled through a descriptor that was opened before its
//! marker was looked at, so a recycled number is never hit.

use rustix::process::{Pid, PidfdFlags, Signal, getpid, pidfd_open, pidfd_send_signal};
use std::fs;
use std::io::Read;
use std::time::Duration;

/// The most of an environment that is looked at, in bytes.
const ENVIRONMENT: u64 = 4 << 20;

/// How often a sweep starts over when it keeps finding new ones.
const PASSES: u32 = 200;

/// One `NAME=value` that every process of a run inherits.
#[derive(Debug, Clone)]
pub(super) struct Marker {
    name: &'static str,
    value: String,
}

impl Marker {
    pub(super) fn new(name: &'static str, value: impl Into<String>) -> Marker {
        Marker { name, value: value.into() }
    }

    /// For the environment of the process to mark.
    pub(super) fn pair(&self) -> (&'static str, &str) {
        (self.name, &self.value)
    }

    fn text(&self) -> Vec<u8> {
        format!("{}={}", self.name, self.value).into_bytes()
    }
}

/// Kills every process that bears the marker, until none is found; how many were killed.
pub(super) async fn sweep(marker: &Marker) -> usize {
    let mut killed = 0;
    for _ in 0..PASSES {
        let text = marker.text();
        let found = tokio::task::spawn_blocking(move || kill_bearers(&text)).await.unwrap_or(0);
        killed += found;
        if found == 0 {
            return killed;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    tracing::warn!(marker = marker.value, "processes of a test run keep coming back");
    killed
}

/// Sweeps when dropped, once and without waiting: for a run whose future is dropped half-way.
#[derive(Debug)]
pub(super) struct SweepOnDrop(pub(super) Marker);

impl Drop for SweepOnDrop {
    fn drop(&mut self) {
        kill_bearers(&self.0.text());
    }
}

fn kill_bearers(marker: &[u8]) -> usize {
    let own = getpid();
    let numbers = fs::read_dir("/proc").into_iter().flatten().filter_map(Result::ok);
    let pids = numbers.filter_map(|e| Pid::from_raw(e.file_name().to_str()?.parse().ok()?));
    pids.filter(|pid| *pid != own && bears(*pid, marker) && kill(*pid, marker)).count()
}

/// A process that has ended has no environment any more.
fn bears(pid: Pid, marker: &[u8]) -> bool {
    let mut environment = Vec::new();
    let read = fs::File::open(format!("/proc/{}/environ", pid.as_raw_nonzero()))
        .and_then(|file| file.take(ENVIRONMENT).read_to_end(&mut environment));
    read.is_ok() && environment.split(|b| *b == 0).any(|entry| entry == marker)
}

fn kill(pid: Pid, marker: &[u8]) -> bool {
    let Ok(descriptor) = pidfd_open(pid, PidfdFlags::empty()) else { return false };
    bears(pid, marker) && pidfd_send_signal(descriptor, Signal::KILL).is_ok()
}
