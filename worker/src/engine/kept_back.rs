//! What is not pushed although it could be: a base's rule may dismiss every approval at the next push, also at one of our own
//! documents. Once somebody has approved the head and the rule asks for approvals, the documents of later roles are judged
//! where they are and published after the merge, so that nobody approves twice.

use crate::clients::ApiError;
use crate::clients::gitea::{Review, standing};
use crate::context::Context;
use crate::git::{GitError, Worktree};
use orch_common::domain::stage::{CommitId, Stage};
use orch_common::store::tasks::Task;

/// The head that the forge has and keeps, where `head` adds nothing to it but the work item's documents and an approval would
/// be lost by a push.
pub(super) async fn approved_head(
    ctx: &Context,
    task: &Task,
    worktree: &Worktree,
    head: &CommitId,
) -> Result<Option<CommitId>, GitError> {
    let unavailable = |e: ApiError| GitError::Unavailable { tail: e.to_string() };
    let (Some(gitea), Some(number)) = (&ctx.outside.gitea, task.pull) else { return Ok(None) };
    if !matches!(task.stage, Stage::Testing | Stage::Deploy) {
        return Ok(None);
    }
    let Some(at_forge) = ctx.repos.forge_head(&task.repo, &worktree.branch, &ctx.stopping).await? else {
        return Ok(None);
    };
    if at_forge == *head || !ctx.repos.adds_only_documents(worktree, &at_forge, head, &ctx.stopping).await? {
        return Ok(None);
    }
    let base = gitea.branch(&task.repo, &task.base).await.map_err(unavailable)?;
    if base.is_none_or(|base| base.rule.required_approvals == 0) {
        return Ok(None);
    }
    let all = gitea.all_reviews(&task.repo, number).await.map_err(unavailable)?;
    let approves = |r: &&Review| r.state == "APPROVED" && r.official && r.commit_id == at_forge.as_str();
    Ok(standing(&all).into_iter().any(|review| approves(&review)).then_some(at_forge))
}
