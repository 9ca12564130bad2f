//! From what happened at the forge to what is to be done. Everything here is only a reason to look at a
//! gate: what the gate finds is read from the forge and the branch themselves.

use super::gitea::{Ends, GiteaChange, GiteaEvent, ReviewKind};
use super::once::Once;
use super::plan::{Plan, PlanError};
use super::speakers::Speakers;
use crate::clients::ApiError;
use crate::clients::gitea::{Review, standing};
use crate::context::Context;
use crate::engine::gone_with;
use crate::engine::pull_state::oddity;
use orch_common::config::Project;
use orch_common::domain::decide::{ForgeEvent, Trigger};
use orch_common::domain::messages::Message;
use orch_common::domain::oddity::Oddity;
use orch_common::domain::stage::TaskState;
use orch_common::domain::words::parse_comment;
use orch_common::store::StoreError;
use orch_common::store::in_the_way::{self, Kind};
use orch_common::store::tasks::{self, Task};

/// The contexts of the orchestrator's own commit statuses.
const OWN_CONTEXT: &str = "orch/";

/// Plans for one event.
pub async fn plan(ctx: &Context, event: GiteaEvent) -> Result<Plan, PlanError> {
    let GiteaEvent { owner, repo, repo_id: _, sender_id, sender_login, what } = event;
    let full_name = format!("{owner}/{repo}");
    let Some(project) = ctx.config.projects.by_repo(&full_name) else {
        return Ok(Plan::ignore("the repository is not registered"));
    };
    let own = ctx.accounts.own_in_gitea(&ctx.outside).await? == Some(sender_id);
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
        GiteaChange::Pull { merged: true, number, branch, ends, .. } => {
            return pull(ctx, project, PullNamed { number, branch, ends }, ForgeEvent::PullMerged).await;
        }
        _ if own => return Ok(Plan::ignore("the orchestrator's own deed")),
        GiteaChange::Push { ping: true, .. } => return Ok(Plan::ignore("a test delivery")),
        GiteaChange::Push { branch, .. } => (by_branch(ctx, project, branch).await?, ForgeEvent::Pushed),
        GiteaChange::BranchDeleted { branch } => return gone(ctx, by_branch(ctx, project, branch).await?).await,
        // A branch that is new is pushed as well; one that was renamed back is not.
        GiteaChange::BranchCreated { branch } => {
            (missed(ctx, by_branch(ctx, project, branch).await?).await?, ForgeEvent::Pushed)
        }
        GiteaChange::Review { id, number, branch, kind, text, ends, .. } => {
            let Some(task) = of_pull(ctx, project, &PullNamed { number, branch, ends }).await? else {
                return Ok(Plan::ignore("no task has this pull request"));
            };
            let by = By { id: sender_id, login: sender_login };
            return match kind {
                ReviewKind::Commented => answer(ctx, task, &by, number, &text).await,
                ReviewKind::Approved | ReviewKind::Rejected => {
                    let rejects = kind == ReviewKind::Rejected;
                    verdict(ctx, project, task, Told { id, number, rejects, by }).await
                }
            };
        }
        GiteaChange::Comment { number, is_pull: true, text, action } if action == "created" => {
            let pull = PullNamed { number, branch: String::new(), ends: Ends::default() };
            let Some(task) = of_pull(ctx, project, &pull).await? else { return Ok(Plan::ignore("moves nothing")) };
            return answer(ctx, task, &By { id: sender_id, login: sender_login }, number, &text).await;
        }
        GiteaChange::Pull { action, number, branch, ends, .. } if changes_the_merge(&action) => {
            return pull(ctx, project, PullNamed { number, branch, ends }, ForgeEvent::PullChanged).await;
        }
        GiteaChange::Pull { .. } | GiteaChange::Comment { .. } => return Ok(Plan::ignore("moves nothing")),
    };
    Ok(match found {
        Some(task) => Plan::Trigger { task: Box::new(task), trigger: Trigger::Forge { what: seen }, once: None },
        None => Plan::ignore("no task has this branch"),
    })
}

/// A task's branch was deleted or renamed: said at once, unless it was merged or has come back.
async fn gone(ctx: &Context, task: Option<Task>) -> Result<Plan, PlanError> {
    let moves = |task: &Task| matches!(task.state, TaskState::Active | TaskState::WaitingApproval);
    let (Some(task), Some(gitea)) = (task.filter(moves), &ctx.outside.gitea) else {
        return Ok(Plan::ignore("no task that is under way has this branch"));
    };
    if gitea.branch(&task.repo, &task.branch).await?.is_some() {
        return Ok(Plan::ignore("the branch is there"));
    }
    let pull = match task.pull {
        Some(number) => gitea.pull(&task.repo, number).await?,
        None => None,
    };
    Ok(match gone_with(&task, pull.as_ref()) {
        Some(message) => Plan::Held { task: Box::new(task), message },
        None => Plan::ignore("it was merged, and its branch tidied away"),
    })
}

/// The task, if its branch was missed.
async fn missed(ctx: &Context, task: Option<Task>) -> Result<Option<Task>, StoreError> {
    let Some(task) = task else { return Ok(None) };
    let id = task.id;
    Ok(ctx.store.read(move |c| in_the_way::get(c, id, Kind::Branch)).await?.map(|_| task))
}

/// A pull request was closed, merged, opened again or changed: what it is now is asked, and said where it is not as it should be.
async fn pull(ctx: &Context, project: &Project, named: PullNamed, seen: ForgeEvent) -> Result<Plan, PlanError> {
    let Some(task) = of_pull(ctx, project, &named).await? else { return Ok(Plan::ignore("no task has this branch")) };
    let now = match &ctx.outside.gitea {
        Some(gitea) if !task.state.is_terminal() => gitea.pull(&task.repo, named.number).await?,
        Some(_) | None => None,
    };
    let odd = now.map_or(Oddity::SaidElsewhere, |pull| oddity(project, &task, &pull));
    Ok(Plan::Pull { task: Box::new(task), number: named.number, odd, seen })
}

/// Its state, its title (work in progress) or its base.
fn changes_the_merge(action: &str) -> bool {
    matches!(action, "closed" | "reopened" | "edited")
}

/// Who did it.
struct By {
    id: i64,
    login: String,
}

/// A verdict that was told of; a delivery does not say the review's id.
struct Told {
    id: Option<i64>,
    number: i64,
    rejects: bool,
    by: By,
}

/// The forge is asked which review it was, whether it stands, and whose word it is: a look costs a run of the tests, and nobody
/// who may not speak is worth one.
async fn verdict(ctx: &Context, project: &Project, task: Task, told: Told) -> Result<Plan, PlanError> {
    let Told { id, number, rejects, by } = told;
    let Some(gitea) = &ctx.outside.gitea else { return Ok(Plan::ignore("there is no forge to ask")) };
    let all = match gitea.all_reviews(&task.repo, number).await {
        Ok(all) => all,
        Err(ApiError::NotFound) => return Ok(Plan::ignore("the pull request is gone")),
        Err(error) => return Err(error.into()),
    };
    let is_meant = |r: &&&Review| match id {
        Some(id) => r.id == id,
        None => r.user.as_ref().is_some_and(|user| user.id == by.id),
    };
    let newest = standing(&all).iter().find(is_meant).copied();
    let Some(review) = newest.filter(|review| review.rejects() == rejects) else {
        return Ok(Plan::ignore("the forge has no such review, or no longer"));
    };
    if Speakers::of(ctx, project).await?.voice(review).is_none() {
        return Ok(Plan::ignore(format!("{} may not speak here: not official, or not among the reviewers", by.login)));
    }
    // A rejection acts once; whether this one has is seen by the look, which hears all that stand.
    let what = match review.rejects() {
        true if was_taken(ctx, Once::review(&task.repo, review.id)).await? => {
            return Ok(Plan::ignore("done already"));
        }
        true => ForgeEvent::ReviewRejected { reviewer: by.login, reason: review.words().to_owned() },
        false => ForgeEvent::ReviewApproved,
    };
    Ok(Plan::Trigger { task: Box::new(task), trigger: Trigger::Forge { what }, once: None })
}

async fn was_taken(ctx: &Context, once: Once) -> Result<bool, StoreError> {
    ctx.store.read(move |c| once.was_taken(c)).await
}

/// A command on a pull request moves nothing; who writes one is told where it counts, once.
async fn answer(ctx: &Context, task: Task, by: &By, number: i64, text: &str) -> Result<Plan, PlanError> {
    let program = ctx.accounts.reviewer_in_gitea(&ctx.outside).await? == Some(by.id);
    let Some(command) = parse_comment(text).filter(|_| !program) else { return Ok(Plan::ignore("moves nothing")) };
    let key = task.key.parse().map_err(|e| PlanError::Unusable(format!("the task's key: {e}")))?;
    let message = Message::CommandsElsewhere { command, key, url: ctx.work_item_url(&task) };
    Ok(Plan::AnswerAtForge { task: Box::new(task), message, number, asker: by.id })
}

/// A pull request as an event names it.
struct PullNamed {
    number: i64,
    branch: String,
    ends: Ends,
}

/// The task whose own pull request it is: by number. One whose number is not known yet is meant by branch, base and repository
/// together: of those only one can be open.
async fn of_pull(ctx: &Context, project: &Project, pull: &PullNamed) -> Result<Option<Task>, PlanError> {
    let (repo, number) = (project.repo.clone(), pull.number);
    if let Some(task) = ctx.store.read(move |c| tasks::by_pull(c, &repo, number)).await? {
        return Ok(Some(task));
    }
    if pull.ends.fork || pull.branch.is_empty() {
        return Ok(None);
    }
    let task = by_branch(ctx, project, pull.branch.clone()).await?;
    Ok(task.filter(|task| task.pull.is_none() && task.base == pull.ends.base))
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
