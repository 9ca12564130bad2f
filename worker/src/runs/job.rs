//! One agent job from its claim to its end.

use super::conclude::{Concluded, conclude, launch_failed, not_wanted};
use super::later::later;
use super::prepare::{Prepared, Refused, prepare};
use super::story;
use super::watch::{Watched, watch};
use crate::agent::launch::launch_with;
use crate::agent::run_dir::{RunDir, RunDirError};
use crate::context::Context;
use crate::job_end::put_back;
use crate::outage::{blame, waits_on};
use orch_common::domain::messages::Message;
use orch_common::failpoint::{self, Point};
use orch_common::store::jobs::Job;
use orch_common::store::runs;
use std::path::Path;
use std::sync::Arc;
use tracing::Instrument as _;

/// Handles one job; returns early, with the row as it is, when the worker stops.
pub async fn handle(ctx: Arc<Context>, job: Job) {
    let span = tracing::info_span!("agent", job = job.id, task = job.task_id, role = job.role.map(|r| r.as_str()));
    run(&ctx, &job).instrument(span).await;
}

async fn run(ctx: &Arc<Context>, job: &Job) {
    if !story::has_waited(ctx, job).await && waits_on(ctx, job).await {
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
        // A forge that is away has no submodules either.
        Err(Refused::Block { message: Message::SubmoduleMissing { .. } })
            if blame(ctx, &ctx.forge_scopes_of(job)).await.is_some() =>
        {
            return later(ctx, job, "a submodule cannot be had", false).await;
        }
        Err(Refused::Block { message }) => return not_wanted(ctx, job, "blocked", Some(message)).await,
        Err(Refused::Unread { error }) => return story::unread(ctx, job, &error).await,
        Err(Refused::Gone { archived }) => return story::gone(ctx, job, archived).await,
        Err(Refused::Later { why, no_space }) => return later(ctx, job, &why, no_space).await,
        Err(Refused::Failed { why }) => return launch_failed(ctx, job, None, &why).await,
    };
    let Prepared { run, dir, spec, prompt, checks_log } = prepared;
    let standby = standby.await.unwrap_or_default();
    if let Err(error) = keep_logs(&dir, checks_log.as_deref()) {
        return launch_failed(ctx, job, Some(&run), &format!("the logs of the checks could not be kept: {error}"))
            .await;
    }
    let started = launch_with(&dir, &spec, prompt.as_bytes(), &ctx.starter, standby).await;
    if let Err(error) = started {
        return launch_failed(ctx, job, Some(&run), &format!("the agent could not be started: {error}")).await;
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

fn keep_logs(dir: &Path, logs: Option<&str>) -> Result<(), RunDirError> {
    match logs {
        Some(text) => RunDir::create(dir)?.write_checks_log(text),
        None => Ok(()),
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
