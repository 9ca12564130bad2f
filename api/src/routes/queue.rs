//! `GET /queue`: how much waits, who works, and whether the agents' provider answers.

use crate::app::App;
use crate::auth::Reader;
use crate::clock::now_ms;
use crate::problem::Problem;
use crate::views::queue::{Queue, Snapshot};
use actix_web::{HttpResponse, web};
use orch_common::store::{Conn, StoreError, accounts, jobs, spent, workers};

/// Agent jobs shown.
const RECENT: i64 = 10;

pub async fn show(_: Reader, app: web::Data<App>) -> Result<HttpResponse, Problem> {
    let snapshot = app.reads.read(&app.intake, snapshot).await?;
    let queue = Queue::of(snapshot, now_ms(), app.settings.worker_dead_after);
    Ok(HttpResponse::Ok().insert_header(("cache-control", "no-store")).json(queue))
}

fn snapshot(conn: &mut Conn) -> Result<Snapshot, StoreError> {
    let mut recent = Vec::new();
    for job in jobs::recent_agents(conn, RECENT)? {
        let spent = spent::by_job(conn, job.id)?;
        recent.push((job, spent));
    }
    Ok(Snapshot {
        counts: jobs::counts(conn)?,
        recent,
        workers: workers::all(conn)?,
        account: accounts::get(conn, accounts::DEFAULT_ACCOUNT)?,
    })
}
