//! Money and loops: what stops a task before one more agent is started for it.

use crate::context::Context;
use orch_common::config::Project;
use orch_common::domain::budget::{self, LOOP_WINDOW_MS, Spending};
use orch_common::domain::messages::Message;
use orch_common::store::tasks::Task;
use orch_common::store::{Conn, StoreError, runs};

const DAY_MS: i64 = 24 * 60 * 60 * 1000;

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
    let spending = spent(conn, task, now)?;
    Ok(budget::check(&ctx.limits(project), &spending).map(|stop| Message::from(&stop)))
}

fn spent(conn: &mut Conn, task: &Task, now: i64) -> Result<Spending, StoreError> {
    let midnight = now - now.rem_euclid(DAY_MS);
    Ok(Spending {
        run_usd: 0.0,
        run_turns: 0,
        task_usd: runs::task_cost(conn, task.id)?,
        task_runs: u32::try_from(runs::task_runs(conn, task.id)?).unwrap_or(u32::MAX),
        project_day_usd: runs::cost_since(conn, midnight, Some(&task.project))?,
        day_usd: runs::cost_since(conn, midnight, None)?,
    })
}
