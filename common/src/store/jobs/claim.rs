//! Claiming: the oldest job of a kind that is queued, due and the first of its key.

use super::rows::Job;
use crate::domain::effect::Destination;
use crate::domain::job::JobKind;
use crate::store::connection::Conn;
use crate::store::error::StoreError;
use crate::store::prepared::prepared;
use crate::store::schema::jobs;
use diesel::dsl::SqlTypeOf;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, Nullable, Text};

type Row = SqlTypeOf<<jobs::table as Table>::AllColumns>;

// The conditions are spelled as those of the partial indexes `jobs_ready_now` and `jobs_ready_later`; with bound values the
// planner could not use them. Figures of the alternatives: docs/adr/0009-one-plain-queue.md.
prepared! {
    Claim -> Row:
    "UPDATE jobs SET status = 'running', attempts = attempts + 1, worker = " worker: str as Text =>
    ", started_at = " now: i64 as BigInt =>
    " WHERE id = (SELECT id FROM jobs WHERE kind = " kind: str as Text =>
    " AND status = 'queued' AND ready = 1 AND available_at IS NULL ORDER BY id LIMIT 1) RETURNING *"
}

prepared! {
    ClaimById -> Row:
    "UPDATE jobs SET status = 'running', attempts = attempts + 1, available_at = NULL, worker = " worker: str as Text =>
    ", started_at = " now: i64 as BigInt =>
    " WHERE id = " id: i64 as BigInt => " AND status = 'queued' AND ready = 1 RETURNING *"
}

prepared! {
    /// Jobs whose time has come join those that never waited, so that age alone orders them. Bounded: many that fall due at
    /// once are moved over by several claims.
    WakeDue:
    "UPDATE jobs SET available_at = NULL WHERE id IN (SELECT id FROM jobs WHERE kind = " kind: str as Text =>
    " AND status = 'queued' AND ready = 1 AND available_at IS NOT NULL AND available_at <= " now: i64 as BigInt =>
    " ORDER BY available_at LIMIT 64)"
}

prepared! {
    ReadyNow -> Bool:
    "SELECT EXISTS (SELECT 1 FROM jobs WHERE kind = " kind: str as Text =>
    " AND status = 'queued' AND ready = 1 AND available_at IS NULL)"
}

prepared! {
    ReadyLater -> Nullable<BigInt>:
    "SELECT min(available_at) FROM jobs WHERE kind = " kind: str as Text =>
    " AND status = 'queued' AND ready = 1 AND available_at IS NOT NULL"
}

// The destination of an effect is the end of its key. One job of a key is ready, so few of other destinations are passed over.
prepared! {
    ReadyNowTo -> BigInt:
    "SELECT id FROM jobs WHERE kind = 'effect' AND status = 'queued' AND ready = 1 AND available_at IS NULL AND \
    CASE WHEN order_key LIKE '%:plane' THEN 'plane' WHEN order_key LIKE '%:telegram' THEN 'telegram' ELSE 'gitea' END = "
    to: str as Text => " ORDER BY id LIMIT 1"
}

prepared! {
    ReadyLaterTo -> Nullable<BigInt>:
    "SELECT min(available_at) FROM jobs WHERE kind = 'effect' AND status = 'queued' AND ready = 1 AND available_at IS NOT NULL AND \
    CASE WHEN order_key LIKE '%:plane' THEN 'plane' WHEN order_key LIKE '%:telegram' THEN 'telegram' ELSE 'gitea' END = "
    to: str as Text => ""
}

/// Claims the oldest due job of a kind for `worker`, or `None`. Call it inside an immediate transaction; a
/// [`finish`](super::finish) may share it.
pub fn claim(conn: &mut Conn, kind: JobKind, worker: &str, now: i64) -> Result<Option<Job>, StoreError> {
    WakeDue { kind: kind.as_str(), now: &now }.execute(conn)?;
    Ok(Claim { worker, now: &now, kind: kind.as_str() }.get_result(conn).optional()?)
}

/// [`claim`] of an effect to one destination, so that none waits behind those of another.
pub fn claim_to(conn: &mut Conn, to: Destination, worker: &str, now: i64) -> Result<Option<Job>, StoreError> {
    WakeDue { kind: JobKind::Effect.as_str(), now: &now }.execute(conn)?;
    match oldest_ready_to(conn, to)? {
        Some(id) => claim_by_id(conn, id, worker, now),
        None => Ok(None),
    }
}

/// Claims one certain job if it is queued and the first of its key, due or not.
pub fn claim_by_id(conn: &mut Conn, id: i64, worker: &str, now: i64) -> Result<Option<Job>, StoreError> {
    Ok(ClaimById { worker, now: &now, id: &id }.get_result(conn).optional()?)
}

/// When the next claimable job of a kind is due: `Some(t <= now)` = there is one now, `None` = none is queued.
/// Reads only; lets a worker look without taking the writer's lock, and sleep exactly long enough.
pub fn next_due(conn: &mut Conn, kind: JobKind, now: i64) -> Result<Option<i64>, StoreError> {
    if (ReadyNow { kind: kind.as_str() }).get_result(conn)? {
        return Ok(Some(now));
    }
    Ok(ReadyLater { kind: kind.as_str() }.get_result(conn)?)
}

/// [`next_due`] of an effect to one destination.
pub fn next_due_to(conn: &mut Conn, to: Destination, now: i64) -> Result<Option<i64>, StoreError> {
    if oldest_ready_to(conn, to)?.is_some() {
        return Ok(Some(now));
    }
    Ok(ReadyLaterTo { to: to.as_str() }.get_result(conn)?)
}

fn oldest_ready_to(conn: &mut Conn, to: Destination) -> Result<Option<i64>, StoreError> {
    Ok(ReadyNowTo { to: to.as_str() }.get_result(conn).optional()?)
}
