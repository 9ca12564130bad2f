//! What an operator or a person's command does to jobs.

use super::enqueue::is_first_of_key;
use super::finish::finish;
use super::rows::Job;
use crate::domain::job::{JobEnd, JobKind, JobStatus};
use crate::store::connection::Conn;
use crate::store::error::StoreError;
use crate::store::schema::jobs;
use diesel::prelude::*;

/// What a cancel found.
#[derive(Debug, Clone, PartialEq)]
pub enum CancelOutcome {
    Cancelled,
    /// Somebody works on it: ask its run to stop; its owner then ends the row.
    Running(Box<Job>),
    AlreadyFinished(JobStatus),
    NotFound,
}

/// Cancels a queued job.
pub fn cancel(conn: &mut Conn, id: i64, why: &str, now: i64) -> Result<CancelOutcome, StoreError> {
    let Some(job) = super::get(conn, id)? else { return Ok(CancelOutcome::NotFound) };
    match job.status {
        JobStatus::Queued => {
            diesel::update(jobs::table.find(id).filter(jobs::status.eq(JobStatus::Queued)))
                .set((
                    jobs::status.eq(JobStatus::Cancelled),
                    jobs::finished_at.eq(Some(now)),
                    jobs::error.eq(Some(why)),
                ))
                .execute(conn)?;
            Ok(CancelOutcome::Cancelled)
        }
        JobStatus::Running => Ok(CancelOutcome::Running(Box::new(job))),
        JobStatus::Done | JobStatus::Failed | JobStatus::Cancelled => Ok(CancelOutcome::AlreadyFinished(job.status)),
    }
}

/// Cancels the queued jobs of a task that would move it (agents and advances); effects still go out.
pub fn cancel_queued_of_task(conn: &mut Conn, task: i64, why: &str, now: i64) -> Result<usize, StoreError> {
    Ok(diesel::update(
        jobs::table
            .filter(jobs::task_id.eq(task))
            .filter(jobs::status.eq(JobStatus::Queued))
            .filter(jobs::kind.eq_any([JobKind::Agent.as_str(), JobKind::Advance.as_str()])),
    )
    .set((jobs::status.eq(JobStatus::Cancelled), jobs::finished_at.eq(Some(now)), jobs::error.eq(Some(why))))
    .execute(conn)?)
}

/// What was put off of a task's looks at its gate is due at once.
pub fn hasten_looks(conn: &mut Conn, task: i64) -> Result<usize, StoreError> {
    Ok(diesel::update(
        jobs::table
            .filter(jobs::task_id.eq(task))
            .filter(jobs::status.eq(JobStatus::Queued))
            .filter(jobs::kind.eq(JobKind::Advance))
            .filter(jobs::available_at.is_not_null()),
    )
    .set(jobs::available_at.eq(None::<i64>))
    .execute(conn)?)
}

/// What waits because a service asked for a pause is due at once.
pub fn hasten_paused(conn: &mut Conn) -> Result<usize, StoreError> {
    Ok(diesel::update(
        jobs::table
            .filter(jobs::status.eq(JobStatus::Queued))
            .filter(jobs::available_at.is_not_null())
            .filter(jobs::error.like("%rate limited, next try in%")),
    )
    .set(jobs::available_at.eq(None::<i64>))
    .execute(conn)?)
}

/// Lets those behind a claimed job of the same key go on without it: it gets a key of its own, with the same ending (where an
/// effect goes). `false` = it was no longer its owner's, or stands alone already.
pub fn step_aside(conn: &mut Conn, job: &Job) -> Result<bool, StoreError> {
    let own = format!("job:{}", job.id);
    let Some(key) = job.order_key.as_deref().filter(|key| !key.starts_with(&own)) else { return Ok(false) };
    let aside = match key.rsplit_once(':') {
        Some((_, ending)) => format!("{own}:{ending}"),
        None => own,
    };
    let held = jobs::table
        .find(job.id)
        .filter(jobs::status.eq(JobStatus::Running))
        .filter(jobs::worker.eq(job.worker.as_deref().unwrap_or_default()))
        .filter(jobs::started_at.eq(job.started_at));
    Ok(diesel::update(held).set(jobs::order_key.eq(aside)).execute(conn)? == 1)
}

/// Whether an agent of the same task was queued after this look, on a person's word that came while it was under way. Put off,
/// the look would stand in its way, and the agent's end looks at what it would have looked at.
fn gives_way_to_an_agent(conn: &mut Conn, look: &Job) -> Result<bool, StoreError> {
    let Some(task) = look.task_id.filter(|_| look.kind == JobKind::Advance) else { return Ok(false) };
    let newer = jobs::table
        .filter(jobs::task_id.eq(task))
        .filter(jobs::status.eq(JobStatus::Queued))
        .filter(jobs::kind.eq(JobKind::Agent))
        .filter(jobs::id.gt(look.id));
    Ok(diesel::select(diesel::dsl::exists(newer)).get_result(conn)?)
}

/// Whether another look of the task, which is a person's word as a rule, waits behind this one.
pub fn look_waits_behind(conn: &mut Conn, look: &Job) -> Result<bool, StoreError> {
    let Some(task) = look.task_id.filter(|_| look.kind == JobKind::Advance) else { return Ok(false) };
    let behind = jobs::table
        .filter(jobs::task_id.eq(task))
        .filter(jobs::status.eq(JobStatus::Queued))
        .filter(jobs::kind.eq(JobKind::Advance))
        .filter(jobs::id.gt(look.id));
    Ok(diesel::select(diesel::dsl::exists(behind)).get_result(conn)?)
}

/// [`finish`] of a claim that may be put off: where an agent was queued meanwhile, a look is over instead.
pub fn finish_or_give_way(conn: &mut Conn, job: &Job, end: JobEnd, now: i64) -> Result<(JobEnd, bool), StoreError> {
    let end = match end {
        JobEnd::Again { error, .. } if gives_way_to_an_agent(conn, job)? => {
            JobEnd::Cancelled { why: format!("a person's word came meanwhile; {error}") }
        }
        end @ (JobEnd::Again { .. } | JobEnd::Done { .. } | JobEnd::Failed { .. } | JobEnd::Cancelled { .. }) => end,
    };
    let ended = finish(conn, job, &end, now)?;
    Ok((end, ended))
}

/// Puts a failed or cancelled job back with its counters at zero; `false` where it is neither.
pub fn retry(conn: &mut Conn, id: i64) -> Result<bool, StoreError> {
    let Some(job) = super::get(conn, id)? else { return Ok(false) };
    let ready = is_first_of_key(conn, job.order_key.as_deref())?;
    let revivable = [JobStatus::Failed.as_str(), JobStatus::Cancelled.as_str()];
    Ok(diesel::update(jobs::table.find(id).filter(jobs::status.eq_any(revivable)))
        .set((
            jobs::status.eq(JobStatus::Queued),
            jobs::ready.eq(ready),
            jobs::attempts.eq(0),
            jobs::transient_attempts.eq(0),
            jobs::recoveries.eq(0),
            jobs::worker.eq(None::<String>),
            jobs::started_at.eq(None::<i64>),
            jobs::finished_at.eq(None::<i64>),
            jobs::available_at.eq(None::<i64>),
        ))
        .execute(conn)?
        == 1)
}
