//! `orchctl config`: what the processes would run with, and an example to begin from. Secrets show themselves as `***`.

use super::desk::Desk;
use super::error::{CtlError, Done};
use super::example;
use super::screen::Screen;
use crate::agent::account::Account;
use crate::rules::Rules;
use crate::templates;
use clap::{Args, Subcommand};
use orch_common::config::{Config, Loaded, SECTIONS};
use orch_common::domain::messages::{Catalogue, Message};
use serde_json::Value;

#[derive(Args)]
pub struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Load it, print warnings and the effective values
    Check,
    /// Print a file with every setting, its default and what it is for
    Example,
    /// Print every text that people are told, with its variables and its template
    Texts,
}

pub fn run(desk: &Desk, screen: &mut Screen<'_>, Arguments { verb }: Arguments) -> Done {
    match verb {
        Verb::Check => check(screen, &desk.load()?),
        Verb::Texts => texts(screen, &desk.load()?.config),
        Verb::Example => {
            for line in example::toml().lines() {
                screen.line(line)?;
            }
            Ok(())
        }
    }
}

fn check(screen: &mut Screen<'_>, Loaded { config, warnings, file, hidden }: &Loaded) -> Done {
    let from = file.as_ref().map(|path| path.display().to_string());
    screen.line(format!("# file: {}", from.as_deref().unwrap_or("none, the environment alone")))?;
    for warning in warnings {
        screen.line(format!("# warning: {warning}"))?;
    }
    if let Some(Err(error)) = config.agent.user.as_deref().map(Account::named) {
        screen.line(format!("# warning: agent.user: {error}; no worker starts"))?;
    }
    if let Some(folder) = hidden {
        let folder = folder.display();
        screen.line(format!(
            "# secrets in {folder} are hidden from this user and count as not set here: sudo shows them"
        ))?;
    }
    Rules::new(config.clone()).map_err(|error| CtlError::Failed(error.to_string()))?;
    not_set(screen, "orch-api", &config.missing_for_api())?;
    not_set(screen, "orch-worker", &config.missing_for_worker())?;
    values(screen, config)?;
    Ok(())
}

/// Each is the beginning of one's own: a file of that name in `worker.templates_dir`.
fn texts(screen: &mut Screen<'_>, config: &Config) -> Done {
    for (name, template) in Catalogue::templates(templates::locale(config)) {
        screen.heading(&format!("{name}.txt"))?;
        let variables = Message::variables_of(name).unwrap_or_default().join(", ");
        screen.line(format!("# variables: {}", if variables.is_empty() { "none" } else { &variables }))?;
        screen.block(template)?;
    }
    Ok(())
}

fn not_set(screen: &mut Screen<'_>, program: &str, names: &[&str]) -> std::io::Result<()> {
    if names.is_empty() {
        return Ok(());
    }
    screen.line(format!("# not set, and {program} skips or refuses what needs it: {}", names.join(", ")))
}

/// Everything as a file that would say the same; its secrets are masked by their own type.
fn values(screen: &mut Screen<'_>, config: &Config) -> Result<(), CtlError> {
    let unreadable = |error: &dyn std::fmt::Display| CtlError::Failed(format!("the values cannot be shown: {error}"));
    let all = serde_json::to_value(config).map_err(|error| unreadable(&error))?;
    for section in SECTIONS {
        screen.heading(&format!("[{}]", section.name))?;
        for setting in section.settings {
            let value = all.get(section.name).and_then(|keys| keys.get(setting.key)).and_then(example::literal);
            match value {
                Some(value) => screen.line(format!("{} = {value}", setting.key))?,
                None => screen.line(format!("# {} is not set", setting.key))?,
            }
        }
    }
    for project in config.projects.iter() {
        screen.heading("[[projects]]")?;
        let value = serde_json::to_value(project).map_err(|error| unreadable(&error))?;
        for (key, value) in value.as_object().into_iter().flatten() {
            if let Some(value) = shown(value) {
                screen.line(format!("{key} = {value}"))?;
            }
        }
    }
    if config.projects.is_empty() {
        screen.line("")?;
        screen.line("# no [[projects]]: every webhook is ignored")?;
    }
    Ok(())
}

/// What is empty says nothing.
fn shown(value: &Value) -> Option<String> {
    let empty = value.as_array().is_some_and(Vec::is_empty) || value.as_object().is_some_and(serde_json::Map::is_empty);
    if empty { None } else { example::literal(value) }
}
