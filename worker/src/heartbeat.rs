//! Being known to be alive: the worker's row, its sign of life, and the lock that keeps its name unique.

use crate::agent::Identity;
use crate::clock::now_ms;
use crate::context::Context;
use anyhow::{Context as _, bail};
use nix::fcntl::{Flock, FlockArg};
use orch_common::domain::run::WorkerState;
use orch_common::failpoint::{self, Point};
use orch_common::store::StoreError;
use orch_common::store::workers::{self, Worker};
use std::fs::File;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Takes the worker's name for the life of the process: two workers of one name would recover each other's
/// living jobs.
pub fn claim_name(ctx: &Context) -> anyhow::Result<Flock<File>> {
    let safe: String = ctx.name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    let path = ctx.runs_dir.join(format!(".worker-{safe}.lock"));
    let file = File::options()
        .create(true)
        .write(true)
        .truncate(false)
        .open(&path)
        .with_context(|| format!("cannot open {}", path.display()))?;
    match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Ok(held) => Ok(held),
        Err((_, nix::errno::Errno::EWOULDBLOCK)) => bail!(
            "a worker named '{}' runs already (it holds {}); give this one another name with ORCH_WORKER_NAME",
            ctx.name,
            path.display()
        ),
        Err((_, error)) => Err(error).with_context(|| format!("cannot lock {}", path.display())),
    }
}

/// Writes the worker's row.
pub async fn register(ctx: &Context) -> anyhow::Result<Worker> {
    let identity = Identity::own().context("the worker's own process cannot be identified")?;
    let now = now_ms();
    let me = Worker {
        name: ctx.name.clone(),
        host: ctx.host.clone(),
        pid: identity.pid,
        pid_start: i64::try_from(identity.start_ticks).unwrap_or(i64::MAX),
        boot_id: identity.boot_id,
        version: orch_common::VERSION.to_owned(),
        state: WorkerState::Running,
        max_concurrency: i32::try_from(ctx.config.worker.max_concurrency).unwrap_or(i32::MAX),
        poll_interval: ctx.config.worker.poll_interval_s,
        preflight_ok: None,
        preflight_reason: "not checked".to_owned(),
        started_at: now,
        heartbeat_at: now,
    };
    let row = me.clone();
    failpoint::here(Point::Register);
    ctx.store.write(move |c| workers::register(c, &row)).await?;
    failpoint::here(Point::Registered);
    share_the_pace(ctx).await;
    Ok(me)
}

/// Beats until dropped. A worker that finds its row taken stops. One that could not beat for as long as others wait
/// before they take over says so and goes on: it may have lost its jobs, but every finishing statement is fenced,
/// so it cannot overwrite those who have them.
///
/// The service manager is told that the worker lives while this turns: a write that never returns ends that, a database
/// that cannot be written (full disk, long lock) does not - a restart would not mend it.
pub async fn beat(ctx: Arc<Context>, me: Worker) {
    let every = Duration::from_secs(ctx.config.worker.heartbeat_s);
    let dead = Duration::from_secs(ctx.config.worker.heartbeat_dead_s);
    // The service manager may want to hear more often than the other workers do.
    let pace = crate::notify::watchdog_pace().map_or(every, |pace| pace.min(every));
    let mut due = Instant::now() + every;
    let mut last = Instant::now();
    loop {
        tokio::time::sleep(pace).await;
        crate::notify::alive();
        if Instant::now() + pace / 2 < due {
            continue;
        }
        due = Instant::now() + every;
        let row = me.clone();
        failpoint::here(Point::Beat);
        let since = alive_since(&ctx);
        // Counted with the same breath: an idle worker has little else to do.
        let beaten =
            ctx.store.write(move |c| Ok((workers::beat(c, &row, now_ms())?, workers::living(c, since)?))).await;
        failpoint::here(Point::Beaten);
        match beaten {
            Ok((true, living)) => {
                ctx.share_among(u32::try_from(living).unwrap_or(1));
                let silence = last.elapsed();
                last = Instant::now();
                if silence >= dead {
                    let s = silence.as_secs();
                    tracing::warn!("no sign of life was given for {s} s: others may have this worker's jobs by now");
                }
            }
            Ok((false, _)) => {
                tracing::error!(worker = %ctx.name, "another process has taken this worker's row; stopping");
                ctx.stopping.cancel();
                return;
            }
            Err(error) => tracing::warn!(%error, "no sign of life could be written"),
        }
    }
}

/// What the services allow a token is for all living workers together.
async fn share_the_pace(ctx: &Context) {
    let since = alive_since(ctx);
    match ctx.store.read(move |c| workers::living(c, since)).await {
        Ok(living) => ctx.share_among(u32::try_from(living).unwrap_or(1)),
        Err(error) => tracing::debug!(%error, "the living workers could not be counted"),
    }
}

/// Who has given no sign of life since then (ms) is dead.
fn alive_since(ctx: &Context) -> i64 {
    let dead_ms = i64::try_from(ctx.config.worker.heartbeat_dead_s).unwrap_or(i64::MAX / 1000).saturating_mul(1000);
    now_ms().saturating_sub(dead_ms)
}

/// Says that the worker stopped on purpose: its rows may be taken over at once.
pub async fn deregister(ctx: &Context, me: &Worker) -> Result<(), StoreError> {
    let row = me.clone();
    failpoint::here(Point::SignOff);
    let signed_off = ctx.store.write(move |c| workers::mark_stopped(c, &row, now_ms())).await;
    failpoint::here(Point::SignedOff);
    signed_off
}
