//! What the account learns from a run: breaker, usage limit, fault of the installation; each said once.

use crate::alerts;
use crate::context::{ACCOUNT, Context};
use orch_common::domain::breaker::Announce;
use orch_common::domain::follow::{BreakerNews, Following};
use orch_common::domain::messages::{Message, Moment};
use orch_common::store::{Conn, StoreError, accounts};

/// The account within one transaction.
pub(super) struct Account(accounts::Account);

impl Account {
    pub(super) fn load(conn: &mut Conn) -> Result<Account, StoreError> {
        Ok(Account(accounts::get(conn, ACCOUNT)?))
    }

    /// The breaker's probe, if this job was it, will bring no news.
    pub(super) fn probe_gone(mut self, job: i64) -> Account {
        self.0.breaker.probe_lost(job);
        self
    }

    pub(super) fn save(self, conn: &mut Conn, now: i64) -> Result<(), StoreError> {
        if self.0 == accounts::get(conn, ACCOUNT)? {
            return Ok(());
        }
        accounts::put(conn, ACCOUNT, &self.0, now)
    }
}

/// Tells the account what a run of `job`, begun at `started_at` (ms), says about it.
pub(super) fn tell_account(
    conn: &mut Conn,
    ctx: &Context,
    job: i64,
    started_at: i64,
    following: &Following,
    now: i64,
) -> Result<(), StoreError> {
    let mut account = Account::load(conn)?;
    let announce = tell_breaker(&mut account.0, ctx, job, started_at, following.breaker, now);
    if let Some((until, why)) = &following.limit
        && account.0.limit_until.is_none_or(|known| known < *until)
    {
        account.0.limit_until = Some(*until);
        account.0.limit_reason = Some(why.clone());
        let message = Message::UsageLimit { until: Moment(*until) };
        alerts::raise(conn, ctx, None, &message, &format!("limit:{until}"), now)?;
    }
    if let Some(fault) = &following.fault
        && account.0.fault.is_none()
    {
        account.0.fault = Some(fault.clone());
        account.0.fault_at = Some(now);
        let message = Message::InstallationFault { why: fault.clone() };
        alerts::raise(conn, ctx, None, &message, &format!("fault:{now}"), now)?;
    }
    account.save(conn, now)?;
    let message = match announce {
        Announce::None => return Ok(()),
        Announce::Opened | Announce::Reopened => Message::BreakerOpened {
            pause_s: ctx.config.resilience.breaker_pause_s,
            why: match &following.end {
                orch_common::domain::job::JobEnd::Again { error, .. }
                | orch_common::domain::job::JobEnd::Failed { error } => error.clone(),
                orch_common::domain::job::JobEnd::Done { .. } | orch_common::domain::job::JobEnd::Cancelled { .. } => {
                    String::new()
                }
            },
        },
        Announce::Closed => Message::BreakerClosed,
    };
    alerts::raise(conn, ctx, None, &message, &format!("breaker:{now}"), now)
}

fn tell_breaker(
    account: &mut accounts::Account,
    ctx: &Context,
    job: i64,
    started_at: i64,
    news: BreakerNews,
    now: i64,
) -> Announce {
    let r = &ctx.config.resilience;
    match news {
        BreakerNews::Success => account.breaker.on_success(),
        BreakerNews::Transient => account.breaker.on_transient(now, started_at, r.breaker_threshold, r.breaker_pause_s),
        BreakerNews::Permanent => account.breaker.on_permanent(now),
        BreakerNews::Nothing => {
            account.breaker.probe_lost(job);
            Announce::None
        }
    }
}
