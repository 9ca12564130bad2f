//! The test harness: real processes, real git, a real database file each.

pub mod fakes;
pub mod model_api;
pub mod mutations;
pub mod stack;
