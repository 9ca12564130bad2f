//! The one durable queue. Every finishing statement names its owner, so a zombie
//! cannot overwrite a newer one. Of the unfinished jobs of a key the oldest is `ready`, the others wait: set here when a job
//! is inserted, passed on by a trigger when one ends, and held to one by a unique index.

mod claim;
mod enqueue;
mod finish;
mod fused;
mod operate;
mod recover;
mod rows;
mod views;

pub use crate::domain::job::{JobEnd, Spend};
pub use claim::{claim, claim_by_id, claim_to, next_due, next_due_to};
pub(in crate::store) use enqueue::is_first_of_key;
pub use enqueue::{NewJob, enqueue};
pub use finish::{finish, finish_waiting};
pub use fused::{Turn, finish_and_claim};
pub use operate::{
    CancelOutcome, cancel, cancel_queued_of_task, finish_or_give_way, hasten_looks, hasten_paused, look_waits_behind,
    retry, step_aside,
};
pub use recover::{is_held, orphans, owned_by, requeue_lost, take_over};
pub use rows::Job;
pub use views::{
    EventHead, JobFilter, JobHead, StatusCounts, by_dedupe_key, counts, effects_of_task, get, newer_effects, newest,
    newest_events, of_task, recent_agents, unfinished_of_task, waiting_behind,
};

#[cfg(test)]
mod tests;
