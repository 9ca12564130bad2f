//! `orchctl status`: who works, whether agents may start, what is queued, what is being worked on.

use super::AsJson;
use super::agents;
use super::desk::Desk;
use super::error::Done;
use super::moment::{ago, span};
use super::screen::Screen;
use super::table::Table;
use super::views::{AccountView, TaskView, WorkerView};
use crate::context::ACCOUNT;
use orch_common::domain::job::{JobKind, JobStatus};
use orch_common::store::accounts::{self, Account};
use orch_common::store::jobs::{self, StatusCounts};
use orch_common::store::runs;
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
    /// Neither done nor cancelled, with what they cost.
    tasks: Vec<(Task, f64)>,
}

#[derive(Serialize)]
struct View {
    workers: Vec<WorkerView>,
    agents: AccountView,
    counts_by_kind: BTreeMap<JobKind, StatusCounts>,
    active_tasks: Vec<TaskView>,
}

/// Shows it.
pub fn run(desk: &Desk, screen: &mut Screen<'_>, AsJson { json }: AsJson) -> Done {
    let open = desk.open()?;
    let dead_after = agents::dead_after_ms(&open.config);
    let snapshot = open.read(look)?;
    if json {
        return Ok(screen.json(&view(snapshot, desk.now, dead_after))?);
    }
    screen.field("database", open.store.path().display().to_string())?;
    screen.heading("Workers")?;
    screen.table(&agents::workers(&snapshot.workers, desk.now, dead_after), "none has ever run")?;
    screen.heading("Agents")?;
    agents::show_account(screen, &snapshot.account, desk.now)?;
    screen.heading("Jobs")?;
    screen.table(&count_table(&snapshot.counts), "none")?;
    screen.heading("Open tasks")?;
    screen.table(&task_table(&snapshot.tasks, desk.now), "none")?;
    Ok(())
}

fn look(conn: &mut Conn) -> Result<Snapshot, StoreError> {
    let open = tasks::open(conn)?;
    Ok(Snapshot {
        workers: workers::all(conn)?,
        account: accounts::get(conn, ACCOUNT)?,
        counts: jobs::counts(conn)?,
        tasks: with_cost(conn, open)?,
    })
}

/// Tasks with what their runs cost.
pub fn with_cost(conn: &mut Conn, tasks: Vec<Task>) -> Result<Vec<(Task, f64)>, StoreError> {
    let mut priced = Vec::with_capacity(tasks.len());
    for task in tasks {
        let cost = runs::task_cost(conn, task.id)?;
        priced.push((task, cost));
    }
    Ok(priced)
}

fn view(snapshot: Snapshot, now: i64, dead_after: i64) -> View {
    let Snapshot { workers, account, counts, tasks } = snapshot;
    View {
        workers: workers.into_iter().map(|worker| WorkerView::of(worker, now, dead_after)).collect(),
        agents: AccountView::of(account, now),
        counts_by_kind: counts,
        active_tasks: tasks.into_iter().map(|(task, cost)| TaskView::of(task, cost)).collect(),
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
pub fn task_table(tasks: &[(Task, f64)], now: i64) -> Table {
    let mut table = Table::new(&["KEY", "STAGE", "STATE", "AGE", "MOVED", "COST", "TITLE", "REASON"]);
    for (task, cost) in tasks {
        table.row([
            task.key.clone(),
            task.stage.to_string(),
            task.state.to_string(),
            span(now.saturating_sub(task.created_at)),
            ago(task.progress_at, now),
            dollars(*cost),
            super::text::cut(&task.title, 40),
            task.state_reason.clone().unwrap_or_default(),
        ]);
    }
    table
}

/// `$1.25`; below a cent with four digits.
pub fn dollars(usd: f64) -> String {
    if usd > 0.0 && usd < 0.01 { format!("${usd:.4}") } else { format!("${usd:.2}") }
}
