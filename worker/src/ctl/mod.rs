//! `orchctl`, the operator's command line: look, repair, try out. It reads and writes the same database as the two
//! processes and decides by the same engine; only `doctor` and `init` call Plane, the
//! forge or Telegram.

mod agents;
mod database;
pub mod demo;
mod desk;
mod doctor;
mod drain;
mod error;
mod events;
mod example;
mod generate;
mod init;
mod jobs;
mod limits;
mod log;
mod moment;
mod operator;
mod runs;
mod screen;
pub mod scripted;
mod settings;
mod status;
mod stopping;
mod table;
mod tasks;
mod text;
mod up;
mod views;

use clap::{Args, CommandFactory, Parser, Subcommand};
use desk::Desk;
use error::CtlError;
use screen::Screen;
use std::path::PathBuf;
use std::process::ExitCode;

/// Looks at Orch, repairs it, tries it out.
#[derive(Parser)]
#[command(
    name = "orchctl",
    version = orch_common::VERSION,
    after_help = "Exit codes: 0 done, 1 failed, 2 wrong command line or configuration, 3 not found."
)]
struct Arguments {
    /// The configuration file [default: $ORCH_CONFIG, else ./orch.toml or /etc/orch/orch.toml where there is one]
    #[arg(long, value_name = "FILE", global = true)]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Play the main job end to end on embedded defaults: no account, no server
    Demo(demo::Arguments),
    /// Write a configuration, install the forge's webhooks, say what to do in Plane
    Init(Box<init::Arguments>),
    /// Look at everything an installation needs, and say what to do
    Doctor(doctor::Arguments),
    /// Run both processes under this terminal until Ctrl-C
    Up,
    /// Make the database, or bring its schema up to date
    Migrate,
    /// Show workers, agents' health, the queue and the open tasks
    Status(AsJson),
    /// List, show, retry and cancel jobs
    Jobs(jobs::Arguments),
    /// List, show and command tasks
    Tasks(tasks::Arguments),
    /// List, show and replay webhook deliveries
    Events(events::Arguments),
    /// List runs of agents, read their logs, end them
    Runs(runs::Arguments),
    /// Show whether agents may start; resume them
    Agents(agents::Arguments),
    /// Show which services take no calls now; ask again at once
    Limits(limits::Arguments),
    /// Let a worker's agents end and start no others, before it is stopped
    Drain(drain::Arguments),
    /// Write a consistent copy of the database, while it is in use
    Backup {
        /// The copy; it must not exist
        file: PathBuf,
    },
    /// Put a copy in the place of a database that does not exist
    Restore {
        /// What `backup` has written
        file: PathBuf,
    },
    /// Check the configuration, or print an example
    Config(settings::Arguments),
    /// Write manual pages and shells' completions
    #[command(hide = true)]
    Generate {
        /// A folder; made where it is missing
        dir: PathBuf,
    },
    #[command(hide = true)]
    ScriptedAgent(scripted::Arguments),
}

/// Machines read it.
#[derive(Args, Clone, Copy)]
struct AsJson {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Every command with its options.
pub fn command() -> clap::Command {
    Arguments::command()
}

/// The whole program.
pub fn main() -> ExitCode {
    let Arguments { config, command } = Arguments::parse();
    match command.run(&Desk::new(config), &mut Screen::stdout()) {
        Ok(code) => code,
        Err(error) => {
            let code = error.exit_code();
            if code != 0 {
                complain(&error.to_string());
            }
            ExitCode::from(code)
        }
    }
}

impl Command {
    fn run(self, desk: &Desk, screen: &mut Screen<'_>) -> Result<ExitCode, CtlError> {
        match self {
            Command::Demo(arguments) => return Ok(demo::run(&arguments)?),
            Command::ScriptedAgent(arguments) => return Ok(scripted::run(&arguments)?),
            Command::Init(arguments) => return init::run(desk, screen, *arguments),
            Command::Doctor(arguments) => return doctor::run(desk, screen, arguments),
            Command::Up => return up::run(desk),
            Command::Migrate => database::migrate(desk, screen)?,
            Command::Status(json) => status::run(desk, screen, json)?,
            Command::Jobs(arguments) => jobs::run(desk, screen, arguments)?,
            Command::Tasks(arguments) => tasks::run(desk, screen, arguments)?,
            Command::Events(arguments) => events::run(desk, screen, arguments)?,
            Command::Runs(arguments) => runs::run(desk, screen, arguments)?,
            Command::Agents(arguments) => agents::run(desk, screen, arguments)?,
            Command::Limits(arguments) => limits::run(desk, screen, arguments)?,
            Command::Drain(arguments) => drain::run(desk, screen, arguments)?,
            Command::Generate { dir } => generate::run(command(), &dir)?,
            Command::Backup { file } => database::backup(desk, screen, &file)?,
            Command::Restore { file } => database::restore(desk, screen, &file)?,
            Command::Config(arguments) => settings::run(desk, screen, arguments)?,
        }
        screen.flush()?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Says on standard error what went wrong; a closed one changes nothing.
fn complain(what: &str) {
    let shown: Vec<String> = text::lines(what).collect();
    let _closed = std::io::Write::write_fmt(&mut std::io::stderr(), format_args!("orchctl: {}\n", shown.join("\n")));
}
