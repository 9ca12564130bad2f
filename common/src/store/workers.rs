//! Workers: who is alive. A heartbeat is a promise; recovery believes nothing else.

use super::connection::Conn;
use super::error::StoreError;
use super::schema::workers;
use crate::domain::run::WorkerState;
use diesel::prelude::*;

/// One worker process.
#[derive(Debug, Clone, PartialEq, Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = workers, check_for_backend(diesel::sqlite::Sqlite), treat_none_as_null = true)]
pub struct Worker {
    pub name: String,
    pub host: String,
    pub pid: i32,
    /// Clock ticks after boot; with the boot id it tells a recycled pid from the real one.
    pub pid_start: i64,
    pub boot_id: String,
    pub version: String,
    pub state: WorkerState,
    pub max_concurrency: i32,
    /// Seconds.
    pub poll_interval: f64,
    pub preflight_ok: Option<bool>,
    pub preflight_reason: String,
    pub started_at: i64,
    pub heartbeat_at: i64,
}

impl Worker {
    /// Whether it runs and has sent a heartbeat within `dead_after` (ms): what recovery goes by.
    pub fn is_alive(&self, now: i64, dead_after: i64) -> bool {
        self.state != WorkerState::Stopped && self.heartbeat_at >= now.saturating_sub(dead_after)
    }
}

/// Makes this the row of its name (an earlier process of the name is gone: it holds a lock for its life).
pub fn register(conn: &mut Conn, worker: &Worker) -> Result<(), StoreError> {
    diesel::insert_into(workers::table)
        .values(worker)
        .on_conflict(workers::name)
        .do_update()
        .set(worker)
        .execute(conn)?;
    Ok(())
}

/// Says "I live"; `false` = the row belongs to another process by now. What the row says of draining stays.
pub fn beat(conn: &mut Conn, me: &Worker, now: i64) -> Result<bool, StoreError> {
    let mine =
        workers::table.find(&me.name).filter(workers::pid.eq(me.pid)).filter(workers::pid_start.eq(me.pid_start));
    Ok(diesel::update(mine).set(workers::heartbeat_at.eq(now)).execute(conn)? == 1)
}

/// Shows what the last preflight said.
pub fn note_preflight(conn: &mut Conn, name: &str, ok: bool, reason: &str) -> Result<(), StoreError> {
    diesel::update(workers::table.find(name))
        .set((workers::preflight_ok.eq(Some(ok)), workers::preflight_reason.eq(reason)))
        .execute(conn)?;
    Ok(())
}

/// Wishes that a worker starts no more agents, or that it does again; the wish ends with its process. `false` = none of
/// that name runs.
pub fn set_draining(conn: &mut Conn, name: &str, draining: bool) -> Result<bool, StoreError> {
    let running = workers::table
        .find(name)
        .filter(workers::state.eq_any([WorkerState::Running.as_str(), WorkerState::Draining.as_str()]));
    let state = if draining { WorkerState::Draining } else { WorkerState::Running };
    Ok(diesel::update(running).set(workers::state.eq(state)).execute(conn)? == 1)
}

/// Whether somebody wished so.
pub fn is_draining(conn: &mut Conn, name: &str) -> Result<bool, StoreError> {
    let state: Option<WorkerState> = workers::table.find(name).select(workers::state).first(conn).optional()?;
    Ok(state == Some(WorkerState::Draining))
}

/// The process ends on purpose.
pub fn mark_stopped(conn: &mut Conn, me: &Worker, now: i64) -> Result<(), StoreError> {
    let mine =
        workers::table.find(&me.name).filter(workers::pid.eq(me.pid)).filter(workers::pid_start.eq(me.pid_start));
    diesel::update(mine).set((workers::state.eq(WorkerState::Stopped), workers::heartbeat_at.eq(now))).execute(conn)?;
    Ok(())
}

/// All known workers, by name.
pub fn all(conn: &mut Conn) -> Result<Vec<Worker>, StoreError> {
    Ok(workers::table.order(workers::name).select(Worker::as_select()).load(conn)?)
}

/// How many workers run and have given a sign of life since `since` (ms).
pub fn living(conn: &mut Conn, since: i64) -> Result<i64, StoreError> {
    let running =
        workers::table.filter(workers::state.ne(WorkerState::Stopped)).filter(workers::heartbeat_at.ge(since));
    Ok(running.count().get_result(conn)?)
}

/// When any worker last gave a sign of life, in ms.
pub fn newest_heartbeat(conn: &mut Conn) -> Result<Option<i64>, StoreError> {
    Ok(workers::table.select(diesel::dsl::max(workers::heartbeat_at)).first(conn)?)
}
