//! `GET /status`.

use super::time;
use orch_common::domain::stage::{Stage, TaskState};
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
    pub approved_at: Option<String>,
    pub progress_at: Option<String>,
    pub created_at: Option<String>,
    pub updated_at: Option<String>,
}

impl From<Vec<Task>> for Status {
    fn from(tasks: Vec<Task>) -> Self {
        Status { active_tasks: tasks.into_iter().map(TaskView::from).collect() }
    }
}

impl From<Task> for TaskView {
    fn from(task: Task) -> Self {
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
            approved_at: approved_at.and_then(time),
            progress_at: time(progress_at),
            created_at: time(created_at),
            updated_at: time(updated_at),
        }
    }
}
