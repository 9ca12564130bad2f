//! The lane of `advance` jobs: runs the engine's look and ends the job by what came of it.

use crate::context::Context;
use crate::engine::advance;
use crate::outage;
use orch_common::store::jobs::Job;
use std::sync::Arc;
use tracing::Instrument as _;

/// Handles one job to its end.
pub async fn handle(ctx: Arc<Context>, job: Job) {
    let span = tracing::info_span!("advance", job = job.id, task = job.task_id);
    async {
        if !outage::waits_on(&ctx, &job, &[]).await {
            advance::run(&ctx, job).await;
        }
    }
    .instrument(span)
    .await;
}
