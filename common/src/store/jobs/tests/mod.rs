//! The queue on a real file.

mod claim;
mod finish;
mod keys;
mod operate;
mod recover;

use crate::store::jobs;
use crate::store::tests::{NOW, Scratch, add, add_task, job, keyed, plain};
