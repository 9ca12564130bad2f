//! One merge at a time in a repository, whichever worker makes it: two side by side would each be checked against a base
//! that the other moves. The lease lies in the database and ends by itself where its holder dies.

use super::send::SendError;
use crate::clock::now_ms;
use crate::context::Context;
use orch_common::domain::effect::Effect;
use orch_common::store::jobs::Job;
use orch_common::store::{StoreError, cursors};
use std::time::{Duration, Instant};

/// Longer than the slowest merge with all its tries may take, in ms.
const HELD_MS: i64 = 5 * 60_000;
/// How long another's merge is waited for in place.
const PATIENCE: Duration = Duration::from_secs(30);
/// Between two looks.
const LOOK: Duration = Duration::from_millis(100);
/// When the queue should try again after that, in seconds.
const LATER_S: u64 = 20;

/// The right to merge in a repository.
pub(super) struct MergeLease {
    name: String,
    holder: String,
}

impl MergeLease {
    /// Waits for the right where the effect needs it; `None` = it needs none.
    pub(super) async fn for_effect(ctx: &Context, job: &Job, effect: &Effect) -> Result<Option<MergeLease>, SendError> {
        let Effect::GiteaMerge { repo, .. } = effect else { return Ok(None) };
        // The job and not the worker: two of one worker wait for each other too.
        let lease =
            MergeLease { name: format!("merge:{}", repo.to_lowercase()), holder: format!("{}#{}", ctx.name, job.id) };
        let give_up = Instant::now() + PATIENCE;
        loop {
            match lease.take(ctx).await {
                Ok(true) => return Ok(Some(lease)),
                Ok(false) if Instant::now() < give_up => tokio::time::sleep(LOOK).await,
                Ok(false) => return Err(later(format!("another merge in {repo} is under way"))),
                Err(error) => return Err(later(error.to_string())),
            }
        }
    }

    async fn take(&self, ctx: &Context) -> Result<bool, StoreError> {
        let (name, holder) = (self.name.clone(), self.holder.clone());
        let take = move |c: &mut _| {
            let now = now_ms();
            cursors::lease(c, &name, &holder, now + HELD_MS, now)
        };
        ctx.store.write(take).await
    }

    /// Gives it back; if that fails, it ends by itself.
    pub(super) async fn give_back(self, ctx: &Context) {
        let MergeLease { name, holder } = self;
        if let Err(error) = ctx.store.write(move |c| cursors::release(c, &name, &holder, now_ms())).await {
            tracing::warn!(%error, "the right to merge could not be given back; it ends by itself");
        }
    }
}

const fn later(why: String) -> SendError {
    SendError::Transient { why, retry_after_s: Some(LATER_S) }
}
