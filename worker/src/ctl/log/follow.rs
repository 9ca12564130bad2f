//! Reading a log that may still grow, line by line, until the run is over.

use crate::agent::RunDir;
use crate::ctl::error::CtlError;
use crate::untrusted;
use std::fs::File;
use std::io::{self, Read};
use std::time::Duration;

/// Between two looks at a log that does not grow.
const LOOK: Duration = Duration::from_millis(100);
const BUFFER_BYTES: usize = 64 * 1024;
/// A longer line is shown in pieces.
const LINE_MAX: usize = 32 * 1024 * 1024;

/// How the reading came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// There is an exit record.
    Recorded,
    /// There is none, and there will be none.
    Lost,
    /// The run goes on; nobody asked to wait for it.
    NotYet,
}

/// A run's log and how far it was read.
pub struct Log<'a> {
    dir: &'a RunDir,
    file: Option<File>,
    /// The start of a line whose end has not come yet.
    partial: Vec<u8>,
}

impl<'a> Log<'a> {
    /// Opens nothing yet: the log may come later than the run's folder.
    pub fn of(dir: &'a RunDir) -> Log<'a> {
        Log { dir, file: None, partial: Vec::new() }
    }

    /// Hands on every line, without its end; with `follow` until the run is over.
    pub fn read(&mut self, follow: bool, mut line: impl FnMut(&[u8]) -> io::Result<()>) -> Result<Ended, CtlError> {
        loop {
            // Asked before the last read, so that nothing written before the end is missed.
            let ended = self.ended();
            self.read_what_is_there(&mut line)?;
            if ended != Ended::NotYet || !follow {
                self.hand_on(&mut line)?;
                return Ok(ended);
            }
            std::thread::sleep(LOOK);
        }
    }

    fn ended(&self) -> Ended {
        if self.dir.has_exit() {
            return Ended::Recorded;
        }
        let supervisor = self.dir.read_supervisor().ok().flatten();
        let gone = self.dir.is_fenced() || supervisor.is_some_and(|identity| !identity.is_alive());
        // Once more: the record is the supervisor's last deed.
        match (gone, self.dir.has_exit()) {
            (_, true) => Ended::Recorded,
            (true, false) => Ended::Lost,
            (false, false) => Ended::NotYet,
        }
    }

    /// What cannot be read and what cannot be written are told apart: the latter may be a closed pipe, which is fine.
    fn read_what_is_there(&mut self, line: &mut impl FnMut(&[u8]) -> io::Result<()>) -> Result<(), CtlError> {
        let path = self.dir.log();
        let unreadable = |error| CtlError::Failed(format!("{} cannot be read: {error}", path.display()));
        let mut buffer = vec![0; BUFFER_BYTES];
        loop {
            let Some(file) = self.open().map_err(unreadable)? else { return Ok(()) };
            let n = file.read(&mut buffer).map_err(unreadable)?;
            if n == 0 {
                return Ok(());
            }
            self.take(buffer.get(..n).unwrap_or_default(), line)?;
        }
    }

    fn open(&mut self) -> io::Result<Option<&mut File>> {
        if self.file.is_none() {
            self.file = untrusted::open(&self.dir.log())?;
        }
        Ok(self.file.as_mut())
    }

    /// The middle of an overlong log was given back to the file system and reads as zeros, which no record holds: they
    /// part the record torn at the hole's start from the one torn at its end.
    fn take(&mut self, bytes: &[u8], line: &mut impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
        let is_end = |b: &u8| matches!(*b, b'\n' | 0);
        for piece in bytes.split_inclusive(is_end) {
            let text = piece.strip_suffix(b"\n").or_else(|| piece.strip_suffix(b"\0"));
            self.partial.extend_from_slice(text.unwrap_or(piece));
            if text.is_some() || self.partial.len() > LINE_MAX {
                self.hand_on(line)?;
            }
        }
        Ok(())
    }

    fn hand_on(&mut self, line: &mut impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
        if self.partial.is_empty() {
            return Ok(());
        }
        line(&std::mem::take(&mut self.partial))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn read(text: &[u8]) -> (Ended, Vec<String>) {
        let temp = tempfile::tempdir().unwrap();
        let dir = RunDir::create(temp.path().join("run")).unwrap();
        File::create(dir.log()).unwrap().write_all(text).unwrap();
        let mut lines = Vec::new();
        let ended = Log::of(&dir)
            .read(false, |line| {
                lines.push(String::from_utf8(line.to_vec()).unwrap());
                Ok(())
            })
            .unwrap();
        (ended, lines)
    }

    #[test]
    fn lines_are_whole_and_holes_part_them() {
        let (ended, lines) = read(b"one\n\ntwo\n{\"torn\0\0\0\0rest}\nlast");
        assert_eq!(ended, Ended::NotYet);
        assert_eq!(lines, ["one", "two", "{\"torn", "rest}", "last"]);
        let long = "x".repeat(3 * BUFFER_BYTES);
        assert_eq!(read(format!("{long}\ny").as_bytes()).1, [long.as_str(), "y"]);
    }

    #[test]
    fn a_fenced_run_is_lost_and_a_missing_log_is_empty() {
        let temp = tempfile::tempdir().unwrap();
        let dir = RunDir::create(temp.path().join("run")).unwrap();
        dir.fence().unwrap();
        assert_eq!(Log::of(&dir).read(true, |_| panic!("no line")).unwrap(), Ended::Lost);
    }
}
