//! The file: what was answered, with a word about each, closed to others from its first byte.

use super::answers::{Answers, Hidden};
use crate::ctl::error::CtlError;
use orch_common::config::BaseUrl;
use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

pub fn write(path: &Path, answers: &Answers) -> Result<(), CtlError> {
    let failed = |e: std::io::Error| CtlError::Failed(format!("{} cannot be written: {e}", path.display()));
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(failed)?;
    file.write_all(text(answers).as_bytes()).and_then(|()| file.sync_all()).map_err(failed)
}

fn text(a: &Answers) -> String {
    let mut out = String::from(
        "# Made by `orchctl init`. Every further key, with its default: `orchctl config example`.\n\
         # The environment wins over this file; secrets may also come from *_FILE variables or systemd credentials.\n",
    );
    section(&mut out, "worker", "The address under which Plane and the forge reach orch-api.");
    value(&mut out, "public_url", a.public_url.as_deref());
    section(&mut out, "plane", "Where the work items are. The account must be the orchestrator's own.");
    value(&mut out, "url", a.plane_url.as_deref());
    value(&mut out, "workspace", a.plane_workspace.as_deref());
    secret(&mut out, "api_token", a.plane_token.as_ref());
    secret(&mut out, "webhook_secret", a.plane_secret.as_ref());
    section(&mut out, "gitea", "Where the code is. The account needs write access to the repository.");
    value(&mut out, "url", a.gitea_url.as_deref());
    secret(&mut out, "token", a.gitea_token.as_ref());
    secret(&mut out, "webhook_secret", Some(&a.gitea_secret));
    section(&mut out, "network", "An own authority and a proxy, for the APIs and for git.");
    let ca_file = a.ca_file.as_ref().map(|file| file.to_string_lossy().into_owned());
    value(&mut out, "ca_file", ca_file.as_deref());
    value(&mut out, "proxy", a.proxy.as_ref().map(BaseUrl::as_str));
    out.push_str("\n# One table per project.\n[[projects]]\n");
    value(&mut out, "plane_project", Some(&a.plane_project));
    value(&mut out, "repo", Some(&a.repo));
    value(&mut out, "id_prefix", Some(&a.id_prefix));
    value(&mut out, "default_branch", Some(&a.default_branch));
    out.push_str("# What the gate tests_local runs in the worktree.\n");
    value(&mut out, "test_command", a.test_command.as_deref());
    out.push_str("# Plane user ids whose commands count; empty: everybody's.\napprovers = []\n");
    out.push_str("# Which work items become tasks: \"created\", { label = \"...\" } or { state = \"...\" }.\n");
    value(&mut out, "start", Some("created"));
    out
}

fn section(out: &mut String, name: &str, about: &str) {
    let _ = write!(out, "\n# {about}\n[{name}]\n");
}

fn value(out: &mut String, key: &str, value: Option<&str>) {
    let _ = match value {
        Some(value) => writeln!(out, "{key} = {}", toml::Value::from(value)),
        None => writeln!(out, "# {key} = \"\""),
    };
}

/// A secret that the environment has is left to it.
fn secret(out: &mut String, key: &str, hidden: Option<&Hidden>) {
    match hidden {
        Some(Hidden { variable: Some(variable), .. }) => {
            let _ = writeln!(out, "# {key}: from {variable}");
        }
        Some(Hidden { text, variable: None }) => value(out, key, Some(text.expose())),
        None => value(out, key, None),
    }
}
