//! A project's test command, as its configuration says it, made into a process that knows nothing of ours.

use crate::agent::attend::{Attendant, Terms};
use crate::agent::environment::suits_another_user;
use crate::git::group::Start;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::Path;
use std::process::Stdio;

/// What runs the project's tests: a program with its arguments, or a line for `sh -c`. The latter is safe
/// only because the configuration is the operator's; nothing from outside may ever be put into it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum TestCommand {
    Argv(Vec<String>),
    Shell(String),
}

/// From the worker's own environment: what tools need to be found and to find their caches. Secrets are kept
/// out by not being listed; a project's own variables come from its configuration.
const INHERITED: &[&str] = &[
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "SHELL",
    "LANG",
    "LC_ALL",
    "TZ",
    "TMPDIR",
    "CARGO_HOME",
    "RUSTUP_HOME",
    "GOPATH",
    "GOCACHE",
    "JAVA_HOME",
    "NVM_DIR",
    "XDG_CACHE_HOME",
    "XDG_CONFIG_HOME",
    "XDG_DATA_HOME",
];

impl TestCommand {
    /// The process in `dir`, its output yet to be connected. `None` for an empty command.
    pub(super) fn start(
        &self,
        dir: &Path,
        extra: &[(String, String)],
        attendant: Option<&Attendant>,
        terms: Terms,
    ) -> Option<Start> {
        let start = |program: &str| Start::of(attendant, program.as_ref(), terms);
        let mut start = match self {
            TestCommand::Argv(argv) => {
                let (program, args) = argv.split_first()?;
                let mut start = start(program);
                start.command.args(args);
                start
            }
            TestCommand::Shell(line) if line.trim().is_empty() => return None,
            TestCommand::Shell(line) => {
                let mut start = start("sh");
                start.command.args(["-c", line]);
                start
            }
        };
        let command = &mut start.command;
        command.env_clear().current_dir(dir).stdin(Stdio::null());
        let inherited = INHERITED.iter().filter(|name| terms.user.is_none() || suits_another_user(name));
        command.envs(inherited.filter_map(|name| Some((name, std::env::var_os(name)?))));
        command.env("CI", "true").env("GIT_TERMINAL_PROMPT", "0");
        // Without its own repository the folder is in none: not in one that our folders happen to lie in.
        command.envs(dir.parent().map(|above| ("GIT_CEILING_DIRECTORIES", above)));
        command.envs(extra.iter().map(|(k, v)| (k, v)));
        Some(start)
    }
}

/// As a person would type it; words with anything odd in them are quoted.
impl fmt::Display for TestCommand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TestCommand::Shell(line) => f.write_str(line),
            TestCommand::Argv(argv) => {
                let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,@%+".contains(c);
                let words = argv.iter().map(|word| {
                    let bare = !word.is_empty() && word.chars().all(plain);
                    if bare { word.clone() } else { format!("'{}'", word.replace('\'', r"'\''")) }
                });
                f.write_str(&words.collect::<Vec<_>>().join(" "))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_spellings_are_read_and_shown() {
        let read = |json: &str| serde_json::from_str::<TestCommand>(json).unwrap();
        let shell = read(r#""cargo test && echo ok""#);
        assert_eq!(shell, TestCommand::Shell("cargo test && echo ok".into()));
        assert_eq!(shell.to_string(), "cargo test && echo ok");
        let argv = read(r#"["cargo", "test", "a b", "it's", ""]"#);
        assert_eq!(argv.to_string(), r"cargo test 'a b' 'it'\''s' ''");
        assert!(serde_json::from_str::<TestCommand>("3").is_err());
    }

    #[test]
    fn an_empty_command_is_none() {
        for empty in [TestCommand::Argv(vec![]), TestCommand::Shell(" ".into())] {
            assert!(empty.start(Path::new("/"), &[], None, Terms::default()).is_none());
        }
    }
}
