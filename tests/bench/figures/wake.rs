//! From a committed webhook to its event in a worker's hands, while both processes are otherwise idle.

use crate::bench::Bench;
use crate::load::{self, Connection, Pushes};
use crate::processes::{Api, ApiSetup, migrated, worker};
use crate::report::{Must, Row};
use crate::stats::Samples;
use anyhow::{Context as _, bail};
use diesel::prelude::*;
use orch_common::store::Store;
use orch_common::store::schema::jobs;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Webhooks of one run.
const WEBHOOKS: usize = 40;
/// Between two, so that everything sleeps again.
const PAUSE: Duration = Duration::from_millis(120);
const PATIENCE: Duration = Duration::from_secs(10);

/// Counts from the 200, which comes after the commit, to the claim. The claim's time is stored in whole
/// milliseconds, cut off; the millisecond that may be missing is added.
pub fn measure(bench: &Bench) -> anyhow::Result<Vec<Row>> {
    let mut samples = Samples::default();
    for _ in 0..bench.runs {
        samples.join(run(bench)?);
    }
    Ok(vec![
        Row::held("webhook to worker, p50", samples.quantile(0.5), "ms", Must::AtMost(2.5)).note("upper bound: + 1 ms"),
        Row::held("webhook to worker, p99", samples.quantile(0.99), "ms", Must::AtMost(5.0))
            .note("upper bound: + 1 ms"),
    ])
}

fn run(bench: &Bench) -> anyhow::Result<Samples> {
    let folder = bench.scratch()?;
    let api = Api::start(bench, folder.path(), &ApiSetup::default())?;
    let _worker = worker(bench, folder.path())?;
    let store = migrated(folder.path())?;
    let pushes = Pushes::new(api.address)?;
    load::runtime()?.block_on(async {
        let mut connection = Connection::open(api.address).await?;
        let mut answered = Vec::new();
        for _ in 0..WEBHOOKS {
            tokio::time::sleep(PAUSE).await;
            connection.push(&pushes).await?;
            answered.push(SystemTime::now().duration_since(UNIX_EPOCH)?);
        }
        tokio::time::sleep(PAUSE).await;
        let started = started(&store)?;
        let mut samples = Samples::default();
        for (answered, started) in answered.into_iter().zip(started) {
            let started = Duration::from_millis(u64::try_from(started + 1)?);
            samples.add(started.saturating_sub(answered));
        }
        Ok(samples)
    })
}

/// When each event was claimed, oldest first.
fn started(store: &Store) -> anyhow::Result<Vec<i64>> {
    let give_up = std::time::Instant::now() + PATIENCE;
    loop {
        let times: Vec<Option<i64>> = jobs::table
            .filter(jobs::kind.eq("event"))
            .order(jobs::id)
            .select(jobs::started_at)
            .load(&mut *store.connection()?)?;
        if times.len() == WEBHOOKS && times.iter().all(Option::is_some) {
            return times.into_iter().map(|time| time.context("claimed")).collect();
        }
        if std::time::Instant::now() > give_up {
            bail!("{} of {WEBHOOKS} events were claimed", times.iter().flatten().count());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}
