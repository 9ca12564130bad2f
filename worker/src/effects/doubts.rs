//! What may be there twice: it was sent a second time, and nobody knows when the first would have appeared. Noted with the end of
//! the job; the reconciler looks once it is old enough, and removes our own doubles.

use crate::context::Context;
use orch_common::domain::effect::Effect;
use orch_common::store::{Conn, StoreError, cursors, jobs};

/// What a slow service has begun has appeared after this time, in ms.
const APPEARED_MS: i64 = 60_000;
/// How long it is tried to look, in ms.
const KEPT_MS: i64 = 24 * 60 * 60_000;
const NAME: &str = "doubt:";

/// Notes that what this job sent may be there twice.
pub(super) fn note(conn: &mut Conn, job: i64, now: i64) -> Result<(), StoreError> {
    cursors::put(conn, &format!("{NAME}{job}"), "", now)
}

/// Forgets what could not be looked at for a day.
pub(crate) async fn forget_old(ctx: &Context, now: i64) -> Result<(), StoreError> {
    ctx.store.write(move |conn| cursors::forget_named(conn, NAME, now.saturating_sub(KEPT_MS))).await.map(drop)
}

/// One thing that may be there twice.
#[derive(Debug)]
pub(crate) struct Doubt {
    pub job: i64,
    pub task: Option<i64>,
    pub effect: Effect,
}

/// What is old enough to be looked at.
pub(crate) async fn due(ctx: &Context, now: i64) -> Result<Vec<Doubt>, StoreError> {
    ctx.store
        .read(move |conn| {
            let mut due = Vec::new();
            for (name, _) in cursors::named(conn, NAME, now.saturating_sub(APPEARED_MS))? {
                let Some(job) = name.strip_prefix(NAME).and_then(|id| id.parse().ok()) else { continue };
                let row = jobs::get(conn, job)?;
                let effect = row.as_ref().and_then(|row| serde_json::from_str(&row.payload).ok());
                due.extend(effect.map(|effect| Doubt { job, task: row.and_then(|row| row.task_id), effect }));
            }
            Ok(due)
        })
        .await
}

/// It was looked at.
pub(crate) async fn settle(ctx: &Context, job: i64) -> Result<(), StoreError> {
    ctx.store.write(move |conn| cursors::forget(conn, &format!("{NAME}{job}"))).await
}
