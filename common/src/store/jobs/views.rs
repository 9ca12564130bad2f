//! Reading the queue, at a cost that does not grow with it.

use super::rows::Job;
use crate::domain::job::{JobKind, JobStatus};
use crate::store::connection::Conn;
use crate::store::error::StoreError;
use crate::store::schema::{job_counts, jobs};
use diesel::prelude::*;
use std::collections::BTreeMap;

/// Jobs of one kind by status, zero-filled.
pub type StatusCounts = BTreeMap<&'static str, i64>;

/// The counts of every kind.
pub fn counts(conn: &mut Conn) -> Result<BTreeMap<JobKind, StatusCounts>, StoreError> {
    let mut all: BTreeMap<JobKind, StatusCounts> = BTreeMap::new();
    for kind in JobKind::ALL {
        all.insert(*kind, JobStatus::ALL.iter().map(|s| (s.as_str(), 0)).collect());
    }
    let rows: Vec<(JobKind, JobStatus, i64)> =
        job_counts::table.select((job_counts::kind, job_counts::status, job_counts::n)).load(conn)?;
    for (kind, status, n) in rows {
        all.entry(kind).or_default().insert(status.as_str(), n);
    }
    Ok(all)
}

/// The newest agent jobs, newest first.
pub fn recent_agents(conn: &mut Conn, limit: i64) -> Result<Vec<Job>, StoreError> {
    Ok(jobs::table
        .filter(jobs::kind.eq(JobKind::Agent))
        .order(jobs::id.desc())
        .limit(limit)
        .select(Job::as_select())
        .load(conn)?)
}

/// One job.
pub fn get(conn: &mut Conn, id: i64) -> Result<Option<Job>, StoreError> {
    Ok(jobs::table.find(id).select(Job::as_select()).first(conn).optional()?)
}

/// All jobs of a task, oldest first.
pub fn of_task(conn: &mut Conn, task: i64) -> Result<Vec<Job>, StoreError> {
    Ok(jobs::table.filter(jobs::task_id.eq(task)).order(jobs::id).select(Job::as_select()).load(conn)?)
}

/// The task's agent and advance jobs that are queued or running, oldest first.
pub fn unfinished_of_task(conn: &mut Conn, task: i64) -> Result<Vec<Job>, StoreError> {
    Ok(jobs::table
        .filter(jobs::task_id.eq(task))
        .filter(jobs::status.eq_any([JobStatus::Queued.as_str(), JobStatus::Running.as_str()]))
        .filter(jobs::kind.eq_any([JobKind::Agent.as_str(), JobKind::Advance.as_str()]))
        .order(jobs::id)
        .select(Job::as_select())
        .load(conn)?)
}
