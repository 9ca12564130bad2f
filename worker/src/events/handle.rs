//! The lane of `event` jobs: understand the delivery, plan, and commit what follows together with the job's end.

use super::observed::ObservedPayload;
use super::once::Once;
use super::plan::{Plan, PlanError};
use super::told::Told;
use super::{Event, Parsed, RawEvent, gitea_rules, parse, plane_rules};
use crate::clients::For;
use crate::clock::now_ms;
use crate::context::{Context, pipeline_of};
use crate::effects::shared;
use crate::engine::apply::{Applied, enqueue_effect};
use crate::engine::submit::{look_to_come, submit};
use crate::engine::{hold, pull_state};
use crate::job_end;
use crate::outage::{Scope, Trouble, troubled};
use orch_common::domain::decide::{ForgeEvent, Trigger};
use orch_common::domain::effect::Effect;
use orch_common::domain::gate::Gate;
use orch_common::domain::job::JobEnd;
use orch_common::domain::stage::TaskState;
use orch_common::failpoint::{self, Point};
use orch_common::store::deliveries::{EventPayload, Source};
use orch_common::store::jobs::{self, Job};
use orch_common::store::{Conn, StoreError, tasks};
use std::sync::Arc;
use tracing::Instrument as _;

/// Attempts after which what cannot be seen at its source was dealt with already, or is left to the reconciler.
const LOOKS: i32 = 2;

/// Handles one event job to its end.
pub async fn handle(ctx: Arc<Context>, job: Job) {
    let span = tracing::info_span!("event", job = job.id);
    async {
        shared::recall(&ctx).await;
        let (mut parsed, delivered) = read(&job.payload);
        if let Err(error) = call_as_configured(&ctx, &mut parsed).await {
            return job_end::failed(&ctx, &job, &error.to_string(), Some(None)).await;
        }
        let told = parsed.as_ref().ok().and_then(|parsed| Told::of(&ctx, parsed, delivered));
        let asks = parsed.as_ref().map(scopes).unwrap_or_default();
        // Somebody may wait for what follows.
        match For::People.calls_of(plan(&ctx, parsed)).await {
            Ok(plan) => {
                failpoint::here(Point::EventPlanned);
                commit(&ctx, &job, plan, told).await;
            }
            Err(error @ PlanError::NotSeen { .. }) if job.attempts >= LOOKS => {
                commit(&ctx, &job, Plan::ignore(error.to_string()), told).await;
            }
            Err(PlanError::Outside(error)) => {
                troubled(&ctx, &job, &error.to_string(), Trouble::from(&error), &asks).await;
            }
            Err(error) => job_end::failed(&ctx, &job, &error.to_string(), error.retry()).await,
        }
        shared::remember(&ctx).await;
    }
    .instrument(span)
    .await;
}

/// A repository that was renamed is told of under its new name; here it has the configured one.
async fn call_as_configured(ctx: &Context, parsed: &mut Result<Parsed<Event>, PlanError>) -> Result<(), StoreError> {
    let Ok(Parsed::Event(Event::Gitea(event))) = parsed else { return Ok(()) };
    let name = format!("{}/{}", event.owner, event.repo);
    if let Some(project) = ctx.project_named(&name, event.repo_id).await? {
        (event.owner, event.repo) = (project.owner().to_owned(), project.repo_name().to_owned());
    }
    Ok(())
}

/// What an event asks before it leads to anything: the service that it came from.
fn scopes(parsed: &Parsed<Event>) -> Vec<Scope> {
    match parsed {
        Parsed::Event(Event::Plane(_)) => vec![Scope::Plane],
        Parsed::Event(Event::Gitea(event)) => {
            vec![Scope::Gitea, Scope::Repo(format!("{}/{}", event.owner, event.repo)), Scope::Reviewer]
        }
        Parsed::Ignored { .. } => Vec::new(),
    }
}

async fn plan(ctx: &Context, parsed: Result<Parsed<Event>, PlanError>) -> Result<Plan, PlanError> {
    match parsed? {
        Parsed::Ignored { why } => Ok(Plan::Ignore { why }),
        Parsed::Event(Event::Plane(event)) => plane_rules::plan(ctx, event).await,
        Parsed::Event(Event::Gitea(event)) => gitea_rules::plan(ctx, event).await,
    }
}

/// The event of a payload, and whether it is a delivery: else it was found by asking.
fn read(payload: &str) -> (Result<Parsed<Event>, PlanError>, bool) {
    match serde_json::from_str(payload) {
        Ok(ObservedPayload { observed }) => (Ok(Parsed::Event(observed.into())), false),
        Err(_) => (delivery(payload), true),
    }
}

fn delivery(payload: &str) -> Result<Parsed<Event>, PlanError> {
    let payload: EventPayload<'_> = serde_json::from_str(payload)
        .map_err(|e| PlanError::Unusable(format!("the job's payload cannot be read: {e}")))?;
    let raw = RawEvent {
        source: match payload.source {
            Source::Plane => super::Source::Plane,
            Source::Gitea => super::Source::Gitea,
        },
        event: payload.event,
        event_type: payload.event_type,
        body: payload.body.get(),
    };
    parse(&raw).map_err(|e| PlanError::Unusable(format!("the delivery cannot be understood: {e}")))
}

async fn commit(ctx: &Arc<Context>, job: &Job, plan: Plan, told: Option<Told>) {
    let (inner, own_job) = (Arc::clone(ctx), job.clone());
    let result = ctx
        .store
        .write(move |conn| {
            let now = now_ms();
            if let Some(told) = &told {
                told.keep(conn, now)?;
            }
            let note = carry_out(conn, &inner, &own_job, &plan, now)?;
            if !jobs::finish(conn, &own_job, &JobEnd::Done { note: Some(note.clone()) }, now)? {
                // Not ours any more: whoever has it handles it; nothing of this may stay.
                return Err(StoreError::Corrupt("the job was taken over".into()));
            }
            Ok(note)
        })
        .await;
    match result {
        Ok(note) => {
            failpoint::here(Point::EventCommitted);
            tracing::info!(%note, "event handled");
        }
        Err(error) => job_end::failed(ctx, job, &error.to_string(), Some(None)).await,
    }
}

fn carry_out(conn: &mut Conn, ctx: &Context, job: &Job, plan: &Plan, now: i64) -> Result<String, StoreError> {
    match plan {
        Plan::Ignore { why } => Ok(format!("ignored: {why}")),
        Plan::Start { project, task, actor } => start(conn, ctx, job, (project, task, actor.as_deref()), now),
        Plan::Answer { task, message, once } => {
            if !take(conn, once.as_ref(), "refused", now)? {
                return Ok("ignored: done already".into());
            }
            let effect = Effect::PlaneComment {
                project: task.project.clone(),
                work_item: task.work_item.clone(),
                key: format!("t{}:j{}", task.id, job.id),
                text: ctx.catalogue.render(message),
            };
            enqueue_effect(conn, Some(task.id), &effect, &format!("t{}:j{}", task.id, job.id), now)?;
            Ok("refused with a comment".into())
        }
        Plan::AnswerAtForge { task, message, number, asker } => {
            let key = format!("t{}:elsewhere:{number}:{asker}", task.id);
            let effect = Effect::GiteaComment {
                repo: task.repo.clone(),
                branch: task.branch.clone(),
                key: key.clone(),
                text: ctx.catalogue.render(message),
            };
            enqueue_effect(conn, Some(task.id), &effect, &key, now)?;
            Ok("answered on the pull request".into())
        }
        Plan::Pull { task, number, odd, seen } => {
            let told = pull_state::tell(conn, ctx, (task, *number), odd, now)?;
            let looked =
                trigger_of_event(conn, ctx, job, (task.id, &Trigger::Forge { what: seen.clone() }, None), now)?;
            Ok(told.map(|told| format!("{told}; {looked}")).unwrap_or(looked))
        }
        Plan::Held { task, message } => {
            let Some(project) = ctx.config.projects.by_plane(&task.project) else {
                return Ok("ignored: the project is no longer registered".into());
            };
            hold::say(conn, ctx, (project, task.id), message, job.id, now)?;
            Ok(format!("said: {}", message.name()))
        }
        Plan::Trigger { task, trigger, once } => {
            trigger_of_event(conn, ctx, job, (task.id, trigger, once.as_ref()), now)
        }
    }
}

fn trigger_of_event(
    conn: &mut Conn,
    ctx: &Context,
    job: &Job,
    (task, trigger, once): (i64, &Trigger, Option<&Once>),
    now: i64,
) -> Result<String, StoreError> {
    // What the forge says meanwhile is looked at when the work is over. A look that has begun may have asked before it
    // was said, so that another follows.
    let is_forges = matches!(trigger, Trigger::Forge { .. });
    if is_forges && look_to_come(&jobs::unfinished_of_task(conn, task)?) {
        // A look that was put off need not wait any longer: this may be what it waits for.
        jobs::hasten_looks(conn, task)?;
        return Ok("recorded; the job under way looks at its end".into());
    }
    if let Trigger::Forge { what } = trigger
        && let Some(why) = not_heard_now(conn, ctx, task, what)?
    {
        return Ok(why);
    }
    if !take(conn, once, trigger.name(), now)? {
        return Ok("ignored: done already".into());
    }
    trigger_task(conn, ctx, job, (task, trigger), now)
}

/// Why nobody has to look at what the forge says: a look for nothing would cost a run of the tests, and what comes
/// meanwhile would be left to it. A person's rejection is not spent then: the end of a review hears it.
fn not_heard_now(conn: &mut Conn, ctx: &Context, task: i64, what: &ForgeEvent) -> Result<Option<String>, StoreError> {
    let Some(task) = tasks::get(conn, task)? else { return Ok(Some("ignored: the task is gone".into())) };
    let Some(project) = ctx.config.projects.by_plane(&task.project) else {
        return Ok(Some("ignored: the project is no longer registered".into()));
    };
    let gate = pipeline_of(project).gate(task.stage);
    // A run of the tests that is under way reads nothing that CI says.
    if matches!(what, ForgeEvent::CiFinished)
        && !matches!(gate, Some(Gate::CiGreen | Gate::PrMerged))
        && busy(conn, task.id)?
    {
        return Ok(Some("recorded; the job under way looks at its end".into()));
    }
    let concerns = what.concerns(task.stage, gate);
    let may_move = matches!(task.state, TaskState::Active | TaskState::WaitingApproval);
    Ok(match (concerns, may_move, what) {
        (true, true, _) => None,
        (_, _, ForgeEvent::ReviewRejected { .. }) => {
            Some("recorded; it is heard when a review of the work ends".into())
        }
        (false, ..) => Some(format!("ignored: nothing at '{}' waits for that", task.stage)),
        (true, false, _) => Some(format!("ignored: the task is {}", task.state)),
    })
}

fn busy(conn: &mut Conn, task: i64) -> Result<bool, StoreError> {
    Ok(!jobs::unfinished_of_task(conn, task)?.is_empty())
}

fn take(conn: &mut Conn, once: Option<&Once>, what: &str, now: i64) -> Result<bool, StoreError> {
    once.map_or(Ok(true), |once| once.take(conn, what, now))
}

fn trigger_task(
    conn: &mut Conn,
    ctx: &Context,
    job: &Job,
    (task, trigger): (i64, &Trigger),
    now: i64,
) -> Result<String, StoreError> {
    let Some(task) = tasks::get(conn, task)? else { return Ok("ignored: the task is gone".into()) };
    let Some(project) = ctx.config.projects.by_plane(&task.project) else {
        return Ok("ignored: the project is no longer registered".into());
    };
    Ok(match submit(conn, ctx, project, &task, trigger, job.id, now)? {
        Applied::Yes(note) | Applied::TryAgain(note) => note,
        Applied::LostRace => "the task moved meanwhile".into(),
    })
}

fn start(
    conn: &mut Conn,
    ctx: &Context,
    job: &Job,
    (project, new, actor): (&str, &tasks::NewTask, Option<&str>),
    now: i64,
) -> Result<String, StoreError> {
    let Some(project) = ctx.config.projects.by_plane(project) else {
        return Ok("ignored: the project is no longer registered".into());
    };
    let Some(task) = tasks::insert(conn, new, now)? else {
        return Ok(format!("ignored: {} has a task already", new.key));
    };
    let trigger = Trigger::Appeared { actor: actor.unwrap_or_default().to_owned() };
    submit(conn, ctx, project, &task, &trigger, job.id, now)?;
    Ok(format!("task {} started", task.key))
}
