//! The commands that people write into comments, read as a person sees them. The text is Markdown: what is between
//! fences, behind back-ticks, struck out, quoted or an item still to be ticked is shown, not said. Who wrote it, and
//! whether that person may, is not decided here.

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

/// The first command of a comment. It counts only at the start of a line (blanks, invisible characters, and the mark of
/// a heading or of a list's item before it are fine), so a quoted one or one that is merely talked about is no command.
/// Case does not matter.
pub fn parse_comment(text: &str) -> Option<Command> {
    let mut lines = said_and_shown(text);
    let (command, rest) = lines.find_map(|(line, said)| said.then(|| command_at_start(line)).flatten())?;
    match command {
        Command::Reject { .. } => Some(Command::Reject { reason: reason(rest, lines) }),
        Command::Approve | Command::Retry | Command::Pause | Command::Resume | Command::Cancel => Some(command),
    }
}

/// Whether a person sees anything of a text.
pub fn is_visible(text: &str) -> bool {
    text.chars().any(|c| !is_blank(c))
}

/// The rest of the command's line and the lines below, up to the next command.
fn reason<'a>(rest: &'a str, below: impl Iterator<Item = (&'a str, bool)>) -> String {
    let mut text = rest.trim().to_owned();
    for (line, _) in below.take_while(|(line, said)| !said || command_at_start(line).is_none()) {
        text.push('\n');
        text.push_str(line.trim_end());
    }
    let cut: String = text.trim().chars().take(REASON_MAX).collect();
    cut.trim_end().to_owned()
}

/// The lines of a text, and of each whether it may say something: what is in a block of code is only shown.
fn said_and_shown(text: &str) -> impl Iterator<Item = (&str, bool)> {
    let mut fence: Option<&str> = None;
    let mut after_blank = true;
    text.lines().map(move |line| {
        let indented = line.starts_with("    ") || line.starts_with('\t');
        let found = fence_of(without_marks(line));
        let said = match (fence, found) {
            (Some(open), Some((mark, ""))) if mark.starts_with(open) => {
                fence = None;
                false
            }
            (Some(_), _) => false,
            (None, Some((mark, _))) => {
                fence = Some(mark);
                false
            }
            (None, None) => !(indented && after_blank),
        };
        // A block of code that is indented goes on over the lines below.
        after_blank = line.trim().is_empty() || (after_blank && indented);
        (line, said)
    })
}

/// The back-ticks or tildes that begin or end a block of code, and what is behind them.
fn fence_of(line: &str) -> Option<(&str, &str)> {
    let line = line.trim();
    ['`', '~'].into_iter().find_map(|mark| {
        let behind = line.trim_start_matches(mark);
        let fence = line.strip_suffix(behind).filter(|fence| fence.len() >= 3)?;
        // In a line of text back-ticks may come again: that is code within the line.
        (mark == '~' || !behind.contains('`')).then_some((fence, behind.trim()))
    })
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
    let line = without_marks(line);
    all.into_iter().find_map(|command| {
        let rest = behind_word(line, command.word())?;
        Some((command, rest))
    })
}

/// A line without what stands before its first word: blanks, and the marks of headings, of items of lists and of ticked
/// boxes. An open box stays: that is still to be done.
fn without_marks(line: &str) -> &str {
    let mut line = line.trim_start_matches(is_blank);
    while let Some(rest) = behind_mark(line) {
        line = rest.trim_start_matches(is_blank);
    }
    line
}

fn behind_mark(line: &str) -> Option<&str> {
    let digits = line.len() - line.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let hashes = line.len() - line.trim_start_matches('#').len();
    let rest = match (digits, hashes) {
        (1..=9, _) => line.get(digits..)?.strip_prefix(['.', ')'])?,
        (_, 1..=6) => line.get(hashes..)?,
        _ => line
            .strip_prefix("[x]")
            .or_else(|| line.strip_prefix("[X]"))
            .or_else(|| line.strip_prefix(['-', '*', '+']))?,
    };
    rest.starts_with([' ', '\t']).then_some(rest)
}

/// What follows a word that the line begins with; characters that nobody sees do not part it.
fn behind_word<'a>(line: &'a str, word: &str) -> Option<&'a str> {
    let mut wanted = word.chars().peekable();
    for (at, c) in line.char_indices() {
        match wanted.peek() {
            None => return line.get(at..).map(|rest| rest.trim_start_matches(is_invisible)),
            Some(_) if is_invisible(c) => {}
            Some(next) if next.eq_ignore_ascii_case(&c) => drop(wanted.next()),
            Some(_) => return None,
        }
    }
    wanted.peek().is_none().then_some("")
}

fn is_blank(c: char) -> bool {
    c.is_whitespace() || is_invisible(c)
}

/// Characters without a shape that editors and phones leave in a text: joiners, marks and isolates of direction, variation
/// selectors, fillers. The override of direction is none of them: with it a person sees other words.
const fn is_invisible(c: char) -> bool {
    matches!(
        c,
        '\u{ad}'
            | '\u{34f}'
            | '\u{61c}'
            | '\u{115f}'
            | '\u{1160}'
            | '\u{17b4}'
            | '\u{17b5}'
            | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}'
            | '\u{202a}'..='\u{202c}'
            | '\u{2060}'..='\u{206f}'
            | '\u{2800}'
            | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}'
            | '\u{feff}'
            | '\u{ffa0}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e0fff}'
    )
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
            ("- :approved:", Some(Command::Approve)),
            ("2. [x] :rejected: thin", reject("thin")),
            ("## :approved:", Some(Command::Approve)),
            ("#:approved:", None),
            ("-:approved:", None),
            ("- [ ] :approved:", None),
            ("* [ ] todo\n* [X] :retry:", Some(Command::Retry)),
            ("- > :approved:", None),
            ("\\- :approved:", None),
            ("@ann :approved: would you say so?", None),
            ("~~:approved:~~", None),
            ("~~no~~ :approved:", None),
            ("| :approved: | b |", None),
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
    fn code_shows_a_command_and_does_not_say_it() {
        let rows = [
            ("write this:\n\n```\n:approved:\n```", None),
            ("```plaintext\n:approved:", None),
            ("~~~\n:approved:\n~~~\n:retry:", Some(Command::Retry)),
            ("````\n```\n:approved:\n```\n````\n:pause:", Some(Command::Pause)),
            ("```\n:approved:\n``` no end\n:retry:", None),
            ("- ```\n  :approved:\n  ```", None),
            ("`:approved:`", None),
            ("```:approved:```\n:retry:", Some(Command::Retry)),
            ("    :approved:", None),
            ("see\n\n\t:approved:\n\t:retry:", None),
            ("see\n    :approved:", Some(Command::Approve)),
            (":rejected: as in\n```\n:approved:\n```\nno", reject("as in\n```\n:approved:\n```\nno")),
        ];
        for (text, want) in rows {
            assert_eq!(parse_comment(text), want, "{text:?}");
        }
    }

    #[test]
    fn what_nobody_sees_does_not_part_a_command() {
        for c in [
            '\u{200b}',
            '\u{200c}',
            '\u{200d}',
            '\u{200e}',
            '\u{200f}',
            '\u{2060}',
            '\u{2066}',
            '\u{2069}',
            '\u{202a}',
            '\u{202c}',
            '\u{feff}',
            '\u{ad}',
            '\u{61c}',
            '\u{180e}',
            '\u{fe0f}',
            '\u{e0061}',
        ] {
            for text in
                [format!("{c}:approved:{c}"), format!("{c} {c}:appro{c}ved:"), format!(":{c}approved{c}: thanks")]
            {
                assert_eq!(parse_comment(&text), Some(Command::Approve), "{text:?}");
            }
            assert_eq!(parse_comment(&format!(":rejected:{c} too thin")), reject("too thin"), "{c:?}");
            assert!(!is_visible(&format!(" {c}\n{c}")) && is_visible(&format!("{c}a")));
        }
        // The text is shown the other way round: nobody sees the command.
        assert_eq!(parse_comment("\u{202e}:approved:"), None);
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
        fn never_panics_and_needs_a_word_at_a_start(text in "(?s).{0,80}|[:>`~#*x\\[\\]aprovedejct \n]{0,80}") {
            let has_word = text.to_lowercase().contains(":approved:") || text.chars().any(is_invisible);
            prop_assert!(has_word || parse_comment(&text) != Some(Command::Approve));
        }
    }
}
