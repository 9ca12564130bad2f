//! Counts what a run costs while it goes on, from its log, and holds it against the budgets: the run's own, and what is
//! left of the task's, the project's and the day's. The run's row gets the figures now and then, so that they are seen,
//! and count for others' budgets. A run that was adopted is counted from the beginning of its log.

use super::books::{Entry, entry, never_less, on_row};
use crate::agent::{RunDir, outcome};
use crate::clock::now_ms;
use crate::context::Context;
use crate::engine::budget::{midnight, spending};
use orch_common::domain::budget::{self, BudgetStop, Limits, Spending};
use orch_common::domain::failure::LogParser;
use orch_common::store::runs::{self, Run};
use orch_common::store::spent::{self, Running};
use orch_common::store::tasks::{self, Task};
use orch_common::store::{Conn, StoreError};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Bytes that are read at a time; a process that writes more in this time is caught up with later.
const READ_MAX: u64 = 16 * 1024 * 1024;
/// Between two writes of the figures.
const WRITE_EVERY: Duration = Duration::from_secs(3);
/// Between two looks at what others spend, while this run spends nothing.
const CHECK_EVERY: Duration = Duration::from_secs(5);

/// The log, as far as it was read.
#[derive(Default)]
struct Reader {
    at: u64,
    parser: LogParser,
}

/// One run that is watched.
pub(super) struct Count {
    log: PathBuf,
    row: Run,
    task: Task,
    limits: Limits,
    others: Vec<Run>,
    /// Away while it reads.
    reader: Option<Reader>,
    figures: Running,
    /// What stands in the row.
    written: Running,
    written_at: Option<Instant>,
    checked_at: Option<Instant>,
}

impl Count {
    /// `None` where the run or its task is gone.
    pub(super) async fn load(ctx: &Context, run: &str) -> Result<Option<Count>, StoreError> {
        let id = run.to_owned();
        let found = ctx.store.read(move |c| find(c, &id)).await?;
        let Some((row, task, others)) = found else { return Ok(None) };
        let project = ctx.config.projects.by_plane(&task.project);
        Ok(Some(Count {
            log: RunDir::at(ctx.runs_dir.join(&row.dir)).log(),
            limits: project.map(|project| ctx.limits(project)).unwrap_or_default(),
            figures: on_row(&row),
            written: on_row(&row),
            reader: Some(Reader::default()),
            written_at: None,
            checked_at: None,
            row,
            task,
            others,
        }))
    }

    /// Reads on, writes what is due, and tells which budget is used up, if one is.
    pub(super) async fn go_on(&mut self, ctx: &Context) -> Option<BudgetStop> {
        let changed = self.read(ctx).await;
        let result = self.settle(ctx, changed).await;
        result.unwrap_or_else(|error| {
            tracing::debug!(%error, "the run's cost could not be held against the budgets; trying again");
            None
        })
    }

    /// Whether there are new figures.
    async fn read(&mut self, ctx: &Context) -> bool {
        let (path, mut reader) = (self.log.clone(), self.reader.take().unwrap_or_default());
        let read = tokio::task::spawn_blocking(move || {
            let Reader { at, parser } = &mut reader;
            let result = outcome::read_on(&path, *at, READ_MAX, |bytes| parser.feed(bytes)).map(|upto| *at = upto);
            (reader, result)
        });
        let Ok((reader, result)) = read.await else { return false };
        if let Err(error) = result {
            tracing::debug!(%error, "the log of a run that goes on could not be read");
        }
        let records = reader.parser.summary();
        let tally = records.meter.tally(&ctx.config.prices);
        let Entry { figures, .. } = entry(&tally, &self.row, &self.others, records.claude_code_version.as_deref());
        self.reader = Some(reader);
        let figures = never_less(figures, &self.written);
        let changed = figures != self.figures;
        self.figures = figures;
        changed
    }

    async fn settle(&mut self, ctx: &Context, changed: bool) -> Result<Option<BudgetStop>, StoreError> {
        let stop = self.check(ctx, changed).await?;
        let due = self.written_at.is_none_or(|at| at.elapsed() >= WRITE_EVERY);
        if self.figures != self.written && (due || stop.is_some()) {
            let (id, figures) = (self.row.id.clone(), self.figures.clone());
            ctx.store.write(move |c| spent::note(c, &id, &figures)).await?;
            self.written = self.figures.clone();
            self.written_at = Some(Instant::now());
        }
        Ok(stop)
    }

    async fn check(&mut self, ctx: &Context, changed: bool) -> Result<Option<BudgetStop>, StoreError> {
        let due = changed || self.checked_at.is_none_or(|at| at.elapsed() >= CHECK_EVERY);
        if self.limits == Limits::default() || !due {
            return Ok(None);
        }
        let (task, now) = (self.task.clone(), now_ms());
        let known = ctx.store.read(move |c| spending(c, &task, now)).await?;
        self.checked_at = Some(Instant::now());
        Ok(budget::check(&self.limits, &self.with_own(known, now)))
    }

    /// The books hold what was written of this run; the rest of it is added.
    fn with_own(&self, known: Spending, now: i64) -> Spending {
        let tokens = |f: &Running| f.input_tokens.saturating_add(f.output_tokens).saturating_add(f.cache_tokens);
        let own = u64::try_from(tokens(&self.figures)).unwrap_or(0);
        let more = u64::try_from(tokens(&self.figures).saturating_sub(tokens(&self.written))).unwrap_or(0);
        let more_usd = (self.figures.cost_usd - self.written.cost_usd).max(0.0);
        // The day that a run began in is the day that it counts for.
        let today = self.row.started_at >= midnight(now);
        let (day, day_usd) = if today { (more, more_usd) } else { (0, 0.0) };
        Spending {
            run_usd: self.figures.cost_usd,
            run_turns: 0,
            run_tokens: own,
            task_usd: known.task_usd + more_usd,
            task_tokens: known.task_tokens.saturating_add(more),
            // How many runs there may be is no reason to end one of them.
            task_runs: 0,
            project_day_usd: known.project_day_usd + day_usd,
            project_day_tokens: known.project_day_tokens.saturating_add(day),
            day_usd: known.day_usd + day_usd,
            day_tokens: known.day_tokens.saturating_add(day),
        }
    }
}

type Found = (Run, Task, Vec<Run>);

fn find(conn: &mut Conn, run: &str) -> Result<Option<Found>, StoreError> {
    let Some(row) = runs::get(conn, run)? else { return Ok(None) };
    let Some(task) = tasks::get(conn, row.task_id)? else { return Ok(None) };
    let others = others(conn, &row, row.session_id.as_deref())?;
    Ok(Some((row, task, others)))
}

/// The other runs of the session, where a run resumed one.
pub(super) fn others(conn: &mut Conn, row: &Run, session: Option<&str>) -> Result<Vec<Run>, StoreError> {
    match session.filter(|_| row.resumed) {
        Some(session) => spent::others_of_session(conn, session, &row.id),
        None => Ok(Vec::new()),
    }
}
