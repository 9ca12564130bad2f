//! Intake: one delivery is one key and one event job, both or neither.

pub(in crate::store) mod bundle;
mod index;
mod key;
mod recent;
mod row;

pub use bundle::{any_bundled, unbundle_oldest};
pub use index::known;
pub use recent::Recent;

use super::connection::Conn;
use super::error::StoreError;
use super::payload::Packed;
use super::schema::{deliveries, jobs};
use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::{Bool, Text};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

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
        NewDelivery { order_key: Some(order_at_forge(&repo, about)), repo: Some(repo), ..self }
    }

    /// The same of a repository that is called otherwise here.
    #[must_use]
    pub fn called(self, repo: String) -> NewDelivery {
        let rest =
            |key: &str, name: &str| Some(key.strip_prefix(FORGE)?.strip_prefix(name)?.strip_prefix(':')?.to_owned());
        let about = self.order_key.as_deref().zip(self.repo.as_deref()).and_then(|(key, name)| rest(key, name));
        self.of_repository(repo, about.as_deref())
    }
}

/// What the keys of the forge's events begin with.
const FORGE: &str = "gitea:";
/// A longer name is no branch that a task could have.
const LONGEST_ABOUT: usize = 200;

/// The key under which events of a repository take turns. What happens to one branch (a push, its end, its pull request, a review
/// of that, the jobs of its CI) is handled in its order; a branch's slow look holds no other's. `about` is the branch, else the
/// number of the pull request or the commit; `None` = it names none of them.
pub fn order_at_forge(repo: &str, about: Option<&str>) -> String {
    match about.filter(|about| !about.is_empty() && about.len() <= LONGEST_ABOUT) {
        Some(about) => format!("{FORGE}{repo}:{about}"),
        None => format!("{FORGE}{repo}"),
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

/// Inserts one delivery; call it inside a transaction. Who inserts many keeps a [`Recent`].
pub fn insert(conn: &mut Conn, new: &NewDelivery, now: i64) -> Result<Intake, StoreError> {
    match known(conn, new.source, &new.key)? {
        Some(job) => Ok(Intake::Duplicate(job)),
        None => Recent::of_nothing(conn)?.insert(conn, new, now),
    }
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
