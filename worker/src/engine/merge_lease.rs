//! One merge at a time in a repository, whichever worker makes it: two side by side would each be checked against a base
//! that the other moves. The lease lies in the database and ends by itself where its holder dies.

use crate::clock::now_ms;
use crate::context::Context;
use orch_common::store::{StoreError, cursors};

/// Longer than the slowest merge with all that is asked before and after it may take, in ms.
const HELD_MS: i64 = 5 * 60_000;

/// The right to merge in a repository.
pub struct MergeLease {
    name: String,
    holder: String,
}

impl MergeLease {
    /// Takes the right for a job; `None` = another merge in the repository is under way. Nobody waits here: whoever does
    /// not get it looks again soon.
    pub async fn take(ctx: &Context, job: i64, repo: &str) -> Result<Option<MergeLease>, StoreError> {
        // The job and not the worker: two of one worker exclude each other too.
        let lease =
            MergeLease { name: format!("merge:{}", repo.to_lowercase()), holder: format!("{}#{job}", ctx.name) };
        let (name, holder) = (lease.name.clone(), lease.holder.clone());
        let take = move |c: &mut _| {
            let now = now_ms();
            cursors::lease(c, &name, &holder, now + HELD_MS, now)
        };
        Ok(ctx.store.write(take).await?.then_some(lease))
    }

    /// Gives it back; if that fails, it ends by itself.
    pub async fn give_back(self, ctx: &Context) {
        let MergeLease { name, holder } = self;
        if let Err(error) = ctx.store.write(move |c| cursors::release(c, &name, &holder, now_ms())).await {
            tracing::warn!(%error, "the right to merge could not be given back; it ends by itself");
        }
    }
}
