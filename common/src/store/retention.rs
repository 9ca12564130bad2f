//! Forgetting, in steps so small that intake never waits long for the writer's lock.

use super::connection::Conn;
use super::error::StoreError;
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::BigInt;

/// Rows removed in one step at most.
pub const STEP: i64 = 200;

/// What one step removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Pruned {
    pub jobs: usize,
    pub deliveries: usize,
    /// Deeds (comments, reviews, moves) that are known to have acted.
    pub deeds: usize,
}

impl Pruned {
    /// Nothing is left to prune for now.
    pub fn is_empty(&self) -> bool {
        self.jobs == 0 && self.deliveries == 0 && self.deeds == 0
    }
}

/// Removes up to [`STEP`] finished jobs (with their payloads, so the bodies of deliveries) that ended before
/// `jobs_before`, and as many delivery keys, and deeds that have acted, older than `deliveries_before` (ms). The newest
/// job always stays: ids are never given twice.
pub fn prune_step(conn: &mut Conn, jobs_before: i64, deliveries_before: i64) -> Result<Pruned, StoreError> {
    let jobs = sql_query(
        "DELETE FROM jobs WHERE id IN (SELECT id FROM jobs INDEXED BY jobs_finished \
         WHERE finished_at IS NOT NULL AND finished_at < ? ORDER BY finished_at LIMIT ?) \
         AND id < (SELECT max(id) FROM jobs)",
    )
    .bind::<BigInt, _>(jobs_before)
    .bind::<BigInt, _>(STEP)
    .execute(conn)?;
    let deliveries = prune_deliveries(conn, deliveries_before)?;
    Ok(Pruned { jobs, deliveries, deeds: prune_deeds(conn, deliveries_before)? })
}

/// The oldest have the smallest numbers; ones that a clock set back made look younger wait for theirs to come.
fn prune_deliveries(conn: &mut Conn, before: i64) -> Result<usize, StoreError> {
    let old = "job_id < (SELECT min(job_id) FROM deliveries) + ? AND received_at < ?";
    let keys =
        format!("DELETE FROM delivery_keys WHERE (source, key) IN (SELECT source, key FROM deliveries WHERE {old})");
    sql_query(keys).bind::<BigInt, _>(STEP).bind::<BigInt, _>(before).execute(conn)?;
    let rows = format!("DELETE FROM deliveries WHERE {old}");
    Ok(sql_query(rows).bind::<BigInt, _>(STEP).bind::<BigInt, _>(before).execute(conn)?)
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
