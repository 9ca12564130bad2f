//! `orchctl jobs retry`: a finished job once more, where that still makes sense. A job that would only find that its
//! task wants something else is not put back; the text says what to do instead.

use super::operate::unknown_job;
use crate::ctl::desk::Open;
use crate::ctl::error::{CtlError, Done};
use crate::ctl::screen::Screen;
use crate::engine::apply::wants_agent;
use crate::engine::{AdvancePayload, AgentPayload};
use orch_common::domain::decide::Trigger;
use orch_common::domain::job::{JobKind, JobStatus};
use orch_common::domain::stage::TaskState;
use orch_common::store::jobs::{self, Job};
use orch_common::store::tasks::{self, Task};
use orch_common::store::{Conn, StoreError};

/// What stands against it.
enum Verdict {
    PutBack,
    NotFound,
    No(String),
}

pub(super) fn run(screen: &mut Screen<'_>, open: &Open, id: i64) -> Done {
    match open.store.write_now(|conn| retry(conn, id))? {
        Verdict::PutBack => Ok(screen.line(format!("job {id} is queued again"))?),
        Verdict::NotFound => Err(unknown_job(id)),
        Verdict::No(why) => Err(CtlError::Failed(why)),
    }
}

fn retry(conn: &mut Conn, id: i64) -> Result<Verdict, StoreError> {
    let Some(job) = jobs::get(conn, id)? else { return Ok(Verdict::NotFound) };
    if let Some(why) = by_status(&job) {
        return Ok(Verdict::No(why));
    }
    if matches!(job.kind, JobKind::Agent | JobKind::Advance)
        && let Some(why) = by_task(conn, &job)?
    {
        return Ok(Verdict::No(format!("job {id} cannot be retried: {why}")));
    }
    let put_back = jobs::retry(conn, id)?;
    Ok(if put_back { Verdict::PutBack } else { Verdict::No(format!("job {id} changed meanwhile; look again")) })
}

fn by_status(job: &Job) -> Option<String> {
    let Job { id, kind, status, .. } = job;
    match status {
        JobStatus::Failed | JobStatus::Cancelled => None,
        JobStatus::Queued => Some(format!("job {id} is queued already")),
        JobStatus::Running => Some(format!("job {id} is running")),
        JobStatus::Done if *kind == JobKind::Event => {
            Some(format!("job {id} is done; `orchctl events replay {id}` handles its delivery once more"))
        }
        JobStatus::Done => Some(format!("job {id} is done; there is nothing to try again")),
    }
}

fn by_task(conn: &mut Conn, job: &Job) -> Result<Option<String>, StoreError> {
    let Some(task) = job.task_id.map(|id| tasks::get(conn, id)).transpose()?.flatten() else {
        return Ok(Some("its task is gone".into()));
    };
    if let Some(other) = jobs::unfinished_of_task(conn, task.id)?.first() {
        return Ok(Some(format!("job {} ({}) of {} is {}", other.id, other.kind, task.key, other.status)));
    }
    Ok(by_state(&task, job.kind).or_else(|| by_payload(&task, job)))
}

fn by_state(task: &Task, kind: JobKind) -> Option<String> {
    let key = &task.key;
    match task.state {
        TaskState::Done | TaskState::Cancelled => Some(format!("{key} is {}", task.state)),
        TaskState::Paused => Some(format!("{key} is paused; `orchctl tasks resume {key}` goes on with it")),
        TaskState::Blocked => {
            let reason = task.state_reason.as_deref().unwrap_or("no reason is known");
            let look = match kind {
                JobKind::Advance => format!(", `orchctl tasks approve {key}` looks at the gate again"),
                JobKind::Agent | JobKind::Event | JobKind::Effect => String::new(),
            };
            Some(format!(
                "{key} is blocked ({reason}); `orchctl tasks retry {key}` lifts that and starts its role anew{look}"
            ))
        }
        TaskState::Active | TaskState::WaitingApproval | TaskState::NeedsInput => None,
    }
}

fn by_payload(task: &Task, job: &Job) -> Option<String> {
    let unreadable = |e: serde_json::Error| Some(format!("its payload cannot be read: {e}"));
    let key = &task.key;
    match job.kind {
        JobKind::Agent => match serde_json::from_str::<AgentPayload>(&job.payload) {
            Err(error) => unreadable(error),
            Ok(payload) if wants_agent(task, &payload) => None,
            Ok(payload) => Some(format!(
                "it was for {}, and {key} stands at {} ({}); `orchctl tasks retry {key}` starts the role of that stage",
                payload.stage, task.stage, task.state
            )),
        },
        JobKind::Advance => match serde_json::from_str::<AdvancePayload>(&job.payload) {
            Err(error) => unreadable(error),
            Ok(AdvancePayload { trigger: Trigger::Command { .. }, .. }) if task.updated_at > job.created_at => {
                Some(format!("it carries a person's word, and {key} has changed since; say it again"))
            }
            Ok(_) => None,
        },
        JobKind::Event | JobKind::Effect => None,
    }
}
