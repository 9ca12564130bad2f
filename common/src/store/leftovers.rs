//! What agents left beside their work, each thing once: for people, `orchctl tasks show` and the next prompt.

use super::connection::Conn;
use super::error::StoreError;
use super::schema::leftovers;
use crate::domain::leftover::{LeftKind, Leftover};
use diesel::prelude::*;

/// One thing, as it was found first.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable)]
#[diesel(table_name = leftovers, check_for_backend(diesel::sqlite::Sqlite))]
pub struct Row {
    pub id: i64,
    pub task_id: i64,
    /// The run after which it was found, if it was one.
    pub run_id: Option<String>,
    pub kind: LeftKind,
    pub name: String,
    pub kept: Option<String>,
    /// Empty where no commit holds it.
    pub commit_id: String,
    pub at: i64,
    /// Whether people were told, or need not be any more.
    pub told: bool,
}

impl Row {
    pub fn leftover(&self) -> Leftover {
        let commit = Some(self.commit_id.clone()).filter(|id| !id.is_empty());
        Leftover { kind: self.kind, name: self.name.clone(), kept: self.kept.clone(), commit }
    }
}

/// Records what was found; what is known already stays as it is.
pub fn add(conn: &mut Conn, task: i64, run: Option<&str>, found: &[Leftover], at: i64) -> Result<(), StoreError> {
    for left in found {
        diesel::insert_or_ignore_into(leftovers::table)
            .values((
                leftovers::task_id.eq(task),
                leftovers::run_id.eq(run),
                leftovers::kind.eq(left.kind),
                leftovers::name.eq(&left.name),
                leftovers::kept.eq(&left.kept),
                leftovers::commit_id.eq(left.commit.as_deref().unwrap_or_default()),
                leftovers::at.eq(at),
                leftovers::told.eq(false),
            ))
            .execute(conn)?;
    }
    Ok(())
}

/// What people have not been told yet, oldest first.
pub fn untold(conn: &mut Conn, task: i64) -> Result<Vec<Row>, StoreError> {
    Ok(leftovers::table
        .filter(leftovers::task_id.eq(task).and(leftovers::told.eq(false)))
        .order(leftovers::id)
        .select(Row::as_select())
        .load(conn)?)
}

/// People were told of these.
pub fn mark_told(conn: &mut Conn, ids: &[i64]) -> Result<(), StoreError> {
    diesel::update(leftovers::table.filter(leftovers::id.eq_any(ids))).set(leftovers::told.eq(true)).execute(conn)?;
    Ok(())
}

/// Everything of a task, oldest first.
pub fn of_task(conn: &mut Conn, task: i64) -> Result<Vec<Row>, StoreError> {
    Ok(leftovers::table.filter(leftovers::task_id.eq(task)).order(leftovers::id).select(Row::as_select()).load(conn)?)
}
