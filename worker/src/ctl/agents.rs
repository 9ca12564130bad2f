//! `orchctl agents`: whether agents may start - breaker, usage limit, fault of the installation, preflight - and
//! letting them start again once a person has looked.

use super::AsJson;
use super::desk::{Desk, Open};
use super::error::Done;
use super::moment::{ago, shown};
use super::screen::Screen;
use super::table::Table;
use super::views::{AccountView, WorkerView};
use crate::context::ACCOUNT;
use clap::{Args, Subcommand};
use orch_common::config::Config;
use orch_common::domain::breaker::Phase;
use orch_common::domain::run::WorkerState;
use orch_common::store::accounts::{self, Account};
use orch_common::store::workers::{self, Worker};
use orch_common::store::{Conn, StoreError};
use serde::Serialize;

#[derive(Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Arguments {
    #[command(subcommand)]
    verb: Option<Verb>,
    #[command(flatten)]
    json: AsJson,
}

#[derive(Subcommand)]
enum Verb {
    /// Lift a fault of the installation and a usage limit: agents start again
    Resume,
}

#[derive(Serialize)]
struct View {
    agents: AccountView,
    workers: Vec<WorkerView>,
}

pub fn run(desk: &Desk, screen: &mut Screen<'_>, Arguments { verb, json }: Arguments) -> Done {
    let open = desk.open()?;
    match verb {
        None => show(desk, screen, &open, json),
        Some(Verb::Resume) => resume(desk, screen, &open),
    }
}

fn show(desk: &Desk, screen: &mut Screen<'_>, open: &Open, AsJson { json }: AsJson) -> Done {
    let dead_after = dead_after_ms(&open.config);
    let (account, known) = open.read(|c| Ok((accounts::get(c, ACCOUNT)?, workers::all(c)?)))?;
    if json {
        let workers = known.into_iter().map(|worker| WorkerView::of(worker, desk.now, dead_after)).collect();
        return Ok(screen.json(&View { agents: AccountView::of(account, desk.now), workers })?);
    }
    show_account(screen, &account, desk.now)?;
    screen.heading("Workers")?;
    screen.table(&workers(&known, desk.now, dead_after), "none has ever run")?;
    Ok(())
}

fn resume(desk: &Desk, screen: &mut Screen<'_>, open: &Open) -> Done {
    let now = desk.now;
    let before = open.store.write_now(|conn| lift(conn, now))?;
    if let Some(fault) = &before.fault {
        screen.line(format!("lifted the fault: {fault}"))?;
    }
    if let Some(until) = before.limit_until.filter(|until| *until > now) {
        let why = before.limit_reason.as_deref().unwrap_or("usage limit");
        screen.line(format!("lifted the limit until {}: {why}", shown(until, now)))?;
    }
    if before.fault.is_none() && before.limit_until.is_none_or(|until| until <= now) {
        screen.line("nothing to lift: neither a fault nor a usage limit is known")?;
    }
    if before.breaker.phase(now) != Phase::Closed {
        screen.line(format!("the breaker decides for itself: {}", breaker_words(&before, now)))?;
    }
    Ok(())
}

/// Clears fault and limit; returns what was.
fn lift(conn: &mut Conn, now: i64) -> Result<Account, StoreError> {
    let before = accounts::get(conn, ACCOUNT)?;
    let after = Account { breaker: before.breaker, ..Account::default() };
    if after != before {
        accounts::put(conn, ACCOUNT, &after, now)?;
    }
    Ok(before)
}

/// What the account says, line by line.
pub fn show_account(screen: &mut Screen<'_>, account: &Account, now: i64) -> std::io::Result<()> {
    screen.field("breaker", breaker_words(account, now))?;
    let limit = account.limit_until.filter(|until| *until > now).map(|until| {
        let why = account.limit_reason.as_deref().unwrap_or("usage limit");
        format!("agents wait until {}: {why}", shown(until, now))
    });
    screen.field("limit", limit.as_deref().unwrap_or("none"))?;
    let fault = account.fault.as_ref().map(|fault| {
        let since = account.fault_at.map(|at| format!(" (since {})", shown(at, now))).unwrap_or_default();
        format!("{fault}{since}; once it is mended: orchctl agents resume")
    });
    screen.field("fault", fault.as_deref().unwrap_or("none"))
}

fn breaker_words(account: &Account, now: i64) -> String {
    let breaker = &account.breaker;
    match breaker.phase(now) {
        Phase::Closed if breaker.consecutive_transient == 0 => "closed".to_owned(),
        Phase::Closed => format!("closed, {} transient failures in a row", breaker.consecutive_transient),
        Phase::Open => format!("open, one run may try in {} s", breaker.pause_remaining_s(now)),
        Phase::HalfOpen => match breaker.probe_job() {
            Some(job) => format!("half-open, job {job} tries"),
            None => "half-open, the next agent job tries".to_owned(),
        },
    }
}

/// A row per worker.
pub fn workers(workers: &[Worker], now: i64, dead_after: i64) -> Table {
    let mut table = Table::new(&["WORKER", "STATE", "HEARTBEAT", "AGENTS", "VERSION", "HOST", "PID", "PREFLIGHT"]);
    for worker in workers {
        let silent = worker.state != WorkerState::Stopped && !worker.is_alive(now, dead_after);
        table.row([
            worker.name.clone(),
            if silent { "dead".to_owned() } else { worker.state.to_string() },
            ago(worker.heartbeat_at, now),
            worker.max_concurrency.to_string(),
            worker.version.clone(),
            worker.host.clone(),
            worker.pid.to_string(),
            worker.preflight_reason.clone(),
        ]);
    }
    table
}

/// Silence after which a worker counts as dead.
pub fn dead_after_ms(config: &Config) -> i64 {
    i64::try_from(config.worker.heartbeat_dead_s.saturating_mul(1000)).unwrap_or(i64::MAX)
}
