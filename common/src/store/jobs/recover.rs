//! Rows whose owner died: taken over by a living worker, then finished or put back by their evidence.

use super::finish::finish;
use super::rows::Job;
use crate::domain::job::{JobEnd, JobStatus, Spend};
use crate::store::connection::Conn;
use crate::store::error::StoreError;
use crate::store::schema::{jobs, workers};
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::BigInt;

/// How often a job may be lost before it counts as poisonous.
pub const MAX_RECOVERIES: i32 = 5;

#[derive(QueryableByName)]
struct Id {
    #[diesel(sql_type = BigInt)]
    id: i64,
}

/// Running jobs of one worker name, oldest first.
pub fn owned_by(conn: &mut Conn, worker: &str) -> Result<Vec<Job>, StoreError> {
    Ok(jobs::table
        .filter(jobs::worker.eq(worker))
        .filter(jobs::status.eq(JobStatus::Running))
        .order(jobs::id)
        .select(Job::as_select())
        .load(conn)?)
}

/// Running jobs of workers on `host` whose heartbeat is older than `dead_before` or who said that they
/// stopped, or who have no row at all; `me` excepted. Rows of a living worker are never among them. Oldest first.
pub fn orphans(conn: &mut Conn, me: &str, host: &str, dead_before: i64) -> Result<Vec<Job>, StoreError> {
    let living = workers::heartbeat_at.ge(dead_before).and(workers::state.ne("stopped"));
    let spared: Vec<String> =
        workers::table.filter(living.or(workers::host.ne(host))).select(workers::name).load(conn)?;
    // The planner would rather read the whole table in the order of its ids than the few that run.
    let running: Vec<Id> =
        sql_query("SELECT id FROM jobs INDEXED BY jobs_running WHERE status = 'running' AND worker IS NOT NULL")
            .load(conn)?;
    let running: Vec<Job> = jobs::table
        .filter(jobs::id.eq_any(running.into_iter().map(|row| row.id)))
        .filter(jobs::worker.ne(me))
        .order(jobs::id)
        .select(Job::as_select())
        .load(conn)?;
    Ok(running.into_iter().filter(|job| job.worker.as_ref().is_some_and(|owner| !spared.contains(owner))).collect())
}

/// Makes a dead owner's running job this worker's; `None` where somebody else was faster.
pub fn take_over(conn: &mut Conn, job: &Job, me: &str) -> Result<Option<Job>, StoreError> {
    let from = job.worker.as_deref().unwrap_or_default();
    Ok(diesel::update(
        jobs::table.find(job.id).filter(jobs::worker.eq(from)).filter(jobs::status.eq(JobStatus::Running)),
    )
    .set(jobs::worker.eq(me))
    .returning(Job::as_returning())
    .get_result(conn)
    .optional()?)
}

/// Puts a lost job back (no attempt spent, a recovery counted), or fails it where that happened
/// [`MAX_RECOVERIES`] times. Returns what was done, `None` where the job was no longer this worker's.
pub fn requeue_lost(conn: &mut Conn, job: &Job, why: &str, now: i64) -> Result<Option<JobEnd>, StoreError> {
    let end = if job.recoveries >= MAX_RECOVERIES {
        JobEnd::Failed { error: format!("lost {} times, last: {why}", job.recoveries + 1) }
    } else {
        JobEnd::Again { at: None, error: why.to_owned(), spend: Spend::Recovery }
    };
    Ok(finish(conn, job, &end, now)?.then_some(end))
}
