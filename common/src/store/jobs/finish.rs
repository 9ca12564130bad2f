//! Ending a claimed job. Only its owner can, and only once.

use super::rows::Job;
use crate::domain::job::{JobEnd, JobStatus, Spend};
use crate::store::connection::Conn;
use crate::store::error::StoreError;
use crate::store::prepared::prepared;
use crate::store::schema::jobs;
use crate::store::waits;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, Text};

/// Longest error text kept with a job, in characters.
const ERROR_CHARS: usize = 4000;

prepared! {
    End: "UPDATE jobs SET status = " status: str as Text =>
    ", finished_at = " now: i64 as BigInt =>
    ", note = " note: Option<&'q str> as Nullable<Text> =>
    ", error = " error: Option<&'q str> as Nullable<Text> =>
    " WHERE id = " id: i64 as BigInt =>
    " AND status = 'running' AND worker = " worker: str as Text =>
    " AND started_at = " started_at: Option<i64> as Nullable<BigInt> => ""
}

/// Ends `job` as its owner; `false` = it was no longer this worker's (nothing is changed then). The owner is a name and
/// a claim: a worker that lost a job and claimed it again is not who it was.
pub fn finish(conn: &mut Conn, job: &Job, end: &JobEnd, now: i64) -> Result<bool, StoreError> {
    let (status, note, error) = match end {
        JobEnd::Done { note } => (JobStatus::Done, note.as_deref(), None),
        JobEnd::Failed { error } => (JobStatus::Failed, None, Some(cut(error))),
        JobEnd::Cancelled { why } => (JobStatus::Cancelled, None, Some(cut(why))),
        JobEnd::Again { at, error, spend } => return put_back(conn, job, *at, error, *spend, now),
    };
    let end = End {
        status: status.as_str(),
        now: &now,
        note: &note,
        error: &error,
        id: &job.id,
        worker: job.worker.as_deref().unwrap_or_default(),
        started_at: &job.started_at,
    };
    Ok(end.execute(conn)? == 1)
}

fn put_back(
    conn: &mut Conn,
    job: &Job,
    at: Option<i64>,
    error: &str,
    spend: Spend,
    now: i64,
) -> Result<bool, StoreError> {
    let (back, transient, recovery) = match spend {
        Spend::Attempt => (0, 0, 0),
        Spend::Transient => (1, 1, 0),
        Spend::Recovery => (1, 0, 1),
        Spend::Nothing => (1, 0, 0),
    };
    let held = jobs::table
        .find(job.id)
        .filter(jobs::worker.eq(job.worker.as_deref().unwrap_or_default()))
        .filter(jobs::status.eq(JobStatus::Running))
        .filter(jobs::started_at.eq(job.started_at));
    let changed = diesel::update(held)
        .set((
            jobs::status.eq(JobStatus::Queued),
            jobs::worker.eq(None::<String>),
            jobs::started_at.eq(None::<i64>),
            jobs::available_at.eq(at),
            jobs::error.eq(Some(cut(error))),
            jobs::attempts.eq(jobs::attempts - back),
            jobs::transient_attempts.eq(jobs::transient_attempts + transient),
            jobs::recoveries.eq(jobs::recoveries + recovery),
        ))
        .execute(conn)?;
    if changed == 1 && at.is_some() {
        waits::begin(conn, job.id, now)?;
    }
    Ok(changed == 1)
}

/// Ends jobs that wait behind a job of their key, because what that one did was done for them too.
pub fn finish_waiting(conn: &mut Conn, ids: &[i64], note: &str, now: i64) -> Result<usize, StoreError> {
    let waiting = jobs::table.filter(jobs::id.eq_any(ids)).filter(jobs::status.eq(JobStatus::Queued));
    Ok(diesel::update(waiting)
        .set((jobs::status.eq(JobStatus::Done), jobs::finished_at.eq(Some(now)), jobs::note.eq(Some(note))))
        .execute(conn)?)
}

fn cut(text: &str) -> &str {
    text.char_indices().nth(ERROR_CHARS).map_or(text, |(end, _)| text.get(..end).unwrap_or(text))
}
