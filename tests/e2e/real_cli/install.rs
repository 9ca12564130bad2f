//! The real program, of the pinned version, in a scratch folder below the build's own. Never one that is on the machine.

use orch_testkit::needs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

pub const VERSION: &str = "2.1.330";
const PACKAGE: &str = "@anthropic-ai/claude-code-linux-x64";

/// The program, if an earlier test has fetched it.
fn cached() -> Option<PathBuf> {
    let program = program(&folder());
    program.is_file().then_some(program)
}

/// The program, fetched once if need be; the test fails, or is skipped where that is allowed, if it cannot be had.
pub fn fetched() -> Option<PathBuf> {
    static PROGRAM: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let program = PROGRAM.get_or_init(|| cached().map_or_else(fetch, Ok)).clone();
    needs::given(program.map_err(|why| format!("the agent CLI cannot be had: {why}")))
}

fn folder() -> PathBuf {
    let own = std::env::current_exe().expect("the test's own program");
    let target = own.ancestors().nth(3).expect("<target>/<profile>/deps/<test>").to_owned();
    target.join(format!("claude-cli-{VERSION}"))
}

fn program(folder: &Path) -> PathBuf {
    folder.join("node_modules").join(PACKAGE).join("claude")
}

/// Into a folder beside the wanted one, renamed when it is whole: two test programs may do this at once.
fn fetch() -> Result<PathBuf, String> {
    let wanted = folder();
    let parent = wanted.parent().expect("a parent");
    let scratch = tempfile::Builder::new().prefix("claude-cli-").tempdir_in(parent).map_err(|e| e.to_string())?;
    let output = Command::new("npm")
        .args(["install", "--ignore-scripts", "--no-audit", "--no-fund", "--fetch-retries=3", "--prefix"])
        .arg(scratch.path())
        .arg(format!("{PACKAGE}@{VERSION}"))
        .current_dir(scratch.path())
        .stdin(Stdio::null())
        .output()
        .map_err(|e| format!("npm does not run: {e}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(format!("npm ended {}: {}", output.status, said.lines().next().unwrap_or_default()));
    }
    let renamed = std::fs::rename(scratch.path(), &wanted);
    cached().ok_or_else(|| format!("it was installed, but is not there ({renamed:?})"))
}
