//! The real `orch-worker supervise` with small real programs as agents.

#[cfg(test)]
mod support;

#[cfg(test)]
mod adopting;
#[cfg(test)]
mod ending;
#[cfg(test)]
mod limits;
#[cfg(test)]
mod results;
#[cfg(test)]
mod service_manager;
#[cfg(test)]
mod standby;
#[cfg(test)]
mod sweeping;
