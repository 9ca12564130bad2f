//! Making an agent's work visible: uncommitted work is committed, the forge's commits are joined, the branch is
//! pushed. Every step may be repeated.

use crate::context::Context;
use crate::git::{GitError, Identity, Remote, Worktree};
use orch_common::config::Project;
use orch_common::domain::stage::{CommitId, Role};
use orch_common::failpoint::{self, Point};
use orch_common::store::tasks::Task;
use std::path::PathBuf;

/// The task's branch as the forge has it now.
pub(super) struct Published {
    pub head: CommitId,
}

/// Why nothing was published.
#[derive(Debug, thiserror::Error)]
pub(super) enum PublishError {
    #[error(transparent)]
    Git(#[from] GitError),
    /// Files that only people may change, as the forge does not have them yet.
    #[error("{} protected file(s) are changed", .0.len())]
    Protected(Vec<PathBuf>),
}

/// Brings the worktree and the forge's branch together. `role` worked there, if anybody did.
pub(super) async fn publish(
    ctx: &Context,
    project: &Project,
    task: &Task,
    role: Option<Role>,
) -> Result<Published, PublishError> {
    let remote = ctx.remote(project)?;
    let cancel = &ctx.stopping;
    ctx.repos.fetch(&task.repo, &remote, cancel).await?;
    failpoint::here(Point::AdvanceFetched);
    let worktree = ctx.repos.ensure_worktree(&task.repo, &task.key, &task.branch, &task.base, cancel).await?;
    failpoint::here(Point::AdvanceWorktree);
    if let Some(role) = role {
        take_work(ctx, &worktree, task, role).await?;
        failpoint::here(Point::AdvanceWorkCommitted);
    }
    let head = bring_together(ctx, &worktree, &remote, project, role.is_some()).await?;
    Ok(Published { head })
}

/// Commits what was left uncommitted; out of the workshop, where the agents have one.
async fn take_work(ctx: &Context, worktree: &Worktree, task: &Task, role: Role) -> Result<(), GitError> {
    let cancel = &ctx.stopping;
    let author = Identity { name: format!("orch {role}"), email: format!("{role}@orch.invalid") };
    let message = format!("{}: work of the {role} at {}", task.key, task.stage);
    if let Some(tenant) = &ctx.tenant {
        let shop = ctx.repos.workshop(worktree, tenant)?;
        return ctx.repos.collect(worktree, &shop, Some((&message, &author)), cancel).await;
    }
    if let Some(commit) = ctx.repos.commit_all(worktree, &message, &author, cancel).await? {
        tracing::info!(%commit, "uncommitted work was committed");
    }
    Ok(())
}

/// Joins what the forge has, then pushes. Nothing is pushed that touches what the project protects.
async fn bring_together(
    ctx: &Context,
    worktree: &Worktree,
    remote: &Remote,
    project: &Project,
    worked: bool,
) -> Result<CommitId, PublishError> {
    let cancel = &ctx.stopping;
    let protected = &project.protected_paths;
    if !worked || !protected.is_empty() {
        ctx.repos.refresh(worktree, remote, cancel).await?;
    }
    let touched = ctx.repos.protected_paths_unpublished(worktree, &project.default_branch, protected, cancel).await?;
    if !touched.is_empty() {
        return Err(PublishError::Protected(touched));
    }
    // What is judged next is what the forge has: also commits of an agent that did not end well are published first.
    if worked || ctx.repos.has_unpublished(worktree, &project.default_branch, cancel).await? {
        return Ok(ctx.repos.push(worktree, remote, cancel).await?.head);
    }
    Ok(ctx.repos.head(worktree, cancel).await?)
}
