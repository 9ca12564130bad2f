//! Applying a decision: compare-and-swap on stage and version, the next job, the effects and the audit row, all
//! in the caller's transaction. A decision that lost the race does nothing at all.

use super::facts::is_an_end;
use super::payload::{AdvancePayload, AgentPayload};
use super::show::{Shown, effects_of};
use crate::rules::Rules;
use orch_common::config::Project;
use orch_common::domain::decide::{Change, Decision, Trigger};
use orch_common::domain::effect::{Destination, Effect};
use orch_common::domain::job::{JobKind, JobStatus};
use orch_common::domain::run::StopReason;
use orch_common::domain::stage::{Role, Stage, TaskState};
use orch_common::store::audit::{self, NewTransition};
use orch_common::store::jobs::{self, NewJob};
use orch_common::store::tasks::{self, Move, Task};
use orch_common::store::{Conn, StoreError, runs};

/// What became of a decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Applied {
    /// It was applied, or nothing had to be done; the words are for the job's note.
    Yes(String),
    /// The gate could not be looked at: the same question again, later.
    TryAgain(String),
    /// The task moved meanwhile; nothing was done.
    LostRace,
}

/// Who asks, and for what.
pub struct Asked<'a> {
    pub project: &'a Project,
    pub trigger: &'a Trigger,
    /// The event or advance job that decided.
    pub job_id: i64,
    pub now: i64,
}

/// Applies `decision` to the task as it was `seen`.
pub fn apply(
    conn: &mut Conn,
    rules: &Rules,
    seen: &Task,
    decision: &Decision,
    asked: &Asked<'_>,
) -> Result<Applied, StoreError> {
    match decision {
        Decision::Nothing { why } => Ok(Applied::Yes(why.clone())),
        Decision::TryAgain { why } => Ok(Applied::TryAgain(why.clone())),
        Decision::Apply(change) => apply_change(conn, rules, seen, change, asked),
    }
}

fn apply_change(
    conn: &mut Conn,
    rules: &Rules,
    seen: &Task,
    change: &Change,
    asked: &Asked<'_>,
) -> Result<Applied, StoreError> {
    let moves = moves_something(seen, change);
    if moves {
        if !tasks::compare_and_move(conn, seen, &to_move(change), asked.now)? {
            return Ok(Applied::LostRace);
        }
        record(conn, seen, change, asked)?;
    }
    if change.drop_jobs {
        drop_queued(conn, seen.id, change, asked.now)?;
    }
    if change.stop_agent {
        runs::ask_to_stop(conn, seen.id, StopReason::Cancel)?;
    }
    // What is counted by version is the same however often the same decision is applied.
    let stem = if moves {
        format!("t{}:v{}", seen.id, seen.stage_version + 1)
    } else {
        format!("t{}:j{}", seen.id, asked.job_id)
    };
    if let Some(start) = &change.start {
        let payload = AgentPayload { role: start.role, stage: change.stage, brief: start.brief.clone() };
        enqueue_agent(conn, seen, &payload, &stem, asked.now)?;
    }
    let shown = Shown { rules, project: asked.project, task: seen, change, stem: &stem, trigger: asked.trigger };
    for (n, (effect, key)) in effects_of(&shown).into_iter().enumerate() {
        let key = key.unwrap_or_else(|| format!("{stem}:{n}"));
        enqueue_effect(conn, Some(seen.id), &effect, &key, asked.now)?;
    }
    Ok(Applied::Yes(change.reason.clone()))
}

/// What is queued gives way. The look at an agent's end does not while the task goes on: by it, and by nothing else, what the
/// agent left uncommitted is published.
fn drop_queued(conn: &mut Conn, task: i64, change: &Change, now: i64) -> Result<(), StoreError> {
    if change.state.is_terminal() {
        return jobs::cancel_queued_of_task(conn, task, &change.reason, now).map(drop);
    }
    for job in jobs::unfinished_of_task(conn, task)? {
        if job.status == JobStatus::Queued && !is_an_end(&job) {
            jobs::cancel(conn, job.id, &change.reason, now)?;
        }
    }
    // An end that was put off is before whatever starts now.
    jobs::hasten_looks(conn, task).map(drop)
}

fn moves_something(seen: &Task, change: &Change) -> bool {
    change.stage != seen.stage
        || change.state != seen.state
        || change.start.is_some()
        || change.new_round
        || change.reset_cap
        || change.approved
        || change.unapproved
        || change.said.is_some()
        || change.state_reason != seen.state_reason
}

fn to_move(change: &Change) -> Move {
    Move {
        stage: change.stage,
        state: change.state,
        state_reason: change.state_reason.clone(),
        reset_cap: change.reset_cap,
        approved: change.approved,
        unapproved: change.unapproved,
        said: change.said.clone(),
        new_round: change.new_round,
        recheck: change.recheck,
    }
}

fn record(conn: &mut Conn, seen: &Task, change: &Change, asked: &Asked<'_>) -> Result<(), StoreError> {
    let row = NewTransition {
        task_id: seen.id,
        job_id: Some(asked.job_id),
        version: seen.stage_version + 1,
        trigger: asked.trigger.name().to_owned(),
        actor: asked.trigger.actor().map(str::to_owned),
        from_stage: seen.stage,
        to_stage: change.stage,
        from_state: seen.state,
        to_state: change.state,
        reason: change.reason.clone(),
        at: asked.now,
    };
    audit::record(conn, &row)
}

/// The key under which a task's agent and advance jobs take turns.
pub fn task_order(task: i64) -> String {
    format!("task:{task}")
}

fn enqueue_agent(conn: &mut Conn, task: &Task, payload: &AgentPayload, stem: &str, now: i64) -> Result<(), StoreError> {
    enqueue_of_task(conn, task, (JobKind::Agent, Some(payload.role)), payload, &format!("{stem}:agent"), (None, now))
}

/// Queues the look that follows a trigger; one per `key`.
pub fn enqueue_advance(conn: &mut Conn, task: &Task, trigger: &Trigger, key: &str, now: i64) -> Result<(), StoreError> {
    let payload = AdvancePayload { trigger: trigger.clone(), stage: Some(task.stage) };
    enqueue_of_task(conn, task, (JobKind::Advance, None), &payload, key, (None, now))
}

/// Queues a look for a time, in ms; one per `key`.
pub fn enqueue_look_at(conn: &mut Conn, task: &Task, at: i64, key: &str, now: i64) -> Result<(), StoreError> {
    let payload = AdvancePayload { trigger: Trigger::Look, stage: Some(task.stage) };
    enqueue_of_task(conn, task, (JobKind::Advance, None), &payload, key, (Some(at), now))
}

fn enqueue_of_task(
    conn: &mut Conn,
    task: &Task,
    (kind, role): (JobKind, Option<Role>),
    payload: &impl serde::Serialize,
    key: &str,
    (at, now): (Option<i64>, i64),
) -> Result<(), StoreError> {
    let new = NewJob {
        kind,
        role,
        repo: Some(task.repo.clone()),
        task_id: Some(task.id),
        payload: to_json(payload)?,
        dedupe_key: Some(key.to_owned()),
        order_key: Some(task_order(task.id)),
        available_at: at,
    };
    jobs::enqueue(conn, &new, now).map(drop)
}

/// Queues an effect; the same key again is the same effect and queues nothing.
pub fn enqueue_effect(
    conn: &mut Conn,
    task: Option<i64>,
    effect: &Effect,
    key: &str,
    now: i64,
) -> Result<(), StoreError> {
    let destination = effect.destination();
    let order = match task {
        // A card's state waits for none of the words beside it.
        Some(task) if matches!(effect, Effect::PlaneState { .. }) => format!("task:{task}:state:{destination}"),
        // The chat is one stream: everything for it in one order, so that what waits goes out together.
        Some(task) if destination != Destination::Telegram => format!("task:{task}:{destination}"),
        Some(_) | None => format!("all:{destination}"),
    };
    let new = NewJob {
        kind: JobKind::Effect,
        role: None,
        repo: None,
        task_id: task,
        payload: to_json(effect)?,
        dedupe_key: Some(format!("effect:{key}")),
        order_key: Some(order),
        available_at: None,
    };
    jobs::enqueue(conn, &new, now).map(drop)
}

fn to_json(value: &impl serde::Serialize) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|e| StoreError::Corrupt(format!("a payload cannot be written: {e}")))
}

/// Whether a task still wants an agent of this payload.
pub fn wants_agent(task: &Task, payload: &AgentPayload) -> bool {
    task.state == TaskState::Active && task.stage == payload.stage && task.stage != Stage::Done
}
