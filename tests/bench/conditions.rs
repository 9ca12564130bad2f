//! On what was measured. Absolute numbers mean nothing without it.

use crate::bench::Bench;
use crate::stats::Samples;
use anyhow::Context as _;
use diesel::prelude::*;
use orch_common::store::{Durability, Store, StoreOptions};
use std::collections::BTreeMap;
use std::io::Write as _;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::time::Instant;

/// Appends to the disk that are timed.
const SYNCS: usize = 500;

#[derive(QueryableByName)]
struct Settings {
    #[diesel(sql_type = diesel::sql_types::Text)]
    sqlite: String,
    #[diesel(sql_type = diesel::sql_types::Text)]
    journal: String,
    #[diesel(sql_type = diesel::sql_types::BigInt)]
    synchronous: i64,
}

/// CPU, kernel, disk, versions, and the durability that a store of ours says it has.
pub fn read(bench: &Bench) -> anyhow::Result<BTreeMap<&'static str, String>> {
    let scratch = bench.scratch()?;
    let settings = settings(&scratch.path().join("orch.db"))?;
    let disk = syncs(&scratch.path().join("probe"))?;
    let cpus = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    Ok(BTreeMap::from([
        ("cpu", format!("{} x {}", cpus, cpu_model())),
        ("kernel", first_line("/proc/sys/kernel/osrelease")),
        ("load", first_line("/proc/loadavg")),
        ("disk", format!("fdatasync of 4 KiB p50 {:.2} ms, p99 {:.2} ms", disk.quantile(0.5), disk.quantile(0.99))),
        ("sqlite", settings.sqlite),
        ("durability", format!("journal_mode={}, synchronous={} (read back)", settings.journal, settings.synchronous)),
        ("orch", format!("{} ({})", env!("CARGO_PKG_VERSION"), profile())),
        ("runs", format!("{}, {} s each, medians", bench.runs, bench.span.as_secs())),
    ]))
}

fn settings(database: &Path) -> anyhow::Result<Settings> {
    let store = Store::open(&StoreOptions { durability: Durability::Full, ..StoreOptions::new(database) })?;
    let sql = "SELECT sqlite_version() AS sqlite, (SELECT journal_mode FROM pragma_journal_mode) AS journal, \
               (SELECT synchronous FROM pragma_synchronous) AS synchronous";
    Ok(diesel::sql_query(sql).get_result(&mut *store.connection()?)?)
}

fn syncs(path: &Path) -> anyhow::Result<Samples> {
    let mut file = std::fs::File::create(path)?;
    file.write_all(&vec![0; 4096 * 16])?;
    file.sync_all()?;
    let mut samples = Samples::default();
    for n in 0..SYNCS {
        let began = Instant::now();
        file.write_all_at(&[n as u8; 4096], (n as u64 % 16) * 4096)?;
        file.sync_data()?;
        samples.add(began.elapsed());
    }
    Ok(samples)
}

fn cpu_model() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let line = text.lines().find(|line| line.starts_with("model name")).context("no model").unwrap_or("?: unknown");
    line.split(':').nth(1).unwrap_or_default().trim().to_owned()
}

fn first_line(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_default().trim().to_owned()
}

const fn profile() -> &'static str {
    if cfg!(debug_assertions) { "debug build: its figures mean nothing" } else { "release build" }
}
