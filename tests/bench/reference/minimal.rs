//! The least that stores durably: HTTP, HMAC, and one thread that inserts what has come since its last commit into a table of
//! three columns. It knows no duplicate, no order, no queue; nobody could work with what it stores.

use super::http::is_signed;
use crate::bench::Bench;
use crate::processes::{Process, address, bare, start};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use anyhow::{Context as _, bail};
use diesel::connection::SimpleConnection as _;
use diesel::prelude::*;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::ExitCode;
use std::sync::mpsc;
use tokio::sync::oneshot;

/// The hidden subcommand.
pub const SUBCOMMAND: &str = "serve-and-insert";

/// Deliveries of one commit at most.
const BATCH: usize = 64;

type Waiting = (web::Bytes, oneshot::Sender<()>);

diesel::table! {
    deliveries (id) {
        id -> BigInt,
        received_at -> BigInt,
        body -> Binary,
    }
}

/// Serves until it is killed: `serve-and-insert DATABASE`.
pub fn serve(arguments: &[String]) -> anyhow::Result<ExitCode> {
    let [database] = arguments else { bail!("one argument") };
    let mut conn = SqliteConnection::establish(database)?;
    conn.batch_execute(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 4096; \
         CREATE TABLE deliveries (id INTEGER PRIMARY KEY NOT NULL, received_at BIGINT NOT NULL, body BLOB NOT NULL)",
    )?;
    let (inbox, waiting) = mpsc::channel();
    let writer = std::thread::spawn(move || insert_all(&mut conn, &waiting));
    let listener = TcpListener::bind("127.0.0.1:0")?;
    println!("listening on {}", listener.local_addr()?);
    let app =
        move || App::new().app_data(web::Data::new(inbox.clone())).route("/webhook/gitea", web::post().to(receive));
    actix_web::rt::System::new().block_on(HttpServer::new(app).workers(1).listen(listener)?.run())?;
    writer.join().ok().context("the writer")??;
    Ok(ExitCode::SUCCESS)
}

async fn receive(request: HttpRequest, body: web::Bytes, inbox: web::Data<mpsc::Sender<Waiting>>) -> HttpResponse {
    if !is_signed(&request, &body) {
        return HttpResponse::Unauthorized().finish();
    }
    let (stored, answer) = oneshot::channel();
    match (inbox.send((body, stored)), answer.await) {
        (Ok(()), Ok(())) => {
            HttpResponse::Ok().content_type("application/json").body(r#"{"status":"queued","job_id":1}"#)
        }
        _ => HttpResponse::InternalServerError().finish(),
    }
}

fn insert_all(conn: &mut SqliteConnection, waiting: &mpsc::Receiver<Waiting>) -> QueryResult<()> {
    while let Ok(first) = waiting.recv() {
        let batch: Vec<Waiting> = std::iter::once(first).chain(waiting.try_iter().take(BATCH - 1)).collect();
        conn.immediate_transaction(|conn| {
            for (body, _) in &batch {
                diesel::insert_into(deliveries::table)
                    .values((deliveries::received_at.eq(1), deliveries::body.eq(body.as_ref())))
                    .execute(conn)?;
            }
            QueryResult::Ok(())
        })?;
        for (_, stored) in batch {
            let _gone = stored.send(());
        }
    }
    Ok(())
}

/// Starts it.
pub fn spawn(_bench: &Bench, folder: &Path) -> anyhow::Result<(Process, SocketAddr)> {
    let mut command = bare(std::env::current_exe()?);
    command.arg(SUBCOMMAND).arg(folder.join("minimal.db"));
    let mut process = start(command, folder, "minimal")?;
    let address = address(&mut process, folder, "minimal")?;
    Ok((process, address))
}
