//! `GET /health`: is the process alive, and, apart from that, could it do its work?

use crate::app::App;
use crate::clock::now_ms;
use crate::intake::Phase;
use crate::views::health::Health;
use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use orch_common::store::workers;

/// 200 while the process lives; with `?ready=1`, as [`show_ready`].
pub async fn show(request: HttpRequest, app: web::Data<App>) -> HttpResponse {
    let asks_for_readiness =
        request.query_string().split('&').any(|pair| matches!(pair, "ready" | "ready=1" | "ready=true"));
    let health = look(&app).await;
    answer(&health, !asks_for_readiness || health.is_ready())
}

/// 503 unless a webhook would be accepted now.
pub async fn show_ready(app: web::Data<App>) -> HttpResponse {
    let health = look(&app).await;
    answer(&health, health.is_ready())
}

async fn look(app: &App) -> Health {
    let phase = app.intake.standing().phase();
    let readable = matches!(phase, Phase::Ready | Phase::Failing(_));
    let heartbeat = if readable { app.reads.read(&app.intake, workers::newest_heartbeat).await } else { Ok(None) };
    Health::of(&phase, heartbeat.as_ref().map(|at| *at).map_err(drop), now_ms())
}

fn answer(health: &Health, well: bool) -> HttpResponse {
    let status = if well { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    HttpResponse::build(status).insert_header(("cache-control", "no-store")).json(health)
}
