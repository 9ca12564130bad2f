//! A start that came to nothing for a reason that time mends. The job goes back at no charge: neither an attempt, nor a transient
//! one, nor the breaker hears of it. Where something outside is away it waits for that, however long it takes; else it is tried
//! for a quarter of an hour, then it is a launch that failed.

use super::conclude::launch_failed;
use super::probe_gone;
use crate::clock::now_ms;
use crate::context::Context;
use crate::outage::{Scope, blame, hold};
use orch_common::domain::backoff::launch_wait;
use orch_common::domain::job::{JobEnd, Spend};
use orch_common::failpoint::{self, Point};
use orch_common::store::jobs::{self, Job};
use orch_common::store::{Conn, StoreError, outages};
use std::sync::Arc;

/// What the database was told.
enum Told {
    Waits,
    /// It was tried often enough.
    Enough,
    NotOurs,
}

/// Puts the job back.
pub(super) async fn later(ctx: &Arc<Context>, job: &Job, why: &str, no_space: bool) {
    let scopes = match no_space {
        true => vec![Scope::Disk(ctx.host.clone())],
        false => ctx.forge_scopes_of(job),
    };
    let away = blame(ctx, &scopes).await;
    let (row, reason) = (job.clone(), why.to_owned());
    failpoint::here(Point::LaunchFailed);
    let told = ctx.store.write(move |c| put_back(c, &row, away.as_ref(), &reason, now_ms())).await;
    failpoint::here(Point::LaunchFailedWritten);
    match told {
        Ok(Told::Waits) => tracing::warn!(why, "no agent could be started; the job waits at no charge"),
        Ok(Told::Enough) => launch_failed(ctx, job, None, why).await,
        Ok(Told::NotOurs) => tracing::warn!("the job is no longer this worker's; left alone"),
        Err(error) => tracing::error!(%error, "the job's end could not be written; recovery will find it"),
    }
}

fn put_back(conn: &mut Conn, job: &Job, away: Option<&Scope>, why: &str, now: i64) -> Result<Told, StoreError> {
    if let Some(scope) = away {
        return Ok(if hold(conn, job, scope, why, now)? { Told::Waits } else { Told::NotOurs });
    }
    let Some(wait_s) = launch_wait(outages::count_try(conn, job.id)?) else { return Ok(Told::Enough) };
    let at = now.saturating_add(i64::try_from(wait_s * 1000).unwrap_or(i64::MAX));
    let end = JobEnd::Again { at: Some(at), error: why.to_owned(), spend: Spend::Nothing };
    if !jobs::finish(conn, job, &end, now)? {
        return Ok(Told::NotOurs);
    }
    probe_gone(conn, job.id, now)?;
    Ok(Told::Waits)
}
