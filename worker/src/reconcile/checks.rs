//! Tasks that wait for CI where the forge tells of no status (Forgejo, and Gitea before 1.23): a quick round of their own asks for the
//! statuses of their heads, and for nothing else. That a forge does not tell is seen from what it told, whatever its version.

use super::findings::{Finding, Findings};
use super::{RoundError, forge, lease};
use crate::clients::gitea::GiteaClient;
use crate::clock::now_ms;
use crate::context::{Context, pipeline_of};
use crate::events::{GiteaChange, tells_of_statuses};
use orch_common::config::Project;
use orch_common::domain::checks::{CheckState, OWN_CONTEXT_PREFIX};
use orch_common::domain::gate::Gate;
use orch_common::domain::stage::TaskState;
use orch_common::store::tasks::{self, Task};
use orch_common::store::{Conn, StoreError, jobs};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;
use std::time::Duration;

/// Only one worker asks at a time.
const LEASE: &str = "reconcile:checks";
/// Tasks that are asked for in one round.
const MOST: usize = 50;

/// Asks now and then, until dropped.
pub async fn periodically(ctx: Arc<Context>) {
    let every = Duration::from_secs(ctx.config.worker.ci_poll_s);
    let mut trouble = None;
    loop {
        tokio::time::sleep(every).await;
        let now = round(&ctx).await.err().map(|error| error.to_string());
        if let Some(why) = now.as_ref().filter(|_| now != trouble) {
            tracing::warn!(%why, "the checks of waiting tasks could not be asked for; it is tried again");
        }
        trouble = now;
    }
}

/// One round; without a task that waits it only reads.
async fn round(ctx: &Arc<Context>) -> Result<(), RoundError> {
    let Some(gitea) = ctx.outside.gitea.clone() else { return Ok(()) };
    let inner = Arc::clone(ctx);
    let waiting = ctx.store.read(move |conn| waiting(conn, &inner)).await?;
    if waiting.is_empty() || !lease(ctx, LEASE, ctx.config.worker.ci_poll_s).await? {
        return Ok(());
    }
    let mut findings = Findings::default();
    for task in waiting.iter().take(MOST) {
        if let Some(project) = ctx.config.projects.by_plane(&task.project) {
            findings.extend(finding(&gitea, project, task).await?);
        }
    }
    if findings.is_empty() {
        return Ok(());
    }
    let found = ctx.store.write(move |conn| findings.keep(conn, now_ms())).await?;
    tracing::info!(found = found.len(), "checks that no webhook told of");
    Ok(())
}

/// The tasks that wait at a gate for CI, with no job of their own, in repositories of whose statuses nobody tells.
fn waiting(conn: &mut Conn, ctx: &Context) -> Result<Vec<Task>, StoreError> {
    let now = now_ms();
    let mut waiting = Vec::new();
    for task in tasks::open(conn)? {
        let Some(project) = ctx.config.projects.by_plane(&task.project) else { continue };
        let at_ci = pipeline_of(project).gate(task.stage) == Some(Gate::CiGreen);
        let may_move = task.state == TaskState::Active && task.worked;
        if at_ci
            && may_move
            && !tells_of_statuses(conn, &task.repo, now)?
            && jobs::unfinished_of_task(conn, task.id)?.is_empty()
        {
            waiting.push(task);
        }
    }
    Ok(waiting)
}

/// What CI says of a task's head, once it says something that is more than that it runs. The same picture is found once.
pub(super) async fn finding(
    gitea: &GiteaClient,
    project: &Project,
    task: &Task,
) -> Result<Option<Finding>, RoundError> {
    let Some(sha) = task.head.clone() else { return Ok(None) };
    let status = gitea.combined_status(&task.repo, &sha).await?;
    let mut checks = gitea.checks(&status);
    checks.retain(|check| !check.context.starts_with(OWN_CONTEXT_PREFIX));
    let says = |state| checks.iter().any(|check| check.state == state);
    let state = match () {
        () if says(CheckState::Failed) => "failure",
        () if says(CheckState::Passed) => "success",
        () if says(CheckState::Cancelled) => "failure",
        () => return Ok(None),
    };
    checks.sort_by(|a, b| a.context.cmp(&b.context));
    let mut picture = DefaultHasher::new();
    for check in &checks {
        (&check.context, &check.description, check.at).hash(&mut picture);
    }
    let key = format!("gitea:ci:{}:{sha}:{:x}", task.id, picture.finish());
    let what = GiteaChange::Status { sha, state: state.to_owned(), context: "combined".to_owned() };
    Ok(Some(Finding::new(key, now_ms(), forge::event(project, None, what))))
}
