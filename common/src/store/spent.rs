//! What runs have cost, while they go on and afterwards: the books that budgets are held against.

use super::connection::Conn;
use super::error::StoreError;
use super::runs::Run;
use super::schema::runs;
use crate::domain::run::{RunState, StopReason};
use crate::domain::usage::plain_usd;
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{BigInt, Bool, Double, Text};

/// What some runs have cost together.
#[derive(Debug, Clone, Copy, PartialEq, Default, QueryableByName)]
pub struct Spent {
    /// US dollars.
    #[diesel(sql_type = Double)]
    pub usd: f64,
    /// All kinds, those of caches included.
    #[diesel(sql_type = BigInt)]
    pub tokens: i64,
    /// Part of it is counted, not told by a result.
    #[diesel(sql_type = Bool)]
    pub estimated: bool,
    /// Some of the tokens have no price.
    #[diesel(sql_type = Bool)]
    pub unpriced: bool,
}

/// The figures of a run that goes on.
#[derive(Debug, Clone, PartialEq, AsChangeset)]
#[diesel(table_name = runs)]
pub struct Running {
    pub input_tokens: i64,
    pub output_tokens: i64,
    pub cache_tokens: i64,
    pub cost_usd: f64,
    pub estimated: bool,
    pub unpriced: bool,
}

const SUMS: &str = "SELECT total(r.cost_usd) AS usd, \
    coalesce(sum(r.input_tokens + r.output_tokens + r.cache_tokens), 0) AS tokens, \
    coalesce(max(r.estimated), 0) AS estimated, coalesce(max(r.unpriced), 0) AS unpriced FROM runs r";

impl Run {
    /// All kinds of tokens, those of caches included.
    pub fn tokens(&self) -> i64 {
        self.input_tokens.saturating_add(self.output_tokens).saturating_add(self.cache_tokens)
    }
}

impl Spent {
    /// Of these runs.
    pub fn of(runs: &[Run]) -> Spent {
        runs.iter().fold(Spent::default(), |sum, run| Spent {
            usd: plain_usd(sum.usd + run.cost_usd),
            tokens: sum.tokens.saturating_add(run.tokens()),
            estimated: sum.estimated || run.estimated,
            unpriced: sum.unpriced || run.unpriced,
        })
    }
}

/// By a task in all its life.
pub fn by_task(conn: &mut Conn, task: i64) -> Result<Spent, StoreError> {
    Ok(sql_query(format!("{SUMS} WHERE r.task_id = ?")).bind::<BigInt, _>(task).get_result(conn)?)
}

/// By all runs of a job.
pub fn by_job(conn: &mut Conn, job: i64) -> Result<Spent, StoreError> {
    Ok(sql_query(format!("{SUMS} WHERE r.job_id = ?")).bind::<BigInt, _>(job).get_result(conn)?)
}

/// By the runs that began at or after a time (ms), of all tasks or those of one project.
pub fn since(conn: &mut Conn, since: i64, project: Option<&str>) -> Result<Spent, StoreError> {
    let Some(project) = project else {
        return Ok(sql_query(format!("{SUMS} WHERE r.started_at >= ?")).bind::<BigInt, _>(since).get_result(conn)?);
    };
    let sql = format!("{SUMS} JOIN tasks t ON t.id = r.task_id WHERE r.started_at >= ? AND t.project = ?");
    Ok(sql_query(sql).bind::<BigInt, _>(since).bind::<Text, _>(project).get_result(conn)?)
}

/// Writes what an open run has cost so far; `false` = it is not open any more.
pub fn note(conn: &mut Conn, run: &str, figures: &Running) -> Result<bool, StoreError> {
    let open = runs::table.find(run).filter(runs::state.eq_any(RunState::OPEN));
    Ok(diesel::update(open).set(figures).execute(conn)? == 1)
}

/// Asks for the end of an open run because a budget (`stop`, JSON) is used up, unless somebody wants its end already.
pub fn stop(conn: &mut Conn, run: &str, stop: &str) -> Result<bool, StoreError> {
    let open = runs::table.find(run).filter(runs::state.eq_any(RunState::OPEN)).filter(runs::stop.is_null());
    Ok(diesel::update(open).set((runs::stop.eq(StopReason::Budget), runs::budget_stop.eq(stop))).execute(conn)? == 1)
}

/// The other runs of a session, the oldest first.
pub fn others_of_session(conn: &mut Conn, session: &str, but: &str) -> Result<Vec<Run>, StoreError> {
    Ok(runs::table
        .filter(runs::session_id.eq(session))
        .filter(runs::id.ne(but))
        .order((runs::started_at, runs::id))
        .select(Run::as_select())
        .load(conn)?)
}

/// Replaces the estimate of an ended run.
pub fn settle(conn: &mut Conn, run: &str, usd: f64) -> Result<(), StoreError> {
    diesel::update(runs::table.find(run))
        .set((runs::cost_usd.eq(usd), runs::estimated.eq(false), runs::unpriced.eq(false)))
        .execute(conn)?;
    Ok(())
}
