//! Taking the next job: oldest first among those that are due and at the head of their key.

use super::rows::Job;
use crate::domain::job::JobKind;
use crate::store::connection::Conn;
use crate::store::error::StoreError;
use crate::store::prepared::prepared;
use crate::store::schema::jobs;
use diesel::dsl::SqlTypeOf;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, Text};

// The planner takes a partial index only when told to.
prepared! {
    OldestReady -> BigInt:
    "SELECT id FROM jobs INDEXED BY jobs_ready_now WHERE kind = " kind: JobKind as Text =>
    " AND status = 'queued' AND ready = 1 AND available_at IS NULL ORDER BY id LIMIT 1"
}

prepared! {
    NewlyDue -> BigInt:
    "SELECT id FROM jobs INDEXED BY jobs_ready_later WHERE kind = " kind: JobKind as Text =>
    " AND status = 'queued' AND ready = 1 AND available_at IS NOT NULL AND available_at <= " now: i64 as BigInt =>
    " ORDER BY available_at LIMIT 64"
}

prepared! {
    NextDue -> Nullable<BigInt>:
    "SELECT min(available_at) FROM jobs INDEXED BY jobs_ready_later WHERE kind = " kind: JobKind as Text =>
    " AND status = 'queued' AND ready = 1 AND available_at IS NOT NULL"
}

prepared! {
    /// The row as it is then, whole.
    ClaimHead -> SqlTypeOf<<jobs::table as Table>::AllColumns>:
    "UPDATE jobs SET status = 'running', available_at = NULL, attempts = attempts + 1, worker = " worker: str as Text =>
    ", started_at = " now: i64 as BigInt =>
    " WHERE id = " id: i64 as BigInt =>
    " AND status = 'queued' AND ready = 1 RETURNING id, kind, role, repo, task_id, payload, status, attempts, max_attempts, \
    transient_attempts, recoveries, run_id, error, note, worker, dedupe_key, order_key, ready, available_at, created_at, \
    started_at, finished_at"
}

prepared! {
    WaitsNoMore: "UPDATE jobs SET available_at = NULL WHERE id = " id: i64 as BigInt => ""
}

/// Claims the oldest due job of a kind for `worker`, or `None`. Call it inside an immediate transaction; a
/// [`finish`](super::finish) may share it.
pub fn claim(conn: &mut Conn, kind: JobKind, worker: &str, now: i64) -> Result<Option<Job>, StoreError> {
    promote_due(conn, kind, now)?;
    match oldest_ready(conn, kind)? {
        Some(id) => claim_by_id(conn, id, worker, now),
        None => Ok(None),
    }
}

fn oldest_ready(conn: &mut Conn, kind: JobKind) -> Result<Option<i64>, StoreError> {
    Ok(OldestReady { kind: &kind }.get_result(conn).optional()?)
}

/// Claims one certain job if it is queued and the head of its key.
pub fn claim_by_id(conn: &mut Conn, id: i64, worker: &str, now: i64) -> Result<Option<Job>, StoreError> {
    Ok(ClaimHead { worker, now: &now, id: &id }.get_result(conn).optional()?)
}

/// Jobs whose wait is over join those that never waited, so that age alone orders them. Bounded: a flood of
/// due jobs is moved over in several claims.
fn promote_due(conn: &mut Conn, kind: JobKind, now: i64) -> Result<(), StoreError> {
    let due: Vec<i64> = NewlyDue { kind: &kind, now: &now }.load(conn)?;
    for id in due {
        WaitsNoMore { id: &id }.execute(conn)?;
    }
    Ok(())
}

/// When the next claimable job of a kind is due: `Some(t <= now)` = there is one now, `None` = none is queued.
/// Reads only; lets a worker look without taking the writer's lock, and sleep exactly long enough.
pub fn next_due(conn: &mut Conn, kind: JobKind, now: i64) -> Result<Option<i64>, StoreError> {
    if oldest_ready(conn, kind)?.is_some() {
        return Ok(Some(now));
    }
    Ok(NextDue { kind: &kind }.get_result(conn)?)
}
