//! The real `orch-worker attend` between this process and small real commands, and what `run_tests` and git make of it.

#[cfg(test)]
mod support;

#[cfg(test)]
mod alone;
#[cfg(test)]
mod gate;
#[cfg(test)]
mod repositories;
