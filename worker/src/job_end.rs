//! How event, advance and effect jobs end when something went wrong: again later, or failed and said.

use crate::alerts;
use crate::clock::now_ms;
use crate::context::Context;
use orch_common::domain::effect::Destination;
use orch_common::domain::follow::after_error;
use orch_common::domain::job::{JobEnd, JobKind, Spend};
use orch_common::domain::messages::Message;
use orch_common::failpoint::{self, Point};
use orch_common::store::jobs::{self, Job};
use orch_common::store::{Conn, StoreError, tasks};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;

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
    match ctx.store.write(move |conn| jobs::finish(conn, &row, &end, now_ms())).await {
        Ok(true) => tracing::info!(%why, "too early; again later"),
        Ok(false) => tracing::warn!("the job is no longer this worker's; left alone"),
        Err(error) => tracing::warn!(%error, "could not be put off; recovery will find it"),
    }
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
    if !jobs::finish(conn, job, &end, now)? {
        return Ok(false);
    }
    match &end {
        JobEnd::Failed { error } => {
            tracing::error!(%error, "the job failed for good");
            give_up(conn, ctx, job, error, now)?;
        }
        JobEnd::Again { error, .. } => tracing::warn!(%error, "the job will be tried again"),
        JobEnd::Done { .. } | JobEnd::Cancelled { .. } => {}
    }
    Ok(true)
}

/// What makes an alert one. Effects of a task that fail for one reason are one: a workflow that refuses every move of a card.
fn cause_key(job: &Job, error: &str) -> String {
    match (job.kind, job.task_id) {
        (JobKind::Effect, Some(task)) => format!("t{task}:failed:{}", cause_of(error)),
        _ => format!("job{}:failed:{}", job.id, job.created_at),
    }
}

/// A short name of a reason: words count, numbers and ids do not.
fn cause_of(error: &str) -> String {
    let is_word = |part: &&str| !part.is_empty() && !part.contains(|c: char| c.is_ascii_digit());
    let words: Vec<&str> =
        error.split(|c: char| !c.is_alphanumeric() && c != '-' && c != '_').filter(is_word).collect();
    let mut sum = DefaultHasher::new();
    words.hash(&mut sum);
    format!("{:016x}", sum.finish())
}

/// A job is over without having done its work: people are told, and a task whose advance this was is blocked.
pub fn give_up(conn: &mut Conn, ctx: &Context, job: &Job, error: &str, now: i64) -> Result<(), StoreError> {
    // A word that could not be sent to the chat is not told to the chat.
    let to_chat = job.order_key.as_deref().is_some_and(|k| k.ends_with(Destination::Telegram.as_str()));
    if to_chat && job.kind == JobKind::Effect {
        return Ok(());
    }
    let message = Message::JobFailed { kind: job.kind, id: job.id, error: error.to_owned() };
    alerts::raise(conn, ctx, job.task_id, &message, &cause_key(job, error), now)?;
    if job.kind != JobKind::Advance {
        return Ok(());
    }
    let Some(task) = job.task_id.map(|id| tasks::get(conn, id)).transpose()?.flatten() else { return Ok(()) };
    if let Some(project) = ctx.config.projects.by_plane(&task.project) {
        let reason = format!("its gate could not be looked at: {error}");
        let message = Message::Blocked { reason };
        crate::engine::submit::submit_block(conn, ctx, project, &task, &message, job.id, now)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_the_same_whatever_numbers_it_names() {
        let refused = |state: &str| {
            format!(
                r#"plane_state: refused with status 400: {{"state":["Invalid pk \"{state}\" - object does not exist."]}}"#
            )
        };
        let one = cause_of(&refused("720e815e-9379-4dfb-aba4-82b657ac208c"));
        assert_eq!(one, cause_of(&refused("a51d0e41-0f6a-46ac-8af4-acf97e0a5fe1")));
        assert_ne!(one, cause_of(&refused("720e815e-9379").replace("does not exist", "may not be moved")));
        assert_ne!(one, cause_of(&refused("720e815e-9379").replace("plane_state", "plane_comment")));
    }
}
