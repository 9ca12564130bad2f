//! A run that a budget ended, by us or by the CLI's own limits: which budget it was, with the figures as they are now.

use super::conclude::Known;
use crate::clock::now_ms;
use crate::context::Context;
use crate::engine::budget::spending;
use orch_common::config::Project;
use orch_common::domain::budget::{self, BudgetStop, Limit, Spending};
use orch_common::domain::failure::Outcome;
use orch_common::domain::messages::Message;
use orch_common::domain::run::StopReason;
use orch_common::store::runs::{self, Run};
use orch_common::store::tasks::{self, Task};
use orch_common::store::{Conn, StoreError};

/// What people are told of a run that a budget ended; `None` = none did. Its row has its end already.
pub(super) fn over_budget(
    conn: &mut Conn,
    ctx: &Context,
    row: &Run,
    known: &Known,
) -> Result<Option<Message>, StoreError> {
    let stopped = matches!(known.outcome, Outcome::Stopped { cause: StopReason::Budget });
    let unrepeatable = matches!(known.outcome, Outcome::Unrepeatable { .. });
    let result = known.log.as_ref().and_then(|log| log.records.result.as_ref()).filter(|_| unrepeatable);
    let by_cli = result.map(|result| result.subtype.as_str());
    let Some(task) = tasks::get(conn, row.task_id)? else { return Ok(None) };
    let Some(project) = ctx.config.projects.by_plane(&task.project) else { return Ok(None) };
    let ended = runs::get(conn, &row.id)?.unwrap_or_else(|| row.clone());
    let limits = ctx.limits(project);
    let stop = match by_cli {
        _ if stopped => row.budget_stop.as_deref().and_then(|stop| serde_json::from_str(stop).ok()),
        Some("error_max_budget_usd") => {
            limits.run_usd.map(|limit| BudgetStop { which: Limit::RunUsd, limit, spent: ended.cost_usd })
        }
        Some("error_max_turns") => {
            let turns = f64::from(ended.turns);
            limits.run_turns.map(|limit| BudgetStop { which: Limit::RunTurns, limit: f64::from(limit), spent: turns })
        }
        Some(_) | None => return Ok(None),
    };
    let stop = stop.map(|stop| as_it_is_now(conn, ctx, project, &task, &ended, stop)).transpose()?;
    let nameless = || Message::Blocked { reason: "a budget was used up while its agent was at work".to_owned() };
    Ok(stop.map(|stop| Message::from(&stop)).or_else(|| stopped.then(nameless)))
}

/// The result may have told more, or less, than was counted when the run was asked to end.
fn as_it_is_now(
    conn: &mut Conn,
    ctx: &Context,
    project: &Project,
    task: &Task,
    ended: &Run,
    stop: BudgetStop,
) -> Result<BudgetStop, StoreError> {
    let known = spending(conn, task, now_ms())?;
    let tokens = u64::try_from(ended.tokens()).unwrap_or(0);
    let spent = Spending { run_usd: ended.cost_usd, run_tokens: tokens, task_runs: 0, ..known };
    let now = budget::check(&ctx.limits(project), &spent);
    Ok(now.filter(|now| now.which == stop.which).unwrap_or(stop))
}
