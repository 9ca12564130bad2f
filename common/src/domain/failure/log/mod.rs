//! Reads a run's log as it grows: records of any size, as a rule one a line, the last one maybe torn. Keeps a
//! [`Summary`] and the last bytes, never the log.

use super::record::{Line, Summary};
use super::scan::{Found, Scanner};

/// How much of the end of a log is kept as text.
pub const TAIL_BYTES: usize = 16 * 1024;

/// What is known of a log.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct LogView {
    pub records: Summary,
    /// The log holds at least one record, whole or cut.
    pub any_json: bool,
    /// The last 16 KiB, UTF-8 lossy.
    pub tail: String,
}

/// Takes a log in pieces of any size.
#[derive(Debug, Default)]
pub struct LogParser {
    facts: Facts,
    scanner: Scanner,
    tail: Vec<u8>,
}

/// What the records said so far.
#[derive(Debug, Default)]
struct Facts {
    summary: Summary,
    any_json: bool,
}

impl LogParser {
    /// The next bytes of the log.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.keep_tail(bytes);
        let LogParser { facts, scanner, .. } = self;
        scanner.feed(bytes, |found| facts.take(&found));
    }

    /// Some bytes of the log are missing here, and the next may begin in the middle of a line.
    pub fn skipped(&mut self) {
        let LogParser { facts, scanner, .. } = self;
        scanner.lose(|found| facts.take(&found));
    }

    /// What is known so far; a record that has not ended does not count yet.
    pub fn summary(&self) -> &Summary {
        &self.facts.summary
    }

    /// The log is complete: a last record without a line's end counts if it is whole.
    pub fn finish(mut self) -> LogView {
        let LogParser { facts, scanner, .. } = &mut self;
        scanner.break_off(|found| facts.take(&found));
        let from = self.tail.len().saturating_sub(TAIL_BYTES);
        let tail = String::from_utf8_lossy(self.tail.get(from..).unwrap_or_default()).into_owned();
        LogView { records: self.facts.summary, any_json: self.facts.any_json, tail }
    }

    fn keep_tail(&mut self, bytes: &[u8]) {
        let from = bytes.len().saturating_sub(TAIL_BYTES);
        self.tail.extend_from_slice(bytes.get(from..).unwrap_or_default());
        if self.tail.len() > 4 * TAIL_BYTES {
            let surplus = self.tail.len().saturating_sub(TAIL_BYTES);
            self.tail.drain(..surplus);
        }
    }
}

impl Facts {
    fn take(&mut self, found: &Found<'_>) {
        match found {
            // Its prose must not be taken for the output of a CLI without records.
            Found::Torn => self.any_json = true,
            Found::Record { json, after_text } => self.record(json, *after_text),
        }
    }

    /// A record behind other text on its line counts only if it says whose it is: words that an agent was made to print
    /// do not know the session.
    fn record(&mut self, json: &[u8], after_text: bool) {
        match parse(json) {
            Some(line) if line.is_record() && (!after_text || self.summary.is_own(&line)) => {
                self.any_json = true;
                self.summary.add(&line);
            }
            Some(_) => {}
            None => self.any_json |= !after_text,
        }
    }
}

fn parse(bytes: &[u8]) -> Option<Line> {
    serde_json::from_slice(bytes).ok().or_else(|| serde_json::from_str(&String::from_utf8_lossy(bytes)).ok())
}

#[cfg(test)]
mod tests;
