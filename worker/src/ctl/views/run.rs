//! Runs and what they cost.

use crate::ctl::moment::iso;
use orch_common::domain::run::{RunOutcome, RunState, StopReason};
use orch_common::domain::stage::{Role, Stage};
use orch_common::domain::usage::plain_usd;
use orch_common::store::runs::Run;
use serde::Serialize;

/// One run; money in USD. While it goes on, tokens and cost are of a few seconds ago.
#[derive(Debug, Serialize)]
pub struct RunView {
    pub id: String,
    pub job_id: i64,
    pub task_id: i64,
    pub role: Role,
    pub stage: Stage,
    pub worker: String,
    pub host: String,
    pub state: RunState,
    pub outcome: Option<RunOutcome>,
    pub error: Option<String>,
    pub exit_code: Option<i32>,
    pub exit_signal: Option<i32>,
    pub counts: bool,
    pub resumed: bool,
    pub session_id: Option<String>,
    pub model: Option<String>,
    pub cli_version: Option<String>,
    pub turns: i32,
    pub input_tokens: i64,
    pub output_tokens: i64,
    pub cache_tokens: i64,
    /// All of them.
    pub tokens: i64,
    pub cost_usd: f64,
    /// Counted from its log; no result has told it.
    pub cost_estimated: bool,
    /// Some of its tokens have no price.
    pub cost_unpriced: bool,
    /// The budget that ended it: which, limit, spent.
    pub budget_stop: Option<serde_json::Value>,
    pub denied_tools: Option<String>,
    pub stop: Option<StopReason>,
    pub started_at: String,
    pub finished_at: Option<String>,
}

impl From<Run> for RunView {
    fn from(run: Run) -> RunView {
        let tokens = run.tokens();
        let Run {
            id,
            job_id,
            task_id,
            role,
            stage,
            worker,
            host,
            dir: _,
            state,
            session_id,
            resumed,
            head_before: _,
            started_at,
            finished_at,
            exit_code,
            exit_signal,
            outcome,
            error,
            counts,
            input_tokens,
            output_tokens,
            cache_tokens,
            cost_usd,
            cost_cumulative: _,
            turns,
            model,
            cli_version,
            denied_tools,
            stop,
            estimated,
            unpriced,
            budget_stop,
        } = run;
        RunView {
            id,
            job_id,
            task_id,
            role,
            stage,
            worker,
            host,
            state,
            outcome,
            error,
            exit_code,
            exit_signal,
            counts,
            resumed,
            session_id,
            model,
            cli_version,
            turns,
            input_tokens,
            output_tokens,
            cache_tokens,
            tokens,
            cost_usd: plain_usd(cost_usd),
            cost_estimated: estimated,
            cost_unpriced: unpriced,
            budget_stop: budget_stop.and_then(|stop| serde_json::from_str(&stop).ok()),
            denied_tools,
            stop,
            started_at: iso(started_at),
            finished_at: finished_at.map(iso),
        }
    }
}
