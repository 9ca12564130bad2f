//! The deliveries that the sorted index lacks, by heart: what one process that inserts many keeps between its
//! transactions. Other processes insert too, so each transaction first reads what it has not seen; what is forgotten here
//! is read again, and nothing here is more than a copy of the table.

use super::key::FullKey;
use super::{Intake, NewDelivery, index};
use crate::domain::job::JobKind;
use crate::store::connection::Conn;
use crate::store::error::StoreError;
use crate::store::jobs::count_unplaced;
use crate::store::payload::Packed;
use crate::store::prepared::prepared;
use crate::store::schema::jobs;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Binary, Integer, Nullable, Text};
use std::collections::HashMap;

/// Keys known by heart before they are brought into the index. With twice as many in memory, some 3 MB; the more, the
/// more of them share a page of the index.
const MANY: usize = 16_384;

/// Keys brought into the index by one transaction beside what it inserts: for each insert this many, so that no flood leaves
/// the index behind, and of all at least so many.
const PER_INSERT: usize = 2;
const AT_LEAST: usize = 8;

prepared! {
    InsertEvent:
    "INSERT INTO jobs (id, kind, repo, max_attempts, order_key, ready, created_at, payload) VALUES ("
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

/// See the module.
#[derive(Debug, Default)]
pub struct Recent {
    jobs: HashMap<FullKey, i64>,
    /// What the transaction under way has inserted.
    fresh: HashMap<FullKey, i64>,
    /// Every delivery up to this job is in `jobs` or in the index.
    seen: i64,
    /// The index knows deliveries up to this job.
    indexed: i64,
    indexing: Option<Indexing>,
}

/// Keys on their way into the index.
#[derive(Debug)]
struct Indexing {
    /// In the order of their keys.
    keys: Vec<(FullKey, i64)>,
    /// So many are in, and committed.
    done: usize,
    /// So many are in once the transaction under way is committed.
    under_way: usize,
    upto: i64,
}

impl Recent {
    /// For one insert of what was looked for in the table itself.
    pub(super) fn of_nothing(conn: &mut Conn) -> Result<Recent, StoreError> {
        Ok(Recent { seen: index::newest(conn)?.unwrap_or(0), ..Recent::default() })
    }

    /// Inserts one delivery; call it inside a transaction.
    pub fn insert(&mut self, conn: &mut Conn, new: &NewDelivery, now: i64) -> Result<Intake, StoreError> {
        let mut one = self.insert_all(conn, std::iter::once(new), now)?;
        one.pop().ok_or_else(|| StoreError::Corrupt("an insert without an outcome".into()))
    }

    /// Inserts deliveries in their order, and brings some keys into the index where many are missing: a transaction of
    /// its own for these would be one sync more. Call it inside a transaction, and [`Recent::committed`] after it.
    pub fn insert_all<'a>(
        &mut self,
        conn: &mut Conn,
        all: impl Iterator<Item = &'a NewDelivery>,
        now: i64,
    ) -> Result<Vec<Intake>, StoreError> {
        self.catch_up(conn)?;
        let newest: Option<i64> = jobs::table.select(diesel::dsl::max(jobs::id)).get_result(conn)?;
        let first = newest.unwrap_or(0).max(self.seen) + 1;
        let mut next = first;
        let mut outcomes = Vec::with_capacity(all.size_hint().0);
        for new in all {
            let key = FullKey::new(new.source, &new.key);
            if let Some(job) = self.find(conn, &key)? {
                outcomes.push(Intake::Duplicate(job));
                continue;
            }
            insert_as(conn, next, new, &key, now)?;
            outcomes.push(Intake::Queued(next));
            self.fresh.insert(key, next);
            next += 1;
        }
        if next > first {
            count_unplaced(conn, next - first)?;
        }
        self.index_some(conn, AT_LEAST.max(PER_INSERT * self.fresh.len()))?;
        Ok(outcomes)
    }

    /// Takes what the last transaction did for done. Without this word its deliveries are read again, and its keys indexed
    /// again.
    pub fn committed(&mut self) {
        if let Some(work) = &mut self.indexing {
            work.done = work.under_way;
        }
        self.seen = self.fresh.values().copied().max().unwrap_or(0).max(self.seen);
        self.jobs.extend(self.fresh.drain());
    }

    fn index_some(&mut self, conn: &mut Conn, many: usize) -> Result<(), StoreError> {
        let mut work = match self.indexing.take() {
            Some(work) => work,
            None if self.jobs.len() >= MANY => self.sorted(index::oldest(conn)?.unwrap_or(0)),
            None => return Ok(()),
        };
        if work.done == work.keys.len() {
            // They are forgotten here when this is read back.
            return index::complete_upto(conn, work.upto);
        }
        let step = work.keys.iter().skip(work.done).take(many);
        work.under_way = work.done + step.len();
        for (key, job) in step {
            index::add(conn, key, *job)?;
        }
        self.indexing = Some(work);
        Ok(())
    }

    /// Those that were pruned meanwhile, with lower jobs than `oldest`, would stay in the index for ever.
    fn sorted(&self, oldest: i64) -> Indexing {
        let kept = self.jobs.iter().filter(|(_, job)| **job >= oldest);
        let mut keys: Vec<(FullKey, i64)> = kept.map(|(key, job)| (key.clone(), *job)).collect();
        keys.sort_unstable();
        Indexing { keys, done: 0, under_way: 0, upto: self.seen }
    }

    /// Reads what others did since the last transaction, and what was not said to be [`committed`](Recent::committed).
    fn catch_up(&mut self, conn: &mut Conn) -> Result<(), StoreError> {
        self.fresh.clear();
        if let Some(work) = &mut self.indexing {
            work.under_way = work.done;
        }
        let indexed = index::upto(conn)?;
        if indexed > self.indexed {
            self.indexed = indexed;
            self.jobs.retain(|_, job| *job > indexed);
        }
        self.seen = self.seen.max(indexed);
        for (key, job) in index::newer(conn, self.seen)? {
            self.seen = job;
            self.jobs.insert(key, job);
        }
        Ok(())
    }

    fn find(&self, conn: &mut Conn, key: &FullKey) -> Result<Option<i64>, StoreError> {
        match self.jobs.get(key).or_else(|| self.fresh.get(key)) {
            Some(job) => Ok(Some(*job)),
            None if self.indexed == 0 => Ok(None),
            None => index::indexed(conn, key),
        }
    }
}

fn insert_as(conn: &mut Conn, id: i64, new: &NewDelivery, key: &FullKey, now: i64) -> Result<(), StoreError> {
    let (order_key, repo, max_attempts) =
        (&new.order_key.as_deref(), &new.repo.as_deref(), &JobKind::Event.max_attempts());
    InsertEvent { id: &id, repo, max_attempts, order_key, now: &now, payload: &new.payload }.execute(conn)?;
    Remember { job: &id, source: key.source().as_str(), key: key.bytes(), now: &now }.execute(conn)?;
    Ok(())
}
