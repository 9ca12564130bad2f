//! The real `orch-worker supervise` with small real programs as agents.

#[path = "supervise/support.rs"]
mod support;

#[path = "supervise/adopting.rs"]
mod adopting;
#[path = "supervise/ending.rs"]
mod ending;
#[path = "supervise/limits.rs"]
mod limits;
#[path = "supervise/sweeping.rs"]
mod sweeping;
