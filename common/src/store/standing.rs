//! Whether what is called active is so: a task with nobody at work and nothing that would go on with it waits for ever, and
//! nobody knows.

use super::connection::Conn;
use super::error::StoreError;
use super::jobs;
use super::tasks::{self, Task};
use crate::domain::stage::TaskState;

/// Whether something goes on with an active task by itself, or it is named what it waits for: a job of its own (an agent's, or
/// a look), queued or at work, or the reason that the last decision gave. A task in another state says by that for whom it waits.
pub fn is_attended(conn: &mut Conn, task: &Task) -> Result<bool, StoreError> {
    Ok(task.state != TaskState::Active
        || task.state_reason.as_ref().is_some_and(|reason| !reason.is_empty())
        || !jobs::unfinished_of_task(conn, task.id)?.is_empty())
}

/// The active tasks that nothing will move, oldest first. There are none: whatever ends a job sees to that.
pub fn unattended(conn: &mut Conn) -> Result<Vec<Task>, StoreError> {
    let mut left = Vec::new();
    for task in tasks::open(conn)? {
        // Where this is no transaction it may have moved since it was read.
        if !is_attended(conn, &task)? && tasks::get(conn, task.id)?.as_ref() == Some(&task) {
            left.push(task);
        }
    }
    Ok(left)
}
