//! `orchctl events`: the deliveries as they came, and handling one once more.

use super::AsJson;
use super::desk::{Desk, Open};
use super::error::{CtlError, Done};
use super::jobs::{readable, unknown_job};
use super::moment::{shown, shown_if};
use super::screen::Screen;
use super::table::Table;
use super::views::{EventView, WholeJob};
use clap::{Args, Subcommand};
use orch_common::domain::job::JobKind;
use orch_common::store::deliveries::EventPayload;
use orch_common::store::jobs::{self, EventHead, Job, NewJob};
use orch_common::store::{Conn, StoreError};

#[derive(Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Arguments {
    #[command(subcommand)]
    verb: Option<Verb>,
    #[command(flatten)]
    list: List,
}

#[derive(Args)]
struct List {
    /// At most so many, the newest first
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(i64).range(1..=100_000))]
    limit: i64,
    #[command(flatten)]
    json: AsJson,
}

#[derive(Subcommand)]
enum Verb {
    /// One delivery with its body
    Show {
        job: i64,
        #[command(flatten)]
        json: AsJson,
    },
    /// Handle a delivery once more, as a new job
    Replay { job: i64 },
}

pub fn run(desk: &Desk, screen: &mut Screen<'_>, Arguments { verb, list }: Arguments) -> Done {
    let open = desk.open()?;
    match verb {
        None => {
            let found = open.read(|conn| jobs::newest_events(conn, list.limit))?;
            if list.json.json {
                return Ok(screen.json(&found.into_iter().map(EventView::from).collect::<Vec<_>>())?);
            }
            Ok(screen.table(&table(&found, desk.now), "no deliveries are known")?)
        }
        Some(Verb::Show { job, json }) => show(desk, screen, &open, job, json),
        Some(Verb::Replay { job }) => replay(desk, screen, &open, job),
    }
}

fn table(events: &[EventHead], now: i64) -> Table {
    let mut table = Table::new(&["JOB", "SOURCE", "EVENT", "REPO", "STATUS", "BYTES", "RECEIVED", "WHAT"]);
    for event in events {
        table.row([
            event.id.to_string(),
            event.source.clone().unwrap_or_default(),
            event.event.clone().unwrap_or_default(),
            event.repo.clone().unwrap_or_default(),
            event.status.to_string(),
            event.bytes.to_string(),
            shown(event.created_at, now),
            event.note.as_ref().or(event.error.as_ref()).cloned().unwrap_or_default(),
        ]);
    }
    table
}

fn show(desk: &Desk, screen: &mut Screen<'_>, open: &Open, id: i64, AsJson { json }: AsJson) -> Done {
    let job = open.read(|conn| jobs::get(conn, id))?.ok_or_else(|| unknown_job(id))?;
    require_event(&job)?;
    if json {
        return Ok(screen.json(&WholeJob::of(job, None, None))?);
    }
    screen.field("job", id.to_string())?;
    screen.field("status", job.status.as_str())?;
    screen.field("received", shown(job.created_at, desk.now))?;
    screen.field("finished", shown_if(job.finished_at, desk.now))?;
    screen.field_if("repo", job.repo.as_ref())?;
    screen.field_if("order key", job.order_key.as_ref())?;
    screen.field_if("note", job.note.as_ref())?;
    screen.field_if("error", job.error.as_ref())?;
    let Ok(payload) = serde_json::from_str::<EventPayload<'_>>(&job.payload) else {
        screen.heading("Payload")?;
        return Ok(screen.block(&readable(&job.payload))?);
    };
    screen.field("source", payload.source.as_str())?;
    screen.field_if("event", payload.event)?;
    screen.field_if("event type", payload.event_type)?;
    screen.field_if("delivery", payload.delivery)?;
    screen.heading("Body")?;
    Ok(screen.block(&readable(payload.body.get()))?)
}

fn require_event(job: &Job) -> Done {
    if job.kind == JobKind::Event {
        return Ok(());
    }
    Err(CtlError::NotFound(format!("job {} is no event but an {}: orchctl jobs show {}", job.id, job.kind, job.id)))
}

/// Looks and queues in one transaction.
fn replay(desk: &Desk, screen: &mut Screen<'_>, open: &Open, id: i64) -> Done {
    let now = desk.now;
    let found = open.store.write_now(|conn| {
        let Some(job) = jobs::get(conn, id)? else { return Ok(Err(unknown_job(id))) };
        Ok(match replayable(&job) {
            Ok(()) => Ok(queue_copy(conn, &job, now)?),
            Err(why) => Err(why),
        })
    })?;
    let new = found?;
    Ok(screen.line(format!("job {new} handles the delivery of job {id} once more"))?)
}

fn replayable(job: &Job) -> Done {
    require_event(job)?;
    if !job.status.is_finished() {
        return Err(CtlError::Failed(format!("job {} is {}; its delivery will be handled", job.id, job.status)));
    }
    match serde_json::from_str::<EventPayload<'_>>(&job.payload) {
        Ok(_) => Ok(()),
        Err(_) => Err(CtlError::Failed(format!("job {} carries no delivery of Plane or the forge", job.id))),
    }
}

/// No dedupe key: this is a repetition on purpose. The delivery itself stays known, so that the sender's own repetition
/// is still a duplicate.
fn queue_copy(conn: &mut Conn, job: &Job, now: i64) -> Result<i64, StoreError> {
    let new = NewJob {
        kind: JobKind::Event,
        role: None,
        repo: job.repo.clone(),
        task_id: None,
        payload: job.payload.clone(),
        dedupe_key: None,
        order_key: job.order_key.clone(),
        available_at: None,
    };
    jobs::enqueue(conn, &new, now)?.ok_or_else(|| StoreError::Corrupt("a job without a dedupe key was refused".into()))
}
