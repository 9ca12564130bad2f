//! `orchctl jobs show`: one row with everything, its payload readable.

use crate::ctl::AsJson;
use crate::ctl::desk::{Desk, Open};
use crate::ctl::error::{CtlError, Done};
use crate::ctl::moment::{shown, shown_if};
use crate::ctl::runs;
use crate::ctl::screen::Screen;
use crate::ctl::views::WholeJob;
use orch_common::store::jobs::{self, Job};
use orch_common::store::runs::{Run, get as get_run};
use orch_common::store::tasks::{self, Task};

pub(super) fn run(desk: &Desk, screen: &mut Screen<'_>, open: &Open, id: i64, AsJson { json }: AsJson) -> Done {
    let found = open.read(|conn| {
        let Some(job) = jobs::get(conn, id)? else { return Ok(None) };
        let task = job.task_id.map(|task| tasks::get(conn, task)).transpose()?.flatten();
        let run = job.run_id.as_deref().map(|run| get_run(conn, run)).transpose()?.flatten();
        Ok(Some((job, task, run)))
    })?;
    let (job, task, run) = found.ok_or_else(|| super::operate::unknown_job(id))?;
    if json {
        return Ok(screen.json(&WholeJob::of(job, task.map(|task| task.key), run))?);
    }
    head(screen, &job, task.as_ref(), desk.now)?;
    if let Some(run) = &run {
        screen.heading("Run")?;
        run_lines(screen, run, desk.now)?;
    }
    screen.heading("Payload")?;
    Ok(screen.block(&readable(&job.payload))?)
}

fn head(screen: &mut Screen<'_>, job: &Job, task: Option<&Task>, now: i64) -> std::io::Result<()> {
    let Job { id, kind, status, attempts, max_attempts, transient_attempts, recoveries, .. } = job;
    screen.field("job", format!("{id} ({kind})"))?;
    screen.field("status", status.as_str())?;
    screen.field_if("role", job.role.map(|role| role.as_str()))?;
    screen.field_if("task", task.map(|t| format!("{} {}", t.key, t.title)))?;
    screen.field_if("repo", job.repo.as_ref())?;
    screen.field(
        "attempts",
        format!("{attempts} of {max_attempts}, {transient_attempts} transient, {recoveries} recoveries"),
    )?;
    screen.field_if("worker", job.worker.as_ref())?;
    screen.field("created", shown(job.created_at, now))?;
    screen.field_if("due", job.available_at.map(|at| shown(at, now)))?;
    screen.field("started", shown_if(job.started_at, now))?;
    screen.field("finished", shown_if(job.finished_at, now))?;
    screen.field_if("order key", job.order_key.as_ref().map(|key| with_turn(key, job)))?;
    screen.field_if("dedupe key", job.dedupe_key.as_ref())?;
    screen.field_if("note", job.note.as_ref())?;
    if let Some(error) = &job.error {
        screen.heading("Error")?;
        screen.block(error)?;
    }
    Ok(())
}

fn with_turn(key: &str, job: &Job) -> String {
    match job.ready || job.status.is_finished() {
        true => key.to_owned(),
        false => format!("{key} (waits for its turn)"),
    }
}

fn run_lines(screen: &mut Screen<'_>, run: &Run, now: i64) -> Result<(), CtlError> {
    Ok(screen.table(&runs::table(std::slice::from_ref(run), &Default::default(), now), "none")?)
}

/// JSON with a line for each value; anything else as it is.
pub fn readable(payload: &str) -> String {
    let json: Result<serde_json::Value, _> = serde_json::from_str(payload);
    json.and_then(|value| serde_json::to_string_pretty(&value)).unwrap_or_else(|_| payload.to_owned())
}
