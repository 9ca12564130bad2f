//! The shapes of `--json`: made of the store's rows alone, times as RFC 3339 in UTC, names as in the HTTP views. They
//! are an interface; fields are added, not renamed.

mod job;
mod run;
mod task;
mod worker;

pub use job::{EventView, JobView, WholeJob};
pub use run::RunView;
pub use task::{GateView, LeftView, TaskView, TransitionView};
pub use worker::{AccountView, WorkerView};
