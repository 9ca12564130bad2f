//! Durable intake: a push counts when its 200 is there, and the 200 comes after the commit.

use crate::bench::Bench;
use crate::load::{self, Outcome, Pushes};
use crate::processes::{Api, ApiSetup, migrated};
use crate::reference::{http, minimal, prototype};
use crate::report::{Must, Row};
use crate::stats::median;
use anyhow::ensure;
use diesel::prelude::*;
use diesel::sql_types::BigInt;
use orch_common::domain::job::JobKind;
use orch_common::store::jobs;
use std::path::Path;
use std::time::Duration;

/// Connections of the loaded measurements.
const MANY: usize = 64;

/// One of several servers, freshly started, under load.
fn orch(bench: &Bench, setup: &ApiSetup<'_>, connections: usize, span: Duration) -> anyhow::Result<Outcome> {
    let folder = bench.scratch()?;
    let api = Api::start(bench, folder.path(), setup)?;
    let outcome = load::flat_out(&Pushes::new(api.address)?, api.address, connections, span)?;
    drop(api);
    if !setup.stores_nothing {
        check_stored(folder.path(), outcome.accepted)?;
    }
    Ok(outcome)
}

#[derive(QueryableByName)]
struct Stored {
    #[diesel(sql_type = BigInt)]
    n: i64,
}

/// It was killed without a word: what it answered with 200 must be there as a job, and be counted.
fn check_stored(folder: &Path, accepted: u64) -> anyhow::Result<()> {
    let store = migrated(folder)?;
    let mut conn = store.connection()?;
    let there = "SELECT count(*) AS n FROM jobs WHERE kind = 'event'";
    let Stored { n } = diesel::sql_query(there).get_result(&mut *conn)?;
    let counted = jobs::counts(&mut conn)?.get(&JobKind::Event).and_then(|by| by.get("queued")).copied();
    ensure!(u64::try_from(n)? >= accepted, "{accepted} were accepted and {n} are stored");
    ensure!(counted == Some(n), "{n} are stored and {counted:?} counted");
    Ok(())
}

fn http_only(bench: &Bench) -> anyhow::Result<Outcome> {
    let folder = bench.scratch()?;
    let (_process, address) = http::spawn(bench, folder.path())?;
    load::flat_out(&Pushes::new(address)?, address, MANY, bench.span)
}

fn least(bench: &Bench, connections: usize) -> anyhow::Result<Outcome> {
    let folder = bench.scratch()?;
    let (_process, address) = minimal::spawn(bench, folder.path())?;
    load::flat_out(&Pushes::new(address)?, address, connections, bench.span)
}

fn python(bench: &Bench, preload: Option<&Path>) -> anyhow::Result<Outcome> {
    let folder = bench.scratch()?;
    let (_process, address) = prototype::spawn(bench, folder.path(), preload)?;
    load::flat_out(&Pushes::new(address)?, address, MANY, bench.span)
}

/// The median over all runs of something of one run.
fn over<T>(runs: &[T], of: impl Fn(&T) -> f64) -> f64 {
    median(&runs.iter().map(of).collect::<Vec<_>>())
}

struct Run {
    ours: Outcome,
    one: Outcome,
    handler: Outcome,
    http: Outcome,
    least: Outcome,
    least_one: Outcome,
    python: Option<Outcome>,
}

/// On the disk as it is.
pub fn fast(bench: &Bench) -> anyhow::Result<Vec<Row>> {
    let python_missing = prototype::python(bench).err();
    let storing = ApiSetup::default();
    let not_storing = ApiSetup { stores_nothing: true, ..ApiSetup::default() };
    let runs: Vec<Run> = (0..bench.runs)
        .map(|_| {
            Ok(Run {
                http: http_only(bench)?,
                ours: orch(bench, &storing, MANY, bench.span)?,
                handler: orch(bench, &not_storing, MANY, bench.span)?,
                least: least(bench, MANY)?,
                one: orch(bench, &storing, 1, bench.span)?,
                least_one: least(bench, 1)?,
                python: if python_missing.is_none() { Some(python(bench, None)?) } else { None },
            })
        })
        .collect::<anyhow::Result<_>>()?;
    let alone = over(&runs, |r| r.one.took.quantile(0.5));
    let to_least = over(&runs, |r| r.one.took.quantile(0.5) / r.least_one.took.quantile(0.5));
    let mut rows = vec![
        Row::shown("webhooks, 64 connections", over(&runs, |r| r.ours.per_second), "/s"),
        Row::shown("HTTP + HMAC only, a handler of ten lines", over(&runs, |r| r.http.per_second), "/s"),
        Row::shown("the same handler, storing switched off", over(&runs, |r| r.handler.per_second), "/s"),
        Row::shown("of HTTP + HMAC only, same handler", over(&runs, |r| r.ours.per_second / r.handler.per_second), "x"),
        Row::shown("of HTTP + HMAC only, ten lines", over(&runs, |r| r.ours.per_second / r.http.per_second), "x"),
        Row::shown("p50, 64 connections", over(&runs, |r| r.ours.took.quantile(0.5)), "ms"),
        Row::held("p99, 64 connections", over(&runs, |r| r.ours.took.quantile(0.99)), "ms", Must::AtMost(12.0)),
        Row::shown("webhooks, 1 connection", over(&runs, |r| r.one.per_second), "/s"),
        Row::shown("p50, 1 connection", alone, "ms"),
        Row::shown("p50, 1 connection, the least that stores", over(&runs, |r| r.least_one.took.quantile(0.5)), "ms"),
        Row::held("of the least that stores", to_least, "x", Must::AtMost(1.3)),
        Row::held("p99, 1 connection", over(&runs, |r| r.one.took.quantile(0.99)), "ms", Must::AtMost(0.5)),
        Row::shown("webhooks, 64 connections, the least that stores", over(&runs, |r| r.least.per_second), "/s"),
        Row::held(
            "of the least that stores, 64 connections",
            over(&runs, |r| r.ours.per_second / r.least.per_second),
            "x",
            Must::AtLeast(0.45),
        ),
    ];
    rows.extend(beside_prototype(&runs, python_missing, |r| (&r.ours, r.python.as_ref()), 25.0));
    Ok(rows)
}

/// With 2 ms added to every fsync of either.
pub fn slow_disk(bench: &Bench) -> anyhow::Result<Vec<Row>> {
    let library = bench.slow_disk()?;
    let python_missing = prototype::python(bench).err();
    let slow = ApiSetup { preload: Some(&library), ..ApiSetup::default() };
    let runs: Vec<(Outcome, Option<Outcome>)> = (0..bench.runs)
        .map(|_| {
            let theirs = if python_missing.is_none() { Some(python(bench, Some(&library))?) } else { None };
            Ok((orch(bench, &slow, MANY, bench.span)?, theirs))
        })
        .collect::<anyhow::Result<_>>()?;
    let mut rows = vec![
        Row::shown("webhooks, 64 connections, slow disk", over(&runs, |r| r.0.per_second), "/s"),
        Row::shown("p50, slow disk", over(&runs, |r| r.0.took.quantile(0.5)), "ms"),
        Row::shown("p99, slow disk", over(&runs, |r| r.0.took.quantile(0.99)), "ms"),
    ];
    rows.extend(beside_prototype(&runs, python_missing, |r| (&r.0, r.1.as_ref()), 100.0));
    Ok(rows)
}

fn beside_prototype<T>(
    runs: &[T],
    missing: Option<anyhow::Error>,
    pair: impl Fn(&T) -> (&Outcome, Option<&Outcome>),
    times: f64,
) -> Vec<Row> {
    if let Some(why) = missing {
        return vec![Row::missing("the prototype", format!("its Python could not be set up: {why:#}"))];
    }
    let theirs = |run: &T| pair(run).1.map_or(f64::INFINITY, |outcome| outcome.per_second);
    vec![
        Row::shown("the prototype, rollback journal", over(runs, theirs), "/s"),
        Row::held(
            "times the prototype",
            over(runs, |run| pair(run).0.per_second / theirs(run)),
            "x",
            Must::AtLeast(times),
        ),
    ]
}
