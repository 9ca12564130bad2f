//! Intake: one delivery is one key and one event job, both or neither.

use super::connection::Conn;
use super::error::StoreError;
use super::jobs::is_busy;
use super::prepared::prepared;
use super::schema::deliveries;
use crate::domain::job::JobKind;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Binary, Bool, Integer, Nullable, Text};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::borrow::Cow;
use uuid::Uuid;

crate::named_enum! {
    /// Who sent a delivery.
    pub enum Source ("source") {
        Plane = "plane",
        Gitea = "gitea",
    }
}

/// A verified webhook request, ready to be committed.
#[derive(Debug, Clone)]
pub struct NewDelivery {
    pub source: Source,
    /// What makes it known again: Gitea's delivery id, Plane v2's `event_id`, the SHA-256 of a Plane v1 body.
    pub key: Vec<u8>,
    /// Events of one key are handled one at a time, in order; `None` = no order needed.
    pub order_key: Option<String>,
    /// The forge's repository, where the event names one.
    pub repo: Option<String>,
    /// The event job's payload: an [`EventPayload`] as JSON.
    pub payload: String,
}

/// The payload of an event job: the delivery as it came.
#[derive(Debug, Serialize, Deserialize)]
pub struct EventPayload<'a> {
    pub source: Source,
    /// `X-Plane-Event`, `X-Gitea-Event` (or a twin of it).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event: Option<String>,
    /// `X-Gitea-Event-Type`, unambiguous where present.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event_type: Option<String>,
    /// The sender's delivery id, for people; Plane's differs on every retry.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delivery: Option<String>,
    /// The JSON text as received (of Gitea's form encoding: the decoded field), never re-serialised.
    #[serde(borrow)]
    pub body: &'a RawValue,
}

/// What became of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Intake {
    /// Committed as this job.
    Queued(i64),
    /// Seen before, as this job; nothing was inserted.
    Duplicate(i64),
}

prepared! {
    Known -> BigInt:
    "SELECT job_id FROM deliveries WHERE source = " source: str as Text => " AND key = " key: [u8] as Binary => " LIMIT 1"
}

prepared! {
    InsertEvent -> BigInt:
    "INSERT INTO jobs (kind, repo, payload, max_attempts, order_key, ready, created_at) VALUES ('event', "
        repo: Option<&'q str> as Nullable<Text> => ", "
        payload: str as Text => ", "
        max_attempts: i32 as Integer => ", "
        order_key: Option<&'q str> as Nullable<Text> => ", "
        ready: bool as Bool => ", "
        now: i64 as BigInt => ") RETURNING id"
}

prepared! {
    Remember: "INSERT INTO deliveries (job_id, source, key, received_at) VALUES (" job: i64 as BigInt => ", "
        source: str as Text => ", "
        key: [u8] as Binary => ", "
        now: i64 as BigInt => ")"
}

/// Inserts one delivery; call it inside a transaction (many share one: group commit).
pub fn insert(conn: &mut Conn, new: &NewDelivery, now: i64) -> Result<Intake, StoreError> {
    if let Some(job) = known(conn, new.source, &new.key)? {
        return Ok(Intake::Duplicate(job));
    }
    let (order_key, repo) = (new.order_key.as_deref(), new.repo.as_deref());
    let ready = !is_busy(conn, order_key)?;
    let (order_key, repo, max_attempts) = (&order_key, &repo, &JobKind::Event.max_attempts());
    let insert = InsertEvent { repo, payload: &new.payload, max_attempts, order_key, ready: &ready, now: &now };
    let job: i64 = insert.get_result(conn)?;
    let (source, key) = (new.source.as_str(), &*compact(&new.key));
    Remember { job: &job, source, key, now: &now }.execute(conn)?;
    Ok(Intake::Queued(job))
}

/// A UUID as its 16 bytes: keys are random, so each one inserted touches another page of the index, and half the
/// bytes are half the pages. Only the usual spelling is shortened, so that no two texts become one key.
fn compact(key: &[u8]) -> Cow<'_, [u8]> {
    let uuid = Uuid::try_parse_ascii(key).ok();
    let usual = uuid.filter(|uuid| uuid.hyphenated().encode_lower(&mut Uuid::encode_buffer()).as_bytes() == key);
    usual.map_or(Cow::Borrowed(key), |uuid| Cow::Owned(uuid.into_bytes().to_vec()))
}

/// The job of a delivery that was seen before.
pub fn known(conn: &mut Conn, source: Source, key: &[u8]) -> Result<Option<i64>, StoreError> {
    let source = source.as_str();
    Ok(Known { source, key: &compact(key) }.get_result(conn).optional()?)
}

/// When the newest delivery of a source came, in ms; `None` = none is known. Looks from the newest back: quick, unless
/// the source has been silent while the other sent very much.
pub fn last_received(conn: &mut Conn, source: Source) -> Result<Option<i64>, StoreError> {
    Ok(deliveries::table
        .filter(deliveries::source.eq(source.as_str()))
        .order(deliveries::job_id.desc())
        .select(deliveries::received_at)
        .first(conn)
        .optional()?)
}
