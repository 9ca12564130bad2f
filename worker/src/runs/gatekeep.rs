//! Whether an agent may start at all: the program answers, the account is neither limited nor at fault, the breaker
//! lets one through. Events, advances and effects go on meanwhile.

use crate::agent::preflight::PreflightReport;
use crate::clock::now_ms;
use crate::context::{ACCOUNT, Context};
use crate::lanes::Claim;
use orch_common::domain::breaker::Gatekeep;
use orch_common::domain::job::JobKind;
use orch_common::store::accounts::{self, Account};
use orch_common::store::{Conn, StoreError, jobs, workers};
use std::time::Duration;

/// What the account says to one more agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Go {
        probe: bool,
    },
    /// Not before this time, in ms; `None` = until a person acts.
    Wait {
        until: Option<i64>,
    },
}

/// Claims the oldest agent job, if one may run.
pub async fn claim_agent(ctx: &Context) -> Result<Claim, StoreError> {
    let me = ctx.name.clone();
    let verdict = ctx.store.read(move |c| verdict(c, &me, now_ms())).await?;
    let probe = match verdict {
        Verdict::Wait { until } => return Ok(Claim::Wait(until_then(until))),
        Verdict::Go { probe } => probe,
    };
    // Half-open: what was believed before the pause is asked again.
    let report = if probe { ctx.preflight.check_now().await } else { ctx.preflight.check().await };
    show_preflight(ctx, &report).await?;
    if !report.ok {
        return Ok(Claim::Wait(Duration::from_secs(ctx.config.resilience.preflight_cache_ttl_s.max(1))));
    }
    let worker = ctx.name.clone();
    ctx.store.write(move |c| claim(c, &worker)).await
}

fn claim(conn: &mut Conn, worker: &str) -> Result<Claim, StoreError> {
    let now = now_ms();
    let probe = match verdict(conn, worker, now)? {
        Verdict::Wait { until } => return Ok(Claim::Wait(until_then(until))),
        Verdict::Go { probe } => probe,
    };
    let Some(job) = jobs::claim(conn, JobKind::Agent, worker, now)? else { return Ok(Claim::Wait(Duration::ZERO)) };
    if probe {
        let mut account = accounts::get(conn, ACCOUNT)?;
        account.breaker.probe_started(job.id);
        accounts::put(conn, ACCOUNT, &account, now)?;
    }
    Ok(Claim::Job(Box::new(job)))
}

fn verdict(conn: &mut Conn, worker: &str, now: i64) -> Result<Verdict, StoreError> {
    if workers::is_draining(conn, worker)? {
        return Ok(Verdict::Wait { until: None });
    }
    Ok(judge(&accounts::get(conn, ACCOUNT)?, now))
}

fn judge(account: &Account, now: i64) -> Verdict {
    if account.fault.is_some() {
        return Verdict::Wait { until: None };
    }
    if let Some(until) = account.limit_until.filter(|until| *until > now) {
        return Verdict::Wait { until: Some(until) };
    }
    match account.breaker.before_claim(now) {
        Gatekeep::Allow => Verdict::Go { probe: false },
        Gatekeep::AllowProbe => Verdict::Go { probe: true },
        Gatekeep::Wait { until_ms } => Verdict::Wait { until: Some(until_ms) },
    }
}

fn until_then(until: Option<i64>) -> Duration {
    match until {
        Some(until) => Duration::from_millis(u64::try_from(until.saturating_sub(now_ms())).unwrap_or(0)),
        None => Duration::MAX,
    }
}

/// Shows the report in the worker's row, written only when it changed.
async fn show_preflight(ctx: &Context, report: &PreflightReport) -> Result<(), StoreError> {
    let reason = match (&report.reason, &report.version) {
        (Some(reason), _) => reason.clone(),
        (None, Some(version)) => format!("ok: {version}"),
        (None, None) => "ok".to_owned(),
    };
    let (name, ok) = (ctx.name.clone(), report.ok);
    let shown = {
        let mut last = ctx.shown_preflight.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let same = last.as_ref() == Some(&(ok, reason.clone()));
        *last = Some((ok, reason.clone()));
        same
    };
    if shown {
        return Ok(());
    }
    if !ok {
        tracing::error!(%reason, "the agent program does not answer; agent jobs wait");
    }
    ctx.store.write(move |c| workers::note_preflight(c, &name, ok, &reason)).await
}

/// Lifts a fault of the installation: a person has looked at it, or the worker was started anew.
pub fn clear_fault(conn: &mut Conn, now: i64) -> Result<Option<String>, StoreError> {
    let mut account = accounts::get(conn, ACCOUNT)?;
    let Some(fault) = account.fault.take() else { return Ok(None) };
    account.fault_at = None;
    accounts::put(conn, ACCOUNT, &account, now)?;
    Ok(Some(fault))
}
