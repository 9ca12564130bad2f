//! The end of a run and what follows, in one transaction: the run's row, the job, the account, the next job, the
//! words to people. Fenced by the job's owner: who lost the job concludes nothing.

use super::books::{Entry, closing};
use super::count::others;
use super::ending::{end_name, how, outcome_kind, outcome_words};
use super::exhausted::over_budget;
use super::leftovers::{self, Accounted, Next};
use super::news::{self, Account};
use crate::agent::adopt::RunEnd as ProcessEnd;
use crate::agent::outcome;
use crate::agent::{ExitReason, ExitRecord, RunDir, StopReason};
use crate::clock::now_ms;
use crate::context::Context;
use crate::engine::apply::enqueue_advance;
use crate::engine::submit::submit_block;
use crate::engine::was_asked;
use crate::give_up::{give_up, give_up_with, see_attended};
use orch_common::domain::decide::Trigger;
use orch_common::domain::failure::{LogParser, LogView, Outcome, RunEnd, Summary, classify};
use orch_common::domain::follow::{Counters, Following, QueueLimits, after_run};
use orch_common::domain::job::JobEnd;
use orch_common::domain::messages::Message;
use orch_common::domain::run::{RunOutcome, RunState};
use orch_common::failpoint::{self, Point};
use orch_common::store::jobs::{self, Job};
use orch_common::store::runs::{self, Run};
use orch_common::store::tasks::{self, Task};
use orch_common::store::{Conn, StoreError, spent};
use std::sync::Arc;

/// Bytes of standard error that are looked at.
const STDERR_BYTES: u64 = 16 * 1024;

/// What concluding came to.
pub(super) enum Concluded {
    Done(String),
    NotOurs,
}

/// What is known of a run that is over.
pub(super) struct Known {
    record: ExitRecord,
    pub log: Option<LogView>,
    pub outcome: Outcome,
}

/// Concludes a run whose process is over.
pub(super) async fn conclude(
    ctx: &Arc<Context>,
    job: &Job,
    run: &str,
    end: ProcessEnd,
) -> Result<Concluded, StoreError> {
    let record = match end {
        // Not the agent's doing, nor anybody's who meant this run.
        ProcessEnd::Ended(record) if record.reason == (ExitReason::Stopped { why: StopReason::System }) => {
            return lost(ctx, job, run, "the machine told its supervisor to end", Some(&record)).await;
        }
        ProcessEnd::Ended(record) => record,
        ProcessEnd::Lost => return lost(ctx, job, run, "its supervisor left no record", None).await,
    };
    failpoint::here(Point::AgentEnded);
    let dir = RunDir::at(ctx.runs_dir.join(run));
    let known = tokio::task::spawn_blocking(move || know(&dir, record))
        .await
        .map_err(|e| StoreError::Corrupt(format!("the run's log could not be read: {e}")))?;
    let following = after_run(&known.outcome, counters(job), queue_limits(ctx), now_ms());
    let note = format!("{}: {}", outcome_kind(&known.outcome), end_name(&following.end));
    let (inner, job, run) = (Arc::clone(ctx), job.clone(), run.to_owned());
    failpoint::here(Point::AgentKnown);
    let left = leftovers::of_job(ctx, &job, &run, following.advance).await;
    let write = move |c: &mut Conn| {
        let ours = commit(c, &inner, &job, &run, &known, &following)?;
        tell_left(c, &inner, left.as_ref().filter(|_| ours), next(&following))?;
        Ok(ours)
    };
    let ours = ctx.store.write(write).await?;
    failpoint::here(Point::AgentConcluded);
    Ok(if ours { Concluded::Done(note) } else { Concluded::NotOurs })
}

/// A run that was interrupted from outside: its job goes back, at no cost but a recovery.
async fn lost(
    ctx: &Arc<Context>,
    job: &Job,
    run: &str,
    why: &'static str,
    record: Option<&ExitRecord>,
) -> Result<Concluded, StoreError> {
    failpoint::here(Point::RunLost);
    let (inner, job, run) = (Arc::clone(ctx), job.clone(), run.to_owned());
    let dir = RunDir::at(ctx.runs_dir.join(&run));
    // What it came to before it was lost tells whether its session is worth going on with.
    let log = tokio::task::spawn_blocking(move || read_log(&dir)).await.ok().flatten();
    let exit = (record.and_then(|r| r.exit_code), record.and_then(|r| r.signal));
    let left = leftovers::of_job(ctx, &job, &run, false).await;
    let done = ctx
        .store
        .write(move |c| {
            if let Some(row) = runs::get(c, &run)? {
                let end = run_end_lost(c, &inner, &row, log.as_ref(), why)?;
                runs::finish(c, &run, &runs::RunEnd { exit_code: exit.0, exit_signal: exit.1, ..end })?;
            }
            let end = put_back(c, &inner, &job, &format!("the run was lost: {why}"))?;
            let next = if matches!(end, Some(JobEnd::Failed { .. })) { Next::Nobody } else { Next::SameJob };
            tell_left(c, &inner, left.as_ref().filter(|_| end.is_some()), next)?;
            Ok(end)
        })
        .await?;
    failpoint::here(Point::RunLostWritten);
    Ok(done.map_or(Concluded::NotOurs, |end| Concluded::Done(format!("lost: {}", end_name(&end)))))
}

/// Puts a job whose run is lost (or never was) back into the queue.
pub(super) fn put_back(conn: &mut Conn, ctx: &Context, job: &Job, why: &str) -> Result<Option<JobEnd>, StoreError> {
    let now = now_ms();
    let Some(end) = jobs::requeue_lost(conn, job, why, now)? else { return Ok(None) };
    Account::load(conn)?.probe_gone(job.id).save(conn, now)?;
    if let JobEnd::Failed { error } = &end {
        give_up(conn, ctx, job, error, now)?;
    }
    Ok(Some(end))
}

fn run_end_lost(
    conn: &mut Conn,
    ctx: &Context,
    row: &Run,
    log: Option<&LogView>,
    why: &str,
) -> Result<runs::RunEnd, StoreError> {
    let records = log.map(|l| &l.records);
    let session = records.and_then(|r| r.session_id.clone()).or_else(|| row.session_id.clone());
    Ok(runs::RunEnd {
        state: RunState::Lost,
        finished_at: Some(now_ms()),
        outcome: Some(RunOutcome::Lost),
        error: Some(why.to_owned()),
        turns: records.map_or(0, turns_of),
        model: records.and_then(|r| r.model.clone()),
        cli_version: records.and_then(|r| r.claude_code_version.clone()),
        ..booked(conn, ctx, row, log, session)?
    })
}

/// What a run has cost, as far as its log tells, with the session that it belongs to; earlier runs of the session are
/// settled where its result does.
fn booked(
    conn: &mut Conn,
    ctx: &Context,
    row: &Run,
    log: Option<&LogView>,
    session_id: Option<String>,
) -> Result<runs::RunEnd, StoreError> {
    let others = others(conn, row, session_id.as_deref())?;
    let Entry { figures, cumulative, settled } = closing(log, &ctx.config.prices, row, &others);
    for (run, usd) in &settled {
        spent::settle(conn, run, *usd)?;
    }
    Ok(runs::RunEnd {
        session_id,
        input_tokens: figures.input_tokens,
        output_tokens: figures.output_tokens,
        cache_tokens: figures.cache_tokens,
        cost_usd: figures.cost_usd,
        cost_cumulative: cumulative,
        estimated: figures.estimated,
        unpriced: figures.unpriced,
        ..empty_end()
    })
}

/// By the result record; without one, what the model was seen to say.
fn turns_of(records: &Summary) -> i32 {
    i32::try_from(records.usage.map_or(records.said, |usage| usage.turns)).unwrap_or(i32::MAX)
}

fn empty_end() -> runs::RunEnd {
    runs::RunEnd {
        state: RunState::Ended,
        finished_at: None,
        exit_code: None,
        exit_signal: None,
        outcome: None,
        error: None,
        counts: false,
        session_id: None,
        input_tokens: 0,
        output_tokens: 0,
        cache_tokens: 0,
        cost_usd: 0.0,
        cost_cumulative: 0.0,
        turns: 0,
        model: None,
        cli_version: None,
        denied_tools: None,
        estimated: false,
        unpriced: false,
    }
}

/// Reads what the run left, and classifies it.
fn know(dir: &RunDir, record: ExitRecord) -> Known {
    let log = read_log(dir);
    let stderr = outcome::tail(&dir.stderr(), STDERR_BYTES).unwrap_or_default();
    let end = RunEnd {
        how: how(&record),
        log: log.clone(),
        stderr_tail: String::from_utf8_lossy(&stderr).into_owned(),
        now_ms: now_ms(),
    };
    Known { outcome: classify(&end), log, record }
}

fn read_log(dir: &RunDir) -> Option<LogView> {
    let mut parser = LogParser::default();
    match outcome::read_log(&dir.log(), |bytes| parser.feed(bytes)) {
        Ok(_) => Some(parser.finish()),
        Err(error) => {
            tracing::warn!(%error, "the run's log cannot be read");
            None
        }
    }
}

/// A job whose agent is not wanted any more, or whose task must be stopped.
pub(super) async fn not_wanted(ctx: &Arc<Context>, job: &Job, why: &str, block: Option<Message>) {
    let (inner, row, reason) = (Arc::clone(ctx), job.clone(), why.to_owned());
    let result = ctx
        .store
        .write(move |c| {
            let now = now_ms();
            let end = JobEnd::Cancelled { why: reason.clone() };
            if !jobs::finish(c, &row, &end, now)? {
                return Ok(());
            }
            Account::load(c)?.probe_gone(row.id).save(c, now)?;
            if let Some(message) = &block {
                self::block(c, &inner, &row, message, now)?;
            }
            attended(c, &inner, &row, &reason, now)
        })
        .await;
    match result {
        Ok(()) => tracing::info!(why, "no agent was started"),
        Err(error) => tracing::error!(%error, "the job's end could not be written; recovery will find it"),
    }
}

/// The end of a run whose agent was not started: it says nothing of the provider, and counts for nothing.
pub(super) fn close_unstarted(
    conn: &mut Conn,
    ctx: &Context,
    run: &str,
    why: &str,
    now: i64,
) -> Result<(), StoreError> {
    let Some(row) = runs::get(conn, run)? else { return Ok(()) };
    let end = runs::RunEnd {
        finished_at: Some(now),
        outcome: Some(RunOutcome::Permanent),
        error: Some(why.to_owned()),
        ..booked(conn, ctx, &row, None, row.session_id.clone())?
    };
    runs::finish(conn, &row.id, &end).map(drop)
}

/// Who goes on with what lies in the folder.
fn next(following: &Following) -> Next {
    match following.end {
        _ if following.advance => Next::Published,
        JobEnd::Again { .. } => Next::SameJob,
        JobEnd::Done { .. } | JobEnd::Failed { .. } | JobEnd::Cancelled { .. } => Next::Nobody,
    }
}

pub(super) fn tell_left(
    conn: &mut Conn,
    ctx: &Context,
    left: Option<&Accounted>,
    next: Next,
) -> Result<(), StoreError> {
    left.map_or(Ok(()), |left| left.record(conn, &ctx.catalogue, next, now_ms()))
}

fn counters(job: &Job) -> Counters {
    Counters { attempts: job.attempts, max_attempts: job.max_attempts, transient_attempts: job.transient_attempts }
}

fn queue_limits(ctx: &Context) -> QueueLimits {
    let r = &ctx.config.resilience;
    QueueLimits {
        transient_max_attempts: r.transient_max_attempts,
        backoff_base_s: r.backoff_base_s,
        backoff_max_s: r.backoff_max_s,
    }
}

fn commit(
    conn: &mut Conn,
    ctx: &Context,
    job: &Job,
    run: &str,
    known: &Known,
    following: &Following,
) -> Result<bool, StoreError> {
    let now = now_ms();
    if !jobs::finish(conn, job, &following.end, now)? {
        return Ok(false);
    }
    let row = runs::get(conn, run)?;
    if let Some(row) = &row {
        let end = run_end(conn, ctx, row, known, following)?;
        runs::finish(conn, &row.id, &end)?;
    }
    let started_at = row.as_ref().map_or(now, |r| r.started_at);
    news::tell_account(conn, ctx, job.id, started_at, following, now)?;
    let used_up = row.as_ref().map(|row| over_budget(conn, ctx, row, known)).transpose()?;
    if let Some(message) = used_up.flatten() {
        block(conn, ctx, job, &message, now)?;
    } else if let Some(reason) = &following.block {
        let is_refusal = matches!(known.outcome, Outcome::Refused { .. });
        let message = match job.role.filter(|_| is_refusal) {
            Some(role) => Message::AgentRefused { role, why: reason.clone() },
            None => Message::Blocked { reason: reason.clone() },
        };
        give_up_with(conn, ctx, job, (&message, reason), now)?;
    } else if let JobEnd::Failed { error } = &following.end {
        give_up(conn, ctx, job, error, now)?;
    }
    if let (true, Some(row), Some(task)) = (following.advance, &row, task_of(conn, job)?) {
        tasks::note_worked(conn, task.id, row.stage)?;
        let trigger = Trigger::AgentEnded { role: row.role, log: row.id.clone() };
        enqueue_advance(conn, &task, &trigger, &format!("run:{}:advance", row.id), now)?;
    }
    attended(conn, ctx, job, end_name(&following.end), now)?;
    Ok(true)
}

fn run_end(
    conn: &mut Conn,
    ctx: &Context,
    row: &Run,
    known: &Known,
    following: &Following,
) -> Result<runs::RunEnd, StoreError> {
    let records = known.log.as_ref().map(|l| &l.records);
    let session = records.and_then(|r| r.session_id.clone()).or_else(|| row.session_id.clone());
    let denied = records.map(|r| r.denied.iter().map(|d| format!("{} ({})", d.tool, d.count)).collect::<Vec<_>>());
    Ok(runs::RunEnd {
        finished_at: Some(known.record.finished_at_ms),
        exit_code: known.record.exit_code,
        exit_signal: known.record.signal,
        outcome: Some(outcome_kind(&known.outcome)),
        error: outcome_words(&known.outcome),
        // Asking for a verdict costs money, but is no work of the role for its cap.
        counts: following.counts && !was_asked(conn, row)?,
        turns: records.map_or(0, turns_of),
        model: records.and_then(|r| r.model.clone()),
        cli_version: records.and_then(|r| r.claude_code_version.clone()),
        denied_tools: denied.filter(|d| !d.is_empty()).map(|d| d.join(", ")),
        ..booked(conn, ctx, row, known.log.as_ref(), session)?
    })
}

/// Stops the job's task for a reason that is no failure of the job.
fn block(conn: &mut Conn, ctx: &Context, job: &Job, message: &Message, now: i64) -> Result<(), StoreError> {
    let Some(task) = task_of(conn, job)? else { return Ok(()) };
    if let Some(project) = ctx.config.projects.by_plane(&task.project) {
        submit_block(conn, ctx, project, &task, message, job.id, now)?;
    }
    Ok(())
}

fn attended(conn: &mut Conn, ctx: &Context, job: &Job, why: &str, now: i64) -> Result<(), StoreError> {
    let why = format!("its agent's job {} has ended ({why})", job.id);
    job.task_id.map_or(Ok(false), |task| see_attended(conn, ctx, task, (job.id, &why), now)).map(drop)
}

fn task_of(conn: &mut Conn, job: &Job) -> Result<Option<Task>, StoreError> {
    Ok(job.task_id.map(|id| tasks::get(conn, id)).transpose()?.flatten())
}
