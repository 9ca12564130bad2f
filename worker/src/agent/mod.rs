//! An agent process and everything around it that needs no database: how it is called, started, watched,
//! stopped, found again by another worker, and read.
//!
//! Every run is a folder ([`run_dir`]) and one small [`supervise`] process that outlives the worker. Whoever
//! holds the folder's lock owns the run; the exit record in it is the only truth about how the run ended.

pub mod account;
pub mod adopt;
pub mod attend;
pub mod command;
pub mod environment;
pub mod identity;
pub mod launch;
pub mod outcome;
pub mod preflight;
pub mod privileges;
pub(crate) mod procfs;
pub mod record;
pub mod run_dir;
pub mod seclusion;
pub mod supervise;
pub mod sweep;

pub use adopt::{Found, RunEnd, StopSent, examine, request_stop, wait_end};
pub use identity::Identity;
pub use launch::{LaunchError, Launched, Starter, launch};
pub use orch_common::domain::run::StopReason;
pub use record::{ExitReason, ExitRecord, RunSpec};
pub use run_dir::RunDir;
