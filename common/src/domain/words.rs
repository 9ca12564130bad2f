//! The commands that people write into comments. The text is already plain (no markup); who wrote it, and whether
//! that person may, is not decided here.

use serde::{Deserialize, Serialize};

/// Longest reason of a rejection, in characters.
pub const REASON_MAX: usize = 2_000;

/// What a person tells the pipeline to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case")]
pub enum Command {
    Approve,
    /// `reason` may be empty.
    Reject {
        reason: String,
    },
    Retry,
    Pause,
    Resume,
    Cancel,
}

impl Command {
    /// The word as people write it.
    pub const fn word(&self) -> &'static str {
        match self {
            Command::Approve => ":approved:",
            Command::Reject { .. } => ":rejected:",
            Command::Retry => ":retry:",
            Command::Pause => ":pause:",
            Command::Resume => ":resume:",
            Command::Cancel => ":cancel:",
        }
    }
}

/// The first command of a comment. It counts only at the start of a line (blanks before it are fine), so a quoted
/// one or one that is merely talked about is no command. Case does not matter.
pub fn parse_comment(text: &str) -> Option<Command> {
    let mut lines = text.lines();
    let (command, rest) = lines.find_map(command_at_start)?;
    match command {
        Command::Reject { .. } => Some(Command::Reject { reason: reason(rest, lines) }),
        Command::Approve | Command::Retry | Command::Pause | Command::Resume | Command::Cancel => Some(command),
    }
}

/// The rest of the command's line and the lines below, up to the next command.
fn reason<'a>(rest: &'a str, below: impl Iterator<Item = &'a str>) -> String {
    let mut text = rest.trim().to_owned();
    for line in below.take_while(|line| command_at_start(line).is_none()) {
        text.push('\n');
        text.push_str(line.trim_end());
    }
    let cut: String = text.trim().chars().take(REASON_MAX).collect();
    cut.trim_end().to_owned()
}

/// The command a line begins with, and what follows it.
fn command_at_start(line: &str) -> Option<(Command, &str)> {
    let all = [
        Command::Approve,
        Command::Reject { reason: String::new() },
        Command::Retry,
        Command::Pause,
        Command::Resume,
        Command::Cancel,
    ];
    let line = line.trim_start();
    all.into_iter().find_map(|command| {
        let (start, rest) = line.split_at_checked(command.word().len())?;
        start.eq_ignore_ascii_case(command.word()).then_some((command, rest))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn reject(reason: &str) -> Option<Command> {
        Some(Command::Reject { reason: reason.to_owned() })
    }

    #[test]
    fn commands_count_at_the_start_of_a_line() {
        let rows = [
            (":approved:", Some(Command::Approve)),
            ("  \t:Approved: thanks!", Some(Command::Approve)),
            ("\u{a0}:APPROVED:", Some(Command::Approve)),
            ("Nice work.\n\n:approved:", Some(Command::Approve)),
            ("hm\r\n:retry:\r\n", Some(Command::Retry)),
            (":pause:", Some(Command::Pause)),
            (":resume:", Some(Command::Resume)),
            (":cancel:", Some(Command::Cancel)),
            (":rejected: no tests", reject("no tests")),
            (":rejected:", reject("")),
            (":rejected:\n\nThe plan is thin.\n  - no rollback\n", reject("The plan is thin.\n  - no rollback")),
            (":rejected: a\nb\n:retry:\nc", reject("a\nb")),
            (":retry:\n:rejected: late", Some(Command::Retry)),
            ("> :approved:", None),
            ("> :approved:\n:rejected: see above", reject("see above")),
            ("please write :approved: when done", None),
            ("- :approved:", None),
            ("`:approved:`", None),
            (":approve:", None),
            (":approved", None),
            ("approved", None),
            ("", None),
            (":одобрено:", None),
        ];
        for (text, want) in rows {
            assert_eq!(parse_comment(text), want, "{text:?}");
        }
    }

    #[test]
    fn a_long_reason_is_cut_between_characters() {
        let Some(Command::Reject { reason }) = parse_comment(&format!(":rejected: {}", "щ".repeat(3_000))) else {
            panic!()
        };
        assert_eq!(reason.chars().count(), REASON_MAX);
    }

    proptest! {
        #[test]
        fn never_panics_and_needs_a_word_at_a_start(text in "(?s).{0,80}|[:>aprovedejct \n]{0,80}") {
            let starts = text.lines().any(|line| line.trim_start().starts_with(':'));
            prop_assert!(starts || parse_comment(&text).is_none());
        }
    }
}
