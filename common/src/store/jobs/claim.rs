//! Taking the next job: oldest first among those that are due and at the head of their key.

use super::rows::Job;
use super::turns;
use crate::domain::effect::Destination;
use crate::domain::job::{JobKind, JobStatus};
use crate::store::connection::Conn;
use crate::store::deliveries::{bundle, unbundle_oldest};
use crate::store::error::StoreError;
use crate::store::prepared::prepared;
use crate::store::schema::jobs;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};

/// Deliveries placed in one transaction at most.
const PLACED_AT_ONCE: i64 = 256;
/// No further bundle is taken apart in a transaction that has made so many jobs of them.
const UNBUNDLED_AT_ONCE: usize = 64;

// The planner takes a partial index only when told to.
prepared! {
    Unplaced -> BigInt:
    "SELECT id FROM jobs INDEXED BY jobs_unplaced WHERE finished_at IS NULL AND placed IS NULL AND id < "
        before: i64 as BigInt => " ORDER BY id LIMIT "
        limit: i64 as BigInt => ""
}

prepared! {
    /// Behind those of its key that have their place.
    Place: "UPDATE OR FAIL jobs SET placed = 1 WHERE id = " id: i64 as BigInt => ""
}

prepared! {
    Start: "UPDATE OR FAIL jobs SET status = 'running', attempts = attempts + 1, worker = " worker: str as Text =>
    ", started_at = " now: i64 as BigInt =>
    " WHERE id = " id: i64 as BigInt => " AND status = 'queued'"
}

prepared! {
    WaitsNoMore: "UPDATE jobs SET available_at = NULL WHERE id = " id: i64 as BigInt => ""
}

/// Claims the oldest due job of a kind for `worker`, or `None`. Call it inside an immediate transaction; a
/// [`finish`](super::finish) may share it.
pub fn claim(conn: &mut Conn, kind: JobKind, worker: &str, now: i64) -> Result<Option<Job>, StoreError> {
    if let Some(job) = turns::oldest(conn, kind, now)? {
        return start(conn, job, worker, now);
    }
    promote_due(conn, kind, now)?;
    let mut oldest = turns::oldest_ready(conn, kind)?;
    // What is not placed yet is younger than all that is.
    if oldest.is_none() && kind == JobKind::Event && place(conn)? > 0 {
        oldest = turns::oldest_ready(conn, kind)?;
    }
    match oldest {
        Some(id) => claim_by_id(conn, id, worker, now),
        None => Ok(None),
    }
}

/// [`claim`] of an effect to one destination, so that none waits behind those of another.
pub fn claim_to(conn: &mut Conn, to: Destination, worker: &str, now: i64) -> Result<Option<Job>, StoreError> {
    promote_due(conn, JobKind::Effect, now)?;
    match turns::oldest_ready_to(conn, to)? {
        Some(id) => claim_by_id(conn, id, worker, now),
        None => Ok(None),
    }
}

/// Gives the oldest deliveries that have none their place among the jobs of their key; returns how many. Bounded, like
/// every step that others wait for.
fn place(conn: &mut Conn) -> Result<usize, StoreError> {
    let before = unbundle(conn)?.unwrap_or(i64::MAX);
    let unplaced: Vec<i64> = Unplaced { before: &before, limit: &PLACED_AT_ONCE }.load(conn)?;
    for id in &unplaced {
        Place { id }.execute(conn)?;
    }
    Ok(unplaced.len())
}

/// Takes some bundles apart; the oldest job that is in one still must come before all that are younger.
fn unbundle(conn: &mut Conn) -> Result<Option<i64>, StoreError> {
    let mut made = 0;
    while made < UNBUNDLED_AT_ONCE {
        match unbundle_oldest(conn)? {
            0 => return Ok(None),
            more => made += more,
        }
    }
    bundle::oldest(conn)
}

/// Whether a delivery waits for its place; a job of its key that comes now must wait with it.
pub(super) fn any_unplaced(conn: &mut Conn) -> Result<bool, StoreError> {
    let first: Option<i64> = Unplaced { before: &i64::MAX, limit: &1 }.get_result(conn).optional()?;
    Ok(first.is_some() || bundle::oldest(conn)?.is_some())
}

/// Claims one certain job if it is queued and its turn has come, due or not.
pub fn claim_by_id(conn: &mut Conn, id: i64, worker: &str, now: i64) -> Result<Option<Job>, StoreError> {
    let queued = jobs::table.find(id).filter(jobs::status.eq(JobStatus::Queued));
    let Some(job) = queued.select(Job::as_select()).first(conn).optional()? else { return Ok(None) };
    if !turns::has_its_turn(conn, id)? {
        return Ok(None);
    }
    if job.available_at.is_some() {
        WaitsNoMore { id: &id }.execute(conn)?;
    }
    start(conn, job, worker, now)
}

/// Makes a job whose turn it is, read in the same transaction, a running one, and tells it as it is then. (RETURNING would cost
/// a table of its own in memory.)
fn start(conn: &mut Conn, job: Job, worker: &str, now: i64) -> Result<Option<Job>, StoreError> {
    let started = Start { worker, now: &now, id: &job.id }.execute(conn)? == 1;
    Ok(started.then(|| Job {
        status: JobStatus::Running,
        attempts: job.attempts + 1,
        worker: Some(worker.to_owned()),
        started_at: Some(now),
        available_at: None,
        ..job
    }))
}

/// Jobs whose wait is over join those that never waited, so that age alone orders them. Bounded: a flood of
/// due jobs is moved over in several claims.
fn promote_due(conn: &mut Conn, kind: JobKind, now: i64) -> Result<(), StoreError> {
    for id in turns::newly_due(conn, kind, now)? {
        WaitsNoMore { id: &id }.execute(conn)?;
    }
    Ok(())
}

/// When the next claimable job of a kind is due: `Some(t <= now)` = there is one now, `None` = none is queued.
/// Reads only; lets a worker look without taking the writer's lock, and sleep exactly long enough.
pub fn next_due(conn: &mut Conn, kind: JobKind, now: i64) -> Result<Option<i64>, StoreError> {
    if turns::oldest_ready(conn, kind)?.is_some() || (kind == JobKind::Event && any_unplaced(conn)?) {
        return Ok(Some(now));
    }
    turns::next_wait_over(conn, kind)
}

/// [`next_due`] of an effect to one destination.
pub fn next_due_to(conn: &mut Conn, to: Destination, now: i64) -> Result<Option<i64>, StoreError> {
    if turns::oldest_ready_to(conn, to)?.is_some() {
        return Ok(Some(now));
    }
    turns::next_wait_over_to(conn, to)
}
