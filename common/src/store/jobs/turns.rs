//! Whose turn it is: what `job_turns` says. Its triggers keep it; here it is read.

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
use std::ops::Range;

/// Between the slots of two kinds.
const LANE: i64 = 10_000_000_000_000;
/// Between those of one kind that run, may run now, and later.
const PLACE: i64 = LANE / 10;

/// What a job's slot begins with, as in the migration: the kind's number.
const fn number(kind: JobKind) -> i64 {
    match kind {
        JobKind::Event => 1,
        JobKind::Agent => 2,
        JobKind::Advance => 3,
        JobKind::Effect => 4,
    }
}

/// Where the counters of a kind stand.
pub(super) const fn counters(kind: JobKind) -> i64 {
    number(kind) * LANE
}

/// The slots of the jobs of a kind that run.
const fn of_running(kind: JobKind) -> Range<i64> {
    counters(kind) + PLACE..counters(kind) + 2 * PLACE
}

/// The slots of those that may run now; the first is the oldest.
const fn of_ready(kind: JobKind) -> Range<i64> {
    counters(kind) + 2 * PLACE..counters(kind) + 3 * PLACE
}

prepared! {
    Slots -> BigInt:
    "SELECT slot FROM job_turns WHERE slot >= " start: i64 as BigInt => " AND slot < " end: i64 as BigInt =>
    " ORDER BY slot LIMIT " limit: i64 as BigInt => ""
}

// The planner would rather read in the order of the slots.
prepared! {
    NewlyDue -> BigInt:
    "SELECT slot FROM job_turns INDEXED BY job_turns_later WHERE slot / 10000000000000 = " kind: i64 as BigInt =>
    " AND due IS NOT NULL AND due <= " now: i64 as BigInt => " ORDER BY due LIMIT 64"
}

prepared! {
    NextDue -> Nullable<BigInt>:
    "SELECT min(due) FROM job_turns INDEXED BY job_turns_later WHERE slot / 10000000000000 = " kind: i64 as BigInt =>
    " AND due IS NOT NULL"
}

prepared! {
    /// Nothing where a job has fallen due.
    Oldest -> SqlTypeOf<<jobs::table as Table>::AllColumns>:
    "SELECT id, kind, role, repo, task_id, status, attempts, max_attempts, \
    transient_attempts, recoveries, run_id, error, note, worker, dedupe_key, order_key, placed, available_at, created_at, \
    started_at, finished_at, payload FROM jobs WHERE id = (SELECT slot - " from: i64 as BigInt =>
    " FROM job_turns WHERE slot >= " first: i64 as BigInt => " AND slot < " end: i64 as BigInt => " ORDER BY slot LIMIT 1) \
    AND NOT EXISTS (SELECT 1 FROM job_turns INDEXED BY job_turns_later WHERE slot / 10000000000000 = " kind: i64 as BigInt =>
    " AND due IS NOT NULL AND due <= " now: i64 as BigInt => ")"
}

// Where an effect goes is the end of its key. At most one of a key is here, so few of other destinations are passed over.
prepared! {
    OldestTo -> BigInt:
    "SELECT t.slot FROM job_turns t CROSS JOIN jobs j ON j.id = t.slot - " from: i64 as BigInt =>
    " WHERE t.slot >= " first: i64 as BigInt => " AND t.slot < " end: i64 as BigInt =>
    " AND CASE WHEN j.order_key LIKE '%:plane' THEN 'plane' WHEN j.order_key LIKE '%:telegram' THEN 'telegram' ELSE 'gitea' END = "
    to: str as Text => " ORDER BY t.slot LIMIT 1"
}

prepared! {
    NextDueTo -> Nullable<BigInt>:
    "SELECT min(t.due) FROM job_turns t INDEXED BY job_turns_later CROSS JOIN jobs j ON j.id = t.slot % 1000000000000 \
    WHERE t.slot / 10000000000000 = " kind: i64 as BigInt =>
    " AND t.due IS NOT NULL AND \
    CASE WHEN j.order_key LIKE '%:plane' THEN 'plane' WHEN j.order_key LIKE '%:telegram' THEN 'telegram' ELSE 'gitea' END = "
    to: str as Text => ""
}

prepared! {
    HasItsTurn -> Bool:
    "SELECT EXISTS (SELECT 1 FROM jobs JOIN job_turns ON job_turns.slot = jobs.slot WHERE jobs.id = " id: i64 as BigInt => ")"
}

fn job_at(slot: i64) -> i64 {
    slot % PLACE
}

fn jobs_at(slots: Vec<i64>) -> Vec<i64> {
    slots.into_iter().map(job_at).collect()
}

/// The oldest job of a kind that may run now, unless one has fallen due that may be older.
pub(super) fn oldest(conn: &mut Conn, kind: JobKind, now: i64) -> Result<Option<Job>, StoreError> {
    let (Range { start: from, end }, kind) = (of_ready(kind), number(kind));
    let oldest = Oldest { from: &from, first: &from, end: &end, kind: &kind, now: &now };
    Ok(oldest.get_result(conn).optional()?)
}

/// The oldest job of a kind that may run now.
pub(super) fn oldest_ready(conn: &mut Conn, kind: JobKind) -> Result<Option<i64>, StoreError> {
    let Range { start, end } = of_ready(kind);
    let slot: Option<i64> = Slots { start: &start, end: &end, limit: &1 }.get_result(conn).optional()?;
    Ok(slot.map(job_at))
}

/// The oldest effect to a destination that may run now.
pub(super) fn oldest_ready_to(conn: &mut Conn, to: Destination) -> Result<Option<i64>, StoreError> {
    let Range { start: from, end } = of_ready(JobKind::Effect);
    let slot: Option<i64> =
        OldestTo { from: &from, first: &from, end: &end, to: to.as_str() }.get_result(conn).optional()?;
    Ok(slot.map(job_at))
}

/// When the first effect to a destination that waits is due.
pub(super) fn next_wait_over_to(conn: &mut Conn, to: Destination) -> Result<Option<i64>, StoreError> {
    Ok(NextDueTo { kind: &number(JobKind::Effect), to: to.as_str() }.get_result(conn)?)
}

/// The jobs of a kind that run, oldest first.
pub(super) fn running(conn: &mut Conn, kind: JobKind) -> Result<Vec<i64>, StoreError> {
    let Range { start, end } = of_running(kind);
    Ok(jobs_at(Slots { start: &start, end: &end, limit: &i64::MAX }.load(conn)?))
}

/// Some jobs of a kind whose wait is over, the longest ago first.
pub(super) fn newly_due(conn: &mut Conn, kind: JobKind, now: i64) -> Result<Vec<i64>, StoreError> {
    Ok(jobs_at(NewlyDue { kind: &number(kind), now: &now }.load(conn)?))
}

/// When the first of those of a kind that wait is due.
pub(super) fn next_wait_over(conn: &mut Conn, kind: JobKind) -> Result<Option<i64>, StoreError> {
    Ok(NextDue { kind: &number(kind) }.get_result(conn)?)
}

/// Whether an unfinished job runs, or may run as soon as it is due.
pub(super) fn has_its_turn(conn: &mut Conn, id: i64) -> Result<bool, StoreError> {
    Ok((HasItsTurn { id: &id }).get_result(conn)?)
}

/// Whether an unfinished job is the head of its key: it runs, or may run as soon as it is due. `None` = it is finished, or a
/// delivery that nobody has placed among the others yet.
pub fn readiness(conn: &mut Conn, job: &Job) -> Result<Option<bool>, StoreError> {
    if job.status.is_finished() || job.placed.is_none() {
        return Ok(None);
    }
    has_its_turn(conn, job.id).map(Some)
}
