//! `orchctl jobs cancel`.

use crate::ctl::desk::{Desk, Open, actor};
use crate::ctl::error::{CtlError, Done};
use crate::ctl::screen::Screen;
use crate::ctl::stopping;
use crate::give_up::see_attended;
use crate::rules::Rules;
use orch_common::domain::job::JobKind;
use orch_common::store::jobs::{self, CancelOutcome, Job};
use orch_common::store::{Conn, runs, tasks};

pub(super) fn cancel(desk: &Desk, screen: &mut Screen<'_>, open: &Open, id: i64) -> Done {
    let why = format!("cancelled by {}", actor());
    let now = desk.now;
    let rules = Rules::new(open.config.clone()).map_err(|error| CtlError::Failed(error.to_string()))?;
    let cancel = |conn: &mut Conn| {
        let outcome = jobs::cancel(conn, id, &why, now)?;
        // A task that only this job would have moved says so.
        if outcome == CancelOutcome::Cancelled
            && let Some(task) = jobs::get(conn, id)?.and_then(|job| job.task_id)
        {
            see_attended(conn, &rules, task, (id, &format!("job {id} was {why}")), now)?;
        }
        Ok(outcome)
    };
    match open.store.write_now(cancel)? {
        CancelOutcome::Cancelled => screen.line(format!("job {id} is cancelled"))?,
        CancelOutcome::Running(job) => screen.line(stop(desk, open, &job)?)?,
        CancelOutcome::AlreadyFinished(status) => {
            return Err(CtlError::Failed(format!("job {id} is {status} already")));
        }
        CancelOutcome::NotFound => return Err(unknown_job(id)),
    }
    let task = open.read(|conn| {
        let job = jobs::get(conn, id)?.filter(|job| matches!(job.kind, JobKind::Agent | JobKind::Advance));
        job.and_then(|job| job.task_id).map(|task| tasks::get(conn, task)).transpose()
    })?;
    if let Some(task) = task.flatten() {
        screen.line(format!(
            "{0} is {1} at {2}; `orchctl tasks retry {0}` lets it work again",
            task.key, task.state, task.stage
        ))?;
    }
    Ok(())
}

fn stop(desk: &Desk, open: &Open, job: &Job) -> Result<String, CtlError> {
    if job.kind != JobKind::Agent {
        let why = format!("job {} ({}) is running; it is short and cannot be cut off in the middle", job.id, job.kind);
        return Err(CtlError::Failed(why));
    }
    let run = match &job.run_id {
        Some(run) => open.read(|conn| runs::get(conn, run))?,
        None => None,
    };
    // A job that runs again still names its last run until the next one is there.
    match run.filter(|run| run.finished_at.is_none()) {
        Some(run) => stopping::ask(open, &run, desk.now),
        None => Err(CtlError::Failed(format!("job {} is about to start its agent; try again in a moment", job.id))),
    }
}

pub fn unknown_job(id: i64) -> CtlError {
    CtlError::NotFound(format!("there is no job {id}; finished ones are pruned after their retention"))
}
