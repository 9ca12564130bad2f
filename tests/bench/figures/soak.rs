//! Hours in minutes: webhooks at a steady pace with ten agents at work. Nothing may fail, nothing may grow.

use super::agent_start::Agents;
use crate::bench::Bench;
use crate::load::{self, Connection, Pushes};
use crate::proc;
use crate::processes::{Api, ApiSetup, api_command, database, migrated, start, worker_command};
use crate::reference::agent;
use crate::report::{Must, Row};
use crate::stats::Samples;
use anyhow::{Context as _, bail, ensure};
use orch_common::domain::job::JobKind;
use orch_common::store::jobs;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Webhooks a second.
const PACE: u32 = 200;
const CONNECTIONS: u32 = 8;
const AGENTS: usize = 10;
/// The soak is cut into this many parts; the first warms up, the second is what the last is compared with.
const PARTS: u32 = 10;

/// What a process uses.
#[derive(Debug, Clone, Copy, Default)]
struct Use {
    rss_mib: f64,
    threads: f64,
    descriptors: f64,
}

/// Looks for as long as something may be open for a moment: connections just closed by the senders, files that are read.
const LOOKS: u32 = 20;
const BETWEEN: Duration = Duration::from_millis(50);

/// What is there at every look.
fn used(pids: &[u32]) -> anyhow::Result<Use> {
    let mut least = used_now(pids)?;
    for _ in 1..LOOKS {
        std::thread::sleep(BETWEEN);
        let now = used_now(pids)?;
        least.rss_mib = least.rss_mib.min(now.rss_mib);
        least.threads = least.threads.min(now.threads);
        least.descriptors = least.descriptors.min(now.descriptors);
    }
    Ok(least)
}

fn used_now(pids: &[u32]) -> anyhow::Result<Use> {
    let mut all = Use::default();
    for pid in pids {
        all.rss_mib += proc::rss_mib(*pid)?;
        all.threads += proc::status(*pid, "Threads")?;
        all.descriptors += proc::descriptors(*pid)? as f64;
    }
    Ok(all)
}

/// What one part showed.
struct Part {
    took: Samples,
    used: Use,
    log_mib: f64,
}

/// Runs for as long as `--soak-minutes` says.
pub fn measure(bench: &Bench) -> anyhow::Result<Vec<Row>> {
    let folder = bench.scratch()?;
    let agents = Agents::prepare(folder.path(), AGENTS)?;
    let command = api_command(bench, folder.path(), &ApiSetup::default())?;
    let config = folder.path().join("orch.toml");
    std::fs::write(&config, agents.configuration() + &std::fs::read_to_string(&config)?)?;
    let api = Api::ready(start(command, folder.path(), "orch-api")?, folder.path())?;
    let mut worker = start(worker_command(bench, folder.path())?, folder.path(), "orch-worker")?;
    crate::processes::logged(&mut worker, folder.path(), "orch-worker", "ready")?;
    agents.enqueue_all()?;
    let outcome = soak(bench, folder.path(), &api, worker.pid());
    drop(worker);
    agent::end_all(folder.path())?;
    rows(folder.path(), outcome?)
}

fn soak(bench: &Bench, folder: &Path, api: &Api, worker: u32) -> anyhow::Result<Vec<Part>> {
    let pushes = Pushes::new(api.address)?;
    let mut parts = Vec::new();
    for n in 0..PARTS {
        let took = load::runtime()?.block_on(steady(&pushes, api.address, bench.soak / PARTS))?;
        let log_mib = std::fs::metadata(folder.join("orch.db-wal")).map_or(0.0, |file| file.len() as f64 / 1048576.0);
        let part = Part { took, used: used(&[api.process.pid(), worker])?, log_mib };
        eprintln!(
            "  part {} of {PARTS}: p99 {:.2} ms, RSS {:.1} MiB, {} threads, {} descriptors, log {:.1} MiB",
            n + 1,
            part.took.quantile(0.99),
            part.used.rss_mib,
            part.used.threads,
            part.used.descriptors,
            log_mib
        );
        parts.push(part);
    }
    Ok(parts)
}

/// Sends at [`PACE`] whatever the answers take; any answer but 200 ends it.
async fn steady(pushes: &Arc<Pushes>, address: SocketAddr, span: Duration) -> anyhow::Result<Samples> {
    let mut senders = tokio::task::JoinSet::new();
    for _ in 0..CONNECTIONS {
        let pushes = Arc::clone(pushes);
        senders.spawn(async move {
            let mut connection = Connection::open(address).await?;
            let mut tick = tokio::time::interval(Duration::from_secs(1) * CONNECTIONS / PACE);
            let (began, mut samples) = (Instant::now(), Samples::default());
            while began.elapsed() < span {
                tick.tick().await;
                let sent = Instant::now();
                connection.push(&pushes).await?;
                samples.add(sent.elapsed());
            }
            anyhow::Ok(samples)
        });
    }
    let mut all = Samples::default();
    while let Some(one) = senders.join_next().await {
        all.join(one??);
    }
    Ok(all)
}

fn rows(folder: &Path, parts: Vec<Part>) -> anyhow::Result<Vec<Row>> {
    let [_, early, .., last] = parts.as_slice() else { bail!("too few parts") };
    let sent: usize = parts.iter().map(|part| part.took.len()).sum();
    let counts = jobs::counts(&mut *migrated(folder)?.connection()?)?;
    let events = counts.get(&JobKind::Event).context("events")?;
    let failed = events.get("failed").copied().unwrap_or_default();
    let stored: i64 = events.values().sum();
    ensure!(stored == i64::try_from(sent)?, "{sent} webhooks were answered with 200 and {stored} are stored");
    let (p99, first_p99) = (last.took.quantile(0.99), early.took.quantile(0.99));
    let log = parts.iter().map(|part| part.log_mib).fold(0.0, f64::max);
    let grown = |of: fn(&Use) -> f64| of(&last.used) - of(&early.used);
    let size = std::fs::metadata(database(folder))?.len() as f64 / 1048576.0;
    Ok(vec![
        Row::shown("webhooks, all answered 200", sent as f64, "").note(format!("database {size:.0} MiB at the end")),
        Row::held("events that failed", failed as f64, "", Must::AtMost(0.0)),
        Row::held("RSS of both, grown", grown(|u| u.rss_mib), "MiB", Must::AtMost(2.0)),
        Row::held("threads, grown", grown(|u| u.threads), "", Must::AtMost(2.0)),
        Row::held("descriptors, grown", grown(|u| u.descriptors), "", Must::AtMost(4.0)),
        Row::held("write-ahead log, largest", log, "MiB", Must::AtMost(64.0)),
        Row::held("p99, last part to second", p99 / first_p99, "x", Must::AtMost(1.5)).note(format!("{p99:.2} ms")),
    ])
}
