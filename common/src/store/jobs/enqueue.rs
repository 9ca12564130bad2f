//! Putting a job into the queue.

use super::claim::any_unplaced;
use super::turns::counters;
use crate::domain::job::JobKind;
use crate::domain::stage::Role;
use crate::store::connection::Conn;
use crate::store::error::StoreError;
use crate::store::prepared::prepared;
use crate::store::schema::jobs;
use diesel::prelude::*;
use diesel::sql_types::BigInt;

prepared! {
    CountEvents: "UPDATE job_turns SET unfinished = unfinished + " inserted: i64 as BigInt =>
    " WHERE slot = " counters: i64 as BigInt => ""
}

/// A job to be queued. Deliveries come by [`crate::store::deliveries`].
#[derive(Debug, Clone, PartialEq)]
pub struct NewJob {
    pub kind: JobKind,
    pub role: Option<Role>,
    pub repo: Option<String>,
    pub task_id: Option<i64>,
    /// JSON.
    pub payload: String,
    /// A job with this key that was ever queued makes this one a no-op.
    pub dedupe_key: Option<String>,
    /// Jobs of one key run one at a time, in the order of their ids.
    pub order_key: Option<String>,
    /// Not before this time, in ms.
    pub available_at: Option<i64>,
}

/// Inserts the job; `None` where its dedupe key is known already.
pub fn enqueue(conn: &mut Conn, new: &NewJob, now: i64) -> Result<Option<i64>, StoreError> {
    let NewJob { kind, role, repo, task_id, payload, dedupe_key, order_key, available_at } = new;
    if let Some(key) = dedupe_key {
        let known: Option<i64> =
            jobs::table.filter(jobs::dedupe_key.eq(key)).select(jobs::id).first(conn).optional()?;
        if known.is_some() {
            return Ok(None);
        }
    }
    // An event that comes while deliveries have no place yet is placed after them.
    let placed = !(*kind == JobKind::Event && order_key.is_some() && any_unplaced(conn)?);
    let id = diesel::insert_into(jobs::table)
        .values((
            jobs::kind.eq(kind),
            jobs::role.eq(role.map(Role::as_str)),
            jobs::repo.eq(repo.as_deref()),
            jobs::task_id.eq(task_id),
            jobs::payload.eq(payload),
            jobs::max_attempts.eq(kind.max_attempts()),
            jobs::dedupe_key.eq(dedupe_key.as_deref()),
            jobs::order_key.eq(order_key.as_deref()),
            jobs::placed.eq(placed.then_some(true)),
            jobs::available_at.eq(available_at),
            jobs::created_at.eq(now),
        ))
        .returning(jobs::id)
        .get_result(conn)?;
    if !placed {
        count_unplaced(conn, 1)?;
    }
    Ok(Some(id))
}

/// Counts events that were inserted without a place; the table's trigger counts only the others.
pub(in crate::store) fn count_unplaced(conn: &mut Conn, inserted: i64) -> Result<(), StoreError> {
    CountEvents { inserted: &inserted, counters: &counters(JobKind::Event) }.execute(conn)?;
    Ok(())
}
