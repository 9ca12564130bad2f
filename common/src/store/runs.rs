//! Runs: one execution of an agent process each, with what it cost.

use super::connection::Conn;
use super::error::StoreError;
use super::schema::runs;
use crate::domain::run::{RunOutcome, RunState, StopReason};
use crate::domain::stage::{Role, Stage};
use diesel::dsl::count_star;
use diesel::prelude::*;

/// One run; times in ms, money in USD.
#[derive(Debug, Clone, PartialEq, Queryable, Selectable)]
#[diesel(table_name = runs, check_for_backend(diesel::sqlite::Sqlite))]
pub struct Run {
    pub id: String,
    pub job_id: i64,
    pub task_id: i64,
    pub role: Role,
    pub stage: Stage,
    pub worker: String,
    pub host: String,
    /// The run's folder, relative to the runs folder of its host.
    pub dir: String,
    pub state: RunState,
    pub session_id: Option<String>,
    pub resumed: bool,
    /// The branch's head that its agent began on.
    pub head_before: Option<String>,
    pub started_at: i64,
    pub finished_at: Option<i64>,
    pub exit_code: Option<i32>,
    pub exit_signal: Option<i32>,
    pub outcome: Option<RunOutcome>,
    pub error: Option<String>,
    /// Counts for the role's cap: lost, cancelled, transient and infra runs do not.
    pub counts: bool,
    pub input_tokens: i64,
    pub output_tokens: i64,
    pub cache_tokens: i64,
    pub cost_usd: f64,
    pub cost_cumulative: f64,
    pub turns: i32,
    pub model: Option<String>,
    pub cli_version: Option<String>,
    pub denied_tools: Option<String>,
    /// Somebody wants it to end: why.
    pub stop: Option<StopReason>,
    /// Tokens and cost are counted from its log; no result has told them.
    pub estimated: bool,
    /// Some of its tokens have no price.
    pub unpriced: bool,
    /// The budget that ended it, as JSON.
    pub budget_stop: Option<String>,
}

/// A run that is about to start.
#[derive(Debug, Clone, Insertable)]
#[diesel(table_name = runs)]
pub struct NewRun {
    pub id: String,
    pub job_id: i64,
    pub task_id: i64,
    pub role: Role,
    pub stage: Stage,
    pub worker: String,
    pub host: String,
    pub dir: String,
    pub state: RunState,
    pub session_id: Option<String>,
    pub resumed: bool,
    pub head_before: Option<String>,
    pub started_at: i64,
}

/// What a run came to.
#[derive(Debug, Clone, PartialEq, AsChangeset)]
#[diesel(table_name = runs, treat_none_as_null = true)]
pub struct RunEnd {
    pub state: RunState,
    pub finished_at: Option<i64>,
    pub exit_code: Option<i32>,
    pub exit_signal: Option<i32>,
    pub outcome: Option<RunOutcome>,
    pub error: Option<String>,
    pub counts: bool,
    pub session_id: Option<String>,
    pub input_tokens: i64,
    pub output_tokens: i64,
    pub cache_tokens: i64,
    pub cost_usd: f64,
    pub cost_cumulative: f64,
    pub turns: i32,
    pub model: Option<String>,
    pub cli_version: Option<String>,
    pub denied_tools: Option<String>,
    pub estimated: bool,
    pub unpriced: bool,
}

/// Inserts a run and names it in its job, both or neither (call inside the claim's transaction or one of its own).
pub fn insert(conn: &mut Conn, new: &NewRun) -> Result<(), StoreError> {
    diesel::insert_into(runs::table).values(new).execute(conn)?;
    diesel::update(super::schema::jobs::table.find(new.job_id))
        .set(super::schema::jobs::run_id.eq(&new.id))
        .execute(conn)?;
    super::waits::end(conn, new.job_id)
}

/// The process runs.
pub fn mark_running(conn: &mut Conn, id: &str) -> Result<(), StoreError> {
    diesel::update(runs::table.find(id).filter(runs::state.eq(RunState::Starting)))
        .set(runs::state.eq(RunState::Running))
        .execute(conn)?;
    Ok(())
}

/// Another worker watches it now.
pub fn set_worker(conn: &mut Conn, id: &str, worker: &str) -> Result<(), StoreError> {
    diesel::update(runs::table.find(id)).set(runs::worker.eq(worker)).execute(conn)?;
    Ok(())
}

/// Ends a run, once; `false` = it was ended already.
pub fn finish(conn: &mut Conn, id: &str, end: &RunEnd) -> Result<bool, StoreError> {
    let open = runs::table.find(id).filter(runs::state.eq_any(RunState::OPEN));
    Ok(diesel::update(open).set(end).execute(conn)? == 1)
}

/// Asks for the end of the task's open runs; their owners see it and stop them. Returns how many there are.
pub fn ask_to_stop(conn: &mut Conn, task: i64, why: StopReason) -> Result<usize, StoreError> {
    let open = runs::table.filter(runs::task_id.eq(task)).filter(runs::state.eq_any(RunState::OPEN));
    Ok(diesel::update(open).set(runs::stop.eq(why)).execute(conn)?)
}

/// Asks for the end of one run; `false` = it is not open.
pub fn ask_one_to_stop(conn: &mut Conn, id: &str, why: StopReason) -> Result<bool, StoreError> {
    let open = runs::table.find(id).filter(runs::state.eq_any(RunState::OPEN));
    Ok(diesel::update(open).set(runs::stop.eq(why)).execute(conn)? == 1)
}

/// Why a run is to end, if it is.
pub fn wanted_stop(conn: &mut Conn, id: &str) -> Result<Option<StopReason>, StoreError> {
    Ok(runs::table.find(id).select(runs::stop).first::<Option<StopReason>>(conn).optional()?.flatten())
}

/// Whether a run of the task is open.
pub fn any_open(conn: &mut Conn, task: i64) -> Result<bool, StoreError> {
    let open: Option<String> = runs::table
        .filter(runs::task_id.eq(task))
        .filter(runs::state.eq_any(RunState::OPEN))
        .select(runs::id)
        .first(conn)
        .optional()?;
    Ok(open.is_some())
}

/// One run.
pub fn get(conn: &mut Conn, id: &str) -> Result<Option<Run>, StoreError> {
    Ok(runs::table.find(id).select(Run::as_select()).first(conn).optional()?)
}

/// The runs of a task, oldest first.
pub fn of_task(conn: &mut Conn, task: i64) -> Result<Vec<Run>, StoreError> {
    Ok(runs::table
        .filter(runs::task_id.eq(task))
        .order((runs::started_at, runs::id))
        .select(Run::as_select())
        .load(conn)?)
}

/// The newest runs of all tasks, newest first.
pub fn newest(conn: &mut Conn, limit: i64) -> Result<Vec<Run>, StoreError> {
    Ok(runs::table
        .order((runs::started_at.desc(), runs::id.desc()))
        .limit(limit)
        .select(Run::as_select())
        .load(conn)?)
}

/// Up to `limit` runs whose id begins with `prefix`, by id.
pub fn with_prefix(conn: &mut Conn, prefix: &str, limit: i64) -> Result<Vec<Run>, StoreError> {
    // Not LIKE: the text is a person's, and a range needs no escaping and uses the key.
    let end = format!("{prefix}\u{10ffff}");
    Ok(runs::table
        .filter(runs::id.ge(prefix).and(runs::id.lt(end)))
        .order(runs::id)
        .limit(limit)
        .select(Run::as_select())
        .load(conn)?)
}

/// How many runs of a role count for its cap: those that began at or after `since` (ms).
pub fn counted(conn: &mut Conn, task: i64, role: Role, since: i64) -> Result<i64, StoreError> {
    Ok(runs::table
        .filter(runs::task_id.eq(task))
        .filter(runs::role.eq(role))
        .filter(runs::counts.eq(true))
        .filter(runs::started_at.ge(since))
        .select(count_star())
        .first(conn)?)
}

/// When each run of a task began, since a time, oldest first.
pub fn starts_since(conn: &mut Conn, task: i64, since: i64) -> Result<Vec<i64>, StoreError> {
    Ok(runs::table
        .filter(runs::task_id.eq(task))
        .filter(runs::started_at.ge(since))
        .order(runs::started_at)
        .select(runs::started_at)
        .load(conn)?)
}

/// How many runs a task has had.
pub fn task_runs(conn: &mut Conn, task: i64) -> Result<i64, StoreError> {
    Ok(runs::table.filter(runs::task_id.eq(task)).select(count_star()).first(conn)?)
}
