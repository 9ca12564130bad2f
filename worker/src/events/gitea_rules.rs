//! From what happened at the forge to what is to be done. Everything here is only a reason to look at a
//! gate: what the gate finds is read from the forge and the branch themselves.

use super::gitea::{GiteaChange, GiteaEvent, ReviewKind};
use super::once::Once;
use super::plan::{Plan, PlanError};
use crate::clients::ApiError;
use crate::clients::gitea::Review;
use crate::context::{Context, pipeline_of};
use orch_common::config::Project;
use orch_common::domain::decide::{ForgeEvent, Trigger};
use orch_common::domain::gate::Gate;
use orch_common::domain::stage::Stage;
use orch_common::store::tasks::{self, Task};

/// The contexts of the orchestrator's own commit statuses.
const OWN_CONTEXT: &str = "orch/";

/// Plans for one event.
pub async fn plan(ctx: &Context, event: GiteaEvent) -> Result<Plan, PlanError> {
    let GiteaEvent { owner, repo, sender_id, sender_login, what } = event;
    let full_name = format!("{owner}/{repo}");
    let Some(project) = ctx.config.projects.by_repo(&full_name) else {
        return Ok(Plan::ignore("the repository is not registered"));
    };
    let own = ctx.accounts.is_own_in_gitea(&ctx.outside, sender_id).await?;
    let (found, seen) = match what {
        // A checking system's statuses count whoever sends them; ours are known by their context.
        GiteaChange::Status { context, .. } if context.starts_with(OWN_CONTEXT) => {
            return Ok(Plan::ignore("the orchestrator's own status"));
        }
        GiteaChange::Status { state, .. } if state == "pending" => return Ok(Plan::ignore("a check has begun")),
        GiteaChange::Status { sha, .. } => (by_head(ctx, project, sha).await?, ForgeEvent::CiFinished),
        GiteaChange::Workflow { done: None, .. } => return Ok(Plan::ignore("a workflow is under way")),
        GiteaChange::Workflow { branch, sha, .. } => {
            let task = match by_branch(ctx, project, branch).await? {
                Some(task) => Some(task),
                None => by_head(ctx, project, sha).await?,
            };
            (task, ForgeEvent::CiFinished)
        }
        // A merge is a fact, whoever made it; nobody else reports the orchestrator's own.
        GiteaChange::Pull { merged: true, branch, .. } => {
            (by_branch(ctx, project, branch).await?, ForgeEvent::PullMerged)
        }
        _ if own => return Ok(Plan::ignore("the orchestrator's own deed")),
        GiteaChange::Push { ping: true, .. } => return Ok(Plan::ignore("a test delivery")),
        GiteaChange::Push { branch, .. } => (by_branch(ctx, project, branch).await?, ForgeEvent::Pushed),
        GiteaChange::Review { kind: ReviewKind::Approved | ReviewKind::Rejected, .. }
            if !review_counts(ctx, project, sender_id).await? =>
        {
            return Ok(Plan::ignore("a reviewer account's review counts only for review_approved"));
        }
        GiteaChange::Review { branch, kind: ReviewKind::Approved, .. } => {
            (by_branch(ctx, project, branch).await?, ForgeEvent::ReviewApproved)
        }
        GiteaChange::Review { id, number, branch, kind: ReviewKind::Rejected, text, .. } => {
            let Some(task) = by_branch(ctx, project, branch).await? else {
                return Ok(Plan::ignore("no task has this branch"));
            };
            return rejected(ctx, task, Rejection { id, number, sender_id, sender_login, text }).await;
        }
        GiteaChange::Review { kind: ReviewKind::Commented, .. }
        | GiteaChange::Pull { .. }
        | GiteaChange::BranchCreated { .. }
        | GiteaChange::BranchDeleted { .. }
        | GiteaChange::Comment { .. } => return Ok(Plan::ignore("moves nothing")),
    };
    Ok(match found {
        Some(task) => Plan::Trigger { task: Box::new(task), trigger: Trigger::Forge { what: seen }, once: None },
        None => Plan::ignore("no task has this branch"),
    })
}

/// Whose reviews count in a project: everybody's but our own, and those of the reviewer account where the gate asks for
/// reviews at the forge.
///
/// # Errors
/// Where the forge cannot say who we are.
pub async fn review_counts(ctx: &Context, project: &Project, reviewer: i64) -> Result<bool, ApiError> {
    if ctx.accounts.is_own_in_gitea(&ctx.outside, reviewer).await? {
        return Ok(false);
    }
    let is_the_gate = pipeline_of(project).gate(Stage::Review) == Some(Gate::ReviewApproved);
    Ok(is_the_gate || !ctx.accounts.is_reviewer_in_gitea(&ctx.outside, reviewer).await?)
}

/// Somebody asks for changes on a pull request.
struct Rejection {
    /// The forge's id of the review, where it was found by asking.
    id: Option<i64>,
    number: i64,
    sender_id: i64,
    sender_login: String,
    text: String,
}

/// A delivery names no review: the forge is asked which one it tells of, and whether it still stands.
async fn rejected(ctx: &Context, task: Task, seen: Rejection) -> Result<Plan, PlanError> {
    let Rejection { id, number, sender_id, sender_login, text } = seen;
    let (id, reason) = match (id, &ctx.outside.gitea) {
        (Some(id), _) => (Some(id), text),
        (None, None) => (None, text),
        (None, Some(gitea)) => match gitea.all_reviews(&task.repo, number).await {
            Ok(reviews) => {
                let by_sender = |r: &&Review| r.user.as_ref().is_some_and(|u| u.id == sender_id);
                let verdicts = reviews.iter().filter(by_sender).filter(|r| r.is_verdict());
                match verdicts.max_by_key(|r| (r.submitted_at, r.id)).filter(|r| r.rejects()) {
                    Some(review) => (Some(review.id), review.words().to_owned()),
                    None => return Ok(Plan::ignore("the forge has no such review, or no longer")),
                }
            }
            Err(ApiError::NotFound) => return Ok(Plan::ignore("the pull request is gone")),
            Err(error) => return Err(error.into()),
        },
    };
    let once = id.map(|id| Once::review(&task.repo, id));
    let what = ForgeEvent::ReviewRejected { reviewer: sender_login, reason };
    Ok(Plan::Trigger { task: Box::new(task), trigger: Trigger::Forge { what }, once })
}

async fn by_branch(ctx: &Context, project: &Project, branch: String) -> Result<Option<Task>, PlanError> {
    let repo = project.repo.clone();
    Ok(ctx.store.read(move |c| tasks::by_branch(c, &repo, &branch)).await?)
}

/// A status names a commit, not a branch; the newest open task with that head is meant.
async fn by_head(ctx: &Context, project: &Project, sha: String) -> Result<Option<Task>, PlanError> {
    let repo = project.repo.clone();
    let mut found = ctx.store.read(move |c| tasks::by_head(c, &repo, &sha)).await?;
    found.retain(|t| !t.state.is_terminal());
    Ok(found.pop())
}
