//! The work item as it is now: while a task waits, people add to its text and write comments, and an agent must work from
//! those. An agent never starts on half of the story: what cannot be read is waited for, and only after minutes it goes on
//! without, and says so.

use super::prepare::Refused;
use crate::clients::ApiError;
use crate::clients::plane::{Comment, EXTERNAL_SOURCE, PlaneClient, Presence, WorkItem};
use crate::clock::now_ms;
use crate::context::Context;
use crate::effects::shared;
use crate::events::{kept_text, to_text};
use orch_common::store::jobs::{self, Job};
use orch_common::store::outages;
use orch_common::store::tasks::{self, Task};
use std::time::{Duration, Instant};

/// Comments that an agent is shown, the newest ones.
const MOST_COMMENTS: usize = 20;
/// Characters of one comment that are shown.
const COMMENT_CHARS: usize = 2_000;
/// How long a start waits for the story, in ms.
pub(super) const PATIENCE_MS: i64 = 10 * 60_000;

/// How long a move of the card may take that is under way.
const MOVES_SOON: Duration = Duration::from_secs(1);

/// What people said in the work item's thread.
#[derive(Debug)]
pub(super) enum Story {
    /// Oldest first.
    Whole(Vec<String>),
    /// It could not be read, for so many minutes.
    Unread { why: String, minutes: u64 },
}

/// Brings the task's text up to date, and gives back what people said in its thread.
pub(super) async fn reread(ctx: &Context, job: &Job, task: &mut Task) -> Result<Story, Refused> {
    let Some(plane) = &ctx.outside.plane else { return Ok(Story::Whole(Vec::new())) };
    shared::recall(ctx).await;
    let read = read(ctx, plane, job, task).await;
    shared::remember(ctx).await;
    match read {
        Ok(Read::Said(said)) => Ok(Story::Whole(said)),
        Ok(Read::Gone { archived }) => Err(Refused::Gone { archived }),
        Err(error) => unread(ctx, job, error).await,
    }
}

/// What was found.
enum Read {
    Said(Vec<String>),
    Gone { archived: bool },
}

async fn read(ctx: &Context, plane: &PlaneClient, job: &Job, task: &mut Task) -> Result<Read, ApiError> {
    let threads = &ctx.outside.threads;
    // The card's move of this step was answered with the item as it is.
    let item = match moved(ctx, job, task).await {
        Some(item) => item,
        None => match plane.presence(&task.project, &task.work_item).await? {
            Presence::There(item) => *item,
            Presence::Archived => return Ok(Read::Gone { archived: true }),
            Presence::Gone => return Ok(Read::Gone { archived: false }),
        },
    };
    bring_up_to_date(ctx, task, &item).await;
    threads.met(&item);
    if let Some(said) = threads.said(&item.id, item.updated_at) {
        return Ok(Read::Said(said));
    }
    let said = words_of_people(ctx, &plane.comments(&task.project, &task.work_item).await?).await?;
    threads.heard(&item.id, item.updated_at, &said);
    Ok(Read::Said(said))
}

/// The item as the answer to its move in this step has it; a move that is under way is waited for a moment.
async fn moved(ctx: &Context, job: &Job, task: &Task) -> Option<WorkItem> {
    let found = || ctx.outside.threads.found_since(&task.work_item, job.created_at);
    let (id, end) = (task.id, Instant::now() + MOVES_SOON);
    loop {
        if let Some(item) = found() {
            return Some(item);
        }
        let moves = ctx.store.read(move |c| jobs::effects_of_task(c, id, "plane_state")).await;
        let moves_soon = moves.is_ok_and(|all| all.iter().any(|job| !job.status.is_finished()));
        if !moves_soon || Instant::now() >= end {
            return found();
        }
        tokio::time::sleep(MOVES_SOON / 40).await;
    }
}

async fn unread(ctx: &Context, job: &Job, error: ApiError) -> Result<Story, Refused> {
    let (id, now) = (job.id, now_ms());
    let since = ctx.store.write(move |c| outages::waits_since(c, id, now)).await?;
    let waited_ms = now.saturating_sub(since);
    if waited_ms < PATIENCE_MS {
        return Err(Refused::Unread { error });
    }
    tracing::warn!(%error, waited_ms, "the thread could not be read for long; the agent goes on without it");
    let minutes = u64::try_from(waited_ms / 60_000).unwrap_or(0);
    Ok(Story::Unread { why: error.to_string(), minutes })
}

async fn bring_up_to_date(ctx: &Context, task: &mut Task, item: &WorkItem) {
    let (title, description) = kept_text(item);
    if (&title, &description) == (&task.title, &task.description) {
        return;
    }
    let (id, kept) = (task.id, (title.clone(), description.clone()));
    let written = ctx.store.write(move |c| tasks::set_text(c, id, &kept.0, &kept.1, now_ms())).await;
    if let Err(error) = written {
        tracing::warn!(%error, "the work item's new text could not be kept");
    }
    (task.title, task.description) = (title, description);
}

async fn words_of_people(ctx: &Context, comments: &[Comment]) -> Result<Vec<String>, ApiError> {
    let mut said = Vec::new();
    for comment in comments.iter().filter(|c| c.external_source.as_deref() != Some(EXTERNAL_SOURCE)) {
        if said.len() < MOST_COMMENTS && is_a_persons(ctx, comment).await? {
            let text: String = to_text(&comment.comment_html).trim().chars().take(COMMENT_CHARS).collect();
            said.extend(Some(text).filter(|text| !text.is_empty()));
        }
    }
    said.reverse();
    Ok(said)
}

async fn is_a_persons(ctx: &Context, comment: &Comment) -> Result<bool, ApiError> {
    match &comment.actor {
        Some(actor) => Ok(!ctx.accounts.is_own_in_plane(&ctx.outside, actor).await?),
        None => Ok(false),
    }
}
