//! `GET /status`: the tasks that are neither done nor cancelled.

use crate::app::App;
use crate::auth::Reader;
use crate::problem::Problem;
use crate::views::status::Status;
use actix_web::{HttpResponse, web};
use orch_common::store::spent::{self, Spent};
use orch_common::store::tasks::{self, Task};
use orch_common::store::{Conn, StoreError};

pub async fn show(_: Reader, app: web::Data<App>) -> Result<HttpResponse, Problem> {
    let open = app.reads.read(&app.intake, with_spent).await?;
    Ok(HttpResponse::Ok().insert_header(("cache-control", "no-store")).json(Status::from(open)))
}

fn with_spent(conn: &mut Conn) -> Result<Vec<(Task, Spent)>, StoreError> {
    let open = tasks::open(conn)?;
    let mut priced = Vec::with_capacity(open.len());
    for task in open {
        let spent = spent::by_task(conn, task.id)?;
        priced.push((task, spent));
    }
    Ok(priced)
}
