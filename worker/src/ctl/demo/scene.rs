//! The scratch world of the demonstration: a small real project with real tests, a bare repository as the forge, a
//! configuration. Everything lies in one folder.

use super::{Agent, script};
use anyhow::{Context as _, bail, ensure};
use std::path::{Path, PathBuf};
use std::process::Command;
use uuid::Uuid;

/// The files of the project, by path.
const FILES: &[(&str, &str)] = &[
    ("README.md", include_str!("project/README.md")),
    ("greet.sh", include_str!("project/greet.sh")),
    ("tests/run.sh", include_str!("project/run.sh")),
    ("tests/test_greeting.sh", include_str!("project/test_greeting.sh")),
];

/// Where everything is.
pub(super) struct Scene {
    pub root: PathBuf,
    pub config: PathBuf,
    pub database: PathBuf,
    /// The bare repository.
    pub forge: PathBuf,
    pub secret: String,
    pub plane_project: Uuid,
    pub work_item: Uuid,
    pub person: Uuid,
    pub agent: Agent,
}

impl Scene {
    /// Makes the folder and everything in it.
    pub(super) fn build(dir: Option<PathBuf>, agent: Agent) -> anyhow::Result<Scene> {
        let root = folder(dir)?;
        let scene = Scene {
            config: root.join("orch.toml"),
            database: root.join("orchestrator.db"),
            forge: root.join("forge/acme/greeter.git"),
            secret: Uuid::new_v4().simple().to_string(),
            plane_project: Uuid::new_v4(),
            work_item: Uuid::new_v4(),
            person: Uuid::new_v4(),
            agent,
            root,
        };
        scene.make_repository().context("making the project's repository")?;
        scene.write_agent()?;
        scene.write_config()?;
        Ok(scene)
    }

    /// The agent program of the configuration.
    fn agent_program(&self) -> PathBuf {
        match self.agent {
            Agent::Scripted => self.root.join("scripted-agent"),
            Agent::Claude => PathBuf::from("claude"),
        }
    }

    fn make_repository(&self) -> anyhow::Result<()> {
        let work = self.root.join("seed");
        for (path, text) in FILES {
            let path = work.join(path);
            path.parent().map(std::fs::create_dir_all).transpose()?;
            std::fs::write(path, text)?;
        }
        git(&work, &["init", "--quiet", "--initial-branch=main"])?;
        git(&work, &["add", "--all"])?;
        git(&work, &["commit", "--quiet", "-m", "A greeter"])?;
        std::fs::create_dir_all(self.forge.parent().context("the forge's folder")?)?;
        let forge = self.forge.to_string_lossy();
        git(&self.root, &["clone", "--quiet", "--bare", "seed", &forge])?;
        Ok(std::fs::remove_dir_all(work)?)
    }

    fn write_agent(&self) -> anyhow::Result<()> {
        if self.agent == Agent::Claude {
            return Ok(());
        }
        let script = self.root.join("agent-script.json");
        std::fs::write(&script, serde_json::to_vec_pretty(&script::script())?)?;
        let orchctl = std::env::current_exe().context("finding this program")?;
        let program =
            format!("#!/bin/sh\nexec {} scripted-agent --script {} -- \"$@\"\n", quoted(&orchctl)?, quoted(&script)?);
        let path = self.agent_program();
        std::fs::write(&path, program)?;
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o700))?;
        Ok(())
    }

    fn write_config(&self) -> anyhow::Result<()> {
        let text = |path: &Path| toml::Value::from(path.to_string_lossy().into_owned());
        let root = &self.root;
        let config = format!(
            "# Made by `orchctl demo`.\n\n[database]\npath = {}\n\n[api]\nbind = \"127.0.0.1:0\"\n\n[plane]\n\
             webhook_secret = \"{}\"\n\n[worker]\nname = \"demo\"\nrepos_dir = {}\nruns_dir = {}\n\n[agent]\n\
             claude_bin = {}\n\n[resilience]\nbackoff_base_s = 1\n\n[[projects]]\nplane_project = \"{}\"\n\
             repo = \"acme/greeter\"\nid_prefix = \"DEMO\"\nremote = {}\ntest_command = \"sh tests/run.sh\"\n",
            text(&self.database),
            self.secret,
            text(&root.join("repos")),
            text(&root.join("runs")),
            text(&self.agent_program()),
            self.plane_project,
            text(&self.forge),
        );
        std::fs::write(&self.config, config)?;
        std::fs::set_permissions(&self.config, std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
        Ok(())
    }
}

fn folder(dir: Option<PathBuf>) -> anyhow::Result<PathBuf> {
    let dir = match dir {
        Some(dir) => {
            ensure!(!dir.exists(), "{} exists already; the demonstration needs a new folder", dir.display());
            std::fs::create_dir_all(&dir).with_context(|| format!("making {}", dir.display()))?;
            dir
        }
        None => tempfile::Builder::new().prefix("orch-demo-").tempdir()?.keep(),
    };
    Ok(dir.canonicalize()?)
}

/// A path as one word of a shell line.
pub(super) fn quoted(path: &Path) -> anyhow::Result<String> {
    let text = path.to_str().context("the path is not UTF-8")?;
    let plain = text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '/' | '.' | '-' | '_'));
    Ok(if plain { text.to_owned() } else { format!("'{}'", text.replace('\'', r"'\''")) })
}

/// Runs git with none of the user's configuration; returns what it printed.
pub(super) fn git(dir: &Path, arguments: &[&str]) -> anyhow::Result<String> {
    let output = Command::new("git")
        .args(["-c", "user.name=Ada Admin", "-c", "user.email=ada@example.invalid"])
        .args(arguments)
        .current_dir(dir)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .output()
        .context("git could not be run; the demonstration needs git 2.28 or later on PATH")?;
    if !output.status.success() {
        bail!("git {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
