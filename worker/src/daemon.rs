//! The worker's life: register, recover, run the lanes, stop. Reads like a table of contents.

use crate::bells::{self, Bells};
use crate::context::Context;
use crate::lanes::{Lane, OnStop};
use crate::{advance_lane, effects, events, heartbeat, housekeeping, reconcile, recovery, runs};
use anyhow::Context as _;
use orch_common::config::Config;
use orch_common::domain::job::JobKind;
use std::sync::Arc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Runs a worker until `stopping` is cancelled. Agents that are at work then go on; the next worker of this name
/// adopts them.
pub async fn run(config: Config, stopping: CancellationToken) -> anyhow::Result<()> {
    let ctx = Context::build(config, stopping)?;
    let _name_is_ours = heartbeat::claim_name(&ctx)?;
    let me = heartbeat::register(&ctx).await?;
    let adopted = recovery::at_start(&ctx).await?;
    let bells = Arc::new(Bells::default());
    let mut background = JoinSet::new();
    background.spawn(heartbeat::beat(Arc::clone(&ctx), me.clone()));
    background.spawn(bells::keep_looking(Arc::clone(&ctx), Arc::clone(&bells)));
    background.spawn(recovery::periodically(Arc::clone(&ctx)));
    background.spawn(reconcile::periodically(Arc::clone(&ctx)));
    background.spawn(reconcile::checks::periodically(Arc::clone(&ctx)));
    background.spawn(housekeeping::periodically(Arc::clone(&ctx)));
    crate::notify::ready();
    tracing::info!(worker = %ctx.name, "ready");
    run_lanes(&ctx, &bells, adopted).await;
    crate::notify::stopping();
    background.shutdown().await;
    heartbeat::deregister(&ctx, &me).await.context("the worker could not sign off")?;
    tracing::info!(worker = %ctx.name, "stopped; agents at work go on");
    Ok(())
}

async fn run_lanes(ctx: &Arc<Context>, bells: &Bells, adopted: JoinSet<()>) {
    let lane = |kind, room, on_stop| Lane { kind, room, on_stop };
    let agents = usize::try_from(ctx.config.worker.max_concurrency).unwrap_or(1);
    let (none, wakes) = (JoinSet::new, |kind| bells.of(kind));
    let (event, advance, effect, agent) = (JobKind::Event, JobKind::Advance, JobKind::Effect, JobKind::Agent);
    tokio::join!(
        lane(event, 2, OnStop::Finish).run(Arc::clone(ctx), wakes(event), none(), events::handle),
        lane(advance, 2, OnStop::Finish).run(Arc::clone(ctx), wakes(advance), none(), advance_lane::handle),
        lane(effect, 4, OnStop::Finish).run(Arc::clone(ctx), wakes(effect), none(), effects::handle),
        lane(agent, agents, OnStop::Leave).run(Arc::clone(ctx), wakes(agent), adopted, runs::handle),
    );
}
