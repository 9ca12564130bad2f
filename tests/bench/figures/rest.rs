//! What the two processes cost while nothing happens, and how fast they are there.

use crate::bench::Bench;
use crate::load::{self, Connection, Pushes};
use crate::proc;
use crate::processes::{self, Api, ApiSetup, api_command, migrated, start, worker, worker_command};
use crate::report::{Must, Row};
use crate::stats::{Samples, median};
use anyhow::bail;
use diesel::prelude::*;
use orch_common::store::schema::jobs;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// After the start, before idleness is measured.
const SETTLE: Duration = Duration::from_secs(2);
/// How long idleness is measured; a heartbeat is among it.
const IDLE: Duration = Duration::from_secs(20);
const PATIENCE: Duration = Duration::from_secs(20);
const MB_OF_A_MIB: f64 = 1.048_576;

/// Memory and CPU of both processes together.
pub fn idle(bench: &Bench) -> anyhow::Result<Vec<Row>> {
    let folder = bench.scratch()?;
    let api = Api::start(bench, folder.path(), &ApiSetup::default())?;
    let worker = worker(bench, folder.path())?;
    load::runtime()?
        .block_on(async { Connection::open(api.address).await?.push(&*Pushes::new(api.address)?).await })?;
    std::thread::sleep(SETTLE);
    let pids = [api.process.pid(), worker.pid()];
    let cpu = || pids.iter().map(|pid| proc::cpu_exact(*pid)).sum::<anyhow::Result<Duration>>();
    let (before, began) = (cpu()?, Instant::now());
    std::thread::sleep(IDLE);
    let used = cpu()?.saturating_sub(before).as_secs_f64() / began.elapsed().as_secs_f64() * 100.0;
    let [ours, workers] = [proc::rss_mib(pids[0])?, proc::rss_mib(pids[1])?];
    Ok(vec![
        Row::held("both processes, RSS", (ours + workers) * MB_OF_A_MIB, "MB", Must::AtMost(24.0))
            .note(format!("MiB: API {ours:.1}, worker {workers:.1}")),
        Row::held("both processes, CPU", used, "%", Must::AtMost(0.1)).note("of one core"),
    ])
}

/// From the start of each process to its first work.
pub fn startup(bench: &Bench) -> anyhow::Result<Vec<Row>> {
    let (mut api, mut worker) = (Vec::new(), Vec::new());
    for _ in 0..bench.runs.max(5) {
        api.push(api_start(bench)?);
        worker.push(worker_start(bench)?);
    }
    Ok(vec![
        Row::held("API, start to its first 200", median(&api), "ms", Must::AtMost(30.0)),
        Row::held("worker, start to its first claim", median(&worker), "ms", Must::AtMost(60.0)),
    ])
}

fn api_start(bench: &Bench) -> anyhow::Result<f64> {
    let folder = bench.scratch()?;
    migrated(folder.path())?;
    let command = api_command(bench, folder.path(), &ApiSetup::default())?;
    let began = Instant::now();
    let mut process = start(command, folder.path(), "orch-api")?;
    let address = processes::address(&mut process, folder.path(), "orch-api")?;
    // A webhook is refused until the database is open: its 200 is the first that counts.
    let pushes = Pushes::new(address)?;
    load::runtime()?.block_on(async {
        while began.elapsed() < PATIENCE {
            let mut connection = Connection::open(address).await?;
            if connection.push(&pushes).await.is_ok() {
                return Ok(began.elapsed().as_secs_f64() * 1000.0);
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        bail!("the API did not take a webhook in time")
    })
}

fn worker_start(bench: &Bench) -> anyhow::Result<f64> {
    let folder = bench.scratch()?;
    let api = Api::start(bench, folder.path(), &ApiSetup::default())?;
    load::runtime()?
        .block_on(async { Connection::open(api.address).await?.push(&*Pushes::new(api.address)?).await })?;
    let store = migrated(folder.path())?;
    let command = worker_command(bench, folder.path())?;
    let began = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs_f64() * 1000.0;
    let _process = start(command, folder.path(), "orch-worker")?;
    let give_up = Instant::now() + PATIENCE;
    while Instant::now() < give_up {
        let claimed: Option<i64> =
            jobs::table.order(jobs::id).select(jobs::started_at).first(&mut *store.connection()?)?;
        if let Some(at) = claimed {
            return Ok((at + 1) as f64 - began);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    bail!("the worker claimed nothing in time")
}

/// The views with a million finished rows, and what reading them does to the webhooks.
pub fn views(bench: &Bench) -> anyhow::Result<Vec<Row>> {
    let folder = bench.scratch()?;
    super::claims::finished(&migrated(folder.path())?, 1_000_000)?;
    let api = Api::start(bench, folder.path(), &ApiSetup::default())?;
    let pushes = Pushes::new(api.address)?;
    let (mut queue, mut status) = (Samples::default(), Samples::default());
    load::runtime()?.block_on(async {
        let mut connection = Connection::open(api.address).await?;
        for _ in 0..200 {
            for (path, samples) in [("/queue", &mut queue), ("/status", &mut status)] {
                let began = Instant::now();
                connection.get(path).await?;
                samples.add(began.elapsed());
            }
        }
        anyhow::Ok(())
    })?;
    let mut moved = Vec::new();
    for _ in 0..bench.runs {
        let alone = load::flat_out(&pushes, api.address, 16, bench.span)?.took.quantile(0.99);
        let reader = std::thread::spawn(reader(api.address, bench.span));
        let beside = load::flat_out(&pushes, api.address, 16, bench.span)?.took.quantile(0.99);
        reader.join().map_err(|_| anyhow::anyhow!("the reader"))??;
        moved.push(beside / alone);
    }
    Ok(vec![
        Row::held("/queue, 1M finished, p50", queue.quantile(0.5), "ms", Must::AtMost(2.0)),
        Row::held("/status, 1M finished, p50", status.quantile(0.5), "ms", Must::AtMost(2.0)),
        Row::held("webhook p99 beside one /queue a second", median(&moved), "x", Must::AtMost(1.25)),
    ])
}

fn reader(address: std::net::SocketAddr, span: Duration) -> impl FnOnce() -> anyhow::Result<()> {
    move || {
        load::runtime()?.block_on(async {
            let mut connection = Connection::open(address).await?;
            let began = Instant::now();
            while began.elapsed() < span {
                connection.get("/queue").await?;
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            Ok(())
        })
    }
}
