//! `GET /status`: the tasks that are neither done nor cancelled.

use crate::app::App;
use crate::auth::Reader;
use crate::problem::Problem;
use crate::views::status::Status;
use actix_web::{HttpResponse, web};
use orch_common::store::tasks;

pub async fn show(_: Reader, app: web::Data<App>) -> Result<HttpResponse, Problem> {
    let open = app.reads.read(&app.intake, tasks::open).await?;
    Ok(HttpResponse::Ok().insert_header(("cache-control", "no-store")).json(Status::from(open)))
}
