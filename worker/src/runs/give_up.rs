//! An agent job that failed for good: said once, and its task is blocked with that reason, so that nothing is left
//! active with nobody at work. The same for every way in which such a job can end.

use crate::alerts;
use crate::context::Context;
use crate::engine::AgentPayload;
use crate::engine::apply::{enqueue_effect, wants_agent};
use crate::engine::submit::submit_block;
use orch_common::domain::effect::Effect;
use orch_common::domain::job::JobKind;
use orch_common::domain::messages::Message;
use orch_common::store::jobs::{self, Job};
use orch_common::store::tasks::{self, Task};
use orch_common::store::{Conn, StoreError};

/// Blocks the task of `job` with `message` where it still wants this agent and no newer one is there; else (paused,
/// ended, moved on) only tells `error`.
pub(super) fn give_up(
    conn: &mut Conn,
    ctx: &Context,
    job: &Job,
    (message, error): (&Message, &str),
    now: i64,
) -> Result<(), StoreError> {
    let task = job.task_id.map(|id| tasks::get(conn, id)).transpose()?.flatten();
    let project = task.as_ref().and_then(|t| ctx.config.projects.by_plane(&t.project));
    if let (Some(task), Some(project)) = (&task, project)
        && still_wanted(conn, task, job)?
    {
        submit_block(conn, ctx, project, task, message, job.id, now)?;
        return Ok(());
    }
    tell(conn, ctx, task.as_ref(), job, error, now)
}

fn still_wanted(conn: &mut Conn, task: &Task, job: &Job) -> Result<bool, StoreError> {
    let payload = serde_json::from_str::<AgentPayload>(&job.payload);
    let newer = jobs::unfinished_of_task(conn, task.id)?.iter().any(|j| j.kind == JobKind::Agent && j.id != job.id);
    Ok(!newer && payload.is_ok_and(|payload| wants_agent(task, &payload)))
}

fn tell(
    conn: &mut Conn,
    ctx: &Context,
    task: Option<&Task>,
    job: &Job,
    error: &str,
    now: i64,
) -> Result<(), StoreError> {
    let key = format!("job{}:failed:{now}", job.id);
    let message = &Message::JobFailed { kind: job.kind, id: job.id, error: error.to_owned() };
    alerts::raise(conn, ctx, job.task_id, message, &key, now)?;
    let Some(task) = task else { return Ok(()) };
    let effect = Effect::PlaneComment {
        project: task.project.clone(),
        work_item: task.work_item.clone(),
        key: key.clone(),
        text: ctx.catalogue.render(message),
    };
    enqueue_effect(conn, Some(task.id), &effect, &key, now)
}
