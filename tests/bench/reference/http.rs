//! HTTP and HMAC only: what the web framework and the hash leave for anything else.

use crate::bench::Bench;
use crate::load::SECRET;
use crate::processes::{Process, address, bare, start};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::ExitCode;

/// The hidden subcommand.
pub const SUBCOMMAND: &str = "serve-http-hmac";

/// Serves until it is killed.
pub fn serve() -> ExitCode {
    let served = TcpListener::bind("127.0.0.1:0").and_then(|listener| {
        println!("listening on {}", listener.local_addr()?);
        let server = HttpServer::new(|| App::new().route("/webhook/gitea", web::post().to(receive))).workers(2);
        actix_web::rt::System::new().block_on(server.listen(listener)?.run())
    });
    if served.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

async fn receive(request: HttpRequest, body: web::Bytes) -> HttpResponse {
    match is_signed(&request, &body) {
        true => HttpResponse::Ok().content_type("application/json").body(r#"{"status":"queued","job_id":1}"#),
        false => HttpResponse::Unauthorized().finish(),
    }
}

/// Whether the sender knows the secret.
pub fn is_signed(request: &HttpRequest, body: &[u8]) -> bool {
    let claim = request.headers().get("x-gitea-signature").and_then(|value| hex::decode(value.as_bytes()).ok());
    Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).is_ok_and(|mut mac| {
        mac.update(body);
        mac.verify_slice(&claim.unwrap_or_default()).is_ok()
    })
}

/// Starts it.
pub fn spawn(_bench: &Bench, folder: &Path) -> anyhow::Result<(Process, SocketAddr)> {
    let mut command = bare(std::env::current_exe()?);
    command.arg(SUBCOMMAND);
    let mut process = start(command, folder, "http")?;
    let address = address(&mut process, folder, "http")?;
    Ok((process, address))
}
