//! Evidence that the forge has: the combined commit status, the branch's pull request and its reviews.

use super::Look;
use crate::clients::ApiError;
use crate::clients::gitea::PullFilter;
use crate::git::GitError;
use orch_common::domain::gate::{CiEvidence, PullEvidence};

/// The combined status of the look's commit.
pub(super) async fn ci(look: &Look<'_>) -> CiEvidence {
    let Some(gitea) = &look.ctx.outside.gitea else {
        return CiEvidence::Unavailable { why: "the forge is not configured".into() };
    };
    match gitea.combined_status(&look.task.repo, look.head.as_str()).await {
        Ok(status) => status.evidence(),
        Err(error) => CiEvidence::Unavailable { why: error.to_string() },
    }
}

/// The branch's newest pull request; `None` = there is none, or no forge to have one.
pub(super) async fn pull(look: &Look<'_>) -> Result<Option<PullEvidence>, GitError> {
    let Some(gitea) = &look.ctx.outside.gitea else { return Ok(None) };
    let unavailable = |e: ApiError| GitError::Unavailable { tail: e.to_string() };
    let pulls = gitea.pulls_for(&look.task.repo, &look.task.branch, PullFilter::All).await.map_err(unavailable)?;
    let Some(newest) = pulls.iter().find(|p| p.state == "open").or(pulls.first()) else { return Ok(None) };
    let reviews = gitea.reviews(&look.task.repo, newest.number).await.map_err(unavailable)?;
    Ok(Some(PullEvidence { number: newest.number, merged: newest.merged, open: newest.state == "open", reviews }))
}
