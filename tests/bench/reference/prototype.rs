//! The prototype's hot path, run by a Python of its own below `target/bench`. Where that cannot be set up, the rows
//! that need it are not measured.

use crate::bench::Bench;
use crate::load::SECRET;
use crate::processes::{Process, bare, start};
use anyhow::{Context as _, bail, ensure};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// How long it may take to listen.
const PATIENCE: Duration = Duration::from_secs(60);

/// A Python with the web framework, made at the first call.
pub fn python(bench: &Bench) -> anyhow::Result<PathBuf> {
    let venv = bench.folder().join("venv");
    let python = venv.join("bin/python");
    if venv.join("complete").is_file() {
        return Ok(python);
    }
    eprintln!("setting up the prototype's Python (once) ...");
    done(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&venv))?;
    let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "fastapi", "uvicorn"];
    done(Command::new(&python).args(pip))?;
    std::fs::write(venv.join("complete"), "")?;
    Ok(python)
}

fn done(command: &mut Command) -> anyhow::Result<()> {
    let shown = format!("{command:?}");
    let status = command.stdin(Stdio::null()).stdout(Stdio::null()).status().with_context(|| shown.clone())?;
    ensure!(status.success(), "{shown}: {status}");
    Ok(())
}

/// Starts it in `folder`.
pub fn spawn(bench: &Bench, folder: &Path, preload: Option<&Path>) -> anyhow::Result<(Process, SocketAddr)> {
    let python = python(bench)?;
    std::fs::write(folder.join("prototype.py"), include_str!("prototype.py"))?;
    // It cannot say which port it got; one that was free a moment ago is free still.
    let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let mut command = bare(python);
    command.args(["-m", "uvicorn", "prototype:app", "--no-access-log", "--host", "127.0.0.1", "--port"]);
    command.arg(address.port().to_string()).env("DATABASE", "prototype.db").env("SECRET", SECRET);
    if let Some(library) = preload {
        command.env("LD_PRELOAD", library);
    }
    let mut process = start(command, folder, "prototype")?;
    let give_up = Instant::now() + PATIENCE;
    while TcpStream::connect(address).is_err() {
        if process.0.try_wait()?.is_some() || Instant::now() > give_up {
            let log = std::fs::read_to_string(folder.join("prototype.log")).unwrap_or_default();
            bail!("the prototype does not listen: {log}");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok((process, address))
}
