//! Claim and finish, fused: what a lane of the worker does between two jobs. One row of the queue has its payload, its
//! key, its history and its counters; the raw queue beside it has none of that.

use crate::bench::Bench;
use crate::processes::{database, migrated};
use crate::reference::claimer::{self, Claimed, Queue};
use crate::reference::raw_sqlite;
use crate::report::{Must, Row};
use crate::stats::median;
use anyhow::ensure;
use diesel::prelude::*;
use diesel::sql_types::BigInt;
use orch_common::store::{Conn, Store, StoreError};
use std::time::Duration;
use tempfile::TempDir;

const MANY: i64 = 100_000;
const VERY_MANY: i64 = 1_000_000;
/// Jobs of one order key; the second waits for the first.
const OF_A_KEY: i64 = 4;
const BESIDE_FINISHED: i64 = 20_000;
/// Rows of one filling transaction, so that the log stays small.
const STEP: i64 = 50_000;
/// Jobs that are due behind those in backoff.
const DUE: i64 = 1_000;

/// A filled queue.
struct Scene {
    folder: TempDir,
    store: Store,
}

impl Scene {
    fn new(bench: &Bench) -> anyhow::Result<Scene> {
        let folder = bench.scratch()?;
        let store = migrated(folder.path())?;
        Ok(Scene { folder, store })
    }

    fn of(bench: &Bench, fill: impl Fn(&Store) -> Result<(), StoreError>) -> anyhow::Result<Scene> {
        let scene = Scene::new(bench)?;
        fill(&scene.store)?;
        Ok(scene)
    }

    /// Claims and finishes with so many processes, then adds as many jobs as were taken: every run meets a queue of the
    /// same length, however fast the machine is and however often it is asked.
    fn take(&self, queue: Queue, processes: usize, span: Duration) -> anyhow::Result<Vec<Claimed>> {
        let done = claimer::run(&database(self.folder.path()), queue, processes, span)?;
        let taken = done.iter().map(|one| one.ids.len()).sum::<usize>();
        ensure!(taken > 0, "nothing was claimed");
        let taken = i64::try_from(taken)?;
        match queue {
            Queue::Ours => queued(&self.store, taken)?,
            Queue::Raw => self.store.write_now(|conn| raw_sqlite::refill(conn, taken))?,
        }
        Ok(done)
    }

    /// Pairs a second of one process.
    fn pairs(&self, queue: Queue, span: Duration) -> anyhow::Result<f64> {
        Ok(rate(&self.take(queue, 1, span)?))
    }
}

/// Jobs a second, of all together.
fn rate(done: &[Claimed]) -> f64 {
    done.iter().map(|one| one.ids.len() as f64 / one.seconds).sum()
}

/// Adds queued events; `key` and `ready` = their key and whether they are the first of it, `more` = the columns that differ
/// and their values, as SQL.
fn fill(store: &Store, rows: i64, (key, ready): (&str, &str), more: (&str, &str)) -> Result<(), StoreError> {
    let sql = format!(
        "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < ?) \
         INSERT INTO jobs (kind, repo, payload, max_attempts, created_at, order_key, ready{}) \
         SELECT 'event', 'acme/widgets', hex(zeroblob(100)), 20, 0, {key}, {ready}{} \
         FROM n, (SELECT coalesce(max(id), 0) AS top FROM jobs)",
        more.0, more.1
    );
    let mut left = rows;
    while left > 0 {
        let step = left.min(STEP);
        store.write_now(|conn| Ok(diesel::sql_query(&sql).bind::<BigInt, _>(step).execute(conn)?))?;
        left -= step;
    }
    Ok(())
}

/// A key for every [`OF_A_KEY`] rows, as SQL.
fn own_keys() -> String {
    format!("'k' || (top + i / {OF_A_KEY})")
}

fn queued(store: &Store, rows: i64) -> Result<(), StoreError> {
    fill(store, rows, (&own_keys(), &format!("i % {OF_A_KEY} = 0")), ("", ""))
}

pub(super) fn finished(store: &Store, rows: i64) -> Result<(), StoreError> {
    fill(store, rows, (&own_keys(), "1"), (", status, finished_at, started_at, worker", ", 'done', 1, 1, 'w'"))
}

fn in_backoff(store: &Store, rows: i64) -> Result<(), StoreError> {
    fill(store, rows, ("NULL", "1"), (", available_at", ", 9000000000000"))
}

fn behind_one_key(store: &Store, rows: i64) -> Result<(), StoreError> {
    fill(store, 1, ("'busy'", "1"), (", status, started_at, worker", ", 'running', 1, 'w'"))?;
    store.write_now(|conn| Ok(behind(conn, rows)?))
}

fn behind(conn: &mut Conn, rows: i64) -> QueryResult<()> {
    diesel::sql_query(
        "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < ?) \
         INSERT INTO jobs (kind, payload, max_attempts, created_at, order_key, ready) \
         SELECT 'event', hex(zeroblob(100)), 20, 0, 'busy', 0 FROM n",
    )
    .bind::<BigInt, _>(rows)
    .execute(conn)
    .map(|_| ())
}

/// A thousand due jobs behind a hundred thousand in backoff, again and again until there was enough to time.
fn due_behind_backoff(scene: &Scene) -> anyhow::Result<f64> {
    let mut rates = Vec::new();
    for _ in 0..5 {
        fill(&scene.store, DUE, ("NULL", "1"), (", available_at", ", 1"))?;
        let done = claimer::run(&database(scene.folder.path()), Queue::Ours, 1, Duration::from_secs(20))?;
        ensure!(done.iter().any(|one| !one.ids.is_empty()), "nothing was claimed behind those in backoff");
        rates.push(rate(&done));
    }
    Ok(median(&rates))
}

#[derive(Default)]
struct Rates {
    raw: Vec<f64>,
    many: Vec<f64>,
    very_many: Vec<f64>,
    beside_finished: Vec<f64>,
    one_key: Vec<f64>,
    backoff: Vec<f64>,
}

/// One process, however the queue looks.
pub fn one_process(bench: &Bench) -> anyhow::Result<Vec<Row>> {
    let raw = Scene::new(bench)?;
    raw.store.write_now(|conn| raw_sqlite::seed(conn, MANY))?;
    let many = Scene::of(bench, |store| queued(store, MANY))?;
    let very_many = Scene::of(bench, |store| queued(store, VERY_MANY))?;
    let beside_finished =
        Scene::of(bench, |store| finished(store, VERY_MANY).and_then(|()| queued(store, BESIDE_FINISHED)))?;
    let one_key = Scene::of(bench, |store| behind_one_key(store, MANY).and_then(|()| queued(store, MANY)))?;
    let backoff = Scene::of(bench, |store| in_backoff(store, MANY))?;
    let mut rates = Rates::default();
    for _ in 0..bench.runs {
        rates.raw.push(raw.pairs(Queue::Raw, bench.span)?);
        rates.many.push(many.pairs(Queue::Ours, bench.span)?);
        rates.very_many.push(very_many.pairs(Queue::Ours, bench.span)?);
        rates.beside_finished.push(beside_finished.pairs(Queue::Ours, bench.span)?);
        rates.one_key.push(one_key.pairs(Queue::Ours, bench.span)?);
        rates.backoff.push(due_behind_backoff(&backoff)?);
    }
    Ok(rows(&rates))
}

fn rows(rates: &Rates) -> Vec<Row> {
    let to_many = |of: &[f64]| ratio(of, &rates.many);
    let even = Must::AtLeast(0.85);
    vec![
        Row::shown("pairs, 100k queued", median(&rates.many), "/s"),
        Row::shown("raw SQLite, the same transaction", median(&rates.raw), "/s"),
        Row::held("of raw SQLite", ratio(&rates.many, &rates.raw), "x", Must::AtLeast(0.6)),
        Row::held("1M queued, of 100k", to_many(&rates.very_many), "x", even),
        Row::held("20k beside 1M finished, of 100k", to_many(&rates.beside_finished), "x", even),
        Row::held("100k behind one busy key, of 100k", to_many(&rates.one_key), "x", even),
        Row::held("1k due behind 100k in backoff, of 100k", to_many(&rates.backoff), "x", even),
    ]
}

/// The median of the ratios of each run.
fn ratio(of: &[f64], to: &[f64]) -> f64 {
    median(&of.iter().zip(to).map(|(a, b)| a / b).collect::<Vec<_>>())
}

/// Several processes at once.
pub fn processes(bench: &Bench) -> anyhow::Result<Vec<Row>> {
    let mut rows = Vec::new();
    for count in [4, 16] {
        let scene = Scene::of(bench, |store| queued(store, MANY))?;
        let (mut longest, mut rates) = (Vec::new(), Vec::new());
        for _ in 0..bench.runs {
            let done = scene.take(Queue::Ours, count, bench.span)?;
            longest.push(done.iter().map(|one| one.longest_ms).fold(0.0, f64::max));
            rates.push(rate(&done));
        }
        let worst = longest.iter().copied().fold(0.0, f64::max);
        rows.push(Row::shown(format!("{count} processes, pairs"), median(&rates), "/s").note("no error, no double"));
        rows.push(Row::held(format!("{count} processes, the longest claim"), worst, "ms", Must::AtMost(250.0)));
    }
    Ok(rows)
}
