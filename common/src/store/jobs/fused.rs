//! The end of one job and the claim of the next as one commit: half the transactions of a busy lane.

use super::claim::claim;
use super::finish::finish;
use super::rows::Job;
use crate::domain::job::{JobEnd, JobKind};
use crate::store::connection::Conn;
use crate::store::error::StoreError;

/// What [`finish_and_claim`] did.
#[derive(Debug, Clone, PartialEq)]
pub struct Turn {
    /// The job was still its owner's and has ended; `false` = nothing at all was changed.
    pub ended: bool,
    /// The job claimed next; `None` = none is due, or nothing ended.
    pub next: Option<Job>,
}

/// Ends `job` as its owner and claims the oldest due job of `kind` for `worker`. Call it inside an immediate
/// transaction. A worker that has lost its job gets no other one here: it has to look around first.
pub fn finish_and_claim(
    conn: &mut Conn,
    job: &Job,
    end: &JobEnd,
    kind: JobKind,
    worker: &str,
    now: i64,
) -> Result<Turn, StoreError> {
    if !finish(conn, job, end, now)? {
        return Ok(Turn { ended: false, next: None });
    }
    Ok(Turn { ended: true, next: claim(conn, kind, worker, now)? })
}
