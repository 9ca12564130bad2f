//! Evidence that the forge has: the task's own pull request and its reviews.

use super::Look;
use crate::clients::ApiError;
use crate::clients::gitea::{Pull, Review, standing};
use crate::context::pipeline_of;
use crate::engine::{covers, landed, was_heard};
use crate::events::Voice;
use crate::git::GitError;
use orch_common::domain::gate::{Gate, PullEvidence, ReviewEvidence};

/// The task's own pull request, by its number; `None` = there is none yet, or no forge to have one.
pub(super) async fn pull(look: &Look<'_>) -> Result<Option<PullEvidence>, GitError> {
    let unavailable = |e: ApiError| GitError::Unavailable { tail: e.to_string() };
    let Some(pull) = look.seen.pull().await.map_err(unavailable)? else { return Ok(None) };
    let mut reviews = Vec::new();
    for review in standing(look.seen.reviews().await.map_err(unavailable)?) {
        if let Some(voice) = look.seen.speakers().await.map_err(unavailable)?.voice(review) {
            reviews.push(evidence(look, review, voice).await?);
        }
    }
    let landed = pull.merged && look.gate == Gate::PrMerged && has_landed(look, pull).await?;
    Ok(Some(PullEvidence { number: pull.number, merged: pull.merged, open: pull.is_open(), landed, reviews }))
}

/// Whether the base has what was judged, and no more by this merge.
async fn has_landed(look: &Look<'_>, pull: &Pull) -> Result<bool, GitError> {
    let (ctx, task) = (look.seen.ctx, look.seen.task);
    let Some(base) = ctx.repos.forge_head(&task.repo, &task.base, &ctx.stopping).await? else { return Ok(false) };
    Ok(landed(ctx, (task, &pipeline_of(look.seen.project)), look.head, pull, &base).await?.is_whole())
}

async fn evidence(look: &Look<'_>, review: &Review, voice: Voice) -> Result<ReviewEvidence, GitError> {
    let approved = review.state == "APPROVED";
    Ok(ReviewEvidence {
        reviewer: review.user.as_ref().map(|user| user.login.clone()).unwrap_or_default(),
        approved,
        body: review.words().to_owned(),
        stale: !covers(look.seen.ctx, look.seen.task, &review.commit_id, look.head).await?,
        commit: review.commit_id.clone(),
        heard: !approved && was_heard(look.seen.ctx, look.seen.task, review).await?,
        person: voice == Voice::Person,
        submitted_at: review.submitted_at,
    })
}
