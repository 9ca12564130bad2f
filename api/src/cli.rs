//! The command line of `orch-api`: reads the configuration, binds, says where, serves.

use crate::generate;
use crate::listener;
use crate::server;
use crate::settings::Settings;
use anyhow::Context;
use clap::Parser;
use orch_common::config::{Config, Loaded};
use orch_common::{shutdown, telemetry};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Accepts the signed webhooks of Plane and Gitea and serves read-only views of the queue.
#[derive(Debug, Parser)]
#[command(
    name = "orch-api",
    version = orch_common::VERSION,
    after_help = "Settings are read from the file and from ORCH_* variables, which win."
)]
struct Arguments {
    /// The configuration file; without it ORCH_CONFIG, ./orch.toml or /etc/orch/orch.toml
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Write the manual page and the shells' completions into this folder
    #[arg(long, value_name = "DIR", hide = true)]
    generate: Option<PathBuf>,
}

/// The whole program; 0 after a clean stop, 1 where it cannot run, 2 for a wrong command line or configuration.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if let Some(dir) = &arguments.generate {
        return ended(generate::run::<Arguments>(dir));
    }
    telemetry::init(telemetry::LogFormat::Auto);
    let loaded = match Config::from_process(arguments.config.as_deref()) {
        Ok(loaded) => loaded,
        Err(error) => {
            eprintln!("orch-api: {error}");
            return ExitCode::from(2);
        }
    };
    ended(serve(&loaded))
}

fn ended(result: anyhow::Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("orch-api: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn serve(loaded: &Loaded) -> anyhow::Result<()> {
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    let file = loaded.file.as_deref().map(Path::display);
    tracing::info!(file = file.map(tracing::field::display), version = orch_common::VERSION, "starting");
    let listener = listener::open(loaded.config.api.bind)?;
    announce(listener.local_addr()?);
    // The HTTP threads have runtimes of their own; this one only waits.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start")?;
    runtime.block_on(async {
        let shutdown = shutdown::on_signals().context("cannot listen for signals")?;
        Ok(server::run(Settings::from(&loaded.config), listener, shutdown).await?)
    })
}

/// The bound address, on stdout: with port 0 there is no other way to know it.
fn announce(address: std::net::SocketAddr) {
    let mut out = std::io::stdout();
    // A closed stdout is no reason not to serve.
    let _closed = writeln!(out, "listening on {address}").and_then(|()| out.flush());
    tracing::info!(%address, "listening");
}
