//! The work item as it is now: while a task waits, people add to its text and write comments, and an agent must work from
//! those. An agent never starts on half of the story: what cannot be read is waited for, and only after minutes it goes on
//! without, and says so.

use super::files::{Shown, known_attached, note_attached};
use super::refused::Refused;
use crate::clients::ApiError;
use crate::clients::plane::{Attachment, Comment, EXTERNAL_SOURCE, PlaneClient, Presence, WorkItem};
use crate::clock::now_ms;
use crate::context::Context;
use crate::effects::shared;
use crate::events::{Kept, kept_text, names_in};
use crate::html::{self, Picture};
use crate::threads::Told;
use orch_common::store::jobs::{self, Job};
use orch_common::store::tasks::{self, Task};
use orch_common::store::{StoreError, outages};
use std::time::{Duration, Instant};
use uuid::Uuid;

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
    /// Pictures and files.
    pub files: Vec<Shown>,
    /// It could not be read.
    pub unread: Option<Unread>,
}

/// Why the story is missing, and for how many minutes it was waited for.
#[derive(Debug, Clone)]
pub(super) struct Unread {
    pub why: String,
    pub minutes: u64,
}

/// Brings the task's text up to date, and gives back what else people put there.
pub(super) async fn reread(ctx: &Context, job: &Job, task: &mut Task) -> Result<Story, Refused> {
    let Some(plane) = &ctx.outside.plane else { return Ok(Story::default()) };
    shared::recall(ctx).await;
    let read = read(ctx, plane, job, task).await;
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
    let attached = match known_attached(ctx, task) {
        Some(known) => known,
        None => {
            let of = |f: Attachment| shown(ctx, task, Picture { name: f.attributes.name, address: f.id });
            let found: Vec<Shown> =
                plane.attachments(&task.project, &task.work_item).await?.into_iter().map(of).collect();
            note_attached(ctx, task, &found);
            found
        }
    };
    let files = pictures.into_iter().map(|picture| shown(ctx, task, picture)).chain(attached);
    let files = files.take(MOST_FILES).collect();
    Ok(Read::Story(Story { said: told.said, files, unread: None }))
}

/// A file that Plane keeps is named by its id, or by its place in Plane; its address is what a browser asks for.
fn shown(ctx: &Context, task: &Task, picture: Picture) -> Shown {
    let Picture { name, address } = picture;
    let plane = &ctx.config.plane;
    let base = plane.url.as_ref().map(|url| url.as_str().trim_end_matches('/').to_owned());
    let file = kept_by_plane(base.as_deref().unwrap_or_default(), &address);
    let address = match (&base, &plane.workspace, file) {
        (Some(base), Some(workspace), Some(id)) => {
            format!("{base}/api/assets/v2/workspaces/{workspace}/projects/{}/{id}/", task.project)
        }
        _ => address,
    };
    Shown { name, address, file }
}

/// The id of a file that Plane keeps: as it stands, or as the last part of Plane's own address for it.
fn kept_by_plane(base: &str, address: &str) -> Option<Uuid> {
    let id = match address.strip_prefix(base).unwrap_or(address).strip_prefix("/api/assets/v2/") {
        Some(place) => place.trim_end_matches('/').rsplit('/').next()?,
        None => address,
    };
    Uuid::parse_str(id).ok()
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
    let waited_ms = waited_ms(ctx, job).await?;
    if waited_ms < PATIENCE_MS {
        return Err(Refused::Unread { error });
    }
    tracing::warn!(%error, waited_ms, "the thread could not be read for long; the agent goes on without it");
    let minutes = u64::try_from(waited_ms / 60_000).unwrap_or(0);
    Ok(Story { unread: Some(Unread { why: error.to_string(), minutes }), ..Story::default() })
}

/// For how long this start has waited for its story; begins to count at the first call.
pub(super) async fn waited_ms(ctx: &Context, job: &Job) -> Result<i64, StoreError> {
    let (id, now) = (job.id, now_ms());
    let since = ctx.store.write(move |c| outages::waits_since(c, id, now)).await?;
    Ok(now.saturating_sub(since))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_plane_keeps_is_known_by_its_id_or_its_own_address() {
        const ID: &str = "0f1e0c4e-5b9c-4a93-8d0c-3b0f6a1f2c3d";
        let at = |place: &str| kept_by_plane("https://plane.a.test", place).map(|id| id.to_string());
        let kept = Some(ID.to_owned());
        assert_eq!(at(ID), kept);
        assert_eq!(at(&format!("/api/assets/v2/workspaces/w/projects/p/{ID}/")), kept);
        assert_eq!(at(&format!("https://plane.a.test/api/assets/v2/workspaces/w/projects/p/{ID}")), kept);
        for elsewhere in ["https://b.test/api/assets/v2/", "https://plane.a.test/other/", "/uploads/", "../"] {
            assert_eq!(at(&format!("{elsewhere}{ID}/")), None, "{elsewhere}");
        }
    }
}
