//! Starts that came to nothing because of the work item: it cannot be read now, or there is none any more.

use super::probe_gone;
use super::reread::{PATIENCE_MS, Unread};
use crate::clients::ApiError;
use crate::clock::now_ms;
use crate::context::Context;
use crate::engine::apply::enqueue_effect;
use crate::engine::submit::submit;
use crate::outage::{Scope, blame, hold};
use orch_common::domain::decide::Trigger;
use orch_common::domain::effect::Effect;
use orch_common::domain::job::{JobEnd, JobKind, Spend};
use orch_common::domain::messages::Message;
use orch_common::domain::stage::Role;
use orch_common::failpoint::{self, Point};
use orch_common::store::jobs::{self, Job};
use orch_common::store::tasks::{self, Task};
use orch_common::store::{Conn, StoreError, outages};
use std::ops::RangeInclusive;
use std::sync::Arc;

/// Between two tries to read the story, in seconds: as long as it has waited already, within these. A limit may be lifted meanwhile.
const AGAIN_S: RangeInclusive<i64> = 2..=15;

/// Puts the job back until the story can be read, at no charge.
pub(super) async fn unread(ctx: &Arc<Context>, job: &Job, error: &ApiError) {
    let why = format!("the work item could not be read: {error}");
    // A pause that Plane asked for is none of its being away.
    let away = match error.retry_after() {
        Some(_) => None,
        None => blame(ctx, &ctx.plane_scopes_of(job)).await,
    };
    let asked_s = error.retry_after();
    let row = job.clone();
    failpoint::here(Point::LaunchFailed);
    let told = ctx.store.write(move |c| put_back(c, &row, away.as_ref(), &why, asked_s, now_ms())).await;
    failpoint::here(Point::LaunchFailedWritten);
    match told {
        Ok(true) => tracing::warn!(%error, "no agent is started on half of the story; the job waits at no charge"),
        Ok(false) => tracing::warn!("the job is no longer this worker's; left alone"),
        Err(store) => tracing::error!(%store, "the job's end could not be written; recovery will find it"),
    }
}

fn put_back(
    conn: &mut Conn,
    job: &Job,
    away: Option<&Scope>,
    why: &str,
    asked_s: Option<u64>,
    now: i64,
) -> Result<bool, StoreError> {
    if let Some(scope) = away {
        return hold(conn, job, scope, why, now);
    }
    let waited_s = now.saturating_sub(outages::known_since(conn, job.id)?.unwrap_or(now)) / 1000;
    let wait_s = asked_s.map_or(waited_s, |asked_s| i64::try_from(asked_s).unwrap_or(i64::MAX));
    let at = now.saturating_add(wait_s.clamp(*AGAIN_S.start(), *AGAIN_S.end()).saturating_mul(1000));
    let end = JobEnd::Again { at: Some(at), error: why.to_owned(), spend: Spend::Nothing };
    if !jobs::finish(conn, job, &end, now)? {
        return Ok(false);
    }
    probe_gone(conn, job.id, now).map(|()| true)
}

/// Whether this start has waited for its story long enough, and goes on without.
pub(super) async fn has_waited(ctx: &Context, job: &Job) -> bool {
    let id = job.id;
    let since = ctx.store.read(move |c| outages::known_since(c, id)).await.ok().flatten();
    job.kind == JobKind::Agent && since.is_some_and(|since| now_ms().saturating_sub(since) >= PATIENCE_MS)
}

/// The work item is deleted or archived: its task ends now, and not after six roles.
pub(super) async fn gone(ctx: &Arc<Context>, job: &Job, archived: bool) {
    let (inner, row) = (Arc::clone(ctx), job.clone());
    let ended = ctx.store.write(move |c| end_task(c, &inner, &row, archived, now_ms())).await;
    match ended {
        Ok(()) => tracing::info!(archived, "the work item is gone; its task ends, and no agent was started"),
        Err(error) => tracing::error!(%error, "the job's end could not be written; recovery will find it"),
    }
}

fn end_task(conn: &mut Conn, ctx: &Context, job: &Job, archived: bool, now: i64) -> Result<(), StoreError> {
    let end = JobEnd::Cancelled { why: format!("the work item was {}", if archived { "archived" } else { "deleted" }) };
    if !jobs::finish(conn, job, &end, now)? {
        return Ok(());
    }
    probe_gone(conn, job.id, now)?;
    let Some(task) = job.task_id.map(|id| tasks::get(conn, id)).transpose()?.flatten() else { return Ok(()) };
    let Some(project) = ctx.config.projects.by_plane(&task.project) else { return Ok(()) };
    let trigger = Trigger::Deleted { actor: String::new(), archived };
    submit(conn, ctx, project, &task, &trigger, job.id, now).map(drop)
}

/// Says, once for a start, that an agent goes on without the words of the thread.
pub(super) fn tell_unread(
    conn: &mut Conn,
    ctx: &Context,
    task: &Task,
    job: &Job,
    (role, unread): (Role, &Unread),
    now: i64,
) -> Result<(), StoreError> {
    let Ok(key) = task.key.parse() else { return Ok(()) };
    let message = Message::StoryUnread { key, role, minutes: unread.minutes, why: unread.why.clone() };
    let name = format!("t{}:j{}:unread", task.id, job.id);
    let comment = Effect::PlaneComment {
        project: task.project.clone(),
        work_item: task.work_item.clone(),
        key: name.clone(),
        text: ctx.catalogue.render(&message),
    };
    enqueue_effect(conn, Some(task.id), &comment, &name, now)?;
    let chat = Effect::Telegram { text: ctx.chat_text(task, &message) };
    enqueue_effect(conn, Some(task.id), &chat, &format!("{name}:chat"), now)
}
