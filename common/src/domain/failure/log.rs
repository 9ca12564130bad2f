//! Reads a run's log as it grows: one JSON object a line, lines of several megabytes, a last line that may be cut.
//! Keeps a [`Summary`] and the last bytes, never the log.

use super::record::{Line, Summary};

/// How much of the end of a log is kept as text.
pub const TAIL_BYTES: usize = 16 * 1024;
/// A longer line is skipped; no log is allowed to be longer than this by default.
const LINE_MAX: usize = 64 * 1024 * 1024;

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
    summary: Summary,
    any_json: bool,
    /// The start of a line whose end has not come yet.
    partial: Vec<u8>,
    /// The rest of the current line is thrown away.
    skipping: bool,
    tail: Vec<u8>,
}

impl LogParser {
    /// The next bytes of the log.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.keep_tail(bytes);
        for piece in bytes.split_inclusive(|b| *b == b'\n') {
            let ends = piece.ends_with(b"\n");
            if self.skipping {
                self.skipping = !ends;
            } else if self.partial.len().saturating_add(piece.len()) > LINE_MAX {
                self.skip(piece, ends);
            } else if ends && self.partial.is_empty() {
                self.line(piece);
            } else {
                self.partial.extend_from_slice(piece);
                if ends {
                    self.partial_line();
                }
            }
        }
    }

    /// What is known so far; a line that has not ended does not count yet.
    pub fn summary(&self) -> &Summary {
        &self.summary
    }

    /// The log is complete: a last line without an end counts if it is whole.
    pub fn finish(mut self) -> LogView {
        self.partial_line();
        let from = self.tail.len().saturating_sub(TAIL_BYTES);
        let tail = String::from_utf8_lossy(self.tail.get(from..).unwrap_or_default()).into_owned();
        LogView { records: self.summary, any_json: self.any_json, tail }
    }

    fn partial_line(&mut self) {
        let line = std::mem::take(&mut self.partial);
        self.line(&line);
    }

    fn skip(&mut self, piece: &[u8], ends: bool) {
        let start = if self.partial.is_empty() { piece } else { &self.partial };
        self.any_json |= is_cut_record(start);
        self.partial = Vec::new();
        self.skipping = !ends;
    }

    fn line(&mut self, bytes: &[u8]) {
        let bytes = bytes.trim_ascii();
        if bytes.first() != Some(&b'{') {
            return;
        }
        match parse(bytes) {
            Some(line) if line.is_record() => {
                self.any_json = true;
                self.summary.add(&line);
            }
            Some(_) => {}
            None => self.any_json |= is_cut_record(bytes),
        }
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

fn parse(bytes: &[u8]) -> Option<Line> {
    serde_json::from_slice(bytes).ok().or_else(|| serde_json::from_str(&String::from_utf8_lossy(bytes)).ok())
}

/// A broken line that begins like an object: its prose must not be taken for the output of a CLI without records.
fn is_cut_record(bytes: &[u8]) -> bool {
    bytes.trim_ascii_start().starts_with(b"{\"")
}

#[cfg(test)]
mod tests;
