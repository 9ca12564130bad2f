//! The rules, pure: no clock, no IO, no log. Everything a decision needs is an argument, everything it
//! wants done is in what it returns.

pub mod backoff;
pub mod breaker;
pub mod budget;
pub mod checks;
pub mod clash;
pub mod decide;
pub mod effect;
pub mod evidence;
pub mod failure;
pub mod fault;
pub mod follow;
pub mod front_matter;
pub mod gate;
pub mod job;
pub mod leftover;
pub mod merge;
pub mod messages;
pub mod names;
pub mod oddity;
pub mod order;
pub mod pipeline;
pub mod price;
pub mod refusal;
pub mod run;
pub mod stage;
pub mod submodule;
pub mod task;
pub mod usage;
pub mod words;
