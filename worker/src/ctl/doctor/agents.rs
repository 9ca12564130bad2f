//! The agent program and the account it runs as. What the worker may do is asked of the worker that runs: whoever looks
//! here need not have its rights.

use super::report::Report;
use crate::agent::account::{Account, AccountError};
use crate::agent::preflight::Preflight;
use crate::agent::{privileges, seclusion};
use crate::git::Tenant;
use orch_common::config::Config;
use std::path::Path;
use std::time::Duration;

const USER: &str = "agent.user";
/// What to do about a worker that may not become another user.
const RIGHTS: &str = "give its unit the capabilities of the package's (docs/SECURITY.md), or unset agent.user";

/// Everything about agents that can be known without running one. `workers`: process numbers of those that live here.
pub async fn check(report: &Report, config: &Config, workers: &[i32]) {
    match config.agent.user.as_deref() {
        None => report.ok(USER, "agents run as the worker's own user"),
        Some(name) => user(report, config, name, workers),
    }
    // Without the right to ask as that user, we ask as ourselves: better than not at all.
    let user = config.agent.user.clone().filter(|name| Account::to_become(name).is_ok());
    let bin = config.agent.claude_bin.to_string_lossy().into_owned();
    let preflight = Preflight::new(bin, user, Duration::ZERO).by(config.agent.socket.clone());
    let preflight = report.during("claude", preflight.check_now()).await;
    match (preflight.ok, preflight.path, preflight.version) {
        (true, Some(path), version) => {
            report.ok("claude", format!("{}: {}", path.display(), version.unwrap_or_default()));
        }
        _ => {
            let why = preflight.reason.unwrap_or_else(|| "not found".to_owned());
            let todo = "install the CLI, or set agent.claude_bin, or start orch-agent.socket; credentials show at the first run";
            report.fail("claude", why, todo);
        }
    }
}

fn user(report: &Report, config: &Config, name: &str, workers: &[i32]) {
    let account = match Account::named(name) {
        Ok(account) => account,
        Err(error) => return report.fail(USER, error.to_string(), "make the user, or unset agent.user"),
    };
    rights(report, name, workers);
    let home = config.agent.home.clone().unwrap_or(account.home);
    let tenant = Tenant { uid: account.uid, gid: account.gid, home };
    for place in [config.worker.repos_dir.as_path(), tenant.home.as_path()] {
        passable(report, &tenant, place, name);
    }
}

fn rights(report: &Report, name: &str, workers: &[i32]) {
    let without = |pid: &&i32| privileges::may_other_change_user(**pid) == Some(false);
    match (workers.iter().find(without), workers.is_empty(), Account::to_become(name)) {
        (Some(pid), _, _) => {
            report.fail(USER, format!("'{name}' exists, but the worker {pid} may not become it"), RIGHTS);
        }
        (None, false, _) => report.ok(USER, format!("'{name}' exists, and the worker may become it")),
        (None, true, Ok(_)) => report.ok(USER, format!("'{name}' exists, and we may become it")),
        (None, true, Err(AccountError::NotAllowed(_))) => {
            let found = format!("'{name}' exists; no worker runs that could be asked whether it may become it");
            report.warn(USER, found, "start the worker and look again: one that may not says so and ends");
        }
        (None, true, Err(error)) => report.fail(USER, error.to_string(), "see that the user database answers"),
    }
}

fn passable(report: &Report, tenant: &Tenant, place: &Path, name: &str) {
    if let Some(folder) = seclusion::blocked_at(tenant, place) {
        let found = format!("'{name}' cannot reach {}: {} is closed to it", place.display(), folder.display());
        report.fail(USER, found, format!("chmod o+x {}", folder.display()));
    }
}
