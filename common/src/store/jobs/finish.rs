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
    /// How most jobs end.
    FinishDone: "UPDATE OR FAIL jobs SET status = 'done', error = NULL, finished_at = " now: i64 as BigInt =>
    ", note = " note: Option<&'q str> as Nullable<Text> =>
    " WHERE id = " id: i64 as BigInt =>
    " AND status = 'running' AND worker = " worker: str as Text =>
    " AND started_at = " started_at: Option<i64> as Nullable<BigInt> => ""
}

/// Ends `job` as its owner; `false` = it was no longer this worker's (nothing is changed then). The owner is a name and
/// a claim: a worker that lost a job and claimed it again is not who it was.
pub fn finish(conn: &mut Conn, job: &Job, end: &JobEnd, now: i64) -> Result<bool, StoreError> {
    let worker = job.worker.as_deref().unwrap_or_default();
    let target = jobs::table
        .find(job.id)
        .filter(jobs::worker.eq(worker))
        .filter(jobs::status.eq(JobStatus::Running))
        .filter(jobs::started_at.eq(job.started_at));
    let finished = |status: JobStatus, error: Option<&str>| {
        (jobs::status.eq(status), jobs::finished_at.eq(Some(now)), jobs::error.eq(error.map(cut)))
    };
    let changed = match end {
        JobEnd::Done { note } => {
            let (note, started_at) = (&note.as_deref(), &job.started_at);
            FinishDone { now: &now, note, id: &job.id, worker, started_at }.execute(conn)?
        }
        JobEnd::Failed { error } => {
            diesel::update(target).set(finished(JobStatus::Failed, Some(error))).execute(conn)?
        }
        JobEnd::Cancelled { why } => {
            diesel::update(target).set(finished(JobStatus::Cancelled, Some(why))).execute(conn)?
        }
        JobEnd::Again { at, error, spend } => {
            let (back, transient, recovery) = match spend {
                Spend::Attempt => (0, 0, 0),
                Spend::Transient => (1, 1, 0),
                Spend::Recovery => (1, 0, 1),
                Spend::Nothing => (1, 0, 0),
            };
            diesel::update(target)
                .set((
                    jobs::status.eq(JobStatus::Queued),
                    jobs::worker.eq(None::<String>),
                    jobs::started_at.eq(None::<i64>),
                    jobs::available_at.eq(*at),
                    jobs::error.eq(Some(cut(error))),
                    jobs::attempts.eq(jobs::attempts - back),
                    jobs::transient_attempts.eq(jobs::transient_attempts + transient),
                    jobs::recoveries.eq(jobs::recoveries + recovery),
                ))
                .execute(conn)?
        }
    };
    if changed == 1 && matches!(end, JobEnd::Again { at: Some(_), .. }) {
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

fn cut(text: &str) -> String {
    text.chars().take(ERROR_CHARS).collect()
}
