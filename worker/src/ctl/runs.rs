//! `orchctl runs`: what the agents did, and ending one.

use super::AsJson;
use super::desk::{Desk, Open};
use super::error::{CtlError, Done};
use super::log;
use super::moment::{shown, span};
use super::operator::{by_key, unknown};
use super::screen::Screen;
use super::stopping;
use super::table::Table;
use super::views::RunView;
use clap::{Args, Subcommand};
use orch_common::domain::run::RunOutcome;
use orch_common::domain::usage::cost_text;
use orch_common::store::runs::{self, Run};
use orch_common::store::{Conn, StoreError, tasks};
use std::collections::BTreeMap;

#[derive(Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Arguments {
    #[command(subcommand)]
    verb: Option<Verb>,
    #[command(flatten)]
    list: List,
}

#[derive(Args)]
struct List {
    /// Only runs of this task, the oldest first
    #[arg(long, value_name = "KEY")]
    task: Option<String>,
    /// At most so many, the newest first
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(i64).range(1..=100_000))]
    limit: i64,
    #[command(flatten)]
    json: AsJson,
}

#[derive(Subcommand)]
enum Verb {
    /// What an agent said and did
    Log(log::Arguments),
    /// End a run; its task is blocked where it stands
    Kill {
        /// The run's id, or the beginning of it
        #[arg(value_parser = clap::builder::NonEmptyStringValueParser::new())]
        run: String,
    },
}

pub fn run(desk: &Desk, screen: &mut Screen<'_>, Arguments { verb, list }: Arguments) -> Done {
    match verb {
        None => show_list(desk, screen, &desk.open()?, &list),
        // Files alone: it works without the database.
        Some(Verb::Log(arguments)) => log::run(&desk.config()?.worker.runs_dir, screen, &arguments),
        Some(Verb::Kill { run }) => kill(desk, screen, &desk.open()?, &run),
    }
}

fn show_list(desk: &Desk, screen: &mut Screen<'_>, open: &Open, list: &List) -> Done {
    let found = open.read(|conn| find(conn, list))?;
    let Some((found, keys)) = found else { return Err(unknown(list.task.as_deref().unwrap_or_default())) };
    if list.json.json {
        return Ok(screen.json(&found.into_iter().map(RunView::from).collect::<Vec<_>>())?);
    }
    Ok(screen.table(&table(&found, &keys, desk.now), "no runs")?)
}

type Keys = BTreeMap<i64, String>;

/// `None` where there is no such task.
fn find(conn: &mut Conn, list: &List) -> Result<Option<(Vec<Run>, Keys)>, StoreError> {
    let found = match &list.task {
        None => runs::newest(conn, list.limit)?,
        Some(key) => match by_key(conn, key)? {
            None => return Ok(None),
            Some(task) => runs::of_task(conn, task.id)?,
        },
    };
    let ids: Vec<i64> = found.iter().map(|run| run.task_id).collect();
    Ok(Some((found, tasks::keys_of(conn, &ids)?)))
}

/// A row per run, also for one task or one job.
pub fn table(runs: &[Run], keys: &Keys, now: i64) -> Table {
    let mut table =
        Table::new(&["RUN", "TASK", "ROLE", "STAGE", "OUTCOME", "TOKENS", "COST", "TOOK", "STARTED", "WHAT"]);
    for run in runs {
        let outcome = run.outcome.map_or(run.state.as_str(), RunOutcome::as_str).to_owned();
        let denied = run.denied_tools.as_ref().map(|tools| format!("denied: {tools}"));
        table.row([
            run.id.clone(),
            keys.get(&run.task_id).cloned().unwrap_or_default(),
            run.role.to_string(),
            run.stage.to_string(),
            outcome,
            run.tokens().to_string(),
            cost_text(run.cost_usd, run.estimated, run.unpriced),
            span(run.finished_at.unwrap_or(now).saturating_sub(run.started_at)),
            shown(run.started_at, now),
            run.error.clone().or(denied).unwrap_or_default(),
        ]);
    }
    table
}

fn kill(desk: &Desk, screen: &mut Screen<'_>, open: &Open, prefix: &str) -> Done {
    let found = open.read(|conn| runs::with_prefix(conn, &prefix.to_ascii_lowercase(), 10))?;
    let run = match found.as_slice() {
        [run] => run,
        [] => return Err(CtlError::NotFound(format!("there is no run {prefix}; `orchctl runs` lists them"))),
        several => {
            let ids: Vec<&str> = several.iter().map(|run| run.id.as_str()).collect();
            return Err(CtlError::Usage(format!("{prefix} begins several runs: {}", ids.join(", "))));
        }
    };
    Ok(screen.line(stopping::ask(open, run, desk.now)?)?)
}
