//! The addresses and what each answers; no decision about a task is made here.

mod gitea;
mod health;
mod plane;
mod queue;
mod signed;
mod status;
mod webhook;

use crate::problem::Problem;
use actix_web::{Resource, ResponseError, guard, web};

/// Registers every route; everything else is 404, other methods 405, both as problems.
pub fn configure(routes: &mut web::ServiceConfig) {
    // With and without the slash: people paste addresses, and a 404 would lose deliveries in silence. A resource with
    // two addresses would be found by a regular expression, one with a single address by comparing.
    routes
        .service(only_post(web::resource("/webhook/gitea")).route(webhook::route::<gitea::Gitea>()))
        .service(only_post(web::resource("/webhook/plane")).route(webhook::route::<plane::Plane>()))
        .service(only_post(web::resource("/webhook/gitea/")).route(webhook::route::<gitea::Gitea>()))
        .service(only_post(web::resource("/webhook/plane/")).route(webhook::route::<plane::Plane>()))
        .service(only_get(web::resource("/health")).route(readable().to(health::show)))
        .service(only_get(web::resource("/health/ready")).route(readable().to(health::show_ready)))
        .service(only_get(web::resource("/status")).route(readable().to(status::show)))
        .service(only_get(web::resource("/queue")).route(readable().to(queue::show)))
        .default_service(web::to(|| async { Problem::not_found().error_response() }));
}

fn readable() -> actix_web::Route {
    web::route().guard(guard::Any(guard::Get()).or(guard::Head()))
}

fn only_get(resource: Resource) -> Resource {
    resource.default_service(web::to(|| async { Problem::method_not_allowed("GET, HEAD").error_response() }))
}

fn only_post(resource: Resource) -> Resource {
    resource.default_service(web::to(|| async { Problem::method_not_allowed("POST").error_response() }))
}
