//! The work item as it is now: while a task waits, people add to its text and write comments, and an agent must work
//! from those. What cannot be read is told from memory; it never holds a run up.

use crate::clients::plane::{Comment, EXTERNAL_SOURCE, PlaneClient};
use crate::clock::now_ms;
use crate::context::Context;
use crate::events::{Kept, kept_text, names_in};
use crate::html::{self, Picture};
use orch_common::store::tasks::{self, Task};

/// Comments that an agent is shown, the newest ones.
const MOST_COMMENTS: usize = 20;
/// Characters of one comment that are shown.
const COMMENT_CHARS: usize = 4_000;
/// Pictures and files that are named.
const MOST_FILES: usize = 50;

/// What an agent is told of the work item beside its text.
#[derive(Debug, Default)]
pub(super) struct Story {
    /// What people said in its thread, oldest first.
    pub said: Vec<String>,
    /// Pictures and files, each with its address.
    pub files: Vec<String>,
}

/// Brings the task's text up to date, and gives back what else people put there. `first`: nobody of the task has worked yet, so
/// that what is attached is asked for.
pub(super) async fn reread(ctx: &Context, task: &mut Task, first: bool) -> Story {
    let Some(plane) = &ctx.outside.plane else { return Story::default() };
    let mut pictures = Vec::new();
    match plane.work_item(&task.project, &task.work_item).await {
        Ok(item) => {
            let Kept { title, description, pictures: shown } = kept_text(ctx, &task.project, &item).await;
            if (&title, &description) != (&task.title, &task.description) {
                keep(ctx, task.id, title.clone(), description.clone()).await;
                (task.title, task.description) = (title, description);
            }
            pictures = shown;
        }
        Err(error) => tracing::warn!(%error, "the work item could not be read again; its known text is used"),
    }
    let said = thread(ctx, plane, task, &mut pictures).await;
    if first {
        match plane.attachments(&task.project, &task.work_item).await {
            Ok(files) => pictures.extend(files.into_iter().map(|f| Picture { name: f.attributes.name, address: f.id })),
            Err(error) => tracing::warn!(%error, "what is attached to the work item could not be read"),
        }
    }
    let files = pictures.iter().take(MOST_FILES).map(|picture| named(ctx, task, picture)).collect();
    Story { said, files }
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

async fn keep(ctx: &Context, id: i64, title: String, description: String) {
    let written = ctx.store.write(move |c| tasks::set_text(c, id, &title, &description, now_ms())).await;
    if let Err(error) = written {
        tracing::warn!(%error, "the work item's new text could not be kept");
    }
}

async fn thread(ctx: &Context, plane: &PlaneClient, task: &Task, pictures: &mut Vec<Picture>) -> Vec<String> {
    let comments = match plane.comments(&task.project, &task.work_item).await {
        Ok(comments) => comments,
        Err(error) => {
            tracing::warn!(%error, "the comments could not be read; the agent works without them");
            return Vec::new();
        }
    };
    let mut said = Vec::new();
    for comment in comments.iter().filter(|c| c.external_source.as_deref() != Some(EXTERNAL_SOURCE)) {
        if said.len() < MOST_COMMENTS && is_a_persons(ctx, comment).await {
            let names = names_in(ctx, &task.project, &comment.comment_html).await;
            let page = html::page(&comment.comment_html, &|id| names.get(id).cloned());
            said.extend(Some(html::cut(page.text.trim(), COMMENT_CHARS)).filter(|text| !text.is_empty()));
            pictures.extend(page.pictures);
        }
    }
    said.reverse();
    said
}

async fn is_a_persons(ctx: &Context, comment: &Comment) -> bool {
    match &comment.actor {
        Some(actor) => !ctx.accounts.is_own_in_plane(&ctx.outside, actor).await.unwrap_or(true),
        None => false,
    }
}
