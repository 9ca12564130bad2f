//! The `orch-worker` program: arguments, configuration, logging, runtime - then the daemon.

use clap::{CommandFactory, Parser};
use orch_common::config::Config;
use orch_common::{shutdown, telemetry};
use std::path::PathBuf;
use std::process::ExitCode;

/// Takes jobs from the database, runs the stage engine, supervises agents.
#[derive(Parser)]
#[command(name = "orch-worker", version = orch_common::VERSION)]
struct Arguments {
    /// The configuration file [default: $ORCH_CONFIG, else ./orch.toml or /etc/orch/orch.toml where there is one]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// The command line, for its manual page.
pub fn command() -> clap::Command {
    Arguments::command()
}

/// Runs until a signal says stop.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let loaded = match Config::from_process(arguments.config.as_deref()) {
        Ok(loaded) => loaded,
        Err(error) => {
            eprintln!("orch-worker: {error}");
            return ExitCode::from(2);
        }
    };
    telemetry::init(telemetry::LogFormat::Auto);
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    match run(loaded.config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(config: Config) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .max_blocking_threads(16)
        .thread_name("orch-worker")
        .enable_all()
        .build()?;
    let result = runtime.block_on(async {
        let stopping = shutdown::on_signals()?;
        crate::daemon::run(config, stopping).await
    });
    // Watches on runs are left behind on purpose; nothing of theirs must hold up the end.
    runtime.shutdown_timeout(std::time::Duration::from_secs(2));
    result
}
