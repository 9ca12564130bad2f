//! The log of a job of CI as an agent is to read it: without times, colours and control characters, and only its end. It is
//! text from outside, and is fenced as such wherever it goes.

use crate::clients::gitea::LogEnd;

/// Lines that are kept.
pub(super) const LINES: usize = 200;
/// Characters of one line that are kept, and of all together.
const LINE_CHARS: usize = 500;
const ALL_CHARS: usize = 16_000;
/// What a line of the forge begins with: `2026-11-26T14:40:12.1226130Z`.
const TIME_CHARS: usize = 28;

/// The last lines of a log.
pub(super) fn readable(log: &LogEnd) -> String {
    let mut lines: Vec<String> = log.text.lines().skip(usize::from(log.cut)).map(line).collect();
    while lines.last().is_some_and(|line| line.trim().is_empty()) {
        lines.pop();
    }
    let mut kept: Vec<String> = Vec::new();
    let mut left = ALL_CHARS;
    for line in lines.into_iter().rev().take(LINES) {
        let size = line.chars().count() + 1;
        if size > left {
            break;
        }
        left -= size;
        kept.push(line);
    }
    kept.reverse();
    kept.join("\n")
}

fn line(raw: &str) -> String {
    let text = without_time(raw);
    let mut plain = String::new();
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        match c {
            // Up to the letter that ends a sequence of the terminal.
            '\u{1b}' => while rest.next().is_some_and(|c| !c.is_ascii_alphabetic()) {},
            '\t' => plain.push(c),
            c if c.is_control() || is_invisible(c) => {}
            c => plain.push(c),
        }
    }
    plain.chars().take(LINE_CHARS).collect::<String>().trim_end().to_owned()
}

/// Marks that turn or hide text.
const fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

fn without_time(raw: &str) -> &str {
    let time = raw.get(..TIME_CHARS).filter(|time| time.parse::<jiff::Timestamp>().is_ok());
    let rest = time.and_then(|_| raw.get(TIME_CHARS..));
    rest.map_or(raw, |rest| rest.strip_prefix(' ').unwrap_or(rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, cut: bool) -> String {
        readable(&LogEnd { text: text.to_owned(), cut })
    }

    #[test]
    fn a_log_is_read_without_times_colours_and_tricks() {
        let text = "2026-11-26T14:40:12.1226130Z ##[group]Run cargo test\n2026-11-26T14:40:12.1950590Z \u{1b}[31merror\u{1b}[0m: no\n\
                    2026-11-26T14:40:13.1950590Z\nplain\r\n\u{202e}turned\u{7}\n\ttab\n\n\n";
        assert_eq!(read(text, false), "##[group]Run cargo test\nerror: no\n\nplain\nturned\n\ttab");
        assert_eq!(read("alf a line\nwhole", true), "whole");
        assert_eq!(read("", false), "");
        assert_eq!(read("2026-11-26T14:40:12.1226130Zx", false), "x");
    }

    #[test]
    fn only_the_end_is_kept() {
        let many: String = (0..1_000).map(|n| format!("line {n}\n")).collect();
        let end = read(&many, false);
        assert_eq!((end.lines().next(), end.lines().count()), (Some("line 800"), LINES));
        let wide: String = (0..300).map(|n| format!("{n} {}\n", "ж".repeat(10_000))).collect();
        let end = read(&wide, false);
        assert!(end.chars().count() <= ALL_CHARS && end.lines().all(|l| l.chars().count() == LINE_CHARS));
        assert!(end.lines().last().is_some_and(|l| l.starts_with("299 ")), "{end}");
    }
}
