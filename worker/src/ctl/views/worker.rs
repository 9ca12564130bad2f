//! Who works, and whether agents may start.

use crate::ctl::moment::iso;
use orch_common::domain::breaker::Phase;
use orch_common::domain::run::WorkerState;
use orch_common::store::accounts::Account;
use orch_common::store::workers::Worker;
use serde::Serialize;

/// One worker process.
#[derive(Debug, Serialize)]
pub struct WorkerView {
    pub name: String,
    pub host: String,
    pub pid: i32,
    pub version: String,
    /// The last that was heard.
    pub state: WorkerState,
    pub alive: bool,
    pub heartbeat_age_s: i64,
    pub max_concurrency: i32,
    pub preflight_ok: Option<bool>,
    pub preflight_reason: String,
    pub started_at: String,
}

impl WorkerView {
    /// `alive` by the rule of recovery: a fresh heartbeat, and not stopped on purpose.
    pub fn of(worker: Worker, now: i64, dead_after_ms: i64) -> WorkerView {
        let alive = worker.is_alive(now, dead_after_ms);
        let Worker {
            name,
            host,
            pid,
            pid_start: _,
            boot_id: _,
            version,
            state,
            max_concurrency,
            poll_interval: _,
            preflight_ok,
            preflight_reason,
            started_at,
            heartbeat_at,
        } = worker;
        WorkerView {
            name,
            host,
            pid,
            version,
            state,
            alive,
            heartbeat_age_s: now.saturating_sub(heartbeat_at).max(0) / 1000,
            max_concurrency,
            preflight_ok,
            preflight_reason,
            started_at: iso(started_at),
        }
    }
}

/// Whether agents may start, as far as the account is concerned.
#[derive(Debug, Serialize)]
pub struct AccountView {
    pub breaker: BreakerView,
    /// Only one that is still to come.
    pub limit_until: Option<String>,
    pub limit_reason: Option<String>,
    pub fault: Option<String>,
    pub fault_at: Option<String>,
}

/// The circuit breaker as it stands now.
#[derive(Debug, Serialize)]
pub struct BreakerView {
    pub state: Phase,
    pub consecutive_transient: u32,
    pub pause_remaining_s: u64,
}

impl AccountView {
    /// What counts at `now`.
    pub fn of(account: Account, now: i64) -> AccountView {
        let Account { breaker, limit_until, limit_reason, fault, fault_at } = account;
        let limit_until = limit_until.filter(|until| *until > now);
        AccountView {
            breaker: BreakerView {
                state: breaker.phase(now),
                consecutive_transient: breaker.consecutive_transient,
                pause_remaining_s: breaker.pause_remaining_s(now),
            },
            limit_reason: limit_reason.filter(|_| limit_until.is_some()),
            limit_until: limit_until.map(iso),
            fault,
            fault_at: fault_at.map(iso),
        }
    }
}
