//! What becomes of a job that could not be done because of something outside. Where a service, a repository or git is away, it
//! waits for that. Where they answer, the trouble is this job's own: a few quick tries at no charge, because most of it passes
//! (a proxy that restarts, a limit, a page in place of an answer), then the queue's usual course.

use super::{Scope, blame, shut, shut_to};
use crate::clients::ApiError;
use crate::clock::now_ms;
use crate::context::Context;
use crate::job_end;
use orch_common::domain::job::{JobEnd, JobKind, Spend};
use orch_common::failpoint::{self, Point};
use orch_common::store::jobs::{self, Job};
use orch_common::store::{Conn, StoreError, outages};
use std::sync::Arc;

/// Waits of the tries at no charge, in seconds.
const TRIES_S: [u64; 6] = [2, 4, 8, 15, 30, 30];

/// What kind of trouble.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// The same may work later, not before the seconds that were asked for.
    Later { asked_s: Option<u64> },
    /// It is refused, and may be refused of everything.
    Refused,
    /// It will be refused again, whatever else is answered.
    Never,
}

impl From<&ApiError> for Trouble {
    fn from(error: &ApiError) -> Trouble {
        match () {
            () if error.is_transient() => Trouble::Later { asked_s: error.retry_after() },
            () if error.is_final() => Trouble::Never,
            () => Trouble::Refused,
        }
    }
}

/// Ends the claim of a job that met this trouble. `scopes` is what it may lie with.
pub async fn troubled(ctx: &Arc<Context>, job: &Job, error: &str, trouble: Trouble, scopes: &[Scope]) {
    let asked = matches!(trouble, Trouble::Later { asked_s: Some(_) });
    // Plane and Telegram limit by the minute as a rule, and have said when they take the next call.
    let limits = |scope: &&Scope| !(asked && matches!(scope, Scope::Plane | Scope::Project(_) | Scope::Telegram));
    let suspects: Vec<Scope> = match trouble {
        Trouble::Never => Vec::new(),
        Trouble::Later { .. } | Trouble::Refused => scopes.iter().filter(limits).cloned().collect(),
    };
    let away = blame(ctx, &suspects).await;
    let (inner, row, why) = (Arc::clone(ctx), job.clone(), error.to_owned());
    failpoint::here(Point::JobFailing);
    let ended = ctx.store.write(move |c| end(c, &inner, &row, &why, trouble, away.as_ref())).await;
    failpoint::here(Point::JobFailed);
    match ended {
        Ok(true) => {}
        Ok(false) => tracing::warn!("the job is no longer this worker's; left alone"),
        Err(store) => tracing::error!(%store, %error, "the job's end could not be written; recovery will find it"),
    }
}

/// Whether a job that looks by itself, as one does that nobody has woken, was put back: what it waits for is still away, and
/// its work until there may be hours of tests. `enough`: these have been waited for long enough.
pub async fn waits_on(ctx: &Arc<Context>, job: &Job, enough: &[Scope]) -> bool {
    if ctx.outages.is_empty() {
        return false;
    }
    let id = job.id;
    let held = ctx.store.read(move |c| outages::held_for(c, id)).await.ok().flatten();
    let Some((scope, words)) = held.and_then(|name| {
        let scope = Scope::named(&name).filter(|scope| !enough.contains(scope))?;
        ctx.outages.words_of(&scope).map(|words| (scope, words))
    }) else {
        return false;
    };
    let row = job.clone();
    let put_back = ctx.store.write(move |c| hold(c, &row, &scope, &words, now_ms())).await;
    if let Err(error) = &put_back {
        tracing::error!(%error, "the job could not be put back; recovery will find it");
    }
    true
}

/// Whether an agent's job was put back because its repository takes nothing: nobody is paid for what cannot be brought there.
pub async fn waits_to_begin(ctx: &Arc<Context>, job: &Job) -> bool {
    let Some((scope, why, words)) = shut_to(ctx, job.repo.as_deref().unwrap_or_default()).await else { return false };
    tracing::warn!(%scope, words, "no agent is started: what it does could not be brought to the forge");
    let (inner, row) = (Arc::clone(ctx), job.clone());
    let held = move |c: &mut Conn| {
        let (held, now) = (hold(c, &row, &scope, &words, now_ms())?, now_ms());
        if let Some(task) = row.task_id.filter(|_| held) {
            shut::tell_later(c, &inner, task, (&scope, why, &words), now)?;
        }
        Ok(())
    };
    if let Err(error) = ctx.store.write(held).await {
        tracing::error!(%error, "the job could not be put back; recovery will find it");
    }
    true
}

fn end(
    conn: &mut Conn,
    ctx: &Context,
    job: &Job,
    error: &str,
    trouble: Trouble,
    away: Option<&Scope>,
) -> Result<bool, StoreError> {
    let now = now_ms();
    if let Some(scope) = away {
        tracing::info!(%scope, error, "waits until it answers again");
        return hold(conn, job, scope, error, now);
    }
    match trouble {
        Trouble::Later { asked_s: Some(seconds) } => again(conn, job, error, seconds, now),
        Trouble::Later { asked_s: None } => later(conn, ctx, job, error, now),
        Trouble::Refused => tried(conn, ctx, job, error, None, now),
        Trouble::Never => job_end::end(conn, ctx, job, error, None, now),
    }
}

/// Ends the claim of a job whose trouble is its own and may pass.
pub fn later(conn: &mut Conn, ctx: &Context, job: &Job, error: &str, now: i64) -> Result<bool, StoreError> {
    tried(conn, ctx, job, error, Some(None), now)
}

/// `retry`: what follows the tries at no charge, as in [`job_end::end`].
fn tried(
    conn: &mut Conn,
    ctx: &Context,
    job: &Job,
    error: &str,
    retry: Option<Option<u64>>,
    now: i64,
) -> Result<bool, StoreError> {
    match next_try(outages::count_try(conn, job.id)?) {
        Some(wait) => {
            tracing::warn!(error, wait, "tried again soon, at no charge");
            again(conn, job, error, wait, now)
        }
        None => {
            // Its place is kept for what passes soon. What follows of the same task is not held for a day.
            if job.kind == JobKind::Effect && retry.is_some() && jobs::step_aside(conn, job)? {
                tracing::warn!(error, "steps aside: what follows is sent without it, it is tried again by itself");
            }
            job_end::end(conn, ctx, job, error, retry, now)
        }
    }
}

/// Puts a job back until the scope answers again. An agent's is no probe of the account any more.
pub(crate) fn hold(conn: &mut Conn, job: &Job, scope: &Scope, error: &str, now: i64) -> Result<bool, StoreError> {
    let held = outages::hold(conn, job, &scope.to_string(), error, now)?;
    if held && job.kind == JobKind::Agent {
        crate::runs::probe_gone(conn, job.id, now)?;
    }
    Ok(held)
}

fn again(conn: &mut Conn, job: &Job, error: &str, seconds: u64, now: i64) -> Result<bool, StoreError> {
    let at = now.saturating_add(i64::try_from(seconds.saturating_mul(1000)).unwrap_or(i64::MAX));
    let end = JobEnd::Again { at: Some(at), error: error.to_owned(), spend: Spend::Nothing };
    Ok(job_end::put_off(conn, job, end, now)?.1)
}

/// The wait before a try at no charge; `None` = there were enough.
fn next_try(number: u32) -> Option<u64> {
    let index = usize::try_from(number.checked_sub(1)?).ok()?;
    TRIES_S.get(index).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_sorted_by_whether_waiting_may_help() {
        let refused = |status| ApiError::Refused { status, body: String::new() };
        let text = String::new;
        let table = [
            (ApiError::Unavailable { why: text() }, Trouble::Later { asked_s: None }),
            (ApiError::Malformed { why: text() }, Trouble::Later { asked_s: None }),
            (ApiError::RateLimited { retry_after_s: 9 }, Trouble::Later { asked_s: Some(9) }),
            (ApiError::NotFound, Trouble::Refused),
            (ApiError::Unauthorized(text()), Trouble::Refused),
            (refused(301), Trouble::Later { asked_s: None }),
            (refused(423), Trouble::Refused),
            (refused(422), Trouble::Never),
            (ApiError::Conflict { existing_id: None, body: text() }, Trouble::Never),
        ];
        for (error, expected) in table {
            assert_eq!(Trouble::from(&error), expected, "{error}");
        }
    }

    #[test]
    fn the_tries_at_no_charge_outlast_a_minute_and_have_an_end() {
        let waits: Vec<u64> = (1..).map_while(next_try).collect();
        assert_eq!(waits, TRIES_S);
        assert!((60..=120).contains(&waits.iter().sum::<u64>()));
        assert_eq!([next_try(0), next_try(7), next_try(u32::MAX)], [None; 3]);
    }
}
