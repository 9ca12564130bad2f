//! `orchctl status`: who works, whether agents may start, what is queued, what is being worked on.

use super::AsJson;
use super::agents;
use super::desk::Desk;
use super::error::Done;
use super::limits::{self, LimitView};
use super::moment::{ago, iso, span};
use super::screen::Screen;
use super::table::Table;
use super::views::{AccountView, TaskView, WorkerView};
use crate::context::ACCOUNT;
use crate::engine::budget::midnight;
use crate::waiting::explained;
use orch_common::domain::job::{JobKind, JobStatus};
use orch_common::domain::usage::{cost_text, plain_usd};
use orch_common::store::accounts::{self, Account};
use orch_common::store::jobs::{self, StatusCounts};
use orch_common::store::outages::{self, Outage};
use orch_common::store::spent::{self, Spent};
use orch_common::store::tasks::{self, Task};
use orch_common::store::workers::{self, Worker};
use orch_common::store::{Conn, StoreError};
use serde::Serialize;
use std::collections::BTreeMap;

/// What is read for it.
struct Snapshot {
    workers: Vec<Worker>,
    account: Account,
    counts: BTreeMap<JobKind, StatusCounts>,
    /// What gives no answers, with the number of jobs that wait for it.
    away: Vec<(Outage, i64)>,
    /// Pauses that services asked for.
    limits: Vec<LimitView>,
    /// Neither done nor cancelled, with what they cost.
    tasks: Vec<(Task, Spent)>,
    /// Of all runs that began today (UTC).
    today: Spent,
}

#[derive(Serialize)]
struct View {
    workers: Vec<WorkerView>,
    agents: AccountView,
    counts_by_kind: BTreeMap<JobKind, StatusCounts>,
    away: Vec<AwayView>,
    limits: Vec<LimitView>,
    active_tasks: Vec<TaskView>,
    today: TodayView,
}

/// A service, or a repository at the forge, that gives no answers.
#[derive(Serialize)]
struct AwayView {
    what: String,
    since: String,
    /// What was answered last.
    why: String,
    waiting_jobs: i64,
}

/// What the runs of a day cost.
#[derive(Serialize)]
struct TodayView {
    cost_usd: f64,
    cost_estimated: bool,
    cost_unpriced: bool,
    tokens: i64,
}

/// Shows it.
pub fn run(desk: &Desk, screen: &mut Screen<'_>, AsJson { json }: AsJson) -> Done {
    let open = desk.open()?;
    let dead_after = agents::dead_after_ms(&open.config);
    let now = desk.now;
    let snapshot = open.read(|conn| look(conn, now))?;
    if json {
        return Ok(screen.json(&view(snapshot, desk.now, dead_after))?);
    }
    screen.field("database", open.store.path().display().to_string())?;
    screen.heading("Workers")?;
    screen.table(&agents::workers(&snapshot.workers, desk.now, dead_after), "none has ever run")?;
    screen.heading("Agents")?;
    agents::show_account(screen, &snapshot.account, desk.now)?;
    let today = &snapshot.today;
    screen.field("today (UTC)", format!("{}, {} tokens", spent_text(today), today.tokens))?;
    screen.heading("Jobs")?;
    screen.table(&count_table(&snapshot.counts), "none")?;
    if !snapshot.away.is_empty() {
        screen.heading("Away")?;
        screen.table(&away_table(&snapshot.away, desk.now), "nothing")?;
    }
    if !snapshot.limits.is_empty() {
        screen.heading("Paused (orchctl limits lift)")?;
        screen.table(&limits::table(&snapshot.limits, desk.now), "nothing")?;
    }
    screen.heading("Open tasks")?;
    screen.table(&task_table(&snapshot.tasks, desk.now), "none")?;
    Ok(())
}

fn away_table(away: &[(Outage, i64)], now: i64) -> Table {
    let mut table = Table::new(&["WHAT", "SINCE", "JOBS", "LAST ANSWER"]);
    for (outage, jobs) in away {
        table.row([outage.scope.clone(), ago(outage.since, now), jobs.to_string(), outage.words.clone()]);
    }
    table
}

fn away(conn: &mut Conn) -> Result<Vec<(Outage, i64)>, StoreError> {
    let all = outages::all(conn)?;
    all.into_iter().map(|outage| outages::waiting(conn, &outage.scope).map(|jobs| (outage, jobs))).collect()
}

fn look(conn: &mut Conn, now: i64) -> Result<Snapshot, StoreError> {
    let open = tasks::open(conn)?;
    Ok(Snapshot {
        workers: workers::all(conn)?,
        account: accounts::get(conn, ACCOUNT)?,
        counts: jobs::counts(conn)?,
        away: away(conn)?,
        limits: limits::paused(conn, now)?,
        tasks: with_cost(conn, open, now)?,
        today: spent::since(conn, midnight(now), None)?,
    })
}

/// Tasks with what their runs cost, and what they wait for.
pub fn with_cost(conn: &mut Conn, tasks: Vec<Task>, now: i64) -> Result<Vec<(Task, Spent)>, StoreError> {
    let mut priced = Vec::with_capacity(tasks.len());
    for task in tasks {
        let spent = spent::by_task(conn, task.id)?;
        priced.push((explained(conn, task, now)?, spent));
    }
    Ok(priced)
}

fn view(snapshot: Snapshot, now: i64, dead_after: i64) -> View {
    let Snapshot { workers, account, counts, away, limits, tasks, today } = snapshot;
    let away = away.into_iter().map(|(outage, waiting_jobs)| AwayView {
        what: outage.scope,
        since: iso(outage.since),
        why: outage.words,
        waiting_jobs,
    });
    View {
        workers: workers.into_iter().map(|worker| WorkerView::of(worker, now, dead_after)).collect(),
        agents: AccountView::of(account, now),
        counts_by_kind: counts,
        away: away.collect(),
        limits,
        active_tasks: tasks.into_iter().map(|(task, spent)| TaskView::of(task, spent)).collect(),
        today: TodayView {
            cost_usd: plain_usd(today.usd),
            cost_estimated: today.estimated,
            cost_unpriced: today.unpriced,
            tokens: today.tokens,
        },
    }
}

fn count_table(counts: &BTreeMap<JobKind, StatusCounts>) -> Table {
    let mut table = Table::new(&["KIND", "QUEUED", "RUNNING", "DONE", "FAILED", "CANCELLED"]);
    for (kind, by_status) in counts {
        let n = |status: JobStatus| by_status.get(status.as_str()).copied().unwrap_or_default().to_string();
        table.row([
            kind.to_string(),
            n(JobStatus::Queued),
            n(JobStatus::Running),
            n(JobStatus::Done),
            n(JobStatus::Failed),
            n(JobStatus::Cancelled),
        ]);
    }
    table
}

/// A row per task, also for the list of tasks.
pub fn task_table(tasks: &[(Task, Spent)], now: i64) -> Table {
    let mut table = Table::new(&["KEY", "STAGE", "STATE", "AGE", "MOVED", "COST", "TOKENS", "TITLE", "REASON"]);
    for (task, spent) in tasks {
        table.row([
            task.key.clone(),
            task.stage.to_string(),
            task.state.to_string(),
            span(now.saturating_sub(task.created_at)),
            ago(task.progress_at, now),
            spent_text(spent),
            spent.tokens.to_string(),
            task.title.clone(),
            task.state_reason.clone().unwrap_or_default(),
        ]);
    }
    table
}

/// `$1.25`, `~$1.25` where it is estimated.
pub fn spent_text(spent: &Spent) -> String {
    cost_text(spent.usd, spent.estimated, spent.unpriced)
}
