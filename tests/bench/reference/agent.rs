//! An agent that writes down when it began, and then sleeps until it is ended. It is this program, under another name.

use anyhow::Context as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The name under which this program is an agent.
const NAME: &str = "agent";
/// Between two lines of its output, and two looks whether it is still wanted.
const STEP: Duration = Duration::from_secs(1);

/// Links it into a folder.
pub fn install(folder: &Path) -> anyhow::Result<()> {
    let link = folder.join(NAME);
    if !link.exists() {
        std::os::unix::fs::symlink(std::env::current_exe()?, link)?;
    }
    Ok(())
}

/// Where the starts are written: beside the link.
pub fn starts_file(folder: &Path) -> PathBuf {
    folder.join("agent-starts")
}

/// When each began, since the epoch.
pub fn starts(folder: &Path) -> anyhow::Result<Vec<Duration>> {
    let text = std::fs::read_to_string(starts_file(folder)).unwrap_or_default();
    let whole = text.rsplit_once('\n').map_or("", |(lines, _)| lines);
    whole.lines().map(|line| Ok(Duration::from_micros(line.split(' ').next().context("a time")?.parse()?))).collect()
}

/// Ends all that are still there; their numbers were written by themselves.
pub fn end_all(folder: &Path) -> anyhow::Result<()> {
    for line in std::fs::read_to_string(starts_file(folder)).unwrap_or_default().lines() {
        let Some(pid) = line.split(' ').nth(1).and_then(|pid| pid.parse().ok()) else { continue };
        let exe = std::fs::read_link(format!("/proc/{pid}/exe")).ok();
        if exe == std::env::current_exe().ok() {
            let _ended_already =
                nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL);
        }
    }
    Ok(())
}

/// Says something now and then until the measurement's folder is gone.
fn stay(folder: &Path) {
    while starts_file(folder).exists() {
        println!(r#"{{"type":"assistant","message":{{"content":[{{"type":"text","text":"at work"}}]}}}}"#);
        std::thread::sleep(STEP);
    }
}

/// Is this process an agent?
pub fn if_named() -> Option<ExitCode> {
    let name = PathBuf::from(std::env::args_os().next()?);
    if name.file_name()? != NAME {
        return None;
    }
    let began = SystemTime::now().duration_since(UNIX_EPOCH).ok()?;
    let option = std::env::args().nth(1).unwrap_or_default();
    if option == "--version" {
        println!("1.0.0 (measuring)");
        return Some(ExitCode::SUCCESS);
    }
    let mut file = std::fs::File::options().create(true).append(true).open(starts_file(name.parent()?)).ok()?;
    writeln!(file, "{} {}", began.as_micros(), std::process::id()).ok()?;
    if option != "--once" {
        stay(name.parent()?);
    }
    Some(ExitCode::SUCCESS)
}
