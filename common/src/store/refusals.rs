//! Webhook requests that were not taken, counted by sender and reason: what their sender was told is in no log of ours that a
//! person would look at, and the forge's own page of deliveries cannot be asked for.

use super::connection::Conn;
use super::deliveries::Source;
use super::error::StoreError;
use super::schema::refusals;
use diesel::prelude::*;
use diesel::upsert::excluded;

crate::named_enum! {
    /// Why a request was not taken.
    pub enum Reason ("reason of a refusal") {
        /// It came from the sender's program, and without a signature: no secret is set there.
        Unsigned = "unsigned",
        /// Signed with another secret.
        WrongSignature = "wrong_signature",
        TooLarge = "too_large",
        /// Signed, and not what the sender should send.
        Unreadable = "unreadable",
        /// Signed, and about something that no project names.
        Unknown = "unknown",
        /// No secret is set here.
        NoSecret = "no_secret",
        /// The database could not be written, or too much came at a time.
        Busy = "busy",
    }
}

/// How often, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refused {
    pub source: Source,
    pub reason: Reason,
    pub count: i64,
    /// In ms.
    pub first_at: i64,
    pub last_at: i64,
}

/// Adds to the counts; a row's first time stays.
pub fn add(conn: &mut Conn, new: &[Refused]) -> Result<(), StoreError> {
    for r in new {
        diesel::insert_into(refusals::table)
            .values((
                refusals::source.eq(r.source.as_str()),
                refusals::reason.eq(r.reason.as_str()),
                refusals::count.eq(r.count),
                refusals::first_at.eq(r.first_at),
                refusals::last_at.eq(r.last_at),
            ))
            .on_conflict((refusals::source, refusals::reason))
            .do_update()
            .set((
                refusals::count.eq(refusals::count + excluded(refusals::count)),
                refusals::last_at.eq(excluded(refusals::last_at)),
            ))
            .execute(conn)?;
    }
    Ok(())
}

/// All of them.
pub fn all(conn: &mut Conn) -> Result<Vec<Refused>, StoreError> {
    let rows: Vec<(String, String, i64, i64, i64)> = refusals::table.load(conn)?;
    let read = |(source, reason, count, first_at, last_at): (String, String, _, _, _)| {
        let (source, reason) = (source.parse().ok()?, reason.parse().ok()?);
        Some(Refused { source, reason, count, first_at, last_at })
    };
    rows.into_iter()
        .map(|row| read(row).ok_or_else(|| StoreError::Corrupt("refusals has an unknown word".into())))
        .collect()
}
