//! The deliveries that the sorted index lacks, by heart: what one process that inserts many keeps between its
//! transactions. Other processes insert too, so each transaction first reads what it has not seen; what is forgotten here
//! is read again, and nothing here is more than a copy of the table.

use super::bundle::{self, Numbered};
use super::index::{self, Standing};
use super::key::FullKey;
use super::row::{self, NewRow};
use super::{Intake, NewDelivery};
use crate::store::connection::Conn;
use crate::store::error::StoreError;
use crate::store::jobs::count_unplaced;
use std::collections::HashMap;

/// Keys known by heart before they are brought into the index, in one go. With twice as many in memory, some 3 MB; the more,
/// the more of them share a page of the index.
const MANY: usize = 16_384;

/// In a flood they are brought in later, when it is quiet, unless so many are known by heart: some 13 MB.
const MOST: usize = 8 * MANY;
/// Brought in by one transaction when it is quiet.
const WHEN_QUIET: usize = 256;

/// Keys brought into the index by one transaction beside what it inserts: for each insert this many, so that no flood leaves
/// the index behind, and of all at least so many.
const PER_INSERT: usize = 2;
const AT_LEAST: usize = 8;

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
    /// What the last transaction stored.
    stored: Stored,
    indexing: Option<Indexing>,
}

#[derive(Debug, Default, Clone, Copy)]
struct Stored {
    bytes: usize,
    bundled: bool,
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
        let first = self.catch_up(conn)?.max(self.seen) + 1;
        let mut next = first;
        let mut outcomes = Vec::with_capacity(all.size_hint().0);
        let mut numbered = Vec::with_capacity(all.size_hint().0);
        for new in all {
            let key = FullKey::new(new.source, &new.key);
            if let Some(job) = self.find(conn, &key)? {
                outcomes.push(Intake::Duplicate(job));
                continue;
            }
            outcomes.push(Intake::Queued(next));
            self.fresh.insert(key.clone(), next);
            numbered.push(Numbered { job: next, key, new });
            next += 1;
        }
        self.stored = append(conn, &numbered, now)?;
        if next > first {
            count_unplaced(conn, next - first)?;
        }
        if !self.stored.bundled || self.jobs.len() >= MOST {
            self.index_some(conn, AT_LEAST.max(PER_INSERT * self.fresh.len()))?;
        }
        Ok(outcomes)
    }

    /// Brings some keys into the index that a flood has left; `false` = there are none. Call it inside a transaction, and
    /// [`Recent::committed`] after it.
    pub fn index_when_quiet(&mut self, conn: &mut Conn) -> Result<bool, StoreError> {
        self.catch_up(conn)?;
        self.stored = Stored::default();
        if self.jobs.len() < MANY {
            return Ok(false);
        }
        self.index_some(conn, WHEN_QUIET)?;
        Ok(true)
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

    /// Bytes that the last transaction stored, payloads compressed and without what the database adds.
    pub fn stored_bytes(&self) -> usize {
        self.stored.bytes
    }

    /// Whether the last transaction stored deliveries in a bundle.
    pub fn has_bundled(&self) -> bool {
        self.stored.bundled
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

    /// The next that are missing, not all of a flood at once: whoever waits for the transaction waits for their sorting. Those
    /// that were pruned meanwhile, with lower jobs than `oldest`, would stay in the index for ever.
    fn sorted(&self, oldest: i64) -> Indexing {
        let upto = self.seen.min(self.indexed.max(oldest - 1).saturating_add(MANY as i64));
        let wanted = self.jobs.iter().filter(|(_, job)| (oldest..=upto).contains(*job));
        let mut keys: Vec<(FullKey, i64)> = wanted.map(|(key, job)| (key.clone(), *job)).collect();
        keys.sort_unstable();
        Indexing { keys, done: 0, under_way: 0, upto }
    }

    /// Reads what others did since the last transaction, and what was not said to be [`committed`](Recent::committed);
    /// returns the newest job.
    fn catch_up(&mut self, conn: &mut Conn) -> Result<i64, StoreError> {
        self.fresh.clear();
        if let Some(work) = &mut self.indexing {
            work.under_way = work.done;
        }
        let Standing { indexed, newest_job, has_newer } = Standing::after(conn, self.seen)?;
        if indexed > self.indexed {
            self.indexed = indexed;
            if !self.jobs.is_empty() {
                // Into a map of its own: one that much is taken from and put into grows, however little it holds.
                let mut kept = HashMap::with_capacity(MANY + MANY / 2);
                kept.extend(self.jobs.drain().filter(|(_, job)| *job > indexed));
                self.jobs = kept;
            }
        }
        self.seen = self.seen.max(indexed);
        if has_newer {
            self.jobs.extend(bundle::keys_after(conn, self.seen)?);
            for (key, job) in index::newer(conn, self.seen)? {
                self.seen = job;
                self.jobs.insert(key, job);
            }
        }
        Ok(newest_job)
    }

    fn find(&self, conn: &mut Conn, key: &FullKey) -> Result<Option<i64>, StoreError> {
        match self.jobs.get(key).or_else(|| self.fresh.get(key)) {
            Some(job) => Ok(Some(*job)),
            None if self.indexed == 0 => Ok(None),
            None => index::indexed(conn, key),
        }
    }
}

/// Stores what is new. Of a crowd the last one becomes a job at once: whoever adds a job takes the number behind the newest,
/// and those in the bundle are taken.
fn append(conn: &mut Conn, new: &[Numbered<'_>], now: i64) -> Result<Stored, StoreError> {
    let (crowd, rows) = match new.split_last() {
        Some((last, crowd)) if bundle::is_crowd(new) => (crowd, std::slice::from_ref(last)),
        Some(_) | None => (&[][..], new),
    };
    let mut bytes = bundle::insert(conn, crowd, now)?;
    for Numbered { job, key, new } in rows {
        let NewDelivery { repo, order_key, payload, .. } = new;
        let (repo, order_key) = (repo.as_deref(), order_key.as_deref());
        bytes += NewRow { job: *job, repo, order_key, payload, received_at: now }.insert(conn)?;
        row::remember(conn, *job, key, now)?;
    }
    Ok(Stored { bytes, bundled: !crowd.is_empty() })
}
