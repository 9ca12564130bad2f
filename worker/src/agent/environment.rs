//! The complete environment of an agent: an allow-list, so that nothing of the orchestrator's is in it. Pure. The
//! switches are explained where they are set: each closes a way in which an unattended run could hang, spend, phone
//! home, or wait for a person.

use super::command::{LaunchPlan, PlanError, no_nul, text_of};
use std::collections::BTreeMap;

/// What an agent may inherit from the worker, besides `LC_*`. None of it is the orchestrator's own.
pub(super) const INHERITED: [&str; 16] = [
    "PATH",
    "HOME",
    "LANG",
    "TZ",
    "TMPDIR",
    "ANTHROPIC_API_KEY",
    "ANTHROPIC_BASE_URL",
    "ANTHROPIC_AUTH_TOKEN",
    "CLAUDE_CODE_OAUTH_TOKEN",
    "SSL_CERT_FILE",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "no_proxy",
];

/// Whether a variable of the worker's that is on a list may be passed on to another user, who may not write to the worker's folder
/// for scratch files.
pub(crate) fn suits_another_user(name: &str) -> bool {
    name != "TMPDIR"
}

/// The orchestrator's own variables, secrets among them. They never reach an agent, whoever asks for it.
const OWN_PREFIX: &str = "ORCH_";

/// Set for every run.
const SWITCHES: [(&str, &str); 9] = [
    // Nothing but the model's API is contacted.
    ("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "1"),
    ("DISABLE_AUTOUPDATER", "1"),
    // A task in the background would keep the program for ten minutes after its result.
    ("CLAUDE_CODE_DISABLE_BACKGROUND_TASKS", "1"),
    // The queue owns the waiting: ten retries of the default can take over three minutes, a hanging stream an hour.
    ("CLAUDE_CODE_MAX_RETRIES", "2"),
    ("API_TIMEOUT_MS", "300000"),
    ("CLAUDE_ENABLE_BYTE_WATCHDOG", "1"),
    ("CLAUDE_BYTE_STREAM_IDLE_TIMEOUT_MS", "120000"),
    ("CLAUDE_CODE_DISABLE_NONSTREAMING_FALLBACK", "1"),
    // Nobody is there to type a password.
    ("GIT_TERMINAL_PROMPT", "0"),
];

/// The variables of a run, sorted by name. Later ones win: inherited, home, switches, author, the project's own; the orchestrator's prefix never passes.
pub(super) fn of(plan: &LaunchPlan) -> Result<Vec<(String, String)>, PlanError> {
    let mut env: BTreeMap<String, String> = BTreeMap::new();
    env.extend(plan.base_env.iter().filter(|(name, _)| is_inherited(name)).cloned());
    if let Some(home) = &plan.home {
        env.insert("HOME".into(), text_of(home)?);
    }
    env.extend(SWITCHES.map(|(name, value)| (name.into(), value.into())));
    for person in ["AUTHOR", "COMMITTER"] {
        env.insert(format!("GIT_{person}_NAME"), plan.git.name.clone());
        env.insert(format!("GIT_{person}_EMAIL"), plan.git.email.clone());
    }
    for (name, value) in &plan.extra_env {
        env.insert(variable_name(name)?, value.clone());
    }
    env.retain(|name, _| !name.to_ascii_uppercase().starts_with(OWN_PREFIX));
    for value in env.values() {
        no_nul("environment", value)?;
    }
    Ok(env.into_iter().collect())
}

fn is_inherited(name: &str) -> bool {
    INHERITED.contains(&name) || name.strip_prefix("LC_").is_some_and(|rest| !rest.is_empty() && is_name(rest))
}

fn variable_name(name: &str) -> Result<String, PlanError> {
    let starts_well = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    let good = starts_well && is_name(name);
    good.then(|| name.to_owned()).ok_or_else(|| PlanError::VariableName(name.chars().take(80).collect()))
}

fn is_name(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}
