//! The audit trail: what changed a task, why, and who caused it.

use super::connection::Conn;
use super::error::StoreError;
use super::schema::transitions;
use crate::domain::stage::{Stage, TaskState};
use diesel::prelude::*;

/// One change of a task.
#[derive(Debug, Clone, PartialEq, Queryable, Selectable)]
#[diesel(table_name = transitions, check_for_backend(diesel::sqlite::Sqlite))]
pub struct Transition {
    pub id: i64,
    pub task_id: i64,
    pub job_id: Option<i64>,
    pub version: i64,
    pub trigger: String,
    pub actor: Option<String>,
    pub from_stage: Stage,
    pub to_stage: Stage,
    pub from_state: TaskState,
    pub to_state: TaskState,
    pub reason: String,
    pub at: i64,
}

/// A change to be recorded, in the transaction that makes it.
#[derive(Debug, Clone, Insertable)]
#[diesel(table_name = transitions)]
pub struct NewTransition {
    pub task_id: i64,
    pub job_id: Option<i64>,
    pub version: i64,
    pub trigger: String,
    pub actor: Option<String>,
    pub from_stage: Stage,
    pub to_stage: Stage,
    pub from_state: TaskState,
    pub to_state: TaskState,
    pub reason: String,
    pub at: i64,
}

/// Records one change.
pub fn record(conn: &mut Conn, new: &NewTransition) -> Result<(), StoreError> {
    diesel::insert_into(transitions::table).values(new).execute(conn)?;
    Ok(())
}

/// The changes of a task, oldest first.
pub fn of_task(conn: &mut Conn, task: i64) -> Result<Vec<Transition>, StoreError> {
    Ok(transitions::table
        .filter(transitions::task_id.eq(task))
        .order(transitions::id)
        .select(Transition::as_select())
        .load(conn)?)
}

/// The stages a task has been in, in order, without repeats side by side.
pub fn stage_trail(conn: &mut Conn, task: i64) -> Result<Vec<Stage>, StoreError> {
    let mut trail = vec![Stage::Created];
    for t in of_task(conn, task)? {
        if trail.last() != Some(&t.to_stage) {
            trail.push(t.to_stage);
        }
    }
    Ok(trail)
}
