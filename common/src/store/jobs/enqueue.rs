//! Putting a job into the queue.

use crate::domain::job::JobKind;
use crate::domain::stage::Role;
use crate::store::connection::Conn;
use crate::store::error::StoreError;
use crate::store::prepared::prepared;
use crate::store::schema::jobs;
use diesel::prelude::*;
use diesel::sql_types::{Bool, Text};

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

prepared! {
    KeyIsBusy -> Bool:
    "SELECT EXISTS (SELECT 1 FROM jobs WHERE order_key = " key: str as Text =>
    " AND order_key IS NOT NULL AND finished_at IS NULL)"
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
    let ready = is_first_of_key(conn, order_key.as_deref())?;
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
            jobs::ready.eq(ready),
            jobs::available_at.eq(available_at),
            jobs::created_at.eq(now),
        ))
        .returning(jobs::id)
        .get_result(conn)?;
    Ok(Some(id))
}

/// Whether no unfinished job of the key is there, so that the next one is ready at once.
pub(in crate::store) fn is_first_of_key(conn: &mut Conn, key: Option<&str>) -> Result<bool, StoreError> {
    let Some(key) = key else { return Ok(true) };
    let busy: bool = KeyIsBusy { key }.get_result(conn)?;
    Ok(!busy)
}
