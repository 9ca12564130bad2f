//! A process that does nothing but claim and finish, as fast as it can: with our queue, or with the raw one.

use super::raw_sqlite;
use crate::processes::bare;
use crate::stats::Samples;
use anyhow::{Context as _, bail, ensure};
use orch_common::domain::job::{JobEnd, JobKind};
use orch_common::store::jobs::{self, Job};
use orch_common::store::{Store, StoreError, StoreOptions};
use serde::{Deserialize, Serialize};
use std::collections::HashSet;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ExitCode, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The hidden subcommand.
pub const SUBCOMMAND: &str = "claim-and-finish";

/// Which queue is claimed from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Queue {
    Ours,
    Raw,
}

/// What one claimer did.
#[derive(Debug, Serialize, Deserialize)]
pub struct Claimed {
    pub seconds: f64,
    pub ids: Vec<i64>,
    pub longest_ms: f64,
    pub p99_ms: f64,
}

/// Runs in the child: `claim-and-finish DATABASE NAME SECONDS ours|raw`. Begins when a line comes on stdin.
pub fn claim(arguments: &[String]) -> anyhow::Result<ExitCode> {
    let [database, name, seconds, queue] = arguments else { bail!("four arguments") };
    let store = Store::open(&StoreOptions { pool_size: 1, ..StoreOptions::new(database) })?;
    println!("ready");
    std::io::stdin().read_line(&mut String::new())?;
    let span = Duration::from_secs_f64(seconds.parse()?);
    let done = match queue.as_str() {
        "raw" => until(span, |last| raw(&store, name, last))?,
        _ => until(span, |last| ours(&store, name, last))?,
    };
    println!("{}", serde_json::to_string(&done)?);
    Ok(ExitCode::SUCCESS)
}

/// Steps until time is up or nothing is left; the last claim is finished too.
fn until<J>(
    span: Duration,
    mut step: impl FnMut(Option<J>) -> Result<Option<(i64, J)>, StoreError>,
) -> anyhow::Result<Claimed> {
    let began = Instant::now();
    let (mut ids, mut took, mut last) = (Vec::new(), Samples::default(), None);
    while began.elapsed() < span {
        let from = Instant::now();
        let next = step(last.take())?;
        took.add(from.elapsed());
        let Some((id, job)) = next else { break };
        ids.push(id);
        last = Some(job);
    }
    let seconds = began.elapsed().as_secs_f64();
    Ok(Claimed { seconds, ids, longest_ms: took.max(), p99_ms: took.quantile(0.99) })
}

fn ours(store: &Store, me: &str, last: Option<Job>) -> Result<Option<(i64, Job)>, StoreError> {
    let end = JobEnd::Done { note: Some("measured".into()) };
    let next = store.write_now(|conn| match &last {
        Some(job) => Ok(jobs::finish_and_claim(conn, job, &end, JobKind::Event, me, now_ms())?.next),
        None => jobs::claim(conn, JobKind::Event, me, now_ms()),
    })?;
    Ok(next.map(|job| (job.id, job)))
}

fn raw(store: &Store, me: &str, last: Option<i64>) -> Result<Option<(i64, i64)>, StoreError> {
    let next = store.write_now(|conn| raw_sqlite::finish_and_claim(conn, last, me, now_ms()))?;
    Ok(next.map(|(id, _payload)| (id, id)))
}

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// Several claimers at once on one database; fails where one of them does, or where a job was claimed twice.
pub fn run(database: &Path, queue: Queue, processes: usize, span: Duration) -> anyhow::Result<Vec<Claimed>> {
    let mut claimers =
        (0..processes).map(|n| Claimer::start(database, queue, n, span)).collect::<Result<Vec<_>, _>>()?;
    for claimer in &mut claimers {
        claimer.go()?;
    }
    let done: Vec<Claimed> = claimers.into_iter().map(Claimer::end).collect::<anyhow::Result<_>>()?;
    let mut seen = HashSet::new();
    let doubles = done.iter().flat_map(|one| &one.ids).filter(|id| !seen.insert(**id)).count();
    ensure!(doubles == 0, "{doubles} jobs were claimed twice");
    Ok(done)
}

struct Claimer {
    child: Child,
    start: ChildStdin,
    said: BufReader<std::process::ChildStdout>,
}

impl Claimer {
    fn start(database: &Path, queue: Queue, n: usize, span: Duration) -> anyhow::Result<Claimer> {
        let mut command = bare(std::env::current_exe()?);
        command.arg(SUBCOMMAND).arg(database).args([format!("claimer-{n}"), span.as_secs_f64().to_string()]);
        command.arg(if queue == Queue::Raw { "raw" } else { "ours" });
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let start = child.stdin.take().context("its input")?;
        let mut said = BufReader::new(child.stdout.take().context("its output")?);
        let mut line = String::new();
        said.read_line(&mut line)?;
        ensure!(line.trim() == "ready", "a claimer did not get ready");
        Ok(Claimer { child, start, said })
    }

    fn go(&mut self) -> anyhow::Result<()> {
        Ok(self.start.write_all(b"go\n")?)
    }

    fn end(mut self) -> anyhow::Result<Claimed> {
        let mut line = String::new();
        self.said.read_line(&mut line)?;
        let status = self.child.wait()?;
        ensure!(status.success(), "a claimer failed: {status}");
        Ok(serde_json::from_str(&line)?)
    }
}
