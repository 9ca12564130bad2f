//! Waiting for a run's end, and asking it to stop when somebody wants that or a budget is used up. The run does not need this worker:
//! timeouts are its supervisor's.

use super::count::Count;
use crate::agent::StopReason;
use crate::agent::adopt::{self, RunEnd};
use crate::context::Context;
use orch_common::domain::budget::BudgetStop;
use orch_common::store::jobs::{self, Job};
use orch_common::store::{runs, spent};
use std::path::Path;
use std::time::Duration;

/// How often the row is asked whether somebody wants the run to end.
const LOOK: Duration = Duration::from_millis(500);

/// What the watch came to.
pub(super) enum Watched {
    Ended(RunEnd),
    /// The worker stops; the run goes on.
    Left,
    /// Another worker has the job now.
    NotOurs,
}

/// Watches until the run ends, the worker stops or the job is lost.
pub(super) async fn watch(ctx: &Context, job: &Job, run: &str) -> Watched {
    let dir = ctx.runs_dir.join(run);
    let (mut asked, mut count) = (false, None);
    let mut tick = tokio::time::interval(LOOK);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut end = std::pin::pin!(wait(&dir));
    loop {
        tokio::select! {
            ended = &mut end => return Watched::Ended(ended),
            () = ctx.stopping.cancelled() => return Watched::Left,
            _ = tick.tick() => match look(ctx, job, run).await {
                Look::Nothing => asked |= over_budget(ctx, run, &dir, &mut count).await,
                Look::NotOurs => return Watched::NotOurs,
                Look::Stop(why) if !asked => asked = request_stop(&dir, why),
                Look::Stop(_) => {}
            }
        }
    }
}

/// Counts on; asks the run to stop, and says so, when a budget is used up.
async fn over_budget(ctx: &Context, run: &str, dir: &Path, count: &mut Option<Count>) -> bool {
    if count.is_none() {
        *count = Count::load(ctx, run).await.unwrap_or_default();
    }
    let Some(count) = count else { return false };
    let Some(stop) = count.go_on(ctx).await else { return false };
    match note_stop(ctx, run, &stop).await {
        // Somebody else wants its end, or it has ended: the next look tells.
        Ok(false) => false,
        Ok(true) => {
            tracing::warn!(run, budget = %stop, "budget used up; ending the run");
            request_stop(dir, StopReason::Budget)
        }
        Err(error) => {
            tracing::warn!(run, budget = %stop, %error, "budget used up; the stop could not be written, trying again");
            false
        }
    }
}

async fn note_stop(ctx: &Context, run: &str, stop: &BudgetStop) -> Result<bool, orch_common::store::StoreError> {
    let (run, text) = (run.to_owned(), serde_json::to_string(stop).unwrap_or_default());
    ctx.store.write(move |c| spent::stop(c, &run, &text)).await
}

/// A failure to look is not an end: the process is asked again.
async fn wait(dir: &Path) -> RunEnd {
    loop {
        match adopt::wait_end(dir).await {
            Ok(end) => return end,
            Err(error) => {
                tracing::warn!(%error, "the run cannot be watched; trying again");
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
    }
}

enum Look {
    Nothing,
    NotOurs,
    Stop(StopReason),
}

async fn look(ctx: &Context, job: &Job, run: &str) -> Look {
    let (job, run) = (job.clone(), run.to_owned());
    let found = ctx.store.read(move |c| Ok((jobs::is_held(c, &job)?, runs::wanted_stop(c, &run)?))).await;
    match found {
        Ok((false, _)) => Look::NotOurs,
        Ok((true, Some(why))) => Look::Stop(why),
        Ok((true, None)) => Look::Nothing,
        Err(error) => {
            tracing::debug!(%error, "the run's row could not be read");
            Look::Nothing
        }
    }
}

fn request_stop(dir: &Path, why: StopReason) -> bool {
    match adopt::request_stop(dir, why) {
        Ok(_) => {
            tracing::info!(%why, "asked the run to stop");
            true
        }
        Err(error) => {
            tracing::warn!(%error, "the run could not be asked to stop; trying again");
            false
        }
    }
}
