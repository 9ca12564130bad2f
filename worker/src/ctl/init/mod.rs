//! `orchctl init`: from nothing to a configuration that works. Asks what it must know (or takes it from flags), writes
//! a commented file, installs the forge's webhooks and says what to do in Plane, where no program can. An existing file
//! is never touched.

mod address;
mod answers;
mod file;
mod hooks;
mod steps;
mod trial;
mod typed;

use super::desk::Desk;
use super::error::CtlError;
use super::screen::Screen;
use crate::clients::Network;
use answers::{Answers, Asking};
use clap::Args;
use hooks::Wish;
use orch_common::config::Config;
use orch_common::config::NetworkConfig;
use std::path::PathBuf;
use std::process::ExitCode;
use trial::Trial;

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
    /// Certificates (PEM) of an own authority, for Plane, the forge and git
    #[arg(long, value_name = "FILE", env = "ORCH_NETWORK_CA_FILE")]
    ca_file: Option<PathBuf>,
    /// The proxy to everything but this machine
    #[arg(long, value_name = "URL", env = "ORCH_NETWORK_PROXY")]
    proxy: Option<String>,
}

impl Given {
    fn network(&self) -> Result<NetworkConfig, CtlError> {
        let bad = |e: orch_common::config::BadAddress| CtlError::Usage(format!("--proxy: {e}"));
        let proxy = self.proxy.as_deref().map(str::parse).transpose().map_err(bad)?;
        Ok(NetworkConfig { ca_file: self.ca_file.clone(), proxy, ..NetworkConfig::default() })
    }
}

pub fn run(desk: &Desk, screen: &mut Screen<'_>, arguments: Arguments) -> Result<ExitCode, CtlError> {
    if arguments.hooks_only {
        let wish = Wish { replace: arguments.replace_hooks, only: true };
        return install(screen, &desk.config()?, wish);
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
    let network = arguments.given.network()?;
    let trial = match arguments.yes {
        true => None,
        false => Some(Trial::new(Network::of(&network).map_err(|error| CtlError::Usage(error.to_string()))?)?),
    };
    let mut answers = Answers::collect(&mut Asking::new(screen, trial), &arguments.given)?;
    (answers.ca_file, answers.proxy) = (network.ca_file, network.proxy);
    file::write(&path, &answers)?;
    screen.line(format!("wrote {}; only you can read it", path.display()))?;
    let config = Config::from_process(Some(&path))?.config;
    let code = match arguments.no_hooks {
        true => ExitCode::SUCCESS,
        false => install(screen, &config, Wish { replace: arguments.replace_hooks, only: false })?,
    };
    steps::show(screen, &config, &path)?;
    screen.flush()?;
    Ok(code)
}

fn install(screen: &mut Screen<'_>, config: &Config, wish: Wish) -> Result<ExitCode, CtlError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let all = runtime.block_on(hooks::install(screen, config, wish))?;
    screen.flush()?;
    Ok(if all { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
