//! `orchctl tasks`: the tasks, their history, and an operator's word to one of them.

mod show;

use super::AsJson;
use super::desk::{Desk, Open};
use super::error::{CtlError, Done};
use super::operator;
use super::screen::Screen;
use super::status::{task_table, with_cost};
use super::views::TaskView;
use crate::rules::Rules;
use clap::{Args, Subcommand};
use orch_common::domain::words::{Command, REASON_MAX};
use orch_common::store::{tasks, workers};

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
    /// Also those that are done or cancelled, the newest first
    #[arg(long)]
    all: bool,
    /// With --all: at most so many
    #[arg(long, default_value_t = 100, requires = "all", value_parser = clap::value_parser!(i64).range(1..=100_000))]
    limit: i64,
    #[command(flatten)]
    json: AsJson,
}

#[derive(Subcommand)]
enum Verb {
    /// Everything about one task
    Show {
        key: String,
        #[command(flatten)]
        json: AsJson,
    },
    /// Stop its agent, drop its jobs, end it
    Cancel { key: String },
    /// Start no further agent for it until somebody resumes it
    Pause { key: String },
    /// Go on with a paused one
    Resume { key: String },
    /// Let the role of its stage work again; lifts a block
    Retry { key: String },
    /// Approve what lies before the gate of its stage
    Approve { key: String },
    /// Send it back, with the reason
    Reject {
        key: String,
        #[arg(required = true, num_args = 1.., value_name = "REASON")]
        reason: Vec<String>,
    },
}

pub fn run(desk: &Desk, screen: &mut Screen<'_>, Arguments { verb, list }: Arguments) -> Done {
    let open = desk.open()?;
    let (key, command) = match verb {
        None => return show_list(desk, screen, &open, &list),
        Some(Verb::Show { key, json }) => return show::run(desk, screen, &open, &key, json),
        Some(Verb::Cancel { key }) => (key, Command::Cancel),
        Some(Verb::Pause { key }) => (key, Command::Pause),
        Some(Verb::Resume { key }) => (key, Command::Resume),
        Some(Verb::Retry { key }) => (key, Command::Retry),
        Some(Verb::Approve { key }) => (key, Command::Approve),
        Some(Verb::Reject { key, reason }) => (key, reject(&reason)?),
    };
    tell(desk, screen, open, &key, &command)
}

fn show_list(desk: &Desk, screen: &mut Screen<'_>, open: &Open, list: &List) -> Done {
    let found = open.read(|conn| {
        let rows = if list.all { tasks::newest(conn, list.limit)? } else { tasks::open(conn)? };
        with_cost(conn, rows, desk.now)
    })?;
    if list.json.json {
        let views: Vec<TaskView> = found.into_iter().map(|(task, spent)| TaskView::of(task, spent)).collect();
        return Ok(screen.json(&views)?);
    }
    Ok(screen.table(&task_table(&found, desk.now), if list.all { "no tasks" } else { "no open tasks" })?)
}

fn reject(reason: &[String]) -> Result<Command, CtlError> {
    let reason: String = reason.join(" ").trim().chars().take(REASON_MAX).collect();
    if reason.is_empty() {
        return Err(CtlError::Usage("a rejection needs a reason: the agent works from it".into()));
    }
    Ok(Command::Reject { reason })
}

fn tell(desk: &Desk, screen: &mut Screen<'_>, open: Open, key: &str, command: &Command) -> Done {
    let Open { config, store } = open;
    let dead_after = super::agents::dead_after_ms(&config);
    let rules = Rules::new(config).map_err(|error| CtlError::Failed(error.to_string()))?;
    let heard = operator::tell(&store, &rules, key, command, desk.now)?;
    let task = &heard.task;
    screen.line(format!("{}: {}; it is {} at {}", task.key, heard.note, task.state, task.stage))?;
    let known = workers::all(&mut *store.connection()?)?;
    if !known.iter().any(|worker| worker.is_alive(desk.now, dead_after)) {
        super::complain("no worker is alive: what follows from this happens when one runs");
    }
    Ok(())
}
