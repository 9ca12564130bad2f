//! One agent job from its claim to its end.

use super::conclude::{Concluded, conclude, not_wanted};
use super::files;
use super::later::{Unstarted, later};
use super::news;
use super::prepare::{Prepared, prepare};
use super::refused::Refused;
use super::story;
use super::watch::{Watched, watch};
use crate::agent::launch::{LaunchError, launch_with};
use crate::agent::run_dir::{RunDir, RunDirError};
use crate::clock::now_ms;
use crate::context::Context;
use crate::engine::hold;
use crate::job_end::put_back;
use crate::outage::{blame, waits_on, waits_to_begin};
use orch_common::domain::fault::Fault;
use orch_common::domain::messages::Message;
use orch_common::failpoint::{self, Point};
use orch_common::store::jobs::Job;
use orch_common::store::{Conn, runs, tasks};
use std::path::Path;
use std::sync::Arc;
use tracing::Instrument as _;

/// Handles one job; returns early, with the row as it is, when the worker stops.
pub async fn handle(ctx: Arc<Context>, job: Job) {
    let span = tracing::info_span!("agent", job = job.id, task = job.task_id, role = job.role.map(|r| r.as_str()));
    run(&ctx, &job).instrument(span).await;
}

async fn run(ctx: &Arc<Context>, job: &Job) {
    let enough = if story::has_waited(ctx, job).await { ctx.plane_scopes_of(job) } else { Vec::new() };
    if waits_on(ctx, job, &enough).await {
        return;
    }
    if waits_to_begin(ctx, job).await {
        return;
    }
    // It comes up while the run is prepared; without a run it ends.
    let starter = ctx.starter.clone();
    let standby = tokio::task::spawn_blocking(move || starter.stand_by());
    let prepared = match prepare(ctx, job).await {
        Ok(prepared) => prepared,
        Err(Refused::Stopping) => return put_back(ctx, job).await,
        Err(Refused::NotOurs) => return tracing::warn!("the job is no longer this worker's; left alone"),
        Err(Refused::NotWanted { why }) => return not_wanted(ctx, job, &why, None).await,
        Err(Refused::Block { message })
            if hold::may_be_the_forges(&message) && blame(ctx, &ctx.forge_scopes_of(job)).await.is_some() =>
        {
            return later(ctx, job, None, Unstarted::by_time(message.name())).await;
        }
        Err(Refused::Held { message }) if hold::is_the_repositorys(ctx, job, &message).await => {
            return later(ctx, job, None, Unstarted::by_time(message.name())).await;
        }
        Err(Refused::Held { message }) => return held(ctx, job, message).await,
        Err(Refused::Block { message }) => return not_wanted(ctx, job, "blocked", Some(message)).await,
        Err(Refused::Unread { error }) => return story::unread(ctx, job, &error).await,
        Err(Refused::Gone { archived }) => return story::gone(ctx, job, archived).await,
        Err(Refused::Later { why, disk }) => {
            return later(ctx, job, None, Unstarted { disk, ..Unstarted::by_time(why) }).await;
        }
    };
    let Prepared { run, dir, spec, prompt, checks_log, files } = prepared;
    let standby = standby.await.unwrap_or_default();
    if let Err(error) = keep_logs(&dir, checks_log.as_deref()) {
        return later(ctx, job, Some(&run), of_folder("the logs of the checks could not be kept", &error)).await;
    }
    if let Err(error) = files::place_them(ctx, &run, &dir, &files) {
        return later(ctx, job, Some(&run), of_folder("the files of the work item could not be placed", &error)).await;
    }
    let started = launch_with(&dir, &spec, prompt.as_bytes(), &ctx.starter, standby).await;
    if let Err(error) = started {
        return later(ctx, job, Some(&run), of_launch(&error)).await;
    }
    failpoint::here(Point::AgentLaunched);
    let id = run.clone();
    if let Err(error) = ctx.store.write(move |c| runs::mark_running(c, &id)).await {
        tracing::warn!(%error, "the run's state could not be written; its end will be");
    }
    failpoint::here(Point::AgentMarked);
    tracing::info!(run, "agent started");
    see_to_its_end(ctx, job, &run).await;
}

fn of_launch(error: &LaunchError) -> Unstarted {
    const WHAT: &str = "the agent could not be started";
    let why = format!("{WHAT}: {error}");
    match error {
        LaunchError::BadSpec(_) => Unstarted::by_a_person(Fault::NoStart, why),
        LaunchError::RunDir(error) => of_folder(WHAT, error),
        LaunchError::Supervisor { source, .. } => Unstarted::of_io(source, why),
        LaunchError::NotTaken(_) => Unstarted::by_time(why),
    }
}

fn of_folder(what: &str, error: &RunDirError) -> Unstarted {
    let why = format!("{what}: {error}");
    match error {
        RunDirError::Io { source, .. } => Unstarted::of_io(source, why),
        RunDirError::Malformed { .. } => Unstarted::by_a_person(Fault::InTheWay, why),
    }
}

fn keep_logs(dir: &Path, logs: Option<&str>) -> Result<(), RunDirError> {
    match logs {
        Some(text) => RunDir::create(dir)?.write_checks_log(text),
        None => Ok(()),
    }
}

/// Lets the job wait for a mend at the forge.
async fn held(ctx: &Arc<Context>, job: &Job, message: Message) {
    let (inner, row, name) = (Arc::clone(ctx), job.clone(), message.name());
    let put_off = move |c: &mut Conn| {
        let task = row.task_id.map(|id| tasks::get(c, id)).transpose()?.flatten();
        let project = task.as_ref().and_then(|task| inner.config.projects.by_plane(&task.project));
        let (Some(task), Some(project)) = (&task, project) else { return Ok(false) };
        let now = now_ms();
        let held = hold::put_off(c, &inner, (project, task), &message, &row, now)?;
        if held {
            news::Account::load(c)?.probe_gone(row.id).save(c, now)?;
        }
        Ok(held)
    };
    match ctx.store.write(put_off).await {
        Ok(true) => tracing::warn!(why = name, "no agent is started; the job waits for a mend at the forge"),
        Ok(false) => tracing::warn!("the job is no longer this worker's; left alone"),
        Err(error) => tracing::error!(%error, "the job's end could not be written; recovery will find it"),
    }
}

/// Watches a run of this job until it is over, and concludes it.
pub(super) async fn see_to_its_end(ctx: &Arc<Context>, job: &Job, run: &str) {
    match watch(ctx, job, run).await {
        Watched::Ended(end) => match conclude(ctx, job, run, end).await {
            Ok(Concluded::Done(note)) => tracing::info!(run, %note, "agent ended"),
            Ok(Concluded::NotOurs) => tracing::warn!(run, "the job is no longer this worker's; left alone"),
            Err(error) => tracing::error!(run, %error, "the run's end could not be written; recovery will find it"),
        },
        Watched::Left => tracing::info!(run, "the worker stops; the agent goes on"),
        Watched::NotOurs => tracing::warn!(run, "another worker has this run now"),
    }
}
