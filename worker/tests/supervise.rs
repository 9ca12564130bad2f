//! The real `orch-worker supervise` with small real programs as agents.

#[cfg(test)]
#[path = "supervise/support.rs"]
mod support;

#[cfg(test)]
#[path = "supervise/adopting.rs"]
mod adopting;
#[cfg(test)]
#[path = "supervise/ending.rs"]
mod ending;
#[cfg(test)]
#[path = "supervise/limits.rs"]
mod limits;
#[cfg(test)]
#[path = "supervise/results.rs"]
mod results;
#[cfg(test)]
#[path = "supervise/service_manager.rs"]
mod service_manager;
#[cfg(test)]
#[path = "supervise/standby.rs"]
mod standby;
#[cfg(test)]
#[path = "supervise/sweeping.rs"]
mod sweeping;
