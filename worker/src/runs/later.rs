//! A start that came to nothing. What time mends goes back at no charge: neither an attempt, nor a transient one, nor the breaker
//! hears of it. Where something outside or the disk is away it waits for that, however long it takes; else it is tried for a
//! quarter of an hour, and then, as at once where only a person can mend it, the task is blocked with the words.

use super::conclude::{close_unstarted, tell_left};
use super::leftovers::{self, Next};
use super::probe_gone;
use crate::clock::now_ms;
use crate::context::Context;
use crate::engine::person_needed;
use crate::give_up::{give_up, give_up_with};
use crate::mend::{Mender, of_io};
use crate::outage::{Scope, blame, hold};
use orch_common::domain::backoff::launch_wait;
use orch_common::domain::fault::Fault;
use orch_common::domain::job::{JobEnd, Spend};
use orch_common::failpoint::{self, Point};
use orch_common::store::jobs::{self, Job};
use orch_common::store::{Conn, StoreError, outages};
use std::io;
use std::sync::Arc;

/// Why no agent was started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unstarted {
    pub why: String,
    /// It may be the disk that is away, and not the forge.
    pub disk: bool,
    /// Only a person can mend it.
    pub fault: Option<Fault>,
}

impl Unstarted {
    pub(super) fn by_time(why: impl Into<String>) -> Unstarted {
        Unstarted { why: why.into(), disk: false, fault: None }
    }

    pub(super) fn by_a_person(fault: Fault, why: String) -> Unstarted {
        Unstarted { fault: Some(fault), ..Unstarted::by_time(why) }
    }

    pub(super) fn of_io(error: &io::Error, why: String) -> Unstarted {
        match of_io(error) {
            Mender::Person(fault) => Unstarted::by_a_person(fault, why),
            Mender::Time | Mender::Disk | Mender::Agent | Mender::Refusal => {
                // Of a disk that takes nothing any more programs say much: it is asked itself.
                Unstarted { disk: true, ..Unstarted::by_time(why) }
            }
        }
    }
}

/// What the database was told.
enum Told {
    Waits,
    GivenUp,
    NotOurs,
}

/// Puts the job back, or gives it up. `run`: its row is there already, and its agent may have begun all the same.
pub(super) async fn later(ctx: &Arc<Context>, job: &Job, run: Option<&str>, unstarted: Unstarted) {
    let suspects = match (unstarted.fault, unstarted.disk) {
        (Some(_), _) => Vec::new(),
        (None, true) => vec![Scope::Disk(ctx.host.clone())],
        (None, false) => ctx.forge_scopes_of(job),
    };
    let away = blame(ctx, &suspects).await;
    let left = match run {
        Some(run) => leftovers::of_job(ctx, job, run, false).await,
        None => None,
    };
    let (inner, row, run, why) = (Arc::clone(ctx), job.clone(), run.map(str::to_owned), unstarted.why.clone());
    failpoint::here(Point::LaunchFailed);
    let write = move |conn: &mut Conn| {
        let now = now_ms();
        let told = put_back(conn, &inner, &row, away.as_ref(), &unstarted, now)?;
        let next = match told {
            Told::Waits => Next::SameJob,
            Told::GivenUp => Next::Nobody,
            Told::NotOurs => return Ok(told),
        };
        if let Some(run) = &run {
            close_unstarted(conn, &inner, run, &unstarted.why, now)?;
        }
        tell_left(conn, &inner, left.as_ref(), next)?;
        Ok(told)
    };
    let told = ctx.store.write(write).await;
    failpoint::here(Point::LaunchFailedWritten);
    match told {
        Ok(Told::Waits) => tracing::warn!(why, "no agent could be started; the job waits at no charge"),
        Ok(Told::GivenUp) => {}
        Ok(Told::NotOurs) => tracing::warn!("the job is no longer this worker's; left alone"),
        Err(error) => tracing::error!(%error, "the job's end could not be written; recovery will find it"),
    }
}

fn put_back(
    conn: &mut Conn,
    ctx: &Context,
    job: &Job,
    away: Option<&Scope>,
    unstarted: &Unstarted,
    now: i64,
) -> Result<Told, StoreError> {
    let why = &unstarted.why;
    if let Some(scope) = away {
        return Ok(if hold(conn, job, scope, why, now)? { Told::Waits } else { Told::NotOurs });
    }
    let wait_s = match unstarted.fault {
        Some(_) => None,
        None => launch_wait(outages::count_try(conn, job.id)?),
    };
    let end = match wait_s {
        Some(wait_s) => {
            let at = now.saturating_add(i64::try_from(wait_s * 1000).unwrap_or(i64::MAX));
            JobEnd::Again { at: Some(at), error: why.clone(), spend: Spend::Nothing }
        }
        None => JobEnd::Failed { error: why.clone() },
    };
    if !jobs::finish(conn, job, &end, now)? {
        return Ok(Told::NotOurs);
    }
    probe_gone(conn, job.id, now)?;
    if wait_s.is_some() {
        return Ok(Told::Waits);
    }
    match unstarted.fault.and_then(|fault| person_needed(Mender::Person(fault), why)) {
        Some(message) => give_up_with(conn, ctx, job, (&message, why), now)?,
        None => give_up(conn, ctx, job, why, now)?,
    }
    Ok(Told::GivenUp)
}
