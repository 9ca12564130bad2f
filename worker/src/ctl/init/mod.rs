//! `orchctl init`: from nothing to a configuration that works. Asks what it must know (or takes it from flags), writes
//! a commented file, installs the forge's webhooks and says what to do in Plane, where no program can. An existing file
//! is never touched.

mod answers;
mod file;
mod hooks;
mod steps;

use super::desk::Desk;
use super::error::CtlError;
use super::screen::Screen;
use answers::{Answers, Asking};
use clap::Args;
use orch_common::config::Config;
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(Args)]
pub struct Arguments {
    /// Ask nothing: what is not given by a flag or a variable is left out, or its default is taken
    #[arg(long)]
    yes: bool,
    /// The file to write [default: what --config names, else orch.toml]
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Write nothing: install the webhooks of the configuration that is there
    #[arg(long, conflicts_with = "file")]
    hooks_only: bool,
    /// Install no webhooks
    #[arg(long, conflicts_with = "hooks_only")]
    no_hooks: bool,
    /// Replace webhooks that are there already, as after a change of the secret: the new one first
    #[arg(long)]
    replace_hooks: bool,
    #[command(flatten)]
    given: Given,
}

/// What can be given by a flag. Secrets cannot: everybody sees a command line. They are asked for, or come from
/// `ORCH_PLANE_API_TOKEN`, `ORCH_PLANE_WEBHOOK_SECRET`, `ORCH_GITEA_TOKEN` and `ORCH_GITEA_WEBHOOK_SECRET`.
#[derive(Args, Clone, Default)]
struct Given {
    /// Plane's address, as people open it
    #[arg(long, value_name = "URL")]
    plane_url: Option<String>,
    /// The workspace's slug
    #[arg(long, value_name = "SLUG")]
    plane_workspace: Option<String>,
    /// The Plane project's id
    #[arg(long, value_name = "UUID")]
    plane_project: Option<String>,
    /// The forge's address
    #[arg(long, value_name = "URL")]
    gitea_url: Option<String>,
    /// The project's repository
    #[arg(long, value_name = "OWNER/NAME")]
    repo: Option<String>,
    /// What the ids of work items begin with
    #[arg(long, value_name = "PREFIX")]
    id_prefix: Option<String>,
    /// The branch that tasks start from
    #[arg(long, value_name = "BRANCH")]
    default_branch: Option<String>,
    /// What runs the project's tests
    #[arg(long, value_name = "LINE")]
    test_command: Option<String>,
    /// The address under which Plane and the forge reach orch-api
    #[arg(long, value_name = "URL")]
    public_url: Option<String>,
}

pub fn run(desk: &Desk, screen: &mut Screen<'_>, arguments: Arguments) -> Result<ExitCode, CtlError> {
    if arguments.hooks_only {
        return install(screen, &desk.config()?, arguments.replace_hooks);
    }
    let named = arguments.file.clone().or_else(|| desk.config_file().map(PathBuf::from));
    let path = named.unwrap_or_else(|| PathBuf::from("orch.toml"));
    if path.exists() {
        let why = format!(
            "{} is there already and is not touched; --file names another, --hooks-only installs the webhooks of this one",
            path.display()
        );
        return Err(CtlError::Failed(why));
    }
    let answers = Answers::collect(&mut Asking::new(screen, !arguments.yes), &arguments.given)?;
    file::write(&path, &answers)?;
    screen.line(format!("wrote {}; only you can read it", path.display()))?;
    let config = Config::from_process(Some(&path))?.config;
    let code = match arguments.no_hooks {
        true => ExitCode::SUCCESS,
        false => install(screen, &config, arguments.replace_hooks)?,
    };
    steps::show(screen, &config, &path)?;
    screen.flush()?;
    Ok(code)
}

fn install(screen: &mut Screen<'_>, config: &Config, replace: bool) -> Result<ExitCode, CtlError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let all = runtime.block_on(hooks::install(screen, config, replace))?;
    screen.flush()?;
    Ok(if all { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
