//! `GET /queue`.

use super::{age_s, time};
use orch_common::domain::breaker::{Breaker, Phase};
use orch_common::domain::job::{JobKind, JobStatus};
use orch_common::domain::run::WorkerState;
use orch_common::domain::stage::Role;
use orch_common::domain::usage::plain_usd;
use orch_common::store::accounts::Account;
use orch_common::store::jobs::{Job, StatusCounts};
use orch_common::store::spent::Spent;
use orch_common::store::workers::Worker;
use serde::Serialize;
use std::collections::BTreeMap;
use std::time::Duration;

/// What is read of the database for this view.
pub struct Snapshot {
    pub counts: BTreeMap<JobKind, StatusCounts>,
    /// Newest first.
    pub recent: Vec<(Job, Spent)>,
    pub workers: Vec<Worker>,
    pub account: Account,
}

/// The queue and who works on it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Queue {
    /// Agent jobs by status.
    pub counts: StatusCounts,
    pub counts_by_kind: BTreeMap<JobKind, StatusCounts>,
    /// Agents at a time, summed over the living workers.
    pub max_concurrency: i64,
    /// Seconds, the shortest of the living workers; `null` = none lives.
    pub poll_interval: Option<f64>,
    pub resilience: Resilience,
    pub workers: Vec<WorkerView>,
    pub recent: Vec<JobView>,
}

/// Whether agents can be started.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Resilience {
    pub breaker: BreakerView,
    /// `null` = not checked yet.
    pub preflight_ok: Option<bool>,
    pub preflight_reason: String,
}

/// The circuit breaker as it stands now.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BreakerView {
    pub state: Phase,
    pub consecutive_transient: u32,
    /// 0 unless open.
    pub pause_remaining_s: u64,
}

/// One worker process.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct WorkerView {
    pub name: String,
    pub host: String,
    pub pid: i32,
    pub version: String,
    /// `running`, `draining`, `stopped`; with `alive: false` the last that was heard.
    pub state: WorkerState,
    pub alive: bool,
    pub heartbeat_age_s: f64,
    pub max_concurrency: i32,
    pub poll_interval: f64,
    pub preflight_ok: Option<bool>,
    pub preflight_reason: String,
    pub started_at: Option<String>,
}

/// One agent job; times are RFC 3339.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct JobView {
    pub id: i64,
    pub kind: JobKind,
    pub role: Option<Role>,
    pub repo: Option<String>,
    pub task_id: Option<i64>,
    pub status: JobStatus,
    pub attempts: i32,
    pub max_attempts: i32,
    pub transient_attempts: i32,
    pub recoveries: i32,
    pub run_id: Option<String>,
    pub error: Option<String>,
    /// What came of it, for people.
    pub note: Option<String>,
    pub worker: Option<String>,
    /// US dollars of its runs; of one that goes on as of a few seconds ago.
    pub cost_usd: f64,
    /// Part of it is counted from logs; no result has told it.
    pub cost_estimated: bool,
    /// Some of the tokens have no price.
    pub cost_unpriced: bool,
    /// Of its runs, those of caches included.
    pub tokens: i64,
    pub available_at: Option<String>,
    pub created_at: Option<String>,
    pub started_at: Option<String>,
    pub finished_at: Option<String>,
}

impl Queue {
    /// `dead_after`: a worker that was silent for longer does not count.
    pub fn of(snapshot: Snapshot, now_ms: i64, dead_after: Duration) -> Self {
        let Snapshot { counts, recent, workers, account } = snapshot;
        let workers: Vec<WorkerView> = workers.into_iter().map(|w| WorkerView::of(w, now_ms, dead_after)).collect();
        let living = || workers.iter().filter(|worker| worker.alive);
        Queue {
            counts: counts.get(&JobKind::Agent).cloned().unwrap_or_default(),
            counts_by_kind: counts,
            max_concurrency: living().map(|worker| i64::from(worker.max_concurrency)).sum(),
            poll_interval: living().map(|worker| worker.poll_interval).min_by(f64::total_cmp),
            resilience: Resilience::of(&account.breaker, living(), now_ms),
            recent: recent.into_iter().map(|(job, spent)| JobView::of(job, spent)).collect(),
            workers,
        }
    }
}

impl Resilience {
    /// Of several workers, the one whose preflight fails is shown.
    fn of<'a>(breaker: &Breaker, living: impl Iterator<Item = &'a WorkerView>, now_ms: i64) -> Self {
        let checked = living.filter(|worker| worker.preflight_ok.is_some()).min_by_key(|worker| worker.preflight_ok);
        Resilience {
            breaker: BreakerView {
                state: breaker.phase(now_ms),
                consecutive_transient: breaker.consecutive_transient,
                pause_remaining_s: breaker.pause_remaining_s(now_ms),
            },
            preflight_ok: checked.and_then(|worker| worker.preflight_ok),
            preflight_reason: checked.map_or("not checked", |worker| &worker.preflight_reason).to_owned(),
        }
    }
}

impl WorkerView {
    fn of(worker: Worker, now_ms: i64, dead_after: Duration) -> Self {
        let alive = worker.is_alive(now_ms, i64::try_from(dead_after.as_millis()).unwrap_or(i64::MAX));
        let Worker {
            name,
            host,
            pid,
            pid_start: _,
            boot_id: _,
            version,
            state,
            max_concurrency,
            poll_interval,
            preflight_ok,
            preflight_reason,
            started_at,
            heartbeat_at,
        } = worker;
        let heartbeat_age_s = age_s(heartbeat_at, now_ms);
        WorkerView {
            alive,
            name,
            host,
            pid,
            version,
            state,
            heartbeat_age_s,
            max_concurrency,
            poll_interval,
            preflight_ok,
            preflight_reason,
            started_at: time(started_at),
        }
    }
}

impl JobView {
    fn of(job: Job, spent: Spent) -> Self {
        let Job {
            id,
            kind,
            role,
            repo,
            task_id,
            payload: _,
            status,
            attempts,
            max_attempts,
            transient_attempts,
            recoveries,
            run_id,
            error,
            worker,
            dedupe_key: _,
            order_key: _,
            ready: _,
            available_at,
            created_at,
            started_at,
            finished_at,
            note,
        } = job;
        JobView {
            id,
            kind,
            role,
            repo,
            task_id,
            status,
            attempts,
            max_attempts,
            transient_attempts,
            recoveries,
            run_id,
            error,
            note,
            worker,
            cost_usd: plain_usd(spent.usd),
            cost_estimated: spent.estimated,
            cost_unpriced: spent.unpriced,
            tokens: spent.tokens,
            available_at: available_at.and_then(time),
            created_at: time(created_at),
            started_at: started_at.and_then(time),
            finished_at: finished_at.and_then(time),
        }
    }
}

#[cfg(test)]
mod tests;
