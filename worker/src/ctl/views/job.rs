//! Jobs and, among them, events.

use super::RunView;
use crate::ctl::moment::iso;
use orch_common::domain::job::{JobKind, JobStatus};
use orch_common::domain::stage::Role;
use orch_common::store::jobs::{EventHead, Job, JobHead};
use orch_common::store::runs::Run;
use serde::Serialize;
use serde_json::Value;

/// One job.
#[derive(Debug, Serialize)]
pub struct JobView {
    pub id: i64,
    pub kind: JobKind,
    pub role: Option<Role>,
    pub repo: Option<String>,
    pub task_id: Option<i64>,
    /// The key of its task.
    pub task: Option<String>,
    pub status: JobStatus,
    pub attempts: i32,
    pub max_attempts: i32,
    pub transient_attempts: i32,
    pub recoveries: i32,
    pub run_id: Option<String>,
    pub error: Option<String>,
    pub note: Option<String>,
    pub worker: Option<String>,
    pub available_at: Option<String>,
    pub created_at: String,
    pub started_at: Option<String>,
    pub finished_at: Option<String>,
}

impl JobView {
    /// `task` is the key of the job's task.
    pub fn of(job: JobHead, task: Option<String>) -> JobView {
        let JobHead {
            id,
            kind,
            role,
            repo,
            task_id,
            status,
            attempts,
            max_attempts,
            transient_attempts,
            recoveries,
            run_id,
            error,
            note,
            worker,
            available_at,
            created_at,
            started_at,
            finished_at,
        } = job;
        JobView {
            id,
            kind,
            role,
            repo,
            task_id,
            task,
            status,
            attempts,
            max_attempts,
            transient_attempts,
            recoveries,
            run_id,
            error,
            note,
            worker,
            available_at: available_at.map(iso),
            created_at: iso(created_at),
            started_at: started_at.map(iso),
            finished_at: finished_at.map(iso),
        }
    }
}

/// One job with everything.
#[derive(Debug, Serialize)]
pub struct WholeJob {
    #[serde(flatten)]
    pub job: JobView,
    pub dedupe_key: Option<String>,
    pub order_key: Option<String>,
    /// The first unfinished job of its order key; others wait for it. `null` = finished.
    pub ready: Option<bool>,
    /// As JSON, or as text where it is none.
    pub payload: Value,
    /// Its newest run.
    pub run: Option<RunView>,
}

impl WholeJob {
    /// `task` is the key of the job's task, `run` its newest run.
    pub fn of(job: Job, task: Option<String>, run: Option<Run>) -> WholeJob {
        let Job { dedupe_key, order_key, payload, .. } = job.clone();
        let ready = (!job.status.is_finished()).then_some(job.ready);
        WholeJob {
            job: JobView::of(head(job), task),
            dedupe_key,
            order_key,
            ready,
            payload: serde_json::from_str(&payload).unwrap_or(Value::String(payload)),
            run: run.map(RunView::from),
        }
    }
}

/// The row without its payload and its keys.
fn head(job: Job) -> JobHead {
    let Job {
        id,
        kind,
        role,
        repo,
        task_id,
        payload: _,
        status,
        attempts,
        max_attempts,
        transient_attempts,
        recoveries,
        run_id,
        error,
        note,
        worker,
        dedupe_key: _,
        order_key: _,
        ready: _,
        available_at,
        created_at,
        started_at,
        finished_at,
    } = job;
    JobHead {
        id,
        kind,
        role,
        repo,
        task_id,
        status,
        attempts,
        max_attempts,
        transient_attempts,
        recoveries,
        run_id,
        error,
        note,
        worker,
        available_at,
        created_at,
        started_at,
        finished_at,
    }
}

/// One event job.
#[derive(Debug, Serialize)]
pub struct EventView {
    pub id: i64,
    pub source: Option<String>,
    pub event: Option<String>,
    pub delivery: Option<String>,
    pub repo: Option<String>,
    pub status: JobStatus,
    pub attempts: i32,
    pub bytes: i64,
    pub error: Option<String>,
    pub note: Option<String>,
    pub created_at: String,
    pub finished_at: Option<String>,
}

impl From<EventHead> for EventView {
    fn from(head: EventHead) -> EventView {
        let EventHead {
            id,
            status,
            repo,
            source,
            event,
            delivery,
            bytes,
            attempts,
            error,
            note,
            created_at,
            finished_at,
        } = head;
        EventView {
            id,
            source,
            event,
            delivery,
            repo,
            status,
            attempts,
            bytes,
            error,
            note,
            created_at: iso(created_at),
            finished_at: finished_at.map(iso),
        }
    }
}
