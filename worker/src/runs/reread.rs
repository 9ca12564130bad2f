//! The work item as it is now: while a task waits, people add to its text and write comments, and an agent must work from
//! those. An agent never starts on half of the story: what cannot be read is waited for, and only after minutes it goes on
//! without, and says so.

use super::refused::Refused;
use crate::clients::ApiError;
use crate::clients::plane::{Comment, EXTERNAL_SOURCE, PlaneClient, Presence, WorkItem};
use crate::clock::now_ms;
use crate::context::Context;
use crate::effects::shared;
use crate::events::{Kept, kept_text, names_in};
use crate::html::{self, Picture};
use crate::threads::Told;
use orch_common::store::jobs::{self, Job};
use orch_common::store::outages;
use orch_common::store::tasks::{self, Task};
use std::time::{Duration, Instant};

/// Comments that an agent is shown, the newest ones.
const MOST_COMMENTS: usize = 20;
/// Characters of one comment that are shown.
const COMMENT_CHARS: usize = 4_000;
/// Pictures and files that are named.
const MOST_FILES: usize = 50;
/// How long a start waits for the story, in ms.
pub(super) const PATIENCE_MS: i64 = 10 * 60_000;
/// How long a move of the card may take that is under way.
const MOVES_SOON: Duration = Duration::from_secs(1);

/// What an agent is told of the work item beside its text.
#[derive(Debug, Default)]
pub(super) struct Story {
    /// What people said in its thread, oldest first.
    pub said: Vec<String>,
    /// Pictures and files, each with its address.
    pub files: Vec<String>,
    /// It could not be read.
    pub unread: Option<Unread>,
}

/// Why the story is missing, and for how many minutes it was waited for.
#[derive(Debug, Clone)]
pub(super) struct Unread {
    pub why: String,
    pub minutes: u64,
}

/// Brings the task's text up to date, and gives back what else people put there. `first`: nobody of the task has worked yet, so
/// that what is attached is asked for.
pub(super) async fn reread(ctx: &Context, job: &Job, task: &mut Task, first: bool) -> Result<Story, Refused> {
    let Some(plane) = &ctx.outside.plane else { return Ok(Story::default()) };
    shared::recall(ctx).await;
    let read = read(ctx, plane, job, task, first).await;
    shared::remember(ctx).await;
    match read {
        Ok(Read::Story(story)) => Ok(story),
        Ok(Read::Gone { archived }) => Err(Refused::Gone { archived }),
        Err(error) => unread(ctx, job, error).await,
    }
}

/// What was found.
enum Read {
    Story(Story),
    Gone { archived: bool },
}

async fn read(ctx: &Context, plane: &PlaneClient, job: &Job, task: &mut Task, first: bool) -> Result<Read, ApiError> {
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
    let mut pictures = bring_up_to_date(ctx, task, &item).await;
    threads.met(&item);
    let told = match threads.told(&item.id, item.updated_at) {
        Some(told) => told,
        None => {
            let asked = Instant::now();
            let told = told(ctx, task, &plane.comments(&task.project, &task.work_item).await?).await?;
            threads.heard(&item.id, asked, item.updated_at, &told);
            told
        }
    };
    pictures.extend(told.pictures);
    if first {
        let files = plane.attachments(&task.project, &task.work_item).await?;
        pictures.extend(files.into_iter().map(|f| Picture { name: f.attributes.name, address: f.id }));
    }
    let files = pictures.iter().take(MOST_FILES).map(|picture| named(ctx, task, picture)).collect();
    Ok(Read::Story(Story { said: told.said, files, unread: None }))
}

/// A file that Plane keeps is named by its id; its address is what a browser asks for.
fn named(ctx: &Context, task: &Task, picture: &Picture) -> String {
    let plane = &ctx.config.plane;
    let address = match (&plane.url, &plane.workspace, uuid::Uuid::parse_str(&picture.address)) {
        (Some(url), Some(workspace), Ok(id)) => {
            let base = url.as_str().trim_end_matches('/');
            format!("{base}/api/assets/v2/workspaces/{workspace}/projects/{}/{id}/", task.project)
        }
        _ => picture.address.clone(),
    };
    let name = if picture.name.is_empty() { "a picture" } else { &picture.name };
    format!("{}: {address}", name.split_whitespace().collect::<Vec<_>>().join(" "))
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
    Ok(Story { unread: Some(Unread { why: error.to_string(), minutes }), ..Story::default() })
}

/// Gives the pictures in its text.
async fn bring_up_to_date(ctx: &Context, task: &mut Task, item: &WorkItem) -> Vec<Picture> {
    let Kept { title, description, pictures } = kept_text(ctx, &task.project, item).await;
    if (&title, &description) == (&task.title, &task.description) {
        return pictures;
    }
    let (id, kept) = (task.id, (title.clone(), description.clone()));
    let written = ctx.store.write(move |c| tasks::set_text(c, id, &kept.0, &kept.1, now_ms())).await;
    if let Err(error) = written {
        tracing::warn!(%error, "the work item's new text could not be kept");
    }
    (task.title, task.description) = (title, description);
    pictures
}

async fn told(ctx: &Context, task: &Task, comments: &[Comment]) -> Result<Told, ApiError> {
    let mut told = Told::default();
    for comment in comments.iter().filter(|c| c.external_source.as_deref() != Some(EXTERNAL_SOURCE)) {
        if told.said.len() < MOST_COMMENTS && is_a_persons(ctx, comment).await? {
            let names = names_in(ctx, &task.project, &comment.comment_html).await;
            let page = html::page(&comment.comment_html, &|id| names.get(id).cloned());
            told.said.extend(Some(html::cut(page.text.trim(), COMMENT_CHARS)).filter(|text| !text.is_empty()));
            told.pictures.extend(page.pictures);
        }
    }
    told.said.reverse();
    Ok(told)
}

async fn is_a_persons(ctx: &Context, comment: &Comment) -> Result<bool, ApiError> {
    match &comment.actor {
        Some(actor) => Ok(!ctx.accounts.is_own_in_plane(&ctx.outside, actor).await?),
        None => Ok(false),
    }
}
