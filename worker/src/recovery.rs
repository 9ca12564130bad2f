//! Rows whose owner died, at start and for any worker whose heartbeat is dead. Rows of a living worker are never
//! touched; no age alone makes a row an orphan.

use crate::clock::now_ms;
use crate::context::Context;
use crate::give_up::give_up;
use crate::runs;
use crate::silence::Silence;
use orch_common::domain::job::{JobEnd, JobKind};
use orch_common::failpoint::{self, Point};
use orch_common::store::StoreError;
use orch_common::store::jobs::{self, Job};
use orch_common::store::workers;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// Recovers what this worker's predecessor (of the same name) and dead workers left. Agents that are alive are
/// watched from now on; the rest is back in the queue when this returns.
pub async fn at_start(ctx: &Arc<Context>) -> anyhow::Result<JoinSet<()>> {
    let fault = ctx.store.write(|c| runs::clear_fault(c, now_ms())).await?;
    if let Some(fault) = fault {
        tracing::info!(%fault, "the installation's fault is taken for repaired");
    }
    let me = ctx.name.clone();
    let mut left = ctx.store.read(move |c| jobs::owned_by(c, &me)).await?;
    left.extend(take_over_orphans(ctx, &mut Silence::default()).await?);
    let mut adopted = JoinSet::new();
    for job in left {
        recover(ctx, job, &mut adopted).await?;
    }
    Ok(adopted)
}

/// Looks for orphans now and then; what it adopts is watched beside the lanes.
pub async fn periodically(ctx: Arc<Context>) {
    let every = Duration::from_secs((ctx.config.worker.heartbeat_dead_s / 2).max(1));
    let mut watching = JoinSet::new();
    let mut silence = Silence::default();
    loop {
        tokio::select! {
            () = tokio::time::sleep(every) => {}
            Some(_) = watching.join_next() => continue,
        }
        if let Err(error) = round(&ctx, &mut silence, &mut watching).await {
            tracing::warn!(%error, "orphans could not be looked for");
        }
    }
}

async fn round(ctx: &Arc<Context>, silence: &mut Silence, watching: &mut JoinSet<()>) -> Result<(), StoreError> {
    let mut left = dropped(ctx).await?;
    left.extend(take_over_orphans(ctx, silence).await?);
    for job in left {
        recover(ctx, job, watching).await?;
    }
    Ok(())
}

/// Rows of this worker that nothing in this process handles.
async fn dropped(ctx: &Context) -> Result<Vec<Job>, StoreError> {
    let Some(_settled) = ctx.in_flight.settled().await else { return Ok(Vec::new()) };
    let me = ctx.name.clone();
    let mut rows = ctx.store.read(move |c| jobs::owned_by(c, &me)).await?;
    rows.retain(|job| !ctx.in_flight.contains(job));
    Ok(rows)
}

async fn take_over_orphans(ctx: &Context, silence: &mut Silence) -> Result<Vec<Job>, StoreError> {
    let dead_s = ctx.config.worker.heartbeat_dead_s;
    let dead_before = now_ms() - i64::try_from(dead_s * 1000).unwrap_or(i64::MAX);
    let (me, host) = (ctx.name.clone(), ctx.host.clone());
    let (mut seen, asked) = (std::mem::take(silence), Instant::now());
    failpoint::here(Point::TakeOver);
    let (taken, seen) = ctx
        .store
        .write(move |c| {
            // Whoever could not write while we could not is no more dead than we are.
            if asked.elapsed() > Duration::from_secs(dead_s) / 4 {
                seen = Silence::default();
            }
            seen.look(&workers::all(c)?);
            let mut taken = Vec::new();
            for job in jobs::orphans(c, &me, &host, |w| seen.is_dead(w, dead_before))? {
                taken.extend(jobs::take_over(c, &job, &me)?);
            }
            Ok((taken, seen.clone()))
        })
        .await?;
    *silence = seen;
    failpoint::here(Point::TakenOver);
    Ok(taken)
}

async fn recover(ctx: &Arc<Context>, job: Job, watching: &mut JoinSet<()>) -> Result<(), StoreError> {
    tracing::info!(job = job.id, kind = %job.kind, "a job was left running");
    match job.kind {
        JobKind::Agent => {
            let guard = ctx.in_flight.enter(&job);
            let ctx = Arc::clone(ctx);
            watching.spawn(async move {
                let _in_flight = guard;
                runs::adopt(ctx, job).await;
            });
        }
        JobKind::Event | JobKind::Advance | JobKind::Effect => {
            let why = "its worker ended in the middle of it";
            failpoint::here(Point::Requeue);
            let inner = Arc::clone(ctx);
            ctx.store
                .write(move |c| {
                    let now = now_ms();
                    match jobs::requeue_lost(c, &job, why, now)? {
                        Some(JobEnd::Failed { error }) => give_up(c, &inner, &job, &error, now),
                        Some(JobEnd::Again { .. } | JobEnd::Done { .. } | JobEnd::Cancelled { .. }) | None => Ok(()),
                    }
                })
                .await?;
            failpoint::here(Point::Requeued);
        }
    }
    Ok(())
}
