//! Jobs of tasks that wait for something to pass: since when, for what, and whether people know of it. A job begins to wait when
//! it goes back for a later time, and has waited when its agent begins, or it ends.

use super::connection::Conn;
use super::error::StoreError;
use super::jobs::Job;
use super::schema::{held_jobs, jobs};
use crate::domain::job::{JobKind, JobStatus};
use diesel::prelude::*;

/// A job that waits; times in ms.
#[derive(Debug, Clone, PartialEq)]
pub struct Wait {
    pub job: i64,
    pub task: i64,
    pub kind: JobKind,
    pub since: i64,
    /// What went wrong last.
    pub why: String,
    /// What it was put back for, until that answers again.
    pub scope: Option<String>,
    /// Where it goes, if it is an effect: the end of its key.
    pub order_key: Option<String>,
}

type Row = (i64, Option<i64>, JobKind, Option<i64>, Option<String>, Option<String>, Option<String>);

/// Notes that a job waits from now on, unless it does already.
pub(super) fn begin(conn: &mut Conn, job: i64, now: i64) -> Result<(), StoreError> {
    diesel::insert_into(held_jobs::table)
        .values((held_jobs::job.eq(job), held_jobs::tries.eq(0), held_jobs::since.eq(Some(now))))
        .on_conflict_do_nothing()
        .execute(conn)?;
    diesel::update(held_jobs::table.find(job).filter(held_jobs::since.is_null()))
        .set(held_jobs::since.eq(Some(now)))
        .execute(conn)?;
    Ok(())
}

/// Its wait is over: what comes next is another one.
pub(super) fn end(conn: &mut Conn, job: i64) -> Result<(), StoreError> {
    diesel::delete(held_jobs::table.find(job)).execute(conn)?;
    Ok(())
}

/// Those that have waited since `before` or longer and that people do not know of, the longest first.
pub fn untold(conn: &mut Conn, before: i64) -> Result<Vec<Wait>, StoreError> {
    let rows: Vec<Row> = held_jobs::table
        .inner_join(jobs::table.on(jobs::id.eq(held_jobs::job)))
        .filter(held_jobs::told.eq(false))
        .filter(held_jobs::since.le(before).assume_not_null())
        .filter(jobs::status.eq(JobStatus::Queued))
        .order((held_jobs::since, jobs::id))
        .select((jobs::id, jobs::task_id, jobs::kind, held_jobs::since, jobs::error, held_jobs::scope, jobs::order_key))
        .load(conn)?;
    Ok(rows.into_iter().filter_map(wait).collect())
}

/// What moves a task and waits; `None` = nothing does.
pub fn of_task(conn: &mut Conn, task: i64) -> Result<Option<Wait>, StoreError> {
    let row: Option<Row> = held_jobs::table
        .inner_join(jobs::table.on(jobs::id.eq(held_jobs::job)))
        .filter(jobs::task_id.eq(task))
        .filter(jobs::status.eq(JobStatus::Queued))
        .filter(jobs::kind.eq_any([JobKind::Agent.as_str(), JobKind::Advance.as_str()]))
        .filter(held_jobs::since.is_not_null())
        .order(jobs::id)
        .select((jobs::id, jobs::task_id, jobs::kind, held_jobs::since, jobs::error, held_jobs::scope, jobs::order_key))
        .first(conn)
        .optional()?;
    Ok(row.and_then(wait))
}

fn wait((job, task, kind, since, why, scope, order_key): Row) -> Option<Wait> {
    let why = why.filter(|why| !why.is_empty())?;
    Some(Wait { job, task: task?, kind, since: since?, why, scope, order_key })
}

/// People know of it; `false` = they knew.
pub fn note_told(conn: &mut Conn, job: i64, now: i64) -> Result<bool, StoreError> {
    begin(conn, job, now)?;
    let untold = held_jobs::table.find(job).filter(held_jobs::told.eq(false));
    Ok(diesel::update(untold).set(held_jobs::told.eq(true)).execute(conn)? == 1)
}

/// Agents' jobs that may run, were queued before `before`, and that people were not told of, oldest first.
pub fn idle_agents(conn: &mut Conn, before: i64) -> Result<Vec<Job>, StoreError> {
    let told = held_jobs::table.filter(held_jobs::told.eq(true)).select(held_jobs::job);
    Ok(jobs::table
        .filter(jobs::kind.eq(JobKind::Agent))
        .filter(jobs::status.eq(JobStatus::Queued))
        .filter(jobs::available_at.is_null())
        .filter(jobs::created_at.le(before))
        .filter(jobs::id.ne_all(told))
        .order(jobs::id)
        .select(Job::as_select())
        .load(conn)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::job::{JobEnd, Spend};
    use crate::domain::run::RunState;
    use crate::domain::stage::{Role, Stage};
    use crate::store::jobs::{self, NewJob};
    use crate::store::runs::{self, NewRun};
    use crate::store::tests::{NOW, Scratch, add, add_task, job, plain};

    fn again(at: Option<i64>, error: &str) -> JobEnd {
        JobEnd::Again { at, error: error.into(), spend: Spend::Nothing }
    }

    #[test]
    fn a_wait_begins_once_is_told_once_and_ends_with_the_agents_beginning() {
        let scratch = Scratch::new();
        let task = scratch.write(|c| Ok(add_task(c, 1))).id;
        let id = scratch.write(|c| Ok(add(c, &NewJob { task_id: Some(task), ..plain(JobKind::Agent) })));
        let claim = |now| scratch.write(|c| jobs::claim(c, JobKind::Agent, "w", now)).unwrap();
        let untold = |before| scratch.write(|c| untold(c, before));
        let put_back = |at, why: &str, now| {
            let job = claim(now);
            assert!(scratch.write(|c| jobs::finish(c, &job, &again(at, why), now)));
        };
        // Back at once is no wait.
        put_back(None, "the worker stopped", NOW);
        assert_eq!(scratch.write(|c| of_task(c, task)), None);
        put_back(Some(NOW + 5), "a lock", NOW);
        put_back(Some(NOW + 9), "no room", NOW + 5);
        let wait = scratch.write(|c| of_task(c, task)).unwrap();
        assert_eq!(
            (wait.job, wait.since, wait.why.as_str()),
            (id, NOW, "no room"),
            "since the first, with the newest words"
        );
        assert_eq!(untold(NOW - 1), []);
        assert_eq!(untold(NOW), [wait]);
        assert!(scratch.write(|c| note_told(c, id, NOW)));
        assert!(!scratch.write(|c| note_told(c, id, NOW)));
        assert_eq!(untold(NOW), []);

        let held = claim(NOW + 9);
        let new = NewRun {
            id: "r1".into(),
            job_id: id,
            task_id: task,
            role: Role::Analyst,
            stage: Stage::Analysis,
            worker: "w".into(),
            host: "h".into(),
            dir: "r1".into(),
            state: RunState::Starting,
            session_id: None,
            resumed: false,
            head_before: None,
            started_at: NOW + 9,
        };
        scratch.write(|c| runs::insert(c, &new));
        assert_eq!(scratch.write(|c| of_task(c, task)), None, "it works");
        assert!(scratch.write(|c| jobs::finish(c, &held, &again(Some(NOW + 99), "429"), NOW + 50)));
        assert_eq!(untold(NOW + 50).into_iter().map(|w| w.since).collect::<Vec<_>>(), [NOW + 50], "another wait");
        assert_eq!(scratch.write(|c| Ok(job(c, id))).attempts, 0);
    }

    #[test]
    fn an_agent_that_nothing_keeps_waits_for_a_place() {
        let scratch = Scratch::new();
        let task = scratch.write(|c| Ok(add_task(c, 1))).id;
        let id = scratch.write(|c| Ok(add(c, &NewJob { task_id: Some(task), ..plain(JobKind::Agent) })));
        scratch.write(|c| Ok(add(c, &NewJob { task_id: Some(task), ..plain(JobKind::Advance) })));
        let idle = |before| scratch.write(|c| idle_agents(c, before)).into_iter().map(|j| j.id).collect::<Vec<_>>();
        assert_eq!((idle(NOW - 1), idle(NOW)), (vec![], vec![id]));
        scratch.write(|c| note_told(c, id, NOW));
        assert_eq!(idle(NOW), [0; 0]);
    }
}
