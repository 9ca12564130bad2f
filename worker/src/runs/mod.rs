//! Agent jobs: whether one may be claimed, preparing its run, watching it, and what its end leads to. The
//! process itself is [`crate::agent`]'s; here is everything about it that needs the database.

mod adopt;
mod books;
mod clear;
mod conclude;
mod count;
mod ending;
mod exhausted;
mod files;
mod gatekeep;
mod guard;
mod job;
mod later;
pub mod leftovers;
mod news;
mod prepare;
mod prompt;
mod refused;
mod reread;
mod session;
mod story;
mod watch;

pub use adopt::adopt;
pub(crate) use files::LOADED;
pub use gatekeep::{claim_agent, clear_fault};
pub use job::handle;

use orch_common::store::{Conn, StoreError};

/// A job that was the breaker's probe goes back, and brings no news.
pub fn probe_gone(conn: &mut Conn, job: i64, now: i64) -> Result<(), StoreError> {
    news::Account::load(conn)?.probe_gone(job).save(conn, now)
}
