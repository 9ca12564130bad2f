//! Making an agent's work visible: uncommitted work is committed, the forge's commits are joined, the branch is
//! pushed. Every step may be repeated.

use crate::context::Context;
use crate::git::{GitError, Identity, Remote, Worktree};
use orch_common::config::Project;
use orch_common::domain::stage::{CommitId, Role};
use orch_common::failpoint::{self, Point};
use orch_common::store::tasks::Task;

/// The task's branch as the forge has it now.
pub(super) struct Published {
    pub worktree: Worktree,
    pub head: CommitId,
}

/// Brings the worktree and the forge's branch together. `role` worked there, if anybody did.
pub(super) async fn publish(
    ctx: &Context,
    project: &Project,
    task: &Task,
    role: Option<Role>,
) -> Result<Published, GitError> {
    let remote = ctx.remote(project)?;
    let cancel = &ctx.stopping;
    ctx.repos.fetch(&task.repo, &remote, cancel).await?;
    failpoint::here(Point::AdvanceFetched);
    let worktree = ctx.repos.ensure_worktree(&task.repo, &task.key, &task.branch, &task.base, cancel).await?;
    failpoint::here(Point::AdvanceWorktree);
    if let Some(role) = role {
        let author = Identity { name: format!("orch {role}"), email: format!("{role}@orch.invalid") };
        let message = format!("{}: work of the {role} at {}", task.key, task.stage);
        if let Some(commit) = ctx.repos.commit_all(&worktree, &message, &author, cancel).await? {
            tracing::info!(%commit, "uncommitted work was committed");
        }
        failpoint::here(Point::AdvanceWorkCommitted);
    }
    let head = bring_together(ctx, &worktree, &remote, role.is_some()).await?;
    Ok(Published { worktree, head })
}

async fn bring_together(
    ctx: &Context,
    worktree: &Worktree,
    remote: &Remote,
    worked: bool,
) -> Result<CommitId, GitError> {
    if worked {
        return Ok(ctx.repos.push(worktree, remote, &ctx.stopping).await?.head);
    }
    ctx.repos.refresh(worktree, remote, &ctx.stopping).await?;
    ctx.repos.head(worktree, &ctx.stopping).await
}
