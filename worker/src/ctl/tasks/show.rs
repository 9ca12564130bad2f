//! `orchctl tasks show`: where a task has been, who moved it, what its agents did and cost, what is to come.

use crate::ctl::AsJson;
use crate::ctl::desk::{Desk, Open};
use crate::ctl::error::Done;
use crate::ctl::moment::{shown, shown_if, span};
use crate::ctl::operator::{by_key, unknown};
use crate::ctl::screen::Screen;
use crate::ctl::status::spent_text;
use crate::ctl::table::Table;
use crate::ctl::views::{GateView, JobView, LeftView, RunView, TaskView, TransitionView};
use crate::ctl::{jobs as job_list, runs as run_list};
use crate::waiting::explained;
use orch_common::domain::job::JobKind;
use orch_common::domain::messages::leftover_in_words;
use orch_common::domain::stage::Stage;
use orch_common::store::audit::{self, Transition};
use orch_common::store::gates::{self, GateResult};
use orch_common::store::jobs::{self, JobFilter, JobHead};
use orch_common::store::leftovers::{self, Row as LeftRow};
use orch_common::store::runs::{self, Run};
use orch_common::store::spent::Spent;
use orch_common::store::tasks::Task;
use orch_common::store::{Conn, StoreError};
use serde::Serialize;
use std::collections::BTreeMap;

/// Jobs of a task that are looked through.
const JOBS: i64 = 1_000;
/// Effects that are shown.
const EFFECTS: usize = 10;

/// What is read for it.
struct Whole {
    task: Task,
    trail: Vec<Stage>,
    runs: Vec<Run>,
    gates: Vec<GateResult>,
    left: Vec<LeftRow>,
    transitions: Vec<Transition>,
    /// Queued and running, oldest first.
    unfinished: Vec<JobHead>,
    /// Newest first.
    effects: Vec<JobHead>,
}

#[derive(Serialize)]
struct View {
    #[serde(flatten)]
    task: TaskView,
    description: String,
    stage_trail: Vec<Stage>,
    runs: Vec<RunView>,
    gates: Vec<GateView>,
    leftovers: Vec<LeftView>,
    transitions: Vec<TransitionView>,
    unfinished_jobs: Vec<JobView>,
    last_effects: Vec<JobView>,
}

pub(super) fn run(desk: &Desk, screen: &mut Screen<'_>, open: &Open, key: &str, AsJson { json }: AsJson) -> Done {
    let whole = open.read(|conn| look(conn, key, desk.now))?.ok_or_else(|| unknown(key))?;
    if json {
        return Ok(screen.json(&view(whole))?);
    }
    Ok(show(screen, &whole, desk.now)?)
}

fn look(conn: &mut Conn, key: &str, now: i64) -> Result<Option<Whole>, StoreError> {
    let Some(task) = by_key(conn, key)? else { return Ok(None) };
    let task = explained(conn, task, now)?;
    let filter = JobFilter { task: Some(task.id), ..JobFilter::default() };
    let jobs = jobs::newest(conn, filter, JOBS)?;
    let effects = jobs.iter().filter(|job| job.kind == JobKind::Effect).take(EFFECTS).cloned().collect();
    let unfinished = jobs.into_iter().rev().filter(|job| !job.status.is_finished()).collect();
    Ok(Some(Whole {
        trail: audit::stage_trail(conn, task.id)?,
        runs: runs::of_task(conn, task.id)?,
        gates: gates::of_task(conn, task.id)?,
        left: leftovers::of_task(conn, task.id)?,
        transitions: audit::of_task(conn, task.id)?,
        unfinished,
        effects,
        task,
    }))
}

fn view(whole: Whole) -> View {
    let Whole { task, trail, runs, gates, left, transitions, unfinished, effects } = whole;
    let spent = Spent::of(&runs);
    let jobs = |heads: Vec<JobHead>| heads.into_iter().map(|job| JobView::of(job, Some(task.key.clone()))).collect();
    View {
        unfinished_jobs: jobs(unfinished),
        last_effects: jobs(effects),
        description: task.description.clone(),
        stage_trail: trail,
        runs: runs.into_iter().map(RunView::from).collect(),
        gates: gates.into_iter().map(GateView::from).collect(),
        leftovers: left.into_iter().map(LeftView::from).collect(),
        transitions: transitions.into_iter().map(TransitionView::from).collect(),
        task: TaskView::of(task, spent),
    }
}

fn show(screen: &mut Screen<'_>, whole: &Whole, now: i64) -> std::io::Result<()> {
    let Whole { task, trail, runs, gates, left, transitions, unfinished, effects } = whole;
    head(screen, task, trail, runs, now)?;
    let keys = BTreeMap::from([(task.id, task.key.clone())]);
    screen.heading("Runs")?;
    screen.table(&run_list::table(runs, &keys, now), "none")?;
    screen.heading("Gates")?;
    screen.table(&gate_table(gates, now), "none was looked at")?;
    screen.heading("Left by agents beside the branch")?;
    screen.table(&left_table(left, now), "nothing")?;
    screen.heading("Moves")?;
    screen.table(&transition_table(transitions, now), "none")?;
    screen.heading("Queued and running jobs")?;
    screen.table(&job_list::table(unfinished, &keys, now), "none")?;
    screen.heading("Last effects")?;
    screen.table(&job_list::table(effects, &keys, now), "none")
}

fn head(screen: &mut Screen<'_>, task: &Task, trail: &[Stage], runs: &[Run], now: i64) -> std::io::Result<()> {
    let path: Vec<&str> = trail.iter().map(|stage| stage.as_str()).collect();
    let spent = Spent::of(runs);
    screen.field("task", format!("{} {}", task.key, task.title))?;
    screen.field("stage", format!("{} (version {})", task.stage, task.stage_version))?;
    screen.field("state", task.state.as_str())?;
    screen.field_if("reason", task.state_reason.as_ref())?;
    screen.field("trail", path.join(" > "))?;
    screen.field("branch", format!("{} {} from {}", task.repo, task.branch, task.base))?;
    screen.field_if("head", task.head.as_ref())?;
    screen.field("spent", format!("{} in {} runs, {} tokens", spent_text(&spent), runs.len(), spent.tokens))?;
    screen.field("created", shown(task.created_at, now))?;
    screen.field("progress", shown(task.progress_at, now))?;
    screen.field_if("approved", task.approved_at.map(|at| shown(at, now)))?;
    screen.field("finished", shown_if(task.finished_at, now))?;
    screen.field("work item", format!("{} of project {}", task.work_item, task.project))
}

fn gate_table(gates: &[GateResult], now: i64) -> Table {
    let titles = ["GATE", "OUTCOME", "COMMIT", "TREE", "EVIDENCE", "EXIT", "TOOK", "OUTPUT", "COMMAND", "AT", "REASON"];
    let mut table = Table::new(&titles);
    let short = |id: &Option<String>| id.as_deref().unwrap_or_default().chars().take(10).collect::<String>();
    for gate in gates {
        table.row([
            gate.gate.to_string(),
            gate.outcome.to_string(),
            short(&gate.head),
            short(&gate.tree),
            short(&gate.evidence),
            gate.exit_code.map(|code| code.to_string()).unwrap_or_default(),
            gate.duration_ms.map(span).unwrap_or_default(),
            short(&gate.output_sha256),
            gate.command.clone().unwrap_or_default(),
            shown(gate.at, now),
            gate.reason.clone().unwrap_or_default(),
        ]);
    }
    table
}

fn left_table(left: &[LeftRow], now: i64) -> Table {
    let mut table = Table::new(&["KIND", "COMMIT", "KEPT", "AT", "WHAT"]);
    for row in left {
        table.row([
            row.kind.to_string(),
            row.commit_id.chars().take(10).collect(),
            row.kept.clone().unwrap_or_default(),
            shown(row.at, now),
            leftover_in_words(row.kind, &row.name),
        ]);
    }
    table
}

fn transition_table(transitions: &[Transition], now: i64) -> Table {
    let mut table = Table::new(&["V", "TRIGGER", "ACTOR", "STAGE", "STATE", "AT", "REASON"]);
    for t in transitions {
        table.row([
            t.version.to_string(),
            t.trigger.clone(),
            t.actor.clone().unwrap_or_default(),
            arrow(t.from_stage.as_str(), t.to_stage.as_str()),
            arrow(t.from_state.as_str(), t.to_state.as_str()),
            shown(t.at, now),
            t.reason.clone(),
        ]);
    }
    table
}

fn arrow(from: &str, to: &str) -> String {
    if from == to { to.to_owned() } else { format!("{from} > {to}") }
}
