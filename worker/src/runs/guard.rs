//! Money and loops: what stops a task before one more agent is started for it.

use crate::context::Context;
use crate::engine::budget::used_up;
use orch_common::config::Project;
use orch_common::domain::budget::{self, LOOP_WINDOW_MS};
use orch_common::domain::messages::Message;
use orch_common::store::tasks::Task;
use orch_common::store::{Conn, StoreError, runs};

/// Why no further agent may start for this task.
pub fn must_stop(
    conn: &mut Conn,
    ctx: &Context,
    project: &Project,
    task: &Task,
    now: i64,
) -> Result<Option<Message>, StoreError> {
    let starts = runs::starts_since(conn, task.id, now - LOOP_WINDOW_MS)?;
    if budget::too_many_runs(&starts, task.progress_at.max(task.cap_since), now) {
        let minutes = u32::try_from(LOOP_WINDOW_MS / 60_000).unwrap_or(0);
        let runs = u32::try_from(starts.len()).unwrap_or(u32::MAX);
        return Ok(Some(Message::LoopStop { runs, minutes }));
    }
    Ok(used_up(conn, ctx, project, task, now)?.map(|stop| Message::from(&stop)))
}
