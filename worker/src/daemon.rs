//! The worker's life: register, recover, run the lanes, stop. Reads like a table of contents.

use crate::bells::{self, Bells, Wanted};
use crate::context::Context;
use crate::lanes::{Lane, OnStop};
use crate::{
    advance_lane, database_files, effects, events, heartbeat, housekeeping, outage, reconcile, recovery, runs, waiting,
};
use anyhow::Context as _;
use orch_common::config::Config;
use orch_common::domain::effect::Destination;
use std::sync::Arc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Events at a time: they mostly wait for Plane's turns or the forge's answers.
const EVENTS: usize = 8;
/// Looks at a time. Most of one is waiting for the forge; runs of tests have places of their own.
const LOOKS: usize = 16;
/// Writes to one destination at a time.
const WRITES: usize = 4;

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
    // Not in the background, which ends before the worker has signed off.
    tokio::spawn(database_files::watch(Arc::clone(&ctx)));
    background.spawn(bells::keep_looking(Arc::clone(&ctx), Arc::clone(&bells)));
    background.spawn(outage::keep(Arc::clone(&ctx)));
    background.spawn(waiting::keep_telling(Arc::clone(&ctx)));
    background.spawn(recovery::periodically(Arc::clone(&ctx)));
    background.spawn(reconcile::periodically(Arc::clone(&ctx)));
    background.spawn(reconcile::checks::periodically(Arc::clone(&ctx)));
    background.spawn(housekeeping::periodically(Arc::clone(&ctx)));
    crate::notify::ready();
    tracing::info!(worker = %ctx.name, "ready");
    run_lanes(&ctx, &bells, adopted).await;
    crate::notify::stopping();
    background.shutdown().await;
    if let Some(why) = database_files::trouble(&ctx) {
        anyhow::bail!(why);
    }
    heartbeat::deregister(&ctx, &me).await.context("the worker could not sign off")?;
    tracing::info!(worker = %ctx.name, "stopped; agents at work go on");
    Ok(())
}

async fn run_lanes(ctx: &Arc<Context>, bells: &Bells, adopted: JoinSet<()>) {
    let lane = |wanted, room, on_stop| Lane { wanted, room, on_stop };
    let agents = usize::try_from(ctx.config.worker.max_concurrency).unwrap_or(1);
    let (none, wakes) = (JoinSet::new, |wanted| bells.of(wanted));
    let (event, advance, agent) = (Wanted::Event, Wanted::Advance, Wanted::Agent);
    let [plane, gitea, telegram] = [Destination::Plane, Destination::Gitea, Destination::Telegram].map(Wanted::Effect);
    tokio::join!(
        lane(event, EVENTS, OnStop::Finish).run(Arc::clone(ctx), wakes(event), none(), events::handle),
        lane(advance, LOOKS, OnStop::Finish).run(Arc::clone(ctx), wakes(advance), none(), advance_lane::handle),
        lane(plane, WRITES, OnStop::Finish).run(Arc::clone(ctx), wakes(plane), none(), effects::handle),
        lane(gitea, WRITES, OnStop::Finish).run(Arc::clone(ctx), wakes(gitea), none(), effects::handle),
        lane(telegram, 1, OnStop::Finish).run(Arc::clone(ctx), wakes(telegram), none(), effects::handle),
        lane(agent, agents, OnStop::Leave).run(Arc::clone(ctx), wakes(agent), adopted, runs::handle),
    );
}
