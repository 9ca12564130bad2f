//! The one durable queue. A claim is one changed row; every finishing statement names its owner, so a zombie
//! cannot overwrite a newer one. Order within a key is kept by the table's triggers (`job_turns`);
//! deliveries join it when somebody claims.

mod claim;
mod enqueue;
mod finish;
mod fused;
mod operate;
mod recover;
mod rows;
mod turns;
mod views;

pub use crate::domain::job::{JobEnd, Spend};
pub use claim::{claim, claim_by_id, claim_to, next_due, next_due_to};
pub(in crate::store) use enqueue::count_unplaced;
pub use enqueue::{NewJob, enqueue};
pub use finish::{finish, finish_waiting};
pub use fused::{Turn, finish_and_claim};
pub use operate::{
    CancelOutcome, cancel, cancel_queued_of_task, finish_or_give_way, hasten_looks, hasten_paused, look_waits_behind,
    retry, step_aside,
};
pub use recover::{is_held, orphans, owned_by, requeue_lost, take_over};
pub use rows::Job;
pub use turns::readiness;
pub use views::{
    EventHead, JobFilter, JobHead, StatusCounts, by_dedupe_key, counts, effects_of_task, get, newer_effects, newest,
    newest_events, of_task, recent_agents, unfinished_of_task, waiting_behind,
};

#[cfg(test)]
mod tests;
