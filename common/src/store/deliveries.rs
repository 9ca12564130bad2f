//! Intake: one delivery is one key and one event job, both or neither.

use super::connection::Conn;
use super::error::StoreError;
use super::jobs::is_first_of_key;
use super::payload::Packed;
use super::prepared::prepared;
use super::schema::{deliveries, jobs};
use crate::domain::job::JobKind;
use crate::domain::order;
use diesel::dsl::sql;
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
    pub payload: Packed,
}

impl NewDelivery {
    /// An event of the forge's repository `owner/name`, in the order of the events `about` the same of it.
    #[must_use]
    pub fn of_repository(self, repo: String, about: Option<&str>) -> NewDelivery {
        NewDelivery { order_key: Some(order::at_forge(&repo, about)), repo: Some(repo), ..self }
    }
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
    // The unique key decides whether the delivery is new; its job gets the next id.
    InsertDelivery -> BigInt:
    "INSERT INTO deliveries (job_id, source, key, received_at) VALUES ((SELECT coalesce(max(id), 0) + 1 FROM jobs), "
        source: str as Text => ", "
        key: [u8] as Binary => ", "
        now: i64 as BigInt => ") ON CONFLICT (source, key) DO NOTHING RETURNING job_id"
}

prepared! {
    InsertJob: "INSERT INTO jobs (id, kind, repo, max_attempts, order_key, ready, created_at, payload) VALUES ("
        id: i64 as BigInt => ", 'event', "
        repo: Option<&'q str> as Nullable<Text> => ", "
        max_attempts: i32 as Integer => ", "
        order_key: Option<&'q str> as Nullable<Text> => ", "
        ready: bool as Bool => ", "
        now: i64 as BigInt => ", "
        payload: Packed as Binary => ")"
}

/// Inserts one delivery and its event job, unless the delivery is known; call it inside a transaction.
pub fn insert(conn: &mut Conn, new: &NewDelivery, now: i64) -> Result<Intake, StoreError> {
    let NewDelivery { source, key, order_key, repo, payload } = new;
    let inserted = InsertDelivery { source: source.as_str(), key: &compact(key), now: &now };
    let Some(job) = inserted.get_result(conn).optional()? else {
        let known = known(conn, *source, key)?;
        return known.map(Intake::Duplicate).ok_or_else(|| StoreError::Corrupt("a known delivery is not there".into()));
    };
    let (order_key, repo) = (order_key.as_deref(), repo.as_deref());
    InsertJob {
        id: &job,
        repo: &repo,
        max_attempts: &JobKind::Event.max_attempts(),
        order_key: &order_key,
        ready: &is_first_of_key(conn, order_key)?,
        now: &now,
        payload,
    }
    .execute(conn)?;
    Ok(Intake::Queued(job))
}

/// The job of a delivery that was seen before.
pub fn known(conn: &mut Conn, source: Source, key: &[u8]) -> Result<Option<i64>, StoreError> {
    Ok(deliveries::table
        .filter(deliveries::source.eq(source.as_str()))
        .filter(deliveries::key.eq(compact(key).as_ref()))
        .select(deliveries::job_id)
        .first(conn)
        .optional()?)
}

/// A UUID as its 16 bytes, which is less than half of the text. Only the usual spelling is shortened, so that no two
/// texts become one key.
fn compact(key: &[u8]) -> Cow<'_, [u8]> {
    let uuid = Uuid::try_parse_ascii(key).ok();
    let usual = uuid.filter(|uuid| uuid.hyphenated().encode_lower(&mut Uuid::encode_buffer()).as_bytes() == key);
    usual.map_or(Cow::Borrowed(key), |uuid| Cow::Owned(uuid.into_bytes().to_vec()))
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

/// When the newest delivery about a repository came, in ms. Looks from the newest job back, so it may read all of them.
pub fn last_about(conn: &mut Conn, repo: &str) -> Result<Option<i64>, StoreError> {
    Ok(jobs::table
        .filter(jobs::kind.eq("event"))
        .filter(sql::<Bool>("repo COLLATE NOCASE = ").bind::<Text, _>(repo))
        .order(jobs::id.desc())
        .select(jobs::created_at)
        .first(conn)
        .optional()?)
}
