//! What the tests of all packages share. Only tests depend on this package, and it depends on none of ours.

pub mod needs;
mod wait;

pub use wait::{eventually, eventually_async};

use std::path::Path;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

/// Now, in milliseconds since the epoch, as the programs count.
pub fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock after 1970");
    i64::try_from(since.as_millis()).expect("a clock before the year 292,278,994")
}

/// git as a person of this name, without a configuration of their own, runs it. The repository's configuration and hooks
/// count.
pub fn git_command(person: &str, dir: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new("git");
    command.current_dir(dir).args(["-c", "init.defaultBranch=main"]).args(arguments);
    command.env("GIT_CONFIG_NOSYSTEM", "1").env("GIT_CONFIG_GLOBAL", "/dev/null");
    for role in ["AUTHOR", "COMMITTER"] {
        let email = format!("{}@example.org", person.to_lowercase());
        command.env(format!("GIT_{role}_NAME"), person).env(format!("GIT_{role}_EMAIL"), email);
    }
    command
}

/// Runs git as a person called Hugo; it must succeed. Returns what it printed, without blanks at the ends.
pub fn git(dir: &Path, arguments: &[&str]) -> String {
    output_of(git_command("Hugo", dir, arguments))
}

/// Runs a command that must succeed; returns what it printed, without blanks at the ends.
pub fn output_of(mut command: Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {error}");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// Puts a program to another place: a link, or a copy on another file system. The copy is made by `cp`: a child that another
/// thread of ours forks meanwhile would have the file open for writing, and the program could not be run ("Text file busy").
pub fn place_program(program: &Path, to: &Path) {
    if std::fs::hard_link(program, to).is_err() {
        let mut copy = Command::new("cp");
        copy.arg(program).arg(to);
        output_of(copy);
    }
}
