//! The record of every evaluation of a gate.

use super::connection::Conn;
use super::error::StoreError;
use super::schema::gate_results;
use crate::domain::gate::{Gate, OutcomeKind};
use diesel::prelude::*;

/// One evaluation, bound to the commit it was made on.
#[derive(Debug, Clone, PartialEq, Queryable, Selectable)]
#[diesel(table_name = gate_results, check_for_backend(diesel::sqlite::Sqlite))]
pub struct GateResult {
    pub id: i64,
    pub task_id: i64,
    pub job_id: Option<i64>,
    pub gate: Gate,
    pub outcome: OutcomeKind,
    pub reason: Option<String>,
    pub head: Option<String>,
    pub command: Option<String>,
    pub exit_code: Option<i32>,
    pub duration_ms: Option<i64>,
    pub at: i64,
    /// The tree of the commit.
    pub tree: Option<String>,
    /// SHA-256 of the whole output of the tests, in hexadecimal.
    pub output_sha256: Option<String>,
    /// The commit that its evidence was taken on; `None` = recorded by an earlier version.
    pub evidence: Option<String>,
    /// The whole account of a failure, with the end of the output that shows it.
    pub detail: Option<String>,
}

/// An evaluation to be recorded.
#[derive(Debug, Clone, Insertable)]
#[diesel(table_name = gate_results)]
pub struct NewGateResult {
    pub task_id: i64,
    pub job_id: Option<i64>,
    pub gate: Gate,
    pub outcome: OutcomeKind,
    pub reason: Option<String>,
    /// The judged commit. There is no evaluation without one.
    pub head: String,
    /// Its tree.
    pub tree: String,
    /// The test command, where the gate runs one; so are the three that follow.
    pub command: Option<String>,
    pub exit_code: Option<i32>,
    pub duration_ms: Option<i64>,
    pub output_sha256: Option<String>,
    /// The commit that its evidence was taken on; the judged one, unless a run began on, or a review names, an earlier one.
    pub evidence: String,
    /// The whole account of a failure, with the end of the output that shows it.
    pub detail: Option<String>,
    pub at: i64,
}

/// Records one evaluation.
pub fn record(conn: &mut Conn, new: &NewGateResult) -> Result<(), StoreError> {
    diesel::insert_into(gate_results::table).values(new).execute(conn)?;
    Ok(())
}

/// The newest evaluation of a task's gate.
pub fn newest(conn: &mut Conn, task: i64, gate: Gate) -> Result<Option<GateResult>, StoreError> {
    Ok(gate_results::table
        .filter(gate_results::task_id.eq(task).and(gate_results::gate.eq(gate)))
        .order(gate_results::id.desc())
        .select(GateResult::as_select())
        .first(conn)
        .optional()?)
}

/// When a task's gate was first looked at on this commit, in ms; `None` = it was not.
pub fn first_looked(conn: &mut Conn, task: i64, gate: Gate, head: &str) -> Result<Option<i64>, StoreError> {
    Ok(gate_results::table
        .filter(gate_results::task_id.eq(task).and(gate_results::gate.eq(gate)))
        .filter(gate_results::head.eq(head).assume_not_null())
        .select(diesel::dsl::min(gate_results::at))
        .first(conn)?)
}

/// The evaluations of a task, oldest first.
pub fn of_task(conn: &mut Conn, task: i64) -> Result<Vec<GateResult>, StoreError> {
    Ok(gate_results::table
        .filter(gate_results::task_id.eq(task))
        .order(gate_results::id)
        .select(GateResult::as_select())
        .load(conn)?)
}

/// The newest evaluation of a gate that passed.
pub fn last_pass(conn: &mut Conn, task: i64, gate: Gate) -> Result<Option<GateResult>, StoreError> {
    Ok(gate_results::table
        .filter(
            gate_results::task_id
                .eq(task)
                .and(gate_results::gate.eq(gate))
                .and(gate_results::outcome.eq(OutcomeKind::Pass)),
        )
        .order(gate_results::id.desc())
        .select(GateResult::as_select())
        .first(conn)
        .optional()?)
}
