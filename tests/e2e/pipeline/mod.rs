//! The walk of a work item from Plane to done, as people see it: every comment, state, status and message, each
//! once and in its order.

mod allowance;
mod checks;
mod files;
pub mod forge;
mod happy;
mod human;
mod in_the_way;
mod leftovers;
mod rework;
mod rounds;
mod rules;
mod speakers;
mod story;
mod verdicts;

pub use forge::push;
