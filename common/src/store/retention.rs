//! Forgetting, in steps so small that intake never waits long for the writer's lock.

use super::ci_jobs;
use super::connection::Conn;
use super::error::StoreError;
use super::schema::jobs;
use diesel::connection::DefaultLoadingMode;
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::BigInt;

/// Rows removed in one step at most.
pub const STEP: i64 = 200;

/// Jobs looked at in one step at most.
const LOOKED_AT: i64 = 1000;

/// What one step removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Pruned {
    pub jobs: usize,
    pub deliveries: usize,
    /// Deeds (comments, reviews, moves) that are known to have acted.
    pub deeds: usize,
    /// Jobs of the forge's CI.
    pub ci_jobs: usize,
    /// Jobs up to this one were looked at, and older ones may follow; `None` = all were.
    pub looked_upto: Option<i64>,
}

impl Pruned {
    /// Nothing is left to prune for now.
    pub fn is_empty(&self) -> bool {
        self.jobs == 0 && self.deliveries == 0 && self.deeds == 0 && self.ci_jobs == 0 && self.looked_upto.is_none()
    }
}

/// Removes up to [`STEP`] finished jobs (with their payloads, so the bodies of deliveries) that ended before
/// `jobs_before`, jobs of the forge's CI that were told of before that, and as many delivery keys, and deeds that have acted, older than `deliveries_before` (ms). Looks at jobs
/// after `after`: 0 at first, then as far as the step before has looked. The newest job always stays: ids are never given
/// twice.
pub fn prune_step(conn: &mut Conn, after: i64, jobs_before: i64, deliveries_before: i64) -> Result<Pruned, StoreError> {
    let (jobs, looked_upto) = prune_jobs(conn, after, jobs_before)?;
    let deliveries = prune_deliveries(conn, deliveries_before)?;
    let ci_jobs = ci_jobs::prune(conn, jobs_before, STEP)?;
    Ok(Pruned { jobs, deliveries, deeds: prune_deeds(conn, deliveries_before)?, ci_jobs, looked_upto })
}

/// In the order of their coming, which needs no index of when they ended: what came later than `before` did not end
/// before it. Of what is older, only the few that are unfinished, or ended late, are looked at in vain.
fn prune_jobs(conn: &mut Conn, after: i64, before: i64) -> Result<(usize, Option<i64>), StoreError> {
    let newest: Option<i64> = jobs::table.select(diesel::dsl::max(jobs::id)).get_result(conn)?;
    // One after the other: as a rule the first is too young already, and to read on would bring many pages into memory.
    let rows = jobs::table
        .filter(jobs::id.gt(after))
        .order(jobs::id)
        .limit(LOOKED_AT)
        .select((jobs::id, jobs::created_at, jobs::finished_at))
        .load_iter::<(i64, i64, Option<i64>), DefaultLoadingMode>(conn)?;
    let mut looked_upto = None;
    let mut ended = Vec::new();
    for row in rows {
        let (id, created_at, finished_at) = row?;
        if created_at >= before {
            looked_upto = None;
            break;
        }
        looked_upto = Some(id).filter(|id| Some(*id) < newest);
        if finished_at.is_some_and(|at| at < before) && Some(id) < newest {
            ended.push(id);
        }
        if ended.len() as i64 == STEP {
            break;
        }
    }
    let removed = diesel::delete(jobs::table.filter(jobs::id.eq_any(ended))).execute(conn)?;
    Ok((removed, looked_upto))
}

/// The oldest have the smallest numbers; ones that a clock set back made look younger wait for theirs to come.
fn prune_deliveries(conn: &mut Conn, before: i64) -> Result<usize, StoreError> {
    let old = "DELETE FROM deliveries WHERE job_id < (SELECT min(job_id) FROM deliveries) + ? AND received_at < ?";
    Ok(sql_query(old).bind::<BigInt, _>(STEP).bind::<BigInt, _>(before).execute(conn)?)
}

/// Asking finds a deed again for as long as its task is open, however old the deed is. So one is forgotten only when
/// every task that was there when it acted has ended; a late delivery of it meets an ended task.
fn prune_deeds(conn: &mut Conn, before: i64) -> Result<usize, StoreError> {
    let deeds = "name BETWEEN 'comment:' AND 'comment;' OR name BETWEEN 'moved:' AND 'moved;' \
         OR name BETWEEN 'review:' AND 'review;'";
    let oldest_open = "SELECT coalesce(min(created_at), 9223372036854775807) FROM tasks \
         WHERE state NOT IN ('cancelled','done')";
    let text = format!(
        "DELETE FROM cursors WHERE name IN (SELECT name FROM cursors WHERE ({deeds}) AND updated_at < ? \
         AND updated_at < ({oldest_open}) LIMIT ?)"
    );
    Ok(sql_query(text).bind::<BigInt, _>(before).bind::<BigInt, _>(STEP).execute(conn)?)
}
