//! How event, advance and effect jobs end when something went wrong: again later, or failed and said.

use crate::clock::now_ms;
use crate::context::Context;
use crate::engine::trigger_of;
use crate::give_up::give_up;
use orch_common::domain::decide::Trigger;
use orch_common::domain::follow::after_error;
use orch_common::domain::job::{JobEnd, Spend};
use orch_common::failpoint::{self, Point};
use orch_common::store::jobs::{self, Job};
use orch_common::store::{Conn, StoreError};
use std::sync::Arc;

/// The longest pause of a job that a person's word waits behind, in ms.
const BEFORE_A_WORD_MS: i64 = 30_000;

/// Ends a job that could not be done, in a transaction of its own. `retry`: `None` = it never will be; else again,
/// not before the seconds the other side asked for.
pub async fn failed(ctx: &Arc<Context>, job: &Job, error: &str, retry: Option<Option<u64>>) {
    let (inner, row, why) = (Arc::clone(ctx), job.clone(), error.to_owned());
    failpoint::here(Point::JobFailing);
    let ended = ctx.store.write(move |conn| end(conn, &inner, &row, &why, retry, now_ms())).await;
    failpoint::here(Point::JobFailed);
    match ended {
        Ok(true) => {}
        Ok(false) => tracing::warn!("the job is no longer this worker's; left alone"),
        Err(store) => tracing::error!(%store, %error, "the job's end could not be written; recovery will find it"),
    }
}

/// Gives a job back because this worker stops: it costs nothing and the next worker takes it at once.
pub async fn put_back(ctx: &Arc<Context>, job: &Job) {
    let row = job.clone();
    let end = JobEnd::Again { at: None, error: "the worker stopped".into(), spend: Spend::Nothing };
    match ctx.store.write(move |conn| jobs::finish(conn, &row, &end, now_ms())).await {
        Ok(_) => tracing::info!("given back: the worker stops"),
        Err(error) => tracing::warn!(%error, "could not be given back; recovery will find it"),
    }
}

/// Ends a job that is only too early: again at a time (ms), however often.
pub async fn too_early(ctx: &Arc<Context>, job: &Job, why: &str, at: i64) {
    let (row, end) = (job.clone(), JobEnd::Again { at: Some(at), error: why.to_owned(), spend: Spend::Nothing });
    match ctx.store.write(move |conn| Ok(put_off(conn, &row, end.clone(), now_ms())?.1)).await {
        Ok(true) => tracing::info!(%why, "too early; again later"),
        Ok(false) => tracing::warn!("the job is no longer this worker's; left alone"),
        Err(error) => tracing::warn!(%error, "could not be put off; recovery will find it"),
    }
}

/// Ends a claim that may have to be tried again; the second is whether it was still this worker's. No person's word waits behind
/// a pause: a look on nobody's word is over where a word is going to look, and any other comes back soon.
pub fn put_off(conn: &mut Conn, job: &Job, end: JobEnd, now: i64) -> Result<(JobEnd, bool), StoreError> {
    let end = match end {
        JobEnd::Again { at, error, spend } if jobs::look_waits_behind(conn, job)? => {
            let on_nobodys_word = matches!(trigger_of(job), Some(Trigger::Look | Trigger::Forge { .. }));
            match on_nobodys_word {
                true => JobEnd::Cancelled { why: format!("a person's word came meanwhile, and looks; {error}") },
                false => JobEnd::Again { at: at.map(|at| at.min(now + BEFORE_A_WORD_MS)), error, spend },
            }
        }
        end @ (JobEnd::Again { .. } | JobEnd::Done { .. } | JobEnd::Failed { .. } | JobEnd::Cancelled { .. }) => end,
    };
    jobs::finish_or_give_way(conn, job, end, now)
}

/// [`failed`] within the caller's transaction; `false` = the job is no longer this worker's.
pub fn end(
    conn: &mut Conn,
    ctx: &Context,
    job: &Job,
    error: &str,
    retry: Option<Option<u64>>,
    now: i64,
) -> Result<bool, StoreError> {
    let end = after_error(job.kind, job.attempts, job.max_attempts, retry, now, error);
    let (end, ended) = put_off(conn, job, end, now)?;
    if !ended {
        return Ok(false);
    }
    match &end {
        JobEnd::Failed { error } => give_up(conn, ctx, job, error, now)?,
        JobEnd::Again { error, .. } => tracing::warn!(%error, "the job will be tried again"),
        JobEnd::Done { .. } | JobEnd::Cancelled { .. } => {}
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::AdvancePayload;
    use orch_common::domain::decide::{ForgeEvent, Via};
    use orch_common::domain::job::JobKind;
    use orch_common::domain::stage::Role;
    use orch_common::domain::words::Command;
    use orch_common::store::jobs::NewJob;
    use orch_common::store::tasks::{self, NewTask};
    use orch_common::store::{Store, StoreOptions};

    const NOW: i64 = 1_000_000;

    fn queue(store: &Store, task: i64, (kind, role): (JobKind, Option<Role>), trigger: &Trigger) {
        let payload = AdvancePayload { trigger: trigger.clone(), stage: None };
        let new = NewJob {
            kind,
            role,
            repo: None,
            task_id: Some(task),
            payload: serde_json::to_string(&payload).unwrap(),
            dedupe_key: None,
            order_key: Some(format!("task:{task}")),
            available_at: None,
        };
        store.write_now(|c| jobs::enqueue(c, &new, NOW)).unwrap().unwrap();
    }

    #[test]
    fn a_persons_word_waits_behind_no_pause() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open_and_migrate(&StoreOptions::new(dir.path().join("orch.db"))).unwrap();
        let ended = Trigger::AgentEnded { role: Role::Developer, log: "r1".into() };
        let word = Trigger::Command { command: Command::Approve, actor: "ann".into(), via: Via::Comment };
        let pushed = Trigger::Forge { what: ForgeEvent::Pushed };
        let (advance, agent) = ((JobKind::Advance, None), (JobKind::Agent, Some(Role::Developer)));
        // What was put off, what came meanwhile, and what becomes of the first: cancelled, or its pause in ms.
        let table = [
            (Trigger::Look, None, Some(3_600_000)),
            (Trigger::Look, Some(advance), None),
            (pushed.clone(), Some(advance), None),
            (ended.clone(), Some(advance), Some(30_000)),
            (word.clone(), Some(advance), Some(30_000)),
            (Trigger::Look, Some(agent), None),
            (ended, Some(agent), None),
            (pushed, None, Some(3_600_000)),
        ];
        for (n, (put, came, expected)) in table.into_iter().enumerate() {
            let name = format!("n{n}");
            let new = NewTask {
                project: "p".into(),
                work_item: name.clone(),
                key: name.clone(),
                title: String::new(),
                description: String::new(),
                repo: "acme/shop".into(),
                branch: name,
                base: "main".into(),
            };
            let task = store.write_now(|c| tasks::insert(c, &new, NOW)).unwrap().unwrap().id;
            queue(&store, task, advance, &put);
            let job = store.write_now(|c| jobs::claim(c, JobKind::Advance, "w", NOW)).unwrap().unwrap();
            if let Some(came) = came {
                queue(&store, task, came, &word);
            }
            let later = JobEnd::Again { at: Some(NOW + 3_600_000), error: "away".into(), spend: Spend::Nothing };
            let (end, ours) = store.write_now(|c| put_off(c, &job, later.clone(), NOW)).unwrap();
            assert!(ours);
            let pause = match &end {
                JobEnd::Again { at, .. } => at.map(|at| at - NOW),
                JobEnd::Cancelled { .. } => None,
                JobEnd::Done { .. } | JobEnd::Failed { .. } => panic!("{end:?}"),
            };
            assert_eq!(pause, expected, "{put:?} {came:?}");
            // Nobody else's turn is touched.
            store.write_now(|c| jobs::cancel_queued_of_task(c, task, "over", NOW)).unwrap();
        }
    }
}
