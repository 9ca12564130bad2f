//! `orchctl drain`: a worker lets its agents end and starts no others, for stopping it without leaving any at work. It
//! goes on with events, advances and effects. Stopping it is the service manager's.

use super::desk::Desk;
use super::error::{CtlError, Done};
use super::screen::Screen;
use clap::Args;
use orch_common::domain::job::JobKind;
use orch_common::store::{Conn, StoreError, jobs, workers};
use std::time::Duration;

/// Between two looks at what the worker still has.
const LOOK: Duration = Duration::from_millis(500);

#[derive(Args)]
pub struct Arguments {
    /// The worker, as `orchctl status` names it
    worker: String,
    /// Return only when none of its agents is at work any more
    #[arg(long, conflicts_with = "undo")]
    wait: bool,
    /// Let it start agents again; so does its next start
    #[arg(long)]
    undo: bool,
}

pub fn run(desk: &Desk, screen: &mut Screen<'_>, Arguments { worker, wait, undo }: Arguments) -> Done {
    let open = desk.open()?;
    let name = worker.as_str();
    if !open.store.write_now(|conn| workers::set_draining(conn, name, !undo))? {
        return Err(CtlError::NotFound(format!("no worker named {name} runs; `orchctl status` lists them")));
    }
    if undo {
        screen.line(format!("{name} starts agents again"))?;
        return Ok(());
    }
    let mut left = open.read(|conn| agents_of(conn, name))?;
    screen.line(format!("{name} starts no more agents; at work: {left}"))?;
    while wait && left > 0 {
        std::thread::sleep(LOOK);
        left = open.read(|conn| agents_of(conn, name))?;
    }
    if left == 0 {
        screen.line(format!("{name} may be stopped: none of its agents is at work"))?;
    }
    Ok(())
}

fn agents_of(conn: &mut Conn, worker: &str) -> Result<usize, StoreError> {
    Ok(jobs::owned_by(conn, worker)?.iter().filter(|job| job.kind == JobKind::Agent).count())
}
