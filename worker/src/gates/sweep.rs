//! Ending what a test run left behind and no attendant ended: its processes are found by a marker in their environment,
//! and what descends from those.

use crate::agent::sweep::{Quarry, sweep as sweep_now};
use std::time::Duration;

/// What does not go in this time is left with its SIGKILL pending.
const LIMIT: Duration = Duration::from_secs(30);

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

    fn quarry(&self) -> Quarry {
        Quarry::bearing(format!("{}={}", self.name, self.value))
    }
}

/// Kills every process that bears the marker, until none is found; how many were killed.
pub(super) async fn sweep(marker: &Marker) -> u32 {
    let quarry = marker.quarry();
    tokio::task::spawn_blocking(move || kill(&quarry)).await.unwrap_or(0)
}

fn kill(quarry: &Quarry) -> u32 {
    let swept = sweep_now(quarry, LIMIT, || false);
    if swept.left > 0 {
        tracing::warn!(?quarry, left = swept.left, "processes of a test run could not be ended");
    }
    swept.killed
}

/// Sweeps when dropped, without waiting: for a run whose future is dropped half-way.
#[derive(Debug)]
pub(super) struct SweepOnDrop(Option<Marker>);

impl SweepOnDrop {
    pub(super) fn new(marker: Marker) -> SweepOnDrop {
        SweepOnDrop(Some(marker))
    }

    /// The run has ended and was swept.
    pub(super) fn spare(mut self) {
        self.0 = None;
    }
}

impl Drop for SweepOnDrop {
    fn drop(&mut self) {
        if let Some(marker) = self.0.take() {
            std::thread::spawn(move || kill(&marker.quarry()));
        }
    }
}
