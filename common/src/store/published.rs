//! The commits of a task's branch that the orchestrator itself brought to the forge.

use super::connection::Conn;
use super::error::StoreError;
use super::schema::published;
use diesel::prelude::*;
use std::collections::BTreeSet;

/// Remembers commits that are about to be published; those that are known stay as they are.
pub fn add(conn: &mut Conn, task: i64, commits: &[String]) -> Result<(), StoreError> {
    for commit in commits {
        diesel::insert_or_ignore_into(published::table)
            .values((published::task_id.eq(task), published::commit_id.eq(commit)))
            .execute(conn)?;
    }
    Ok(())
}

/// These were not published after all.
pub fn remove(conn: &mut Conn, task: i64, commits: &[String]) -> Result<(), StoreError> {
    for commit in commits {
        diesel::delete(published::table.find((task, commit))).execute(conn)?;
    }
    Ok(())
}

/// All that were published for a task.
pub fn of_task(conn: &mut Conn, task: i64) -> Result<BTreeSet<String>, StoreError> {
    let rows: Vec<String> =
        published::table.filter(published::task_id.eq(task)).select(published::commit_id).load(conn)?;
    Ok(rows.into_iter().collect())
}
