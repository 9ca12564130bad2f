//! A delivery as rows: its job and its key.

use super::key::FullKey;
use crate::domain::job::JobKind;
use crate::store::connection::Conn;
use crate::store::error::StoreError;
use crate::store::payload::Packed;
use crate::store::prepared::prepared;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Binary, Integer, Nullable, Text};

prepared! {
    InsertEvent:
    "INSERT OR FAIL INTO jobs (id, kind, repo, max_attempts, order_key, placed, created_at, payload) VALUES ("
        id: i64 as BigInt => ", 'event', "
        repo: Option<&'q str> as Nullable<Text> => ", "
        max_attempts: i32 as Integer => ", "
        order_key: Option<&'q str> as Nullable<Text> => ", NULL, "
        now: i64 as BigInt => ", "
        payload: Packed as Binary => ")"
}

prepared! {
    Remember: "INSERT INTO deliveries (job_id, source, key, received_at) VALUES (" job: i64 as BigInt => ", "
        source: str as Text => ", "
        key: [u8] as Binary => ", "
        now: i64 as BigInt => ")"
}

/// An event job that is queued and has no place yet. Who inserts it counts it.
pub(super) struct NewRow<'a> {
    pub job: i64,
    pub repo: Option<&'a str>,
    pub order_key: Option<&'a str>,
    pub payload: &'a Packed,
    pub received_at: i64,
}

impl NewRow<'_> {
    /// Returns the bytes of the payload as stored.
    pub(super) fn insert(self, conn: &mut Conn) -> Result<usize, StoreError> {
        let NewRow { job, repo, order_key, payload, received_at } = self;
        let payload = payload.packed();
        InsertEvent {
            id: &job,
            repo: &repo,
            max_attempts: &JobKind::Event.max_attempts(),
            order_key: &order_key,
            now: &received_at,
            payload: &payload,
        }
        .execute(conn)?;
        Ok(payload.bytes())
    }
}

/// Notes a delivery's key beside its job.
pub(super) fn remember(conn: &mut Conn, job: i64, key: &FullKey, received_at: i64) -> Result<(), StoreError> {
    Remember { job: &job, source: key.source().as_str(), key: key.bytes(), now: &received_at }.execute(conn)?;
    Ok(())
}
