//! Budgets against the books: before an agent starts, while one works, and when a person's word would start one.

use crate::rules::Rules;
use orch_common::config::Project;
use orch_common::domain::budget::{self, BudgetStop, Spending};
use orch_common::domain::decide::Trigger;
use orch_common::store::spent::{self, Spent};
use orch_common::store::tasks::Task;
use orch_common::store::{Conn, StoreError, runs};

const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// The beginning of the day (UTC) of a time, in ms.
pub fn midnight(now: i64) -> i64 {
    now - now.rem_euclid(DAY_MS)
}

/// What stands on the books for a task, its project and the day; nothing of a run that is to come.
pub fn spending(conn: &mut Conn, task: &Task, now: i64) -> Result<Spending, StoreError> {
    let of_task = spent::by_task(conn, task.id)?;
    let of_project = spent::since(conn, midnight(now), Some(&task.project))?;
    let of_day = spent::since(conn, midnight(now), None)?;
    let tokens = |sum: &Spent| u64::try_from(sum.tokens).unwrap_or(0);
    Ok(Spending {
        task_usd: of_task.usd,
        task_runs: u32::try_from(runs::task_runs(conn, task.id)?).unwrap_or(u32::MAX),
        task_tokens: tokens(&of_task),
        project_day_usd: of_project.usd,
        project_day_tokens: tokens(&of_project),
        day_usd: of_day.usd,
        day_tokens: tokens(&of_day),
        ..Spending::default()
    })
}

/// The budget that forbids one more agent for this task.
pub fn used_up(
    conn: &mut Conn,
    rules: &Rules,
    project: &Project,
    task: &Task,
    now: i64,
) -> Result<Option<BudgetStop>, StoreError> {
    let spending = spending(conn, task, now)?;
    Ok(budget::check(&rules.limits(project), &spending))
}

/// The same where `trigger` is a person's word; everything else is stopped when its agent is prepared.
pub fn for_word(
    conn: &mut Conn,
    rules: &Rules,
    project: &Project,
    task: &Task,
    trigger: &Trigger,
    now: i64,
) -> Result<Option<BudgetStop>, StoreError> {
    match trigger {
        Trigger::Command { .. } | Trigger::Answer { .. } => used_up(conn, rules, project, task, now),
        Trigger::Appeared { .. }
        | Trigger::AgentEnded { .. }
        | Trigger::Deleted { .. }
        | Trigger::Forge { .. }
        | Trigger::Look => Ok(None),
    }
}
