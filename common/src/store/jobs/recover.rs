//! Rows whose owner died: taken over by a living worker, then finished or put back by their evidence.

use super::finish::finish;
use super::rows::Job;
use crate::domain::job::{JobEnd, JobStatus, Spend};
use crate::domain::run::WorkerState;
use crate::store::connection::Conn;
use crate::store::error::StoreError;
use crate::store::schema::jobs;
use crate::store::workers::{self, Worker};
use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::Bool;

/// How often a job may be lost before it counts as poisonous.
pub const MAX_RECOVERIES: i32 = 5;

/// The running jobs that a filter lets through, oldest first. Few run at a time.
fn running(conn: &mut Conn, wanted: impl Fn(&Job) -> bool) -> Result<Vec<Job>, StoreError> {
    // As text, so that the planner can use the partial index `jobs_running`.
    let running = jobs::table.filter(sql::<Bool>("status = 'running'"));
    let jobs: Vec<Job> = running.order(jobs::id).select(Job::as_select()).load(conn)?;
    Ok(jobs.into_iter().filter(wanted).collect())
}

/// Running jobs of one worker name, oldest first.
pub fn owned_by(conn: &mut Conn, worker: &str) -> Result<Vec<Job>, StoreError> {
    running(conn, |job| job.worker.as_deref() == Some(worker))
}

/// Running jobs of workers on `host` that are `dead` or said that they stopped, or who have no row at all; `me`
/// excepted. Rows of a living worker are never among them. Oldest first.
pub fn orphans(conn: &mut Conn, me: &str, host: &str, dead: impl Fn(&Worker) -> bool) -> Result<Vec<Job>, StoreError> {
    let all = workers::all(conn)?;
    let spared: Vec<String> = all
        .into_iter()
        .filter(|w| w.host != host || (w.state != WorkerState::Stopped && !dead(w)))
        .map(|w| w.name)
        .collect();
    running(conn, |job| job.worker.as_ref().is_some_and(|owner| owner != me && !spared.contains(owner)))
}

/// Whether `job` is still what was claimed: running, its owner's, and by this very claim.
pub fn is_held(conn: &mut Conn, job: &Job) -> Result<bool, StoreError> {
    let now = super::get(conn, job.id)?;
    let same =
        |now: Job| (now.status, &now.worker, now.started_at) == (JobStatus::Running, &job.worker, job.started_at);
    Ok(now.is_some_and(same))
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
