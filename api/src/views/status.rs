//! `GET /status`.

use super::time;
use orch_common::domain::stage::{Stage, TaskState};
use orch_common::domain::usage::plain_usd;
use orch_common::store::spent::Spent;
use orch_common::store::tasks::Task;
use serde::Serialize;

/// What is being worked on.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Status {
    pub active_tasks: Vec<TaskView>,
}

/// One task; times are RFC 3339.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TaskView {
    pub id: i64,
    /// `PREFIX-NNN`.
    pub key: String,
    pub title: String,
    pub project: String,
    pub work_item: String,
    pub repo: String,
    pub branch: String,
    pub base: String,
    pub stage: Stage,
    pub stage_version: i64,
    pub state: TaskState,
    pub state_reason: Option<String>,
    pub head: Option<String>,
    /// US dollars of all its runs; of one that goes on as of a few seconds ago.
    pub cost_usd: f64,
    /// Part of it is counted from logs; no result has told it.
    pub cost_estimated: bool,
    /// Some of the tokens have no price.
    pub cost_unpriced: bool,
    /// Of all its runs, those of caches included.
    pub tokens: i64,
    pub approved_at: Option<String>,
    pub progress_at: Option<String>,
    pub created_at: Option<String>,
    pub updated_at: Option<String>,
}

impl From<Vec<(Task, Spent)>> for Status {
    fn from(tasks: Vec<(Task, Spent)>) -> Self {
        Status { active_tasks: tasks.into_iter().map(|(task, spent)| TaskView::of(task, spent)).collect() }
    }
}

impl TaskView {
    fn of(task: Task, spent: Spent) -> Self {
        let Task {
            id,
            project,
            work_item,
            key,
            title,
            description: _,
            repo,
            branch,
            base,
            stage,
            stage_version,
            state,
            state_reason,
            cap_since: _,
            approved_at,
            said: _,
            head,
            progress_at,
            created_at,
            updated_at,
            finished_at: _,
            worked: _,
            round_head: _,
            pull: _,
            recheck: _,
        } = task;
        TaskView {
            id,
            key,
            title,
            project,
            work_item,
            repo,
            branch,
            base,
            stage,
            stage_version,
            state,
            state_reason,
            head,
            cost_usd: plain_usd(spent.usd),
            cost_estimated: spent.estimated,
            cost_unpriced: spent.unpriced,
            tokens: spent.tokens,
            approved_at: approved_at.and_then(time),
            progress_at: time(progress_at),
            created_at: time(created_at),
            updated_at: time(updated_at),
        }
    }
}
