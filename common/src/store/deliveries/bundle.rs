//! Deliveries of one commit as one row. A row of `jobs` and one of `deliveries` for each are half of what it costs to take a
//! delivery in, and bodies that came together have much in common; so what comes in a crowd is stored in one piece and
//! taken apart later. Until then its jobs are counted and their numbers are given, but they cannot be claimed or looked
//! at. Whoever claims takes bundles apart first, so the order of jobs is that of their coming.

use super::key::FullKey;
use super::row::{self, NewRow};
use super::{NewDelivery, Source};
use crate::store::connection::Conn;
use crate::store::error::StoreError;
use crate::store::payload::{LONG, Packed, pack_bytes, unpack_bytes};
use crate::store::prepared::prepared;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Binary, Nullable};

/// Fewer at a time are stored as rows: there is little to gain.
const CROWD: usize = 12;

/// Stands for an absent text where its length would be.
const NONE: u32 = u32::MAX;

prepared! {
    Insert: "INSERT INTO bundles (first_job, last_job, received_at, keys, contents) VALUES (" first: i64 as BigInt => ", "
        last: i64 as BigInt => ", "
        now: i64 as BigInt => ", "
        keys: [u8] as Binary => ", "
        contents: [u8] as Binary => ")"
}

prepared! {
    Oldest -> Nullable<BigInt>: "SELECT min(first_job) FROM bundles WHERE first_job > " after: i64 as BigInt => ""
}

prepared! {
    Contents -> (BigInt, BigInt, Binary, Binary):
    "SELECT last_job, received_at, keys, contents FROM bundles WHERE first_job = " first: i64 as BigInt => ""
}

prepared! {
    Delete: "DELETE FROM bundles WHERE first_job = " first: i64 as BigInt => ""
}

prepared! {
    Keys -> (BigInt, Binary):
    "SELECT first_job, keys FROM bundles WHERE first_job > " after: i64 as BigInt => " ORDER BY first_job"
}

/// A delivery with the job it becomes.
pub(super) struct Numbered<'a> {
    pub job: i64,
    pub key: FullKey,
    pub new: &'a NewDelivery,
}

/// Whether so many, and of such a size, are stored in one piece.
pub(super) fn is_crowd(all: &[Numbered<'_>]) -> bool {
    all.len() >= CROWD
        && all.iter().all(|one| one.new.payload.is_text())
        && all.iter().map(|one| one.new.payload.bytes()).sum::<usize>() <= LONG
}

/// Stores deliveries of successive jobs in one piece; returns its bytes.
pub(super) fn insert(conn: &mut Conn, all: &[Numbered<'_>], now: i64) -> Result<usize, StoreError> {
    let (Some(first), Some(last)) = (all.first(), all.last()) else { return Ok(0) };
    let (mut keys, mut contents) = (Vec::with_capacity(all.len() * 24), Vec::with_capacity(LONG));
    for Numbered { key, new, .. } in all {
        put_key(&mut keys, key)?;
        put(&mut contents, new.order_key.as_deref().map(|text| [text.as_bytes()]))?;
        put(&mut contents, new.repo.as_deref().map(|text| [text.as_bytes()]))?;
        put(&mut contents, Some(new.payload.pieces()))?;
    }
    let contents = pack_bytes(&contents).map_err(|e| StoreError::Corrupt(format!("a crowd of deliveries: {e}")))?;
    Insert { first: &first.job, last: &last.job, now: &now, keys: &keys, contents: &contents }.execute(conn)?;
    Ok(keys.len() + contents.len())
}

/// The oldest job that is still in a bundle.
pub(in crate::store) fn oldest(conn: &mut Conn) -> Result<Option<i64>, StoreError> {
    Ok(Oldest { after: &0 }.get_result(conn)?)
}

/// Whether there is a bundle to take apart.
pub fn any_bundled(conn: &mut Conn) -> Result<bool, StoreError> {
    Ok(oldest(conn)?.is_some())
}

/// Makes the deliveries of the oldest bundle jobs of their own; returns how many, 0 = there is no bundle. Call it inside a
/// transaction.
pub fn unbundle_oldest(conn: &mut Conn) -> Result<usize, StoreError> {
    let Some(first) = oldest(conn)? else { return Ok(0) };
    let (last, received_at, keys, contents): (i64, i64, Vec<u8>, Vec<u8>) =
        Contents { first: &first }.get_result(conn)?;
    let keys = read_keys(&keys);
    let mut contents = read_contents(&contents).unwrap_or_else(|why| {
        tracing::error!(first, last, why, "deliveries that were stored together cannot be read");
        Vec::new()
    });
    contents.reverse();
    let mut keys = keys.unwrap_or_default().into_iter();
    for job in first..=last {
        // Nobody can handle such a payload: the job fails, and says so, instead of being lost.
        let one = contents.pop().unwrap_or_else(|| Content::damaged(first));
        match one.insert(conn, job, received_at) {
            // It was accepted: what the database has against it is left out, and not the delivery.
            Err(error) if error.is_constraint() => {
                tracing::error!(job, %error, "a delivery is stored without its repository and order");
                one.bare().insert(conn, job, received_at)?;
            }
            other => _ = other?,
        }
        if let Some(key) = keys.next() {
            row::remember(conn, job, &key, received_at)?;
        }
    }
    Delete { first: &first }.execute(conn)?;
    Ok(usize::try_from(last - first + 1).unwrap_or_default())
}

/// The deliveries in bundles with jobs after this one, in their order. Nobody knows a part of a bundle, so it is in none.
pub(super) fn keys_after(conn: &mut Conn, after: i64) -> Result<Vec<(FullKey, i64)>, StoreError> {
    let mut all = Vec::new();
    let rows: Vec<(i64, Vec<u8>)> = Keys { after: &after }.load(conn)?;
    for (first, keys) in rows {
        let keys = read_keys(&keys).ok_or_else(|| StoreError::Corrupt(format!("the keys of jobs from {first} on")))?;
        all.extend(keys.into_iter().zip(first..));
    }
    Ok(all)
}

/// What a bundle has of one delivery beside its key.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Content {
    order_key: Option<String>,
    repo: Option<String>,
    payload: Packed,
}

impl Content {
    fn damaged(first: i64) -> Content {
        let payload = format!("the bundle of job {first} is damaged: this delivery cannot be read any more");
        Content { order_key: None, repo: None, payload: payload.into() }
    }

    fn bare(self) -> Content {
        Content { order_key: None, repo: None, ..self }
    }

    fn insert(&self, conn: &mut Conn, job: i64, received_at: i64) -> Result<usize, StoreError> {
        let Content { order_key, repo, payload } = self;
        let (order_key, repo) = (order_key.as_deref(), repo.as_deref());
        NewRow { job, repo, order_key, payload, received_at }.insert(conn)
    }
}

fn put_key(to: &mut Vec<u8>, key: &FullKey) -> Result<(), StoreError> {
    to.push(match key.source() {
        Source::Plane => 0,
        Source::Gitea => 1,
    });
    put(to, Some([key.bytes()]))
}

/// Pieces of one text behind their length, 4 bytes, the least first.
fn put<const N: usize>(to: &mut Vec<u8>, pieces: Option<[&[u8]; N]>) -> Result<(), StoreError> {
    let Some(pieces) = pieces else {
        to.extend(NONE.to_le_bytes());
        return Ok(());
    };
    let length = u32::try_from(pieces.iter().map(|piece| piece.len()).sum::<usize>()).ok().filter(|n| *n < NONE);
    to.extend(length.ok_or_else(|| StoreError::Corrupt("a delivery of 4 GiB".into()))?.to_le_bytes());
    pieces.iter().for_each(|piece| to.extend_from_slice(piece));
    Ok(())
}

/// `None` = damaged.
fn read_keys(mut from: &[u8]) -> Option<Vec<FullKey>> {
    let mut all = Vec::new();
    while let Some((source, rest)) = from.split_first() {
        from = rest;
        let source = match source {
            0 => Source::Plane,
            1 => Source::Gitea,
            _ => return None,
        };
        all.push(FullKey::stored(source, take(&mut from)??));
    }
    Some(all)
}

fn read_contents(stored: &[u8]) -> Result<Vec<Content>, String> {
    let bytes = unpack_bytes(stored).map_err(|e| e.to_string())?;
    let mut from = bytes.as_slice();
    let mut all = Vec::new();
    while !from.is_empty() {
        all.push(read_content(&mut from).ok_or("it ends early, or a text is not UTF-8")?);
    }
    Ok(all)
}

fn read_content(from: &mut &[u8]) -> Option<Content> {
    let (order_key, repo, payload) = (take_text(from)?, take_text(from)?, take_text(from)??);
    Some(Content { order_key, repo, payload: payload.into() })
}

fn take_text(from: &mut &[u8]) -> Option<Option<String>> {
    match take(from)? {
        Some(bytes) => Some(Some(String::from_utf8(bytes.to_vec()).ok()?)),
        None => Some(None),
    }
}

/// What [`put`] has put; `None` = there is less.
fn take<'a>(from: &mut &'a [u8]) -> Option<Option<&'a [u8]>> {
    let (length, rest) = from.split_first_chunk::<4>()?;
    let length = u32::from_le_bytes(*length);
    if length == NONE {
        *from = rest;
        return Some(None);
    }
    let (bytes, rest) = rest.split_at_checked(usize::try_from(length).ok()?)?;
    *from = rest;
    Some(Some(bytes))
}
