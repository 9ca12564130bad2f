//! The work item as it is now: while a task waits, people add to its text and write comments, and an agent must work
//! from those. What cannot be read is told from memory; it never holds a run up.

use crate::clients::plane::{Comment, EXTERNAL_SOURCE, PlaneClient};
use crate::clock::now_ms;
use crate::context::Context;
use crate::events::kept_text;
use crate::html;
use orch_common::store::tasks::{self, Task};

/// Comments that an agent is shown, the newest ones.
const MOST_COMMENTS: usize = 20;
/// Characters of one comment that are shown.
const COMMENT_CHARS: usize = 2_000;

/// Brings the task's text up to date, and gives back what people said in its thread, oldest first.
pub(super) async fn reread(ctx: &Context, task: &mut Task) -> Vec<String> {
    let Some(plane) = &ctx.outside.plane else { return Vec::new() };
    match plane.work_item(&task.project, &task.work_item).await {
        Ok(item) => {
            let (title, description) = kept_text(&item);
            if (&title, &description) != (&task.title, &task.description) {
                keep(ctx, task.id, title.clone(), description.clone()).await;
                (task.title, task.description) = (title, description);
            }
        }
        Err(error) => tracing::warn!(%error, "the work item could not be read again; its known text is used"),
    }
    thread(ctx, plane, task).await
}

async fn keep(ctx: &Context, id: i64, title: String, description: String) {
    let written = ctx.store.write(move |c| tasks::set_text(c, id, &title, &description, now_ms())).await;
    if let Err(error) = written {
        tracing::warn!(%error, "the work item's new text could not be kept");
    }
}

async fn thread(ctx: &Context, plane: &PlaneClient, task: &Task) -> Vec<String> {
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
            let text: String =
                html::words(&comment.comment_html, &html::nobody).trim().chars().take(COMMENT_CHARS).collect();
            said.extend(Some(text).filter(|text| !text.is_empty()));
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
