//! `orchctl jobs`: the queue, row by row, and what a person may do to a row.

mod operate;
mod retry;
mod show;

pub use operate::unknown_job;
pub use show::readable;

use super::AsJson;
use super::desk::Desk;
use super::error::Done;
use super::moment::shown;
use super::operator::{by_key, unknown};
use super::screen::Screen;
use super::table::Table;
use super::views::JobView;
use clap::{Args, Subcommand};
use orch_common::domain::job::{JobKind, JobStatus};
use orch_common::store::jobs::{self, JobFilter, JobHead};
use orch_common::store::tasks;
use orch_common::store::{Conn, StoreError};
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
    /// Only this kind: event, agent, advance, effect
    #[arg(long)]
    kind: Option<JobKind>,
    /// Only this status: queued, running, done, failed, cancelled
    #[arg(long)]
    status: Option<JobStatus>,
    /// Only jobs of this task
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
    /// Everything about one job
    Show {
        id: i64,
        #[command(flatten)]
        json: AsJson,
    },
    /// Put a failed or cancelled job back into the queue, its counters at zero
    Retry { id: i64 },
    /// Take a queued job out of the queue, or end the run of a running agent
    Cancel { id: i64 },
}

pub fn run(desk: &Desk, screen: &mut Screen<'_>, Arguments { verb, list }: Arguments) -> Done {
    let open = desk.open()?;
    match verb {
        None => {
            let filter = JobFilter { kind: list.kind, status: list.status, task: None };
            let found = open.read(|conn| find(conn, filter, list.task.as_deref(), list.limit))?;
            let Some((jobs, keys)) = found else { return Err(unknown(list.task.as_deref().unwrap_or_default())) };
            if list.json.json {
                let view = |job: JobHead| JobView::of(job.clone(), key_of(&job, &keys));
                return Ok(screen.json(&jobs.into_iter().map(view).collect::<Vec<_>>())?);
            }
            Ok(screen.table(&table(&jobs, &keys, desk.now), "no such jobs")?)
        }
        Some(Verb::Show { id, json }) => show::run(desk, screen, &open, id, json),
        Some(Verb::Retry { id }) => retry::run(screen, &open, id),
        Some(Verb::Cancel { id }) => operate::cancel(desk, screen, &open, id),
    }
}

type Keys = BTreeMap<i64, String>;

/// `None` where there is no such task.
fn find(
    conn: &mut Conn,
    filter: JobFilter,
    task: Option<&str>,
    limit: i64,
) -> Result<Option<(Vec<JobHead>, Keys)>, StoreError> {
    let task = match task {
        None => None,
        Some(key) => match by_key(conn, key)? {
            None => return Ok(None),
            Some(task) => Some(task.id),
        },
    };
    let found = jobs::newest(conn, JobFilter { task, ..filter }, limit)?;
    let ids: Vec<i64> = found.iter().filter_map(|job| job.task_id).collect();
    Ok(Some((found, tasks::keys_of(conn, &ids)?)))
}

fn key_of(job: &JobHead, keys: &Keys) -> Option<String> {
    job.task_id.and_then(|id| keys.get(&id)).cloned()
}

/// A row per job, also for the jobs of one task.
pub fn table(jobs: &[JobHead], keys: &Keys, now: i64) -> Table {
    let mut table = Table::new(&["ID", "KIND", "ROLE", "TASK", "STATUS", "TRIES", "CREATED", "WHAT"]);
    for job in jobs {
        table.row([
            job.id.to_string(),
            job.kind.to_string(),
            job.role.map(|role| role.to_string()).unwrap_or_default(),
            key_of(job, keys).unwrap_or_default(),
            job.status.to_string(),
            format!("{}/{}", job.attempts, job.max_attempts),
            shown(job.created_at, now),
            what(job, now),
        ]);
    }
    table
}

/// The one thing worth knowing about it.
fn what(job: &JobHead, now: i64) -> String {
    let due = job.available_at.filter(|at| *at > now).map(|at| format!("due {}; ", super::moment::ago(at, now)));
    let words = match job.status {
        JobStatus::Running => job.worker.as_ref().map(|worker| format!("on {worker}")),
        JobStatus::Done => job.note.clone(),
        JobStatus::Queued | JobStatus::Failed | JobStatus::Cancelled => job.error.clone(),
    };
    format!("{}{}", due.unwrap_or_default(), words.unwrap_or_default())
}
