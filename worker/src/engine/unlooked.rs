//! Looks that are not made: by a trouble of git, or because they would decide nothing.

use crate::context::Context;
use crate::git::GitError;
use crate::mend::{self, Mender};
use crate::outage::{Scope, Trouble, troubled};
use orch_common::domain::decide::Trigger;
use orch_common::domain::job::JobKind;
use orch_common::domain::stage::TaskState;
use orch_common::store::StoreError;
use orch_common::store::jobs::{self, Job};
use orch_common::store::tasks::Task;
use std::sync::Arc;

/// What time mends waits. What is refused may be so of everything, and then it is not this work's trouble; else it is refused
/// for some minutes before it is believed, and then the task is blocked with the words.
pub(super) async fn by_git(ctx: &Arc<Context>, job: &Job, error: &GitError) {
    let (disk, forge) = (vec![Scope::Disk(ctx.host.clone())], ctx.forge_scopes_of(job));
    let (trouble, scopes) = match mend::of_git(error) {
        Mender::Time => (Trouble::Later { asked_s: None }, forge),
        Mender::Disk => (Trouble::Later { asked_s: None }, disk),
        Mender::Agent | Mender::Refusal | Mender::Person(_) => (Trouble::Refused, forge),
    };
    troubled(ctx, job, &mend::told(job.repo.as_deref().unwrap_or_default(), error), trouble, &scopes).await;
}

/// An agent's end that decides nothing: a newer agent is to work, or a person has to speak first.
pub(super) async fn is_superseded(
    ctx: &Context,
    job: &Job,
    task: &Task,
    trigger: &Trigger,
) -> Result<bool, StoreError> {
    if !matches!(trigger, Trigger::AgentEnded { .. }) {
        return Ok(false);
    }
    let (id, own) = (task.id, job.id);
    let others = ctx.store.read(move |c| jobs::unfinished_of_task(c, id)).await?;
    let newer = others.iter().any(|other| other.id != own && other.kind == JobKind::Agent);
    Ok(newer || task.state == TaskState::Blocked)
}
