//! The process's life: writer, HTTP server, service manager, in this order up and in the reverse order down.

use crate::app::App;
use crate::hangup;
use crate::intake::{Intake, Phase, Writer};
use crate::limits::{Flood, Memory};
use crate::reads::Reads;
use crate::routes;
use crate::service_manager;
use crate::settings::Settings;
use actix_web::dev::{Server, ServerHandle};
use actix_web::{HttpServer, web};
use orch_common::store::{Durability, StoreOptions};
use std::io;
use std::net::TcpListener;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// How long a request's head may take. Its size is bounded by the HTTP library: 128 KiB, 96 headers.
const HEAD_PACE: Duration = Duration::from_secs(5);

/// How long an idle connection is kept; forges keep theirs open.
const KEEP_ALIVE: Duration = Duration::from_secs(75);

/// How long a closing connection may take.
const DISCONNECT_PACE: Duration = Duration::from_secs(2);

/// Connections, shared by the HTTP threads; each is two descriptors (see [`hangup`]).
const CONNECTIONS: usize = 512;
/// Of a thread, at the least: not all threads get equally many.
const A_THREADS_CONNECTIONS: usize = 128;

/// For connections that are accepted to come to a thread that reads them, on a loaded machine.
const ACCEPTED_PACE: Duration = Duration::from_millis(500);

/// For the first look at the database, on a loaded machine.
const FIRST_LOOK: Duration = Duration::from_secs(10);

/// Seconds that requests have for their answer once the process stops: a commit may wait for a lock meanwhile.
const GRACE_S: u64 = 28;

/// Threads of one HTTP thread on which views are read.
const VIEW_THREADS: usize = 2;

/// Why the API ended otherwise than by being told to.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The operating system refuses a thread or the socket.
    #[error("cannot start: {0}")]
    Start(#[source] io::Error),
    /// The HTTP server gave up.
    #[error("the HTTP server failed: {0}")]
    Serve(#[source] io::Error),
    /// The writer's thread is gone; nothing would be accepted any more.
    #[error("the intake's thread ended unexpectedly")]
    WriterGone,
    /// It ended because the files beside the database are gone.
    #[error(
        "the database's files were taken away; it can be opened again once every program that has it open has ended"
    )]
    FilesLost,
}

/// Serves on `listener` until `shutdown` is cancelled; then accepts no further connection, answers what it has and
/// commits all that was accepted. The database need not be there or be current: until it is, webhooks are refused
/// in a way that makes their senders come back.
pub async fn run(settings: Settings, listener: TcpListener, shutdown: CancellationToken) -> Result<(), RunError> {
    for gap in settings.gaps() {
        tracing::warn!("{gap}");
    }
    let on_loopback = listener.local_addr().map_err(RunError::Start)?.ip().is_loopback();
    if !on_loopback && settings.read_token.is_none() {
        tracing::warn!("GET /status and GET /queue answer 403: ORCH_API_READ_TOKEN is not set");
    }
    let (intake, writer) = Intake::start(writer_options(&settings)).map_err(RunError::Start)?;
    opened(&intake, &shutdown).await;
    let seen = intake.clone();
    let app = web::Data::new(App {
        reads: Reads::new(settings.database.clone()),
        intake,
        flood: Flood::default(),
        memory: Memory::default(),
        on_loopback,
        settings,
    });
    // The server stops when it is told to, and when there is nobody left to write.
    let stop = shutdown.child_token();
    let closed = CancellationToken::new();
    let server = serve(app, listener, closed.clone()).map_err(RunError::Start)?;
    service_manager::ready();
    tell_when_stopping(&stop, &writer);
    close_gently(server.handle(), stop, closed);
    let served = tokio::select! {
        served = server => served,
        () = service_manager::keep_watchdog_quiet() => Ok(()),
    };
    let lost = writer.gone().is_cancelled() && matches!(seen.standing().phase(), Phase::Unusable(_));
    finish(writer).await?;
    if lost {
        return Err(RunError::FilesLost);
    }
    served.map_err(RunError::Serve)
}

/// Waits until the database has been looked at for the first time. What comes meanwhile waits in the kernel: were it
/// accepted, it would have to be refused.
async fn opened(intake: &Intake, shutdown: &CancellationToken) {
    let give_up = Instant::now() + FIRST_LOOK;
    while intake.standing().phase() == Phase::Opening && Instant::now() < give_up && !shutdown.is_cancelled() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

fn writer_options(settings: &Settings) -> StoreOptions {
    StoreOptions {
        pool_size: 1,
        durability: Durability::Full,
        patience: crate::intake::LOCK_ATTEMPT,
        checkpoint_pages: crate::intake::CHECKPOINT_PAGES,
        ..StoreOptions::new(settings.database.clone())
    }
}

fn serve(app: web::Data<App>, listener: TcpListener, closed: CancellationToken) -> io::Result<Server> {
    let threads = app.settings.threads;
    let server = HttpServer::new(move || actix_web::App::new().app_data(app.clone()).configure(routes::configure))
        .workers(threads)
        .worker_max_blocking_threads(VIEW_THREADS)
        .max_connections((CONNECTIONS / threads.max(1)).max(A_THREADS_CONNECTIONS))
        .client_request_timeout(HEAD_PACE)
        .client_disconnect_timeout(DISCONNECT_PACE)
        .keep_alive(KEEP_ALIVE)
        .on_connect(hangup::remember)
        .shutdown_signal(closed.cancelled_owned())
        .shutdown_timeout(GRACE_S)
        .listen(listener)?;
    Ok(server.run())
}

/// Told to stop, the HTTP library drops what it has accepted and not yet begun to read. So it is first told to accept
/// no more, and gets a moment: what comes meanwhile waits in the kernel, for the next process if the socket is the
/// service manager's.
fn close_gently(server: ServerHandle, stop: CancellationToken, closed: CancellationToken) {
    tokio::spawn(async move {
        stop.cancelled().await;
        server.pause().await;
        tokio::time::sleep(ACCEPTED_PACE).await;
        closed.cancel();
    });
}

fn tell_when_stopping(stop: &CancellationToken, writer: &Writer) {
    let (stop, gone) = (stop.clone(), writer.gone());
    tokio::spawn(async move {
        tokio::select! {
            () = stop.cancelled() => {}
            () = gone.cancelled() => stop.cancel(),
        }
        service_manager::stopping();
    });
}

async fn finish(writer: Writer) -> Result<(), RunError> {
    match tokio::task::spawn_blocking(|| writer.stop()).await {
        Ok(true) => {
            tracing::info!("stopped; every accepted webhook is committed");
            Ok(())
        }
        Ok(false) | Err(_) => Err(RunError::WriterGone),
    }
}
