//! Agent jobs that an earlier worker left: adopted where the run lives, finished where it ended, put back where it
//! is truly lost.

use super::conclude::{conclude, put_back};
use super::job::see_to_its_end;
use crate::agent::adopt::{AdoptError, Found, RunEnd, examine};
use crate::context::Context;
use orch_common::failpoint::{self, Point};
use orch_common::store::StoreError;
use orch_common::store::jobs::Job;
use orch_common::store::runs;
use std::sync::Arc;
use std::time::Duration;
use tracing::Instrument as _;

/// Sees to a running agent job that is this worker's by now, whatever became of its run.
pub async fn adopt(ctx: Arc<Context>, job: Job) {
    let span = tracing::info_span!("adopt", job = job.id, task = job.task_id);
    async {
        loop {
            match by_evidence(&ctx, &job).await {
                Ok(()) => return,
                Err(error) if ctx.stopping.is_cancelled() => return tracing::warn!(%error, "not adopted"),
                Err(error) => tracing::warn!(%error, "the run cannot be examined now; trying again"),
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }
    .instrument(span)
    .await;
}

#[derive(Debug, thiserror::Error)]
enum NotNow {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Run(#[from] AdoptError),
    #[error("the examination did not finish: {0}")]
    Panic(#[from] tokio::task::JoinError),
}

async fn by_evidence(ctx: &Arc<Context>, job: &Job) -> Result<(), NotNow> {
    // The job names its newest run; times do not tell, the clock may have been set between two of them.
    let id = job.run_id.clone();
    let newest = ctx.store.read(move |c| id.map(|id| runs::get(c, &id)).transpose()).await?.flatten();
    // Claimed, but no run was begun.
    let Some(run) = newest.filter(|run| run.state.is_open()) else { return never_begun(ctx, job).await };
    let (worker, run_id) = (ctx.name.clone(), run.id.clone());
    ctx.store.write(move |c| runs::set_worker(c, &run_id, &worker)).await?;
    failpoint::here(Point::AdoptExamine);
    let dir = ctx.runs_dir.join(&run.dir);
    let found = tokio::task::spawn_blocking(move || examine(&dir)).await??;
    failpoint::here(Point::AdoptExamined);
    let end = match found {
        Found::Alive(_) => {
            tracing::info!(run = run.id, "the agent is still at work: adopted");
            see_to_its_end(ctx, job, &run.id).await;
            return Ok(());
        }
        Found::Ended(record) => RunEnd::Ended(record),
        Found::Lost => RunEnd::Lost,
    };
    tracing::info!(run = run.id, ended = matches!(end, RunEnd::Ended(_)), "the run is over: concluded");
    conclude(ctx, job, &run.id, end).await?;
    Ok(())
}

async fn never_begun(ctx: &Arc<Context>, job: &Job) -> Result<(), NotNow> {
    failpoint::here(Point::AdoptPutBack);
    let (inner, row) = (Arc::clone(ctx), job.clone());
    ctx.store.write(move |c| put_back(c, &inner, &row, "its worker ended before the run began")).await?;
    Ok(())
}
