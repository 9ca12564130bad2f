//! Tasks, what was found at their gates, and what moved them.

use crate::ctl::moment::iso;
use orch_common::domain::gate::Gate;
use orch_common::domain::gate::OutcomeKind;
use orch_common::domain::leftover::LeftKind;
use orch_common::domain::stage::{Stage, TaskState};
use orch_common::domain::usage::plain_usd;
use orch_common::store::audit::Transition;
use orch_common::store::gates::GateResult;
use orch_common::store::leftovers::Row;
use orch_common::store::spent::Spent;
use orch_common::store::tasks::Task;
use serde::Serialize;

/// One task.
#[derive(Debug, Serialize)]
pub struct TaskView {
    pub id: i64,
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
    /// US dollars of all its runs.
    pub cost_usd: f64,
    /// Part of it is counted from logs; no result has told it.
    pub cost_estimated: bool,
    /// Some of the tokens have no price.
    pub cost_unpriced: bool,
    /// Of all its runs, those of caches included.
    pub tokens: i64,
    pub approved_at: Option<String>,
    pub progress_at: String,
    pub created_at: String,
    pub updated_at: String,
    pub finished_at: Option<String>,
}

impl TaskView {
    /// `spent`: what its runs cost.
    pub fn of(task: Task, spent: Spent) -> TaskView {
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
            finished_at,
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
            approved_at: approved_at.map(iso),
            progress_at: iso(progress_at),
            created_at: iso(created_at),
            updated_at: iso(updated_at),
            finished_at: finished_at.map(iso),
        }
    }
}

/// One evaluation of a gate.
#[derive(Debug, Serialize)]
pub struct GateView {
    pub gate: Gate,
    pub outcome: OutcomeKind,
    pub reason: Option<String>,
    pub head: Option<String>,
    pub command: Option<String>,
    pub exit_code: Option<i32>,
    pub duration_ms: Option<i64>,
    pub tree: Option<String>,
    pub output_sha256: Option<String>,
    /// The commit that the evidence was taken on.
    pub evidence: Option<String>,
    pub job_id: Option<i64>,
    pub at: String,
}

impl From<GateResult> for GateView {
    fn from(result: GateResult) -> GateView {
        let GateResult {
            id: _,
            task_id: _,
            job_id,
            gate,
            outcome,
            reason,
            head,
            command,
            exit_code,
            duration_ms,
            at,
            tree,
            output_sha256,
            evidence,
            detail: _,
        } = result;
        let at = iso(at);
        GateView {
            gate,
            outcome,
            reason,
            head,
            command,
            exit_code,
            duration_ms,
            tree,
            output_sha256,
            evidence,
            job_id,
            at,
        }
    }
}

/// One row of the audit trail.
#[derive(Debug, Serialize)]
pub struct TransitionView {
    pub version: i64,
    pub trigger: String,
    pub actor: Option<String>,
    pub from_stage: Stage,
    pub to_stage: Stage,
    pub from_state: TaskState,
    pub to_state: TaskState,
    pub reason: String,
    pub job_id: Option<i64>,
    pub at: String,
}

impl From<Transition> for TransitionView {
    fn from(row: Transition) -> TransitionView {
        let Transition {
            id: _,
            task_id: _,
            job_id,
            version,
            trigger,
            actor,
            from_stage,
            to_stage,
            from_state,
            to_state,
            reason,
            at,
        } = row;
        let at = iso(at);
        TransitionView { version, trigger, actor, from_stage, to_stage, from_state, to_state, reason, job_id, at }
    }
}

/// Something that an agent left beside the branch.
#[derive(Debug, Serialize)]
pub struct LeftView {
    pub kind: LeftKind,
    pub name: String,
    pub run_id: Option<String>,
    /// The ref that keeps it, in the repository on the worker's host.
    pub kept: Option<String>,
    pub commit: Option<String>,
    pub at: String,
}

impl From<Row> for LeftView {
    fn from(row: Row) -> LeftView {
        let commit = row.leftover().commit;
        LeftView { kind: row.kind, name: row.name, run_id: row.run_id, kept: row.kept, commit, at: iso(row.at) }
    }
}
