//! Reading the log of a run while it grows, for one question: has the agent given its result, and is it over? A process
//! that stays after that is ended here. Bounded: what is too far behind is skipped.

use orch_common::domain::failure::LogParser;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

const BUFFER_BYTES: usize = 64 * 1024;
/// Bytes that are read between two looks at the process.
const READ_MAX: u64 = 4 << 20;
/// Further behind than this, the reading goes on near the end.
const BEHIND_MAX: u64 = 64 << 20;
/// A line up to this long stays whole when the log is trimmed.
const LINE_MAX: u64 = 64 << 20;

/// A log that is read as it grows.
pub(super) struct ResultTail {
    file: File,
    parser: LogParser,
    /// How far it was read.
    at: u64,
    /// Where the line begins that was read last.
    line: u64,
    /// Where the line of the last result begins.
    result: Option<u64>,
    /// The results so far, and when the last of them was seen.
    seen: (u32, Instant),
}

impl ResultTail {
    pub fn new(file: File) -> ResultTail {
        let parser = LogParser::default();
        ResultTail { file, parser, at: 0, line: 0, result: None, seen: (0, Instant::now()) }
    }

    /// Reads on, up to `size`, the log's length.
    pub fn look(&mut self, size: u64, now: Instant) {
        if size < self.at || size - self.at > BEHIND_MAX {
            // Emptied by the agent, or faster than it can be read.
            self.parser.skipped();
            self.at = if size < self.at { size } else { size - READ_MAX };
            self.line = self.at;
            self.result = self.result.filter(|start| *start < self.at);
        }
        let end = size.min(self.at + READ_MAX);
        let mut buffer = vec![0; BUFFER_BYTES];
        while self.at < end {
            let wanted = usize::try_from(end - self.at).unwrap_or(BUFFER_BYTES).min(BUFFER_BYTES);
            let Some(room) = buffer.get_mut(..wanted) else { return };
            match self.file.read_at(room, self.at) {
                Ok(n) if n > 0 => self.take(buffer.get(..n).unwrap_or_default(), now),
                // A log that cannot be read has no result; the other limits hold.
                Ok(_) | Err(_) => return,
            }
        }
    }

    /// Reads all that is there; what is too far behind is skipped.
    pub fn catch_up(&mut self, size: u64, now: Instant) {
        let mut before = None;
        while self.at < size && before != Some(self.at) {
            before = Some(self.at);
            self.look(size, now);
        }
    }

    fn take(&mut self, bytes: &[u8], now: Instant) {
        self.parser.feed(bytes);
        let results = self.parser.summary().results;
        if results != self.seen.0 {
            // It begins here or later.
            (self.seen, self.result) = ((results, now), Some(self.line));
        }
        if let Some(end) = bytes.iter().rposition(|b| *b == b'\n') {
            self.line = self.at + end as u64 + 1;
        }
        self.at += bytes.len() as u64;
    }

    /// The agent has given its result and begun nothing since, as far as the log says.
    pub fn is_over(&self) -> bool {
        self.parser.summary().is_over
    }

    /// When a process that stays after its result is ended, if it is to be; `size` is the log's length.
    pub fn linger_at(&self, size: u64, linger: Duration) -> Option<Instant> {
        (!linger.is_zero() && self.is_over() && self.at >= size).then(|| self.seen.1 + linger)
    }

    /// What comes from here on must stay on disk: the last result, and the line that is being written.
    pub fn kept_from(&self) -> u64 {
        let from = self.result.unwrap_or(u64::MAX).min(self.line);
        if self.at.saturating_sub(from) > LINE_MAX { self.at } else { from }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    const RESULT: &str = "{\"type\":\"result\",\"subtype\":\"success\",\"is_error\":false,\"num_turns\":1}\n";
    const TURN: &str = "{\"type\":\"system\",\"subtype\":\"init\"}\n";

    struct Case {
        temp: tempfile::NamedTempFile,
        tail: ResultTail,
    }

    impl Case {
        fn new() -> Case {
            let temp = tempfile::NamedTempFile::new().unwrap();
            let tail = ResultTail::new(File::open(temp.path()).unwrap());
            Case { temp, tail }
        }

        fn wrote(&mut self, text: &str) -> &mut Self {
            self.temp.write_all(text.as_bytes()).unwrap();
            let size = self.temp.as_file().metadata().unwrap().len();
            self.tail.look(size, Instant::now());
            self
        }

        fn lingers(&self) -> bool {
            self.tail.linger_at(self.tail.at, Duration::from_secs(1)).is_some()
        }
    }

    #[test]
    fn a_result_is_over_until_something_begins() {
        let mut case = Case::new();
        assert!(!case.wrote(TURN).lingers());
        assert!(!case.wrote(&RESULT[..40]).lingers(), "half a record is none");
        assert!(case.wrote(&RESULT[40..]).lingers());
        assert!(case.wrote("{\"type\":\"system\",\"subtype\":\"task_updated\"}\nnoise\n").lingers());
        assert!(!case.wrote(TURN).lingers(), "a turn of its own began");
        let first = case.tail.seen.1;
        assert!(case.wrote(RESULT).lingers() && case.tail.seen.1 >= first);
        assert!(case.tail.linger_at(case.tail.at, Duration::ZERO).is_none(), "0 = for ever");
        assert!(case.tail.linger_at(case.tail.at + 1, Duration::from_secs(1)).is_none(), "there is more to read");
    }

    #[test]
    fn the_last_result_and_the_line_being_written_are_kept() {
        let mut case = Case::new();
        case.wrote(TURN).wrote(RESULT);
        assert_eq!(case.tail.kept_from(), TURN.len() as u64);
        case.wrote(&TURN.repeat(10));
        assert_eq!(case.tail.kept_from(), TURN.len() as u64);
        let mut case = Case::new();
        case.wrote(TURN).wrote("{\"type\":\"assistant\"");
        assert_eq!(case.tail.kept_from(), TURN.len() as u64);
    }

    #[test]
    fn what_is_too_far_behind_is_skipped() {
        let mut case = Case::new();
        case.temp.as_file().set_len(100 << 20).unwrap();
        use std::io::Seek;
        case.temp.seek(std::io::SeekFrom::End(0)).unwrap();
        case.wrote(&format!("\n{TURN}{RESULT}"));
        assert!(case.lingers(), "the end is read all the same");
        case.temp.as_file().set_len(0).unwrap();
        case.tail.look(0, Instant::now());
        assert_eq!(case.tail.at, 0);
    }
}
