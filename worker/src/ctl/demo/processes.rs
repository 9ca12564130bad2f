//! The two real programs, started beside this one, their logs in the scratch folder.

use super::scene::Scene;
use anyhow::{Context as _, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long a program may take to start or to stop.
const PATIENCE: Duration = Duration::from_secs(20);

pub(super) struct Processes {
    children: Vec<(&'static str, Child)>,
    api_output: PathBuf,
    /// Where the logs are.
    folder: PathBuf,
}

impl Processes {
    /// Starts both.
    pub(super) fn start(scene: &Scene) -> anyhow::Result<Processes> {
        let own = std::env::current_exe()?;
        let api_output = scene.root.join("orch-api.out");
        let mut children = Vec::new();
        for name in ["orch-worker", "orch-api"] {
            let program = own.with_file_name(name);
            if !program.is_file() {
                bail!(
                    "{} is missing; all three programs belong in one folder (`cargo build` makes all of them)",
                    program.display()
                );
            }
            children.push((name, start(&program, scene, name)?));
        }
        Ok(Processes { children, api_output, folder: scene.root.clone() })
    }

    /// Where the API listens, once it says so.
    pub(super) async fn api_address(&mut self) -> anyhow::Result<SocketAddr> {
        let give_up = Instant::now() + PATIENCE;
        while Instant::now() < give_up {
            self.check_alive()?;
            let said = std::fs::read_to_string(&self.api_output).unwrap_or_default();
            if let Some(address) = said.lines().find_map(|l| l.strip_prefix("listening on ")) {
                return Ok(address.trim().parse()?);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        bail!("orch-api did not say where it listens")
    }

    /// Fails where one of them has ended.
    pub(super) fn check_alive(&mut self) -> anyhow::Result<()> {
        for (name, child) in &mut self.children {
            if let Some(status) = child.try_wait()? {
                bail!("{name} ended: {status}{}", last_words(&self.folder.join(format!("{name}.log"))));
            }
        }
        Ok(())
    }

    /// Asks both to stop and waits.
    pub(super) async fn stop(&mut self) -> anyhow::Result<()> {
        for (_, child) in &mut self.children {
            if child.try_wait()?.is_none() {
                kill(Pid::from_raw(i32::try_from(child.id())?), Signal::SIGTERM)?;
            }
        }
        let give_up = Instant::now() + PATIENCE;
        for (name, child) in &mut self.children {
            while child.try_wait()?.is_none() {
                if Instant::now() > give_up {
                    child.kill()?;
                    bail!("{name} did not stop");
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
        Ok(())
    }
}

fn start(program: &Path, scene: &Scene, name: &str) -> anyhow::Result<Child> {
    let log = File::create(scene.root.join(format!("{name}.log")))?;
    let out = File::create(scene.root.join(format!("{name}.out")))?;
    let mut command = Command::new(program);
    // The demonstration is the same whatever is configured on this machine.
    for (variable, _) in std::env::vars_os().filter(|(k, _)| k.to_string_lossy().starts_with("ORCH_")) {
        command.env_remove(variable);
    }
    command
        .arg("--config")
        .arg(&scene.config)
        .current_dir(&scene.root)
        .stdin(Stdio::null())
        .stdout(out)
        .stderr(log)
        .spawn()
        .with_context(|| format!("starting {}", program.display()))
}

/// The end of a program's log, from a line of its own on.
fn last_words(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().filter(|l| !l.trim().is_empty()).collect();
    lines.iter().skip(lines.len().saturating_sub(5)).map(|line| format!("\n  {line}")).collect()
}
