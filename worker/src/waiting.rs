//! What a task waits for, where no decision has said it: a job that was put back, or an agent that nobody may start now. Whatever
//! has waited for long is said once, on the work item and in the chat, with the reason; lists show it from the beginning.

use crate::alerts;
use crate::clock::now_ms;
use crate::context::{ACCOUNT, Context};
use crate::engine::apply::enqueue_effect;
use crate::outage::Scope;
use orch_common::domain::breaker::Gatekeep;
use orch_common::domain::effect::{Destination, Effect};
use orch_common::domain::job::{JobKind, JobStatus};
use orch_common::domain::messages::{Message, Moment};
use orch_common::domain::run::WorkerState;
use orch_common::domain::stage::TaskState;
use orch_common::store::tasks::{self, Task};
use orch_common::store::waits::{self, Wait};
use orch_common::store::{Conn, StoreError, accounts, jobs, outages, workers};
use std::sync::Arc;
use std::time::Duration;

/// The longest pause between two looks, in seconds.
const LOOK_S: u64 = 30;

/// Tells until dropped.
pub async fn keep_telling(ctx: Arc<Context>) {
    let pause = Duration::from_secs((ctx.config.worker.wait_alert_s / 4).clamp(1, LOOK_S));
    loop {
        tokio::time::sleep(pause).await;
        if let Err(error) = look(&ctx).await {
            tracing::warn!(%error, "what waits for long could not be looked for");
        }
    }
}

async fn look(ctx: &Arc<Context>) -> Result<(), StoreError> {
    let after_ms = i64::try_from(ctx.config.worker.wait_alert_s).unwrap_or(i64::MAX / 1000).saturating_mul(1000);
    let before = now_ms().saturating_sub(after_ms);
    if ctx.store.read(move |c| found(c, before, now_ms())).await?.is_empty() {
        return Ok(());
    }
    let inner = Arc::clone(ctx);
    ctx.store
        .write(move |c| {
            let now = now_ms();
            found(c, before, now)?.iter().try_for_each(|wait| tell(c, &inner, wait, now))
        })
        .await
}

/// Everything that people are to be told of.
fn found(conn: &mut Conn, before: i64, now: i64) -> Result<Vec<Wait>, StoreError> {
    let mut all = waits::untold(conn, before)?;
    all.retain(holds_its_task_up);
    for job in waits::idle_agents(conn, before)? {
        let why = why_no_agent(conn, now)?;
        all.extend(job.task_id.zip(why).map(|(task, why)| Wait {
            job: job.id,
            task,
            kind: job.kind,
            since: job.created_at,
            why,
            scope: None,
            order_key: None,
        }));
    }
    Ok(all)
}

/// What is only to be said in Plane or in the chat moves nothing, and could not be said there.
fn holds_its_task_up(wait: &Wait) -> bool {
    match wait.kind {
        JobKind::Agent | JobKind::Advance => true,
        JobKind::Effect => wait.order_key.as_deref().is_some_and(|key| key.ends_with(Destination::Gitea.as_str())),
        JobKind::Event => false,
    }
}

fn tell(conn: &mut Conn, ctx: &Context, wait: &Wait, now: i64) -> Result<(), StoreError> {
    let Some(task) = tasks::get(conn, wait.task)?.filter(|task| !task.state.is_terminal()) else { return Ok(()) };
    let Ok(key) = task.key.parse() else { return Ok(()) };
    // A task that was put off until something is mended has been told of, with this very reason.
    if !waits::note_told(conn, wait.job, now)? || task.state_reason.as_ref() == Some(&wait.why) {
        return Ok(());
    }
    let name = format!("job{}:waits:{}", wait.job, wait.since);
    let message = Message::StillWaits { key, since: Moment(wait.since), why: wait.why.clone() };
    // Of an outage the chat hears once, and not once for each task.
    let known = wait.scope.as_deref().map(|scope| outages::get(conn, scope)).transpose()?.flatten();
    if !known.is_some_and(|outage| outage.told) {
        alerts::raise(conn, ctx, Some(task.id), &message, &name, now)?;
    }
    if wait.scope.as_deref() == Some(Scope::Plane.to_string().as_str()) {
        return Ok(());
    }
    let effect = Effect::PlaneComment {
        project: task.project.clone(),
        work_item: task.work_item.clone(),
        key: name.clone(),
        text: ctx.catalogue.render(&message),
    };
    enqueue_effect(conn, Some(task.id), &effect, &name, now)
}

/// Why an agent that may run does not; `None` = it does, in a moment.
fn why_no_agent(conn: &mut Conn, now: i64) -> Result<Option<String>, StoreError> {
    let account = accounts::get(conn, ACCOUNT)?;
    if let Some(fault) = account.fault {
        return Ok(Some(format!("no agent can run on this installation: {fault}")));
    }
    if account.limit_until.is_some_and(|until| until > now) {
        return Ok(Some(account.limit_reason.unwrap_or_else(|| "the usage limit is reached".to_owned())));
    }
    if let Gatekeep::Wait { .. } = account.breaker.before_claim(now) {
        return Ok(Some("the agents' provider keeps failing; agents pause".to_owned()));
    }
    let known = workers::all(conn)?;
    let starts: Vec<_> = known.iter().filter(|worker| worker.state == WorkerState::Running).collect();
    if starts.is_empty() {
        return Ok(Some("no worker starts agents now: none runs, or all of them are draining".to_owned()));
    }
    if let Some(worker) = starts.iter().find(|_| starts.iter().all(|worker| worker.preflight_ok == Some(false))) {
        return Ok(Some(format!("the agent program does not answer: {}", worker.preflight_reason)));
    }
    let places: i64 = starts.iter().map(|worker| i64::from(worker.max_concurrency)).sum();
    let at_work = jobs::counts(conn)?.get(&JobKind::Agent).and_then(|by| by.get(JobStatus::Running.as_str()).copied());
    Ok(at_work.filter(|n| *n >= places).map(|n| format!("no place is free: {n} agent(s) are at work")))
}

/// A task with what it waits for as its reason, where no decision has given one.
pub fn explained(conn: &mut Conn, mut task: Task, now: i64) -> Result<Task, StoreError> {
    let is_open = matches!(task.state, TaskState::Active | TaskState::WaitingApproval | TaskState::NeedsInput);
    if !is_open || task.state_reason.is_some() {
        return Ok(task);
    }
    task.state_reason = match waits::of_task(conn, task.id)? {
        Some(wait) => {
            let minutes = now.saturating_sub(wait.since).max(0) / 60_000;
            let why = wait.why.lines().next().unwrap_or_default();
            Some(format!("waits for {minutes} min: {why}"))
        }
        None => {
            let due = |job: &jobs::Job| job.status == JobStatus::Queued && job.available_at.is_none();
            match jobs::unfinished_of_task(conn, task.id)?.first() {
                Some(job) if job.kind == JobKind::Agent && due(job) => why_no_agent(conn, now)?,
                Some(_) | None => None,
            }
        }
    };
    Ok(task)
}
