//! Lanes: one per kind of job, and one per destination of effects, so that none waits behind another: events never behind agents,
//! pull requests never behind a chat that takes a message every few seconds. A lane claims while it has room, and sleeps until
//! one of its jobs is due or ends.

use crate::bells::{LANES_POLL, Wakes, Wanted};
use crate::clock::now_ms;
use crate::context::Context;
use crate::effects::shared;
use orch_common::domain::job::JobKind;
use orch_common::failpoint::{self, Point};
use orch_common::store::jobs::{self, Job};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;

/// How a lane treats its jobs when the worker stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnStop {
    /// Let them end; they are short.
    Finish,
    /// Leave them: their runs go on without this worker, the next one adopts them.
    Leave,
}

/// One lane.
pub struct Lane {
    pub wanted: Wanted,
    /// Jobs at a time.
    pub room: usize,
    pub on_stop: OnStop,
}

impl Lane {
    /// Runs until the worker stops. `adopted` are jobs of this lane that an earlier worker left running.
    pub async fn run<F, Fut>(self, ctx: Arc<Context>, mut wakes: Wakes, adopted: JoinSet<()>, handle: F)
    where
        F: Fn(Arc<Context>, Job) -> Fut,
        Fut: Future<Output = ()> + Send + 'static,
    {
        let mut running = adopted;
        let mut rung = false;
        while !ctx.stopping.is_cancelled() {
            wakes.mark_unchanged();
            let next = self.fill(&ctx, &mut running, &handle, rung).await;
            rung = false;
            tokio::select! {
                () = ctx.stopping.cancelled() => break,
                Some(ended) = running.join_next() => log_panic(ended),
                woken = wakes.changed() => rung = woken.is_ok(),
                () = tokio::time::sleep(next) => {}
            }
        }
        match self.on_stop {
            OnStop::Leave => running.detach_all(),
            OnStop::Finish => {
                while let Some(ended) = running.join_next().await {
                    log_panic(ended);
                }
            }
        }
    }

    /// Claims until the lane is full or nothing is due; says how long to sleep at most. `is_due`: that was just looked at.
    async fn fill<F, Fut>(
        &self,
        ctx: &Arc<Context>,
        running: &mut JoinSet<()>,
        handle: &F,
        mut is_due: bool,
    ) -> Duration
    where
        F: Fn(Arc<Context>, Job) -> Fut,
        Fut: Future<Output = ()> + Send + 'static,
    {
        let poll = Duration::from_secs_f64(ctx.config.worker.poll_interval_s);
        loop {
            while let Some(ended) = running.try_join_next() {
                log_panic(ended);
            }
            if running.len() >= self.room {
                return poll;
            }
            let claiming = ctx.in_flight.claiming().await;
            match self.claim(ctx, std::mem::take(&mut is_due)).await {
                Ok(Claim::Job(job)) => {
                    let guard = ctx.in_flight.enter(&job);
                    drop(claiming);
                    let work = handle(Arc::clone(ctx), *job);
                    running.spawn(async move {
                        let _in_flight = guard;
                        work.await;
                    });
                }
                Ok(Claim::Wait(wait)) => return wait.min(poll * LANES_POLL),
                Err(error) => {
                    tracing::warn!(%error, lane = ?self.wanted, "the queue could not be asked");
                    return poll;
                }
            }
        }
    }

    async fn claim(&self, ctx: &Arc<Context>, is_due: bool) -> Result<Claim, orch_common::store::StoreError> {
        let (wanted, now) = (self.wanted, now_ms());
        // A look without the writer's lock first: an idle worker never writes.
        if !is_due {
            let due = ctx.store.read(move |c| wanted.next_due(c, now)).await?;
            let Some(at) = due else { return Ok(Claim::Wait(Duration::MAX)) };
            if at > now {
                return Ok(Claim::Wait(Duration::from_millis(u64::try_from(at - now).unwrap_or(0))));
            }
        }
        // Nothing is claimed for a service that takes nothing now: it would keep a place, and count as running.
        if let Wanted::Effect(to) = wanted
            && ctx.outside.closed_for(to).is_some()
        {
            // An operator, or another worker, may know better.
            shared::recall(ctx).await;
            if let Some(wait) = ctx.outside.closed_for(to) {
                return Ok(Claim::Wait(wait));
            }
        }
        let (claiming, claimed) = claim_points(wanted.kind());
        failpoint::here(claiming);
        let worker = ctx.name.clone();
        let job = match wanted {
            Wanted::Agent => return claimed_agent(ctx, claimed).await,
            Wanted::Event => ctx.store.write(move |c| jobs::claim(c, JobKind::Event, &worker, now_ms())).await?,
            Wanted::Advance => ctx.store.write(move |c| jobs::claim(c, JobKind::Advance, &worker, now_ms())).await?,
            Wanted::Effect(to) => ctx.store.write(move |c| jobs::claim_to(c, to, &worker, now_ms())).await?,
        };
        let claim = job.map_or(Claim::Wait(Duration::ZERO), |job| Claim::Job(Box::new(job)));
        if matches!(claim, Claim::Job(_)) {
            failpoint::here(claimed);
        }
        Ok(claim)
    }
}

async fn claimed_agent(ctx: &Arc<Context>, claimed: Point) -> Result<Claim, orch_common::store::StoreError> {
    let claim = crate::runs::claim_agent(ctx).await?;
    if matches!(claim, Claim::Job(_)) {
        failpoint::here(claimed);
    }
    Ok(claim)
}

/// What a lane got.
pub enum Claim {
    Job(Box<Job>),
    /// Nothing now; look again after this long at the latest.
    Wait(Duration),
}

const fn claim_points(kind: JobKind) -> (Point, Point) {
    match kind {
        JobKind::Event => (Point::EventClaim, Point::EventClaimed),
        JobKind::Advance => (Point::AdvanceClaim, Point::AdvanceClaimed),
        JobKind::Effect => (Point::EffectClaim, Point::EffectClaimed),
        JobKind::Agent => (Point::AgentClaim, Point::AgentClaimed),
    }
}

fn log_panic(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        tracing::error!(%error, "a job's handler panicked; recovery will find its row");
    }
}
