//! The lane of `effect` jobs: send, and record what came of it.

use super::send::{SendError, Sent};
use super::shared;
use crate::alerts;
use crate::clock::now_ms;
use crate::context::Context;
use crate::engine::apply::enqueue_advance;
use crate::job_end;
use orch_common::domain::decide::Trigger;
use orch_common::domain::effect::Effect;
use orch_common::domain::gate::{GateOutcome, Waiting};
use orch_common::domain::job::JobEnd;
use orch_common::domain::merge;
use orch_common::domain::messages::Message;
use orch_common::domain::stage::TaskState;
use orch_common::failpoint::{self, Point};
use orch_common::store::jobs::{self, Job};
use orch_common::store::{Conn, StoreError, tasks};
use std::sync::Arc;
use tracing::Instrument as _;

/// Handles one effect job to its end.
pub async fn handle(ctx: Arc<Context>, job: Job) {
    let span = tracing::info_span!("effect", job = job.id, task = job.task_id);
    async {
        let effect: Effect = match serde_json::from_str(&job.payload) {
            Ok(effect) => effect,
            Err(error) => {
                let why = format!("the job's payload cannot be read: {error}");
                return job_end::failed(&ctx, &job, &why, None).await;
            }
        };
        failpoint::here(Point::EffectCheck);
        match still_ours(&ctx, &job).await {
            Ok(true) => {
                shared::recall(&ctx).await;
                send(&ctx, &job, &effect).await;
                shared::remember(&ctx).await;
            }
            Ok(false) => tracing::warn!("the job is no longer this worker's; nothing was sent"),
            Err(error) => job_end::failed(&ctx, &job, &error.to_string(), Some(None)).await,
        }
    }
    .instrument(span)
    .await;
}

/// Asked just before the send: a worker that was stopped for long must not send what another has sent.
async fn still_ours(ctx: &Context, job: &Job) -> Result<bool, StoreError> {
    let job = job.clone();
    ctx.store.read(move |c| jobs::is_held(c, &job)).await
}

async fn send_own(ctx: &Context, job: &Job, effect: &Effect) -> Result<Sent, SendError> {
    let pull = own_number(ctx, job).await?;
    ctx.outside.send_for(effect, pull).await
}

/// The number of the task's own pull request.
async fn own_number(ctx: &Context, job: &Job) -> Result<Option<i64>, SendError> {
    let Some(task) = job.task_id else { return Ok(None) };
    let read = ctx.store.read(move |c| tasks::get(c, task)).await;
    let task = read.map_err(|e| SendError::Transient { why: e.to_string(), retry_after_s: None })?;
    Ok(task.and_then(|task| task.pull))
}

/// Notes the task's own pull request. A task that waits for it to be there is looked at.
fn note_pull(conn: &mut Conn, job: &Job, number: i64, now: i64) -> Result<(), StoreError> {
    let Some(task) = job.task_id.map(|id| tasks::get(conn, id)).transpose()?.flatten() else { return Ok(()) };
    if task.pull == Some(number) {
        return Ok(());
    }
    tasks::note_pull(conn, task.id, number, now)?;
    // Only one that was told to wait for it: of another nobody has looked at the gate yet, or what it waits for is queued.
    let told = format!(":{}", GateOutcome::Waiting(Waiting::PullMissing).fingerprint());
    let waits = task.state == TaskState::Active && task.said.as_ref().is_some_and(|said| said.ends_with(&told));
    if waits && jobs::unfinished_of_task(conn, task.id)?.is_empty() {
        enqueue_advance(conn, &task, &Trigger::Look, &format!("t{}:pull:{number}", task.id), now)?;
    }
    Ok(())
}

/// A merge that was queued as an effect, by an earlier version. A task that waits for it is looked at; of one that was done
/// before it was merged people are told.
fn merge_of_old(conn: &mut Conn, ctx: &Context, job: &Job, now: i64) -> Result<(), StoreError> {
    let Some(task) = job.task_id.map(|id| tasks::get(conn, id)).transpose()?.flatten() else { return Ok(()) };
    if task.state.is_terminal() {
        let message = Message::Waiting { gate: merge::GATE };
        return alerts::raise(conn, ctx, Some(task.id), &message, &format!("t{}:unmerged", task.id), now);
    }
    enqueue_advance(conn, &task, &Trigger::Look, &format!("t{}:j{}:merge", task.id, job.id), now)
}

async fn send(ctx: &Arc<Context>, job: &Job, effect: &Effect) {
    failpoint::here(Point::EffectSend);
    let sent = send_own(ctx, job, effect).await;
    failpoint::here(Point::EffectSent);
    let mut own = None;
    let note = match sent {
        Ok(Sent::Pull { number, existed }) => {
            own = Some(number);
            format!("{}: pull request #{number}", if existed { "already there" } else { "sent" })
        }
        Ok(Sent::Done { detail }) => format!("sent: {detail}"),
        Ok(Sent::AlreadyThere { detail }) => format!("already there: {detail}"),
        Ok(Sent::Skipped { why }) => format!("skipped: {why}"),
        Err(SendError::Transient { why, retry_after_s }) => {
            return job_end::failed(ctx, job, &format!("{}: {why}", effect.name()), Some(retry_after_s)).await;
        }
        Err(SendError::Permanent { why }) => {
            return job_end::failed(ctx, job, &format!("{}: {why}", effect.name()), None).await;
        }
    };
    let (inner, row) = (Arc::clone(ctx), job.clone());
    let end = JobEnd::Done { note: Some(note.clone()) };
    let of_old = matches!(effect, Effect::GiteaMerge { .. });
    let finish = move |c: &mut Conn| {
        let now = now_ms();
        if of_old {
            merge_of_old(c, &inner, &row, now)?;
        }
        if let Some(number) = own {
            note_pull(c, &row, number, now)?;
        }
        jobs::finish(c, &row, &end, now)
    };
    match ctx.store.write(finish).await {
        Ok(true) => {
            failpoint::here(Point::EffectRecorded);
            tracing::info!(effect = effect.name(), %note, "effect done");
        }
        Ok(false) => tracing::warn!("the job is no longer this worker's; its end is left to its owner"),
        Err(error) => job_end::failed(ctx, job, &error.to_string(), Some(None)).await,
    }
}
