//! Taking the next job: oldest first among those that are due and at the head of their key.

use super::rows::Job;
use crate::domain::job::{JobKind, JobStatus};
use crate::store::connection::Conn;
use crate::store::error::StoreError;
use crate::store::schema::jobs;
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{BigInt, Nullable, Text};

#[derive(QueryableByName)]
struct Id {
    #[diesel(sql_type = BigInt)]
    id: i64,
}

#[derive(QueryableByName)]
struct Due {
    #[diesel(sql_type = Nullable<BigInt>)]
    at: Option<i64>,
}

/// Claims the oldest due job of a kind for `worker`, or `None`. Call it inside an immediate transaction; a
/// [`finish`](super::finish) may share it.
pub fn claim(conn: &mut Conn, kind: JobKind, worker: &str, now: i64) -> Result<Option<Job>, StoreError> {
    promote_due(conn, kind, now)?;
    // The planner takes a partial index only when told to.
    let found: Option<Id> = sql_query(
        "SELECT id FROM jobs INDEXED BY jobs_ready_now \
         WHERE kind = ? AND status = 'queued' AND ready = 1 AND available_at IS NULL ORDER BY id LIMIT 1",
    )
    .bind::<Text, _>(kind)
    .get_result(conn)
    .optional()?;
    match found {
        Some(Id { id }) => claim_by_id(conn, id, worker, now),
        None => Ok(None),
    }
}

/// Claims one certain job if it is queued and the head of its key.
pub fn claim_by_id(conn: &mut Conn, id: i64, worker: &str, now: i64) -> Result<Option<Job>, StoreError> {
    let head = jobs::table.find(id).filter(jobs::status.eq(JobStatus::Queued)).filter(jobs::ready.eq(true));
    Ok(diesel::update(head)
        .set((
            jobs::status.eq(JobStatus::Running),
            jobs::worker.eq(worker),
            jobs::attempts.eq(jobs::attempts + 1),
            jobs::started_at.eq(now),
            jobs::available_at.eq(None::<i64>),
        ))
        .returning(Job::as_returning())
        .get_result(conn)
        .optional()?)
}

/// Jobs whose wait is over join those that never waited, so that age alone orders them. Bounded: a flood of
/// due jobs is moved over in several claims.
fn promote_due(conn: &mut Conn, kind: JobKind, now: i64) -> Result<(), StoreError> {
    let due: Vec<Id> = sql_query(
        "SELECT id FROM jobs INDEXED BY jobs_ready_later \
         WHERE kind = ? AND status = 'queued' AND ready = 1 AND available_at IS NOT NULL AND available_at <= ? \
         ORDER BY available_at LIMIT 64",
    )
    .bind::<Text, _>(kind)
    .bind::<BigInt, _>(now)
    .load(conn)?;
    for Id { id } in due {
        diesel::update(jobs::table.find(id)).set(jobs::available_at.eq(None::<i64>)).execute(conn)?;
    }
    Ok(())
}

/// When the next claimable job of a kind is due: `Some(t <= now)` = there is one now, `None` = none is queued.
/// Reads only; lets a worker look without taking the writer's lock, and sleep exactly long enough.
pub fn next_due(conn: &mut Conn, kind: JobKind, now: i64) -> Result<Option<i64>, StoreError> {
    let at_once: Option<Id> = sql_query(
        "SELECT id FROM jobs INDEXED BY jobs_ready_now \
         WHERE kind = ? AND status = 'queued' AND ready = 1 AND available_at IS NULL ORDER BY id LIMIT 1",
    )
    .bind::<Text, _>(kind)
    .get_result(conn)
    .optional()?;
    if at_once.is_some() {
        return Ok(Some(now));
    }
    let later: Due = sql_query(
        "SELECT min(available_at) AS at FROM jobs INDEXED BY jobs_ready_later \
         WHERE kind = ? AND status = 'queued' AND ready = 1 AND available_at IS NOT NULL",
    )
    .bind::<Text, _>(kind)
    .get_result(conn)?;
    Ok(later.at)
}
