//! Collecting evidence for the gates: what a commit's artifacts say, how the project's tests ended. It
//! observes and never judges; the verdict is `orch_common::domain::gate`'s, from this evidence alone.

mod artifacts;
mod checks;
mod command;
mod forge;
mod job_log;
mod log;
mod look;
mod run;
mod sweep;
mod verdict;

#[cfg(test)]
mod tests;

pub use artifacts::read_artifacts;
pub use checks::Checked;
pub(crate) use checks::page_of;
pub use command::TestCommand;
pub(crate) use look::Look;
pub use look::TEST_LOGS;
pub use run::{Cancelled, TestLimits, TestRun, run_tests};
