//! The sorted index of keys, and the deliveries that it does not know yet. It is brought up to date for thousands at a
//! time, in the order of their keys, so that neighbours share a page: a random key by itself costs a page of the log.

use super::key::FullKey;
use super::{Source, bundle};
use crate::store::connection::Conn;
use crate::store::error::StoreError;
use crate::store::prepared::prepared;
use crate::store::schema::{deliveries, delivery_index};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Binary, Bool, Nullable, Text};

prepared! {
    Indexed -> BigInt:
    "SELECT job_id FROM delivery_keys WHERE source = " source: str as Text => " AND key = " key: [u8] as Binary => ""
}

prepared! {
    Index: "INSERT OR IGNORE INTO delivery_keys (source, key, job_id) VALUES (" source: str as Text => ", "
        key: [u8] as Binary => ", "
        job: i64 as BigInt => ")"
}

prepared! {
    Newer -> (BigInt, Text, Binary):
    "SELECT job_id, source, key FROM deliveries WHERE job_id > " after: i64 as BigInt => " ORDER BY job_id"
}

// One statement for all that a transaction needs to know first: each is some microseconds that a sender waits.
prepared! {
    StandingAfter -> (BigInt, Nullable<BigInt>, Bool):
    "SELECT (SELECT upto FROM delivery_index WHERE id = 1), (SELECT max(id) FROM jobs), \
     EXISTS (SELECT 1 FROM deliveries WHERE job_id > " deliveries: i64 as BigInt =>
    ") OR EXISTS (SELECT 1 FROM bundles WHERE first_job > " bundles: i64 as BigInt => ")"
}

/// What others have done.
pub(super) struct Standing {
    /// The index knows deliveries up to this job.
    pub indexed: i64,
    /// Of any kind.
    pub newest_job: i64,
    /// Whether there are deliveries of later jobs than the one that was named.
    pub has_newer: bool,
}

impl Standing {
    /// Seen from who knows deliveries up to this job.
    pub(super) fn after(conn: &mut Conn, seen: i64) -> Result<Standing, StoreError> {
        let (indexed, newest_job, has_newer): (i64, Option<i64>, bool) =
            StandingAfter { deliveries: &seen, bundles: &seen }.get_result(conn)?;
        Ok(Standing { indexed, newest_job: newest_job.unwrap_or(0), has_newer })
    }
}

/// The job of a delivery that was seen before.
pub fn known(conn: &mut Conn, source: Source, key: &[u8]) -> Result<Option<i64>, StoreError> {
    let key = FullKey::new(source, key);
    if let Some(job) = indexed(conn, &key)? {
        return Ok(Some(job));
    }
    let upto = upto(conn)?;
    let bundled = bundle::keys_after(conn, upto)?.into_iter().find(|(known, _)| *known == key);
    if let Some((_, job)) = bundled {
        return Ok(Some(job));
    }
    Ok(deliveries::table
        .filter(deliveries::job_id.gt(upto))
        .filter(deliveries::source.eq(source.as_str()))
        .filter(deliveries::key.eq(key.bytes()))
        .select(deliveries::job_id)
        .first(conn)
        .optional()?)
}

/// What the index knows of a key.
pub(super) fn indexed(conn: &mut Conn, key: &FullKey) -> Result<Option<i64>, StoreError> {
    let (source, key) = (key.source().as_str(), key.bytes());
    Ok(Indexed { source, key }.get_result(conn).optional()?)
}

/// Deliveries up to this job are in the index.
fn upto(conn: &mut Conn) -> Result<i64, StoreError> {
    Ok(delivery_index::table.find(1).select(delivery_index::upto).first(conn)?)
}

/// Deliveries of later jobs than this, in their order.
pub(super) fn newer(conn: &mut Conn, after: i64) -> Result<Vec<(FullKey, i64)>, StoreError> {
    let rows: Vec<(i64, String, Vec<u8>)> = Newer { after: &after }.load(conn)?;
    rows.into_iter()
        .map(|(job, source, key)| {
            let source = source.parse().map_err(|e| StoreError::Corrupt(format!("delivery of job {job}: {e}")))?;
            Ok((FullKey::stored(source, &key), job))
        })
        .collect()
}

/// Adds one.
pub(super) fn add(conn: &mut Conn, key: &FullKey, job: i64) -> Result<(), StoreError> {
    Index { source: key.source().as_str(), key: key.bytes(), job: &job }.execute(conn)?;
    Ok(())
}

/// The newest delivery.
pub(super) fn newest(conn: &mut Conn) -> Result<Option<i64>, StoreError> {
    Ok(deliveries::table.select(diesel::dsl::max(deliveries::job_id)).get_result(conn)?)
}

/// The oldest delivery that is not pruned.
pub(super) fn oldest(conn: &mut Conn) -> Result<Option<i64>, StoreError> {
    let oldest: Option<i64> = deliveries::table.select(diesel::dsl::min(deliveries::job_id)).get_result(conn)?;
    Ok([oldest, bundle::oldest(conn)?].into_iter().flatten().min())
}

/// Notes that every delivery up to this job is in.
pub(super) fn complete_upto(conn: &mut Conn, job: i64) -> Result<(), StoreError> {
    diesel::update(delivery_index::table.find(1).filter(delivery_index::upto.lt(job)))
        .set(delivery_index::upto.eq(job))
        .execute(conn)?;
    Ok(())
}
