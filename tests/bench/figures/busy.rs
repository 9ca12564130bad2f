//! Much at once: many events that wait for a worker, and many active tasks.

use crate::bench::Bench;
use crate::load::{self, Connection, Pushes};
use crate::processes::{Api, ApiSetup, migrated, start, worker_command};
use crate::report::{Must, Row};
use crate::stats::Samples;
use anyhow::{bail, ensure};
use orch_common::domain::job::JobKind;
use orch_common::domain::stage::{Role, Stage};
use orch_common::domain::task::Brief;
use orch_common::store::jobs::{self, NewJob};
use orch_common::store::tasks::{self, NewTask};
use orch_common::store::{Store, StoreError};
use orch_worker::engine::AgentPayload;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Events that wait when the worker starts.
const EVENTS: u64 = 100_000;
/// Active tasks.
const TASKS: usize = 2_000;
/// Bounds the filling of the queue, and its draining.
const PATIENCE: Duration = Duration::from_secs(180);
const POLL: Duration = Duration::from_millis(20);
/// A day, in ms: the tasks' jobs wait for longer than the measurement takes.
const LATER_MS: i64 = 86_400_000;

/// Events per second that one worker handles, from a queue that filled while no worker ran.
pub fn drain(bench: &Bench) -> anyhow::Result<Vec<Row>> {
    let folder = bench.scratch()?;
    let api = Api::start(bench, folder.path(), &ApiSetup::default())?;
    let pushes = Pushes::new(api.address)?;
    let (began, mut queued) = (Instant::now(), 0);
    while queued < EVENTS {
        ensure!(began.elapsed() < PATIENCE, "only {queued} webhooks were accepted");
        queued += load::flat_out(&pushes, api.address, 64, bench.span)?.accepted;
    }
    drop(api);
    let store = migrated(folder.path())?;
    let _worker = start(worker_command(bench, folder.path())?, folder.path(), "orch-worker")?;
    wait_until(|| Ok(events(&store, "done")? > 0))?;
    let (began, before) = (Instant::now(), events(&store, "done")?);
    wait_until(|| Ok(events(&store, "queued")? + events(&store, "running")? == 0))?;
    let rate = (events(&store, "done")? - before) as f64 / began.elapsed().as_secs_f64();
    ensure!(events(&store, "failed")? == 0, "an event failed");
    Ok(vec![
        Row::held("queued events handled by one worker", rate, "/s", Must::AtLeast(2000.0))
            .note(format!("{queued} of them")),
    ])
}

fn events(store: &Store, status: &str) -> anyhow::Result<i64> {
    let counts = jobs::counts(&mut *store.connection()?)?;
    Ok(counts.get(&JobKind::Event).and_then(|events| events.get(status)).copied().unwrap_or_default())
}

fn wait_until(mut is_so: impl FnMut() -> anyhow::Result<bool>) -> anyhow::Result<()> {
    let give_up = Instant::now() + PATIENCE;
    while !is_so()? {
        if Instant::now() > give_up {
            bail!("the queue was not drained in time");
        }
        std::thread::sleep(POLL);
    }
    Ok(())
}

/// `/status` with many active tasks.
pub fn active(bench: &Bench) -> anyhow::Result<Vec<Row>> {
    let folder = bench.scratch()?;
    fill(&migrated(folder.path())?)?;
    let api = Api::start(bench, folder.path(), &ApiSetup::default())?;
    let status = status_times(api.address)?;
    Ok(vec![Row::held("/status, 2,000 active tasks, p50", status.quantile(0.5), "ms", Must::AtMost(20.0))])
}

fn status_times(address: std::net::SocketAddr) -> anyhow::Result<Samples> {
    load::runtime()?.block_on(async {
        let (mut connection, mut samples) = (Connection::open(address).await?, Samples::default());
        for _ in 0..200 {
            let began = Instant::now();
            connection.get("/status").await?;
            samples.add(began.elapsed());
        }
        Ok(samples)
    })
}

/// Tasks of one repository, each with an agent job that waits for its time.
fn fill(store: &Store) -> anyhow::Result<()> {
    let payload = AgentPayload { role: Role::Developer, stage: Stage::Development, brief: Brief::First };
    let payload = serde_json::to_string(&payload)?;
    let now = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis())?;
    store.write_now(|conn| {
        for n in 0..TASKS {
            let task =
                tasks::insert(conn, &task(n), now)?.ok_or_else(|| StoreError::Corrupt("a second task".into()))?;
            let job = NewJob {
                kind: JobKind::Agent,
                role: Some(Role::Developer),
                repo: Some(task.repo),
                task_id: Some(task.id),
                payload: payload.clone(),
                dedupe_key: None,
                order_key: Some(format!("t{}", task.id)),
                available_at: Some(now + LATER_MS),
            };
            jobs::enqueue(conn, &job, now)?;
        }
        Ok(())
    })?;
    Ok(())
}

fn task(n: usize) -> NewTask {
    NewTask {
        project: uuid::Uuid::from_u128(1).to_string(),
        work_item: format!("item-{n}"),
        key: format!("PA-{n:04}"),
        title: "Greet politely".into(),
        description: "A greeting says good morning before noon.".into(),
        repo: load::repo(0),
        branch: format!("feature/PA-{n:04}-greet"),
        base: "main".into(),
    }
}
