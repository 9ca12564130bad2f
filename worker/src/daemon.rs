//! The worker's life: register, recover, run the lanes, stop. Reads like a table of contents.

use crate::context::Context;
use crate::lanes::{Lane, OnStop, Wakes};
use crate::{advance_lane, effects, events, heartbeat, housekeeping, reconcile, recovery, runs};
use anyhow::Context as _;
use orch_common::config::Config;
use orch_common::domain::job::JobKind;
use orch_common::wake::Waker;
use std::sync::Arc;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Runs a worker until `stopping` is cancelled. Agents that are at work then go on; the next worker of this name
/// adopts them.
pub async fn run(config: Config, stopping: CancellationToken) -> anyhow::Result<()> {
    let ctx = Context::build(config, stopping)?;
    let _name_is_ours = heartbeat::claim_name(&ctx)?;
    let me = heartbeat::register(&ctx).await?;
    let adopted = recovery::at_start(&ctx).await?;
    let (wake, wakes) = watch::channel(0_u64);
    let mut background = JoinSet::new();
    background.spawn(heartbeat::beat(Arc::clone(&ctx), me.clone()));
    background.spawn(watch_database(Arc::clone(&ctx), wake));
    background.spawn(recovery::periodically(Arc::clone(&ctx)));
    background.spawn(reconcile::periodically(Arc::clone(&ctx)));
    background.spawn(housekeeping::periodically(Arc::clone(&ctx)));
    crate::notify::ready();
    tracing::info!(worker = %ctx.name, "ready");
    run_lanes(&ctx, &wakes, adopted).await;
    crate::notify::stopping();
    background.shutdown().await;
    heartbeat::deregister(&ctx, &me).await.context("the worker could not sign off")?;
    tracing::info!(worker = %ctx.name, "stopped; agents at work go on");
    Ok(())
}

async fn run_lanes(ctx: &Arc<Context>, wakes: &Wakes, adopted: JoinSet<()>) {
    let lane = |kind, room, on_stop| Lane { kind, room, on_stop };
    let agents = usize::try_from(ctx.config.worker.max_concurrency).unwrap_or(1);
    let none = JoinSet::new;
    tokio::join!(
        lane(JobKind::Event, 2, OnStop::Finish).run(Arc::clone(ctx), wakes.clone(), none(), events::handle),
        lane(JobKind::Advance, 2, OnStop::Finish).run(Arc::clone(ctx), wakes.clone(), none(), advance_lane::handle),
        lane(JobKind::Effect, 4, OnStop::Finish).run(Arc::clone(ctx), wakes.clone(), none(), effects::handle),
        lane(JobKind::Agent, agents, OnStop::Leave).run(Arc::clone(ctx), wakes.clone(), adopted, runs::handle),
    );
}

/// Counts commits of any process; where inotify is not to be had, polling alone is left.
async fn watch_database(ctx: Arc<Context>, wake: watch::Sender<u64>) {
    let mut waker = match Waker::watch(ctx.store.path()) {
        Ok(waker) => waker,
        Err(error) => {
            tracing::warn!(%error, "commits cannot be watched; the queue is only polled");
            return;
        }
    };
    loop {
        waker.changed().await;
        wake.send_modify(|n| *n = n.wrapping_add(1));
    }
}
