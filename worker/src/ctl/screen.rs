//! Where commands write. Everything but [`Screen::bytes`] is cleaned on the way, colour is for terminals alone.

use super::table::Table;
use super::text;
use serde::Serialize;
use std::io::{self, IsTerminal, Write};

/// Columns of a terminal that does not say how many it has.
const USUAL: usize = 80;
const BOLD: &str = "\u{1b}[1m";
const PLAIN: &str = "\u{1b}[0m";

/// Standard output, or a test's memory.
pub struct Screen<'a> {
    out: Box<dyn Write + 'a>,
    terminal: bool,
    colour: bool,
    /// Columns of the terminal.
    room: Option<usize>,
}

impl<'a> Screen<'a> {
    /// Standard output; coloured where it is a terminal and `NO_COLOR` is not set.
    pub fn stdout() -> Screen<'static> {
        let terminal = io::stdout().is_terminal();
        let colour = terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        let size = terminal.then(|| rustix::termios::tcgetwinsize(io::stdout()).ok()).flatten();
        // One that does not know is taken for one of the usual width.
        let room = terminal.then(|| size.map(|size| usize::from(size.ws_col)).filter(|n| *n > 0).unwrap_or(USUAL));
        Screen { out: Box::new(io::stdout()), terminal, colour, room }
    }

    /// Any writer, as if it were a file.
    #[cfg(test)]
    fn of(out: impl Write + 'a) -> Screen<'a> {
        Screen { out: Box::new(out), terminal: false, colour: false, room: None }
    }

    /// One line.
    pub fn line(&mut self, line: impl AsRef<str>) -> io::Result<()> {
        writeln!(self.out, "{}", text::one_line(line.as_ref()))
    }

    /// A name and its value on one line, the values of several such lines aligned.
    pub fn field(&mut self, name: &str, value: impl AsRef<str>) -> io::Result<()> {
        self.line(format!("{name:<12} {}", value.as_ref()))
    }

    /// As [`Screen::field`], where there is a value.
    pub fn field_if(&mut self, name: &str, value: Option<impl AsRef<str>>) -> io::Result<()> {
        value.map_or(Ok(()), |value| self.field(name, value))
    }

    /// Text of several lines, each indented.
    pub fn block(&mut self, block: &str) -> io::Result<()> {
        text::lines(block).try_for_each(|line| writeln!(self.out, "  {line}"))
    }

    /// The title of what follows.
    pub fn heading(&mut self, title: &str) -> io::Result<()> {
        writeln!(self.out)?;
        self.bold(&text::one_line(title))
    }

    /// A table, or what is said where it has no rows.
    pub fn table(&mut self, table: &Table, none: &str) -> io::Result<()> {
        if table.is_empty() {
            return self.line(none);
        }
        let lines = table.lines(self.room);
        let mut lines = lines.iter();
        if let Some(head) = lines.next() {
            self.bold(head)?;
        }
        lines.try_for_each(|line| writeln!(self.out, "{line}"))
    }

    /// JSON with its characters escaped where a terminal would act on them.
    pub fn json(&mut self, value: &impl Serialize) -> io::Result<()> {
        let json = serde_json::to_string_pretty(value)?;
        writeln!(self.out, "{}", escaped(&json))
    }

    /// Bytes as they are; only a terminal is protected from them.
    pub fn bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.terminal {
            return self.line(String::from_utf8_lossy(bytes));
        }
        self.out.write_all(bytes)
    }

    /// Shows what was written so far to whoever is looking.
    pub fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    fn bold(&mut self, line: &str) -> io::Result<()> {
        if self.colour { writeln!(self.out, "{BOLD}{line}{PLAIN}") } else { writeln!(self.out, "{line}") }
    }
}

/// Such characters stand only within JSON's strings, where they may be written as their numbers.
fn escaped(json: &str) -> String {
    let mut safe = String::with_capacity(json.len());
    for c in json.chars() {
        match c {
            '\n' => safe.push(c),
            c if text::steers(c) => safe.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => safe.push(c),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_reads_back_and_steers_nothing() {
        let hostile = "a\u{9b}2J\u{7f}\u{202e}\u{1b}\n\u{10ffff}";
        let mut written = Vec::new();
        Screen::of(&mut written).json(&hostile).unwrap();
        let text = String::from_utf8(written).unwrap();
        assert!(!text.trim_end().chars().any(super::text::steers), "{text:?}");
        assert_eq!(serde_json::from_str::<String>(&text).unwrap(), hostile);
    }

    #[test]
    fn blocks_are_indented_and_clean() {
        let mut written = Vec::new();
        let mut screen = Screen::of(&mut written);
        screen.block("a\n\u{1b}[1mb").unwrap();
        screen.field_if("name", Some("x")).unwrap();
        screen.field_if("none", None::<&str>).unwrap();
        drop(screen);
        assert_eq!(String::from_utf8(written).unwrap(), "  a\n  [1mb\nname         x\n");
    }
}
