//! Services that give no answers, and the jobs that wait for them at no charge. All workers share what is known; whoever finds that
//! one answers again removes it, and wakes what waited.

use super::connection::Conn;
use super::error::StoreError;
use super::jobs::{self, Job};
use super::schema::{held_jobs, jobs as job_rows, outages};
use crate::domain::job::{JobEnd, JobStatus, Spend};
use diesel::prelude::*;

/// A job that waits for the end of an outage looks by itself after this time (ms), in case nobody wakes it.
pub const LOOK_AGAIN_MS: i64 = 60_000;
/// The same where the outage is over already, and a worker does not know it yet.
const OVER_ALREADY_MS: i64 = 1_000;

/// One outage; times in ms.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable)]
#[diesel(table_name = outages, check_for_backend(diesel::sqlite::Sqlite))]
pub struct Outage {
    /// Of what: a service, or a repository at the forge.
    pub scope: String,
    pub since: i64,
    /// What was heard last.
    pub words: String,
    /// People know of it.
    pub told: bool,
}

/// All outages, the oldest first.
pub fn all(conn: &mut Conn) -> Result<Vec<Outage>, StoreError> {
    Ok(outages::table.order((outages::since, outages::scope)).select(Outage::as_select()).load(conn)?)
}

/// The outage of a scope, if there is one.
pub fn get(conn: &mut Conn, scope: &str) -> Result<Option<Outage>, StoreError> {
    Ok(outages::table.find(scope).select(Outage::as_select()).first(conn).optional()?)
}

/// Notes that a scope gives no answers, or its newer words; returns the outage as it is known.
pub fn note(conn: &mut Conn, scope: &str, words: &str, now: i64) -> Result<Outage, StoreError> {
    Ok(diesel::insert_into(outages::table)
        .values((outages::scope.eq(scope), outages::since.eq(now), outages::words.eq(words)))
        .on_conflict(outages::scope)
        .do_update()
        .set(outages::words.eq(words))
        .returning(Outage::as_returning())
        .get_result(conn)?)
}

/// People were told; `false` = they knew.
pub fn note_told(conn: &mut Conn, scope: &str) -> Result<bool, StoreError> {
    let untold = outages::table.find(scope).filter(outages::told.eq(false));
    Ok(diesel::update(untold).set(outages::told.eq(true)).execute(conn)? == 1)
}

/// The scope answers again: the outage is forgotten, and what waited for its end may run at once. Returns the outage and the
/// number of jobs; `None` = somebody else was faster.
pub fn end(conn: &mut Conn, scope: &str) -> Result<Option<(Outage, usize)>, StoreError> {
    let ended: Option<Outage> =
        diesel::delete(outages::table.find(scope)).returning(Outage::as_returning()).get_result(conn).optional()?;
    let Some(ended) = ended else { return Ok(None) };
    let held: Vec<i64> = held_jobs::table.filter(held_jobs::scope.eq(scope)).select(held_jobs::job).load(conn)?;
    let waiting = job_rows::table.filter(job_rows::id.eq_any(&held)).filter(job_rows::status.eq(JobStatus::Queued));
    let woken = diesel::update(waiting.filter(job_rows::available_at.is_not_null()))
        .set(job_rows::available_at.eq(None::<i64>))
        .execute(conn)?;
    diesel::update(held_jobs::table.filter(held_jobs::scope.eq(scope)))
        .set((held_jobs::scope.eq(None::<String>), held_jobs::tries.eq(0)))
        .execute(conn)?;
    Ok(Some((ended, woken)))
}

/// How many jobs wait for the end of an outage.
pub fn waiting(conn: &mut Conn, scope: &str) -> Result<i64, StoreError> {
    let unfinished = job_rows::table.filter(job_rows::finished_at.is_null()).select(job_rows::id);
    let held = held_jobs::table.filter(held_jobs::scope.eq(scope)).filter(held_jobs::job.eq_any(unfinished));
    Ok(held.count().get_result(conn)?)
}

/// What a job was put back for, until that has answered again.
pub fn held_for(conn: &mut Conn, job: i64) -> Result<Option<String>, StoreError> {
    Ok(held_jobs::table.find(job).select(held_jobs::scope).first(conn).optional()?.flatten())
}

/// Puts a claimed job back until the scope answers again, at no charge; `false` = it was no longer its owner's.
pub fn hold(conn: &mut Conn, job: &Job, scope: &str, error: &str, now: i64) -> Result<bool, StoreError> {
    let wait = if get(conn, scope)?.is_some() { LOOK_AGAIN_MS } else { OVER_ALREADY_MS };
    let end = JobEnd::Again { at: Some(now.saturating_add(wait)), error: error.to_owned(), spend: Spend::Nothing };
    let (end, ended) = jobs::finish_or_give_way(conn, job, end, now)?;
    if !ended || !matches!(end, JobEnd::Again { .. }) {
        return Ok(ended);
    }
    diesel::insert_into(held_jobs::table)
        .values((held_jobs::job.eq(job.id), held_jobs::scope.eq(scope)))
        .on_conflict(held_jobs::job)
        .do_update()
        .set(held_jobs::scope.eq(scope))
        .execute(conn)?;
    Ok(true)
}

/// Counts one more try of a job at no charge; returns which it was, from 1.
pub fn count_try(conn: &mut Conn, job: i64) -> Result<u32, StoreError> {
    let tries: i32 = diesel::insert_into(held_jobs::table)
        .values((held_jobs::job.eq(job), held_jobs::tries.eq(1)))
        .on_conflict(held_jobs::job)
        .do_update()
        .set(held_jobs::tries.eq(held_jobs::tries + 1))
        .returning(held_jobs::tries)
        .get_result(conn)?;
    Ok(u32::try_from(tries).unwrap_or(u32::MAX))
}

/// Notes that a start waits for its story, and returns since when (ms).
pub fn waits_since(conn: &mut Conn, job: i64, now: i64) -> Result<i64, StoreError> {
    diesel::insert_into(held_jobs::table)
        .values((held_jobs::job.eq(job), held_jobs::story_since.eq(now)))
        .on_conflict_do_nothing()
        .execute(conn)?;
    let unset = held_jobs::table.find(job).filter(held_jobs::story_since.is_null());
    diesel::update(unset).set(held_jobs::story_since.eq(now)).execute(conn)?;
    Ok(known_since(conn, job)?.unwrap_or(now))
}

/// Since when it is noted to, in ms.
pub fn known_since(conn: &mut Conn, job: i64) -> Result<Option<i64>, StoreError> {
    Ok(held_jobs::table.find(job).select(held_jobs::story_since).first(conn).optional()?.flatten())
}

/// What this job sends may have been sent: nobody has the answer.
pub fn note_doubt(conn: &mut Conn, job: i64) -> Result<(), StoreError> {
    diesel::insert_into(held_jobs::table)
        .values((held_jobs::job.eq(job), held_jobs::doubt.eq(true)))
        .on_conflict(held_jobs::job)
        .do_update()
        .set(held_jobs::doubt.eq(true))
        .execute(conn)?;
    Ok(())
}

/// Whether that was noted.
pub fn is_in_doubt(conn: &mut Conn, job: i64) -> Result<bool, StoreError> {
    Ok(held_jobs::table.find(job).select(held_jobs::doubt).first(conn).optional()?.unwrap_or(false))
}

/// Forgets what was counted of jobs that have ended.
pub fn forget_ended(conn: &mut Conn) -> Result<usize, StoreError> {
    let unfinished = job_rows::table.filter(job_rows::finished_at.is_null()).select(job_rows::id);
    let counted: Vec<i64> = held_jobs::table.select(held_jobs::job).load(conn)?;
    let alive: Vec<i64> = unfinished.filter(job_rows::id.eq_any(&counted)).load(conn)?;
    Ok(diesel::delete(held_jobs::table.filter(held_jobs::job.ne_all(&alive))).execute(conn)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::job::JobKind;
    use crate::store::jobs::NewJob;
    use crate::store::{Store, StoreOptions};

    const NOW: i64 = 1_000_000;

    fn store() -> (tempfile::TempDir, Store) {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open_and_migrate(&StoreOptions::new(dir.path().join("orch.db"))).unwrap();
        (dir, store)
    }

    fn queue(store: &Store, key: &str) -> i64 {
        let new = NewJob {
            kind: JobKind::Effect,
            role: None,
            repo: None,
            task_id: None,
            payload: "{}".into(),
            dedupe_key: None,
            order_key: Some(key.into()),
            available_at: None,
        };
        store.write_now(|c| jobs::enqueue(c, &new, NOW)).unwrap().unwrap()
    }

    fn claim(store: &Store) -> Option<Job> {
        store.write_now(|c| jobs::claim(c, JobKind::Effect, "w", NOW)).unwrap()
    }

    #[test]
    fn what_waits_for_a_service_is_charged_nothing_and_woken_when_it_answers() {
        let (_dir, store) = store();
        let (first, second) = (queue(&store, "task:1:gitea"), queue(&store, "task:2:gitea"));
        let other = queue(&store, "task:1:plane");
        store.write_now(|c| note(c, "gitea", "refused", NOW)).unwrap();
        store.write_now(|c| note(c, "plane", "refused", NOW)).unwrap();
        for scope in ["gitea", "gitea", "plane"] {
            let job = claim(&store).unwrap();
            assert!(store.write_now(|c| hold(c, &job, scope, "refused", NOW)).unwrap());
        }
        assert_eq!(claim(&store), None, "all of them wait");
        assert_eq!(store.write_now(|c| waiting(c, "gitea")).unwrap(), 2);
        assert_eq!(store.write_now(|c| held_for(c, first)).unwrap().as_deref(), Some("gitea"));
        let again = store.write_now(|c| note(c, "gitea", "status 502", NOW + 9)).unwrap();
        assert_eq!((again.since, again.words.as_str()), (NOW, "status 502"), "the same outage, the newest words");

        let (ended, woken) = store.write_now(|c| end(c, "gitea")).unwrap().unwrap();
        assert_eq!((ended.scope.as_str(), ended.told, woken), ("gitea", false, 2));
        assert_eq!(store.write_now(|c| end(c, "gitea")).unwrap(), None, "it ends once");
        assert_eq!(store.write_now(|c| held_for(c, first)).unwrap(), None);
        let woken: Vec<Job> = std::iter::from_fn(|| claim(&store)).collect();
        assert_eq!(woken.iter().map(|j| (j.id, j.attempts)).collect::<Vec<_>>(), [(first, 1), (second, 1)]);
        assert_ne!(other, first, "that of the other service still waits");
    }

    /// Who does not know yet that an outage is over loses a second, not a minute.
    #[test]
    fn a_job_that_is_put_back_after_the_end_looks_again_soon() {
        let (_dir, store) = store();
        queue(&store, "task:1:gitea");
        let job = claim(&store).unwrap();
        store.write_now(|c| hold(c, &job, "gitea", "refused", NOW)).unwrap();
        let put_back = store.write_now(|c| jobs::get(c, job.id)).unwrap().unwrap();
        assert_eq!(put_back.available_at, Some(NOW + OVER_ALREADY_MS));
        assert!(!store.write_now(|c| hold(c, &job, "gitea", "refused", NOW)).unwrap(), "nobody's twice");
    }

    #[test]
    fn tries_are_counted_until_the_job_has_ended() {
        let (_dir, store) = store();
        let id = queue(&store, "task:1:gitea");
        assert_eq!([1, 2].map(|_| store.write_now(|c| count_try(c, id)).unwrap()), [1, 2]);
        assert_eq!(store.write_now(forget_ended).unwrap(), 0);
        let job = claim(&store).unwrap();
        store.write_now(|c| jobs::finish(c, &job, &JobEnd::Done { note: None }, NOW)).unwrap();
        assert_eq!(store.write_now(forget_ended).unwrap(), 1);
        assert_eq!(store.write_now(|c| count_try(c, id)).unwrap(), 1);
    }

    /// The end of an outage is no answer to what was sent before it.
    #[test]
    fn a_doubt_and_the_beginning_of_a_wait_outlast_the_outage() {
        let (_dir, store) = store();
        let id = queue(&store, "task:1:gitea");
        store.write_now(|c| note(c, "gitea", "refused", NOW)).unwrap();
        let job = claim(&store).unwrap();
        assert!(!store.write_now(|c| is_in_doubt(c, id)).unwrap());
        assert_eq!(store.write_now(|c| known_since(c, id)).unwrap(), None);
        store.write_now(|c| note_doubt(c, id)).unwrap();
        assert_eq!([NOW, NOW + 9].map(|now| store.write_now(|c| waits_since(c, id, now)).unwrap()), [NOW, NOW]);
        store.write_now(|c| count_try(c, id)).unwrap();
        store.write_now(|c| hold(c, &job, "gitea", "refused", NOW)).unwrap();
        store.write_now(|c| end(c, "gitea")).unwrap().unwrap();
        assert!(store.write_now(|c| is_in_doubt(c, id)).unwrap());
        assert_eq!(store.write_now(|c| known_since(c, id)).unwrap(), Some(NOW));
        assert_eq!(store.write_now(|c| held_for(c, id)).unwrap(), None);
        assert_eq!(store.write_now(|c| count_try(c, id)).unwrap(), 1, "its tries begin anew");
    }

    #[test]
    fn an_outage_is_told_once() {
        let (_dir, store) = store();
        assert!(!store.write_now(|c| note_told(c, "plane")).unwrap(), "there is none");
        store.write_now(|c| note(c, "plane", "refused", NOW)).unwrap();
        assert!(store.write_now(|c| note_told(c, "plane")).unwrap());
        assert!(!store.write_now(|c| note_told(c, "plane")).unwrap());
        assert!(store.write_now(|c| get(c, "plane")).unwrap().is_some_and(|outage| outage.told));
    }
}
