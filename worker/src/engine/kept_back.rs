//! What is not pushed although it could be: a base's rule may dismiss every approval at the next push, also at one of our own
//! documents. Once somebody has approved the head and the rule asks for approvals, the documents of later roles are judged
//! where they are and published after the merge, so that nobody approves twice.

use super::seen::{Seen, unavailable};
use crate::clients::gitea::{Review, standing};
use crate::git::{GitError, Worktree};
use orch_common::domain::stage::{CommitId, Stage};

/// The head that the forge has and keeps, where `head` adds nothing to it but the work item's documents and an approval would
/// be lost by a push.
pub(super) async fn approved_head(
    seen: &Seen<'_>,
    worktree: &Worktree,
    head: &CommitId,
) -> Result<Option<CommitId>, GitError> {
    let Seen { ctx, task, .. } = *seen;
    if task.pull.is_none() || !matches!(task.stage, Stage::Testing | Stage::Deploy) {
        return Ok(None);
    }
    let Some(at_forge) = ctx.repos.forge_head(&task.repo, &worktree.branch, &ctx.stopping).await? else {
        return Ok(None);
    };
    if at_forge == *head || !ctx.repos.adds_only_documents(worktree, &at_forge, head, &ctx.stopping).await? {
        return Ok(None);
    }
    let approves = |r: &Review| r.state == "APPROVED" && r.official && r.commit_id == at_forge.as_str();
    if !standing(seen.reviews().await.map_err(unavailable)?).into_iter().any(approves) {
        return Ok(None);
    }
    let base = seen.base().await.map_err(unavailable)?;
    Ok(base.is_some_and(|base| base.rule.required_approvals > 0).then_some(at_forge))
}
