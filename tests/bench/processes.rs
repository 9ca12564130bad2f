//! The programs under measurement, each with a folder of its own, ended when dropped.

use crate::bench::Bench;
use crate::load;
use anyhow::{Context as _, bail};
use orch_common::store::{Store, StoreOptions};
use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long a program may take to say that it listens.
const PATIENCE: Duration = Duration::from_secs(30);

/// A running program.
pub struct Process(pub Child);

impl Process {
    pub fn pid(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ended_already = self.0.kill();
        let _status = self.0.wait();
    }
}

/// Starts a program with nothing of this process's environment but the path; its words go to `name`.log.
pub fn start(mut command: Command, folder: &Path, name: &str) -> anyhow::Result<Process> {
    let log = File::create(folder.join(format!("{name}.log")))?;
    let out = File::create(folder.join(format!("{name}.out")))?;
    let path = std::env::var_os("PATH").unwrap_or_default();
    command.current_dir(folder).env("PATH", path).stdin(Stdio::null()).stdout(out).stderr(log);
    let shown = command.get_program().to_string_lossy().into_owned();
    Ok(Process(command.spawn().with_context(|| format!("starting {shown}"))?))
}

/// A command without this process's environment.
pub fn bare(program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new(program);
    command.env_clear();
    command
}

/// Waits for the line in which a program says where it listens.
pub fn address(process: &mut Process, folder: &Path, name: &str) -> anyhow::Result<SocketAddr> {
    let give_up = Instant::now() + PATIENCE;
    while Instant::now() < give_up {
        let said = std::fs::read_to_string(folder.join(format!("{name}.out"))).unwrap_or_default();
        if let Some(address) = said.lines().find_map(|line| line.strip_prefix("listening on ")) {
            return Ok(address.trim().parse()?);
        }
        if let Some(status) = process.0.try_wait()? {
            let log = std::fs::read_to_string(folder.join(format!("{name}.log"))).unwrap_or_default();
            bail!("{name} ended: {status}\n{log}");
        }
        std::thread::sleep(Duration::from_micros(200));
    }
    bail!("{name} did not say where it listens")
}

/// `orch-api` on a database, ready.
pub struct Api {
    pub process: Process,
    pub address: SocketAddr,
}

/// How to start [`Api`].
#[derive(Default)]
pub struct ApiSetup<'a> {
    /// A library to load into it.
    pub preload: Option<&'a Path>,
    /// Every push is signed and of no interest: all is done but the storing.
    pub stores_nothing: bool,
}

/// The database of a folder.
pub fn database(folder: &Path) -> PathBuf {
    folder.join("orch.db")
}

/// A store on it, migrated.
pub fn migrated(folder: &Path) -> anyhow::Result<Store> {
    Ok(Store::open_and_migrate(&StoreOptions::new(database(folder)))?)
}

/// The command that starts the API in `folder`.
pub fn api_command(bench: &Bench, folder: &Path, setup: &ApiSetup<'_>) -> anyhow::Result<Command> {
    write_projects(folder, setup.stores_nothing)?;
    let mut command = bare(bench.program("orch-api")?);
    command.args(["--config", "orch.toml"]).env("ORCH_DB_PATH", "orch.db").env("ORCH_API_BIND", "127.0.0.1:0");
    command.env("ORCH_GITEA_WEBHOOK_SECRET", load::SECRET).env("ORCH_PLANE_WEBHOOK_SECRET", load::SECRET);
    // A line per push that is ignored would be measured instead of the handler.
    command.env("ORCH_LOG", if setup.stores_nothing { "warn" } else { "info" });
    if let Some(library) = setup.preload {
        command.env("LD_PRELOAD", library);
    }
    Ok(command)
}

fn write_projects(folder: &Path, others: bool) -> anyhow::Result<()> {
    let mut text = String::new();
    for n in 0..load::REPOS {
        let repo = if others { format!("other/repo-{n}") } else { load::repo(n) };
        let project = uuid::Uuid::from_u128(n as u128 + 1);
        let prefix = char::from(b'A' + n as u8);
        text += &format!("[[projects]]\nplane_project = \"{project}\"\nrepo = \"{repo}\"\nid_prefix = \"P{prefix}\"\n");
    }
    Ok(std::fs::write(folder.join("orch.toml"), text)?)
}

impl Api {
    pub fn start(bench: &Bench, folder: &Path, setup: &ApiSetup<'_>) -> anyhow::Result<Api> {
        migrated(folder)?;
        Api::ready(start(api_command(bench, folder, setup)?, folder, "orch-api")?, folder)
    }

    /// Waits until a started API is ready.
    pub fn ready(mut process: Process, folder: &Path) -> anyhow::Result<Api> {
        let address = address(&mut process, folder, "orch-api")?;
        let give_up = Instant::now() + PATIENCE;
        while !is_ready(address) {
            if Instant::now() > give_up {
                bail!("orch-api did not get ready");
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(Api { process, address })
    }
}

/// The command that starts a worker on the same database as the API in `folder`, whose projects are written.
pub fn worker_command(bench: &Bench, folder: &Path) -> anyhow::Result<Command> {
    let mut command = bare(bench.program("orch-worker")?);
    command.args(["--config", "orch.toml"]).env("ORCH_DB_PATH", "orch.db").env("ORCH_WORKER_NAME", "bench");
    command.env("ORCH_REPOS_DIR", "repos").env("ORCH_RUNS_DIR", "runs").env("ORCH_CLAUDE_BIN", folder.join("agent"));
    command.env("HOME", folder);
    Ok(command)
}

/// Waits until a program has logged something.
pub fn logged(process: &mut Process, folder: &Path, name: &str, words: &str) -> anyhow::Result<()> {
    let give_up = Instant::now() + PATIENCE;
    loop {
        let log = std::fs::read_to_string(folder.join(format!("{name}.log"))).unwrap_or_default();
        if log.contains(words) {
            return Ok(());
        }
        if let Some(status) = process.0.try_wait()? {
            bail!("{name} ended: {status}\n{log}");
        }
        if Instant::now() > give_up {
            bail!("{name} did not say '{words}' in time:\n{log}");
        }
        std::thread::sleep(Duration::from_micros(500));
    }
}

/// Starts a worker and waits until it takes jobs.
pub fn worker(bench: &Bench, folder: &Path) -> anyhow::Result<Process> {
    let mut process = start(worker_command(bench, folder)?, folder, "orch-worker")?;
    logged(&mut process, folder, "orch-worker", "ready")?;
    Ok(process)
}

/// Whether `/health/ready` answers 200.
pub fn is_ready(address: SocketAddr) -> bool {
    use std::io::{Read as _, Write as _};
    let Ok(mut stream) = std::net::TcpStream::connect(address) else { return false };
    let asked = stream.write_all(b"GET /health/ready HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n");
    let mut answer = String::new();
    asked.and_then(|()| stream.read_to_string(&mut answer)).is_ok() && answer.starts_with("HTTP/1.1 200")
}
