//! The real `orch-worker attend` between this process and small real commands, and what `run_tests` and git make of it.

#[cfg(test)]
#[path = "attend/support.rs"]
mod support;

#[cfg(test)]
#[path = "attend/alone.rs"]
mod alone;
#[cfg(test)]
#[path = "attend/gate.rs"]
mod gate;
#[cfg(test)]
#[path = "attend/repositories.rs"]
mod repositories;
