//! Intake: one delivery is one key and one event job, both or neither.

use super::connection::Conn;
use super::error::StoreError;
use super::jobs::is_busy;
use super::schema::{deliveries, jobs};
use crate::domain::job::JobKind;
use diesel::prelude::*;
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

/// Inserts one delivery; call it inside a transaction (many share one: group commit).
pub fn insert(conn: &mut Conn, new: &NewDelivery, now: i64) -> Result<Intake, StoreError> {
    if let Some(job) = known(conn, new.source, &new.key)? {
        return Ok(Intake::Duplicate(job));
    }
    let ready = !is_busy(conn, new.order_key.as_deref())?;
    let job: i64 = diesel::insert_into(jobs::table)
        .values((
            jobs::kind.eq(JobKind::Event),
            jobs::repo.eq(new.repo.as_deref()),
            jobs::payload.eq(&new.payload),
            jobs::max_attempts.eq(JobKind::Event.max_attempts()),
            jobs::order_key.eq(new.order_key.as_deref()),
            jobs::ready.eq(ready),
            jobs::created_at.eq(now),
        ))
        .returning(jobs::id)
        .get_result(conn)?;
    diesel::insert_into(deliveries::table)
        .values((
            deliveries::source.eq(new.source.as_str()),
            deliveries::key.eq(&*compact(&new.key)),
            deliveries::job_id.eq(job),
            deliveries::received_at.eq(now),
        ))
        .execute(conn)?;
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
    let key = compact(key);
    let same = deliveries::source.eq(source.as_str()).and(deliveries::key.eq(&*key));
    Ok(deliveries::table.filter(same).select(deliveries::job_id).first(conn).optional()?)
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
