//! Reading the queue, at a cost that does not grow with it.

use super::rows::Job;
use crate::domain::job::{JobKind, JobStatus};
use crate::domain::stage::Role;
use crate::store::connection::Conn;
use crate::store::error::StoreError;
use crate::store::schema::{job_counts, jobs};
use diesel::prelude::*;
use diesel::sqlite::Sqlite;
use serde::Deserialize;
use std::collections::BTreeMap;

/// Jobs of one kind by status, zero-filled.
pub type StatusCounts = BTreeMap<&'static str, i64>;

/// A job without its payload, which may be megabytes; fields as in [`Job`].
#[derive(Debug, Clone, PartialEq, Queryable, Selectable)]
#[diesel(table_name = jobs, check_for_backend(Sqlite))]
pub struct JobHead {
    pub id: i64,
    pub kind: JobKind,
    pub role: Option<Role>,
    pub repo: Option<String>,
    pub task_id: Option<i64>,
    pub status: JobStatus,
    pub attempts: i32,
    pub max_attempts: i32,
    pub transient_attempts: i32,
    pub recoveries: i32,
    pub run_id: Option<String>,
    pub error: Option<String>,
    pub note: Option<String>,
    pub worker: Option<String>,
    pub available_at: Option<i64>,
    pub created_at: i64,
    pub started_at: Option<i64>,
    pub finished_at: Option<i64>,
}

/// Which jobs are wanted; `None` = all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct JobFilter {
    pub kind: Option<JobKind>,
    pub status: Option<JobStatus>,
    pub task: Option<i64>,
}

/// An event job with what its payload says of itself.
#[derive(Debug, Clone, PartialEq)]
pub struct EventHead {
    pub id: i64,
    pub status: JobStatus,
    pub repo: Option<String>,
    /// `None` where the payload is no JSON.
    pub source: Option<String>,
    pub event: Option<String>,
    /// The sender's delivery id.
    pub delivery: Option<String>,
    /// Of the payload's text.
    pub bytes: i64,
    pub attempts: i32,
    pub error: Option<String>,
    pub note: Option<String>,
    pub created_at: i64,
    pub finished_at: Option<i64>,
}

impl EventHead {
    fn of(job: Job) -> EventHead {
        let Job { id, status, repo, attempts, error, note, created_at, finished_at, payload, .. } = job;
        let bytes = i64::try_from(payload.len()).unwrap_or(i64::MAX);
        let Names { source, event, event_type, delivery } = serde_json::from_str(&payload).unwrap_or_default();
        let event = event_type.or(event);
        EventHead { id, status, repo, source, event, delivery, bytes, attempts, error, note, created_at, finished_at }
    }
}

/// What a payload may say of itself, beside its body.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Names {
    source: Option<String>,
    event: Option<String>,
    event_type: Option<String>,
    delivery: Option<String>,
}

/// The newest jobs that a filter lets through, newest first.
pub fn newest(conn: &mut Conn, filter: JobFilter, limit: i64) -> Result<Vec<JobHead>, StoreError> {
    let JobFilter { kind, status, task } = filter;
    let mut query = jobs::table.select(JobHead::as_select()).into_boxed::<Sqlite>();
    if let Some(kind) = kind {
        query = query.filter(jobs::kind.eq(kind));
    }
    if let Some(status) = status {
        query = query.filter(jobs::status.eq(status));
    }
    if let Some(task) = task {
        query = query.filter(jobs::task_id.eq(task));
    }
    Ok(query.order(jobs::id.desc()).limit(limit).load(conn)?)
}

/// The newest event jobs, newest first.
pub fn newest_events(conn: &mut Conn, limit: i64) -> Result<Vec<EventHead>, StoreError> {
    let jobs: Vec<Job> = jobs::table
        .filter(jobs::kind.eq(JobKind::Event))
        .order(jobs::id.desc())
        .limit(limit)
        .select(Job::as_select())
        .load(conn)?;
    Ok(jobs.into_iter().map(EventHead::of).collect())
}

/// The counts of every kind.
pub fn counts(conn: &mut Conn) -> Result<BTreeMap<JobKind, StatusCounts>, StoreError> {
    let mut all: BTreeMap<JobKind, StatusCounts> = BTreeMap::new();
    for kind in JobKind::ALL {
        all.insert(*kind, JobStatus::ALL.iter().map(|s| (s.as_str(), 0)).collect());
    }
    let rows: Vec<(JobKind, JobStatus, i64)> = job_counts::table.load(conn)?;
    for (kind, status, n) in rows {
        all.entry(kind).or_default().insert(status.as_str(), n);
    }
    Ok(all)
}

/// The oldest jobs that wait behind `job` of the same key, in their order.
pub fn waiting_behind(conn: &mut Conn, job: &Job, limit: i64) -> Result<Vec<Job>, StoreError> {
    Ok(jobs::table
        .filter(jobs::order_key.eq(job.order_key.as_deref()))
        .filter(jobs::order_key.is_not_null())
        .filter(jobs::finished_at.is_null())
        .filter(jobs::id.gt(job.id))
        .order(jobs::id)
        .limit(limit)
        .select(Job::as_select())
        .load(conn)?)
}

/// The newest agent jobs, newest first.
pub fn recent_agents(conn: &mut Conn, limit: i64) -> Result<Vec<Job>, StoreError> {
    Ok(jobs::table
        .filter(jobs::role.is_not_null())
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

/// The job that was queued under this key.
pub fn by_dedupe_key(conn: &mut Conn, key: &str) -> Result<Option<Job>, StoreError> {
    Ok(jobs::table.filter(jobs::dedupe_key.eq(key)).select(Job::as_select()).first(conn).optional()?)
}

/// All jobs of a task, oldest first.
pub fn of_task(conn: &mut Conn, task: i64) -> Result<Vec<Job>, StoreError> {
    Ok(jobs::table.filter(jobs::task_id.eq(task)).order(jobs::id).select(Job::as_select()).load(conn)?)
}

/// The effects of a task with this name, oldest first.
pub fn effects_of_task(conn: &mut Conn, task: i64, name: &str) -> Result<Vec<JobHead>, StoreError> {
    // The name is what a payload begins with.
    let begin = format!(r#"{{"effect":"{name}"%"#);
    Ok(jobs::table
        .filter(jobs::task_id.eq(task))
        .filter(jobs::kind.eq(JobKind::Effect))
        .filter(jobs::payload.like(begin))
        .order(jobs::id)
        .select(JobHead::as_select())
        .load(conn)?)
}

/// The payloads of a task's effects of this name that were wished after a job, and are not cancelled.
pub fn newer_effects(conn: &mut Conn, task: i64, job: i64, name: &str) -> Result<Vec<String>, StoreError> {
    Ok(jobs::table
        .filter(jobs::task_id.eq(task))
        .filter(jobs::kind.eq(JobKind::Effect))
        .filter(jobs::payload.like(format!(r#"{{"effect":"{name}"%"#)))
        .filter(jobs::id.gt(job))
        .filter(jobs::status.ne(JobStatus::Cancelled))
        .select(jobs::payload)
        .load(conn)?)
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
