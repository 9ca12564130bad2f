//! `orchctl`, the operator's command line.

pub mod demo;
pub mod scripted;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

#[derive(Debug, Parser)]
#[command(name = "orchctl", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Plays the main job end to end on embedded defaults
    Demo(demo::Arguments),
    #[command(hide = true)]
    ScriptedAgent(scripted::Arguments),
}

pub fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Demo(a) => demo::run(&a),
        Command::ScriptedAgent(a) => scripted::run(&a),
    };
    result.unwrap_or_else(|e| {
        eprintln!("orchctl: {e:#}");
        ExitCode::FAILURE
    })
}
