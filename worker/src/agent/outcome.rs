//! Reading what an agent wrote: any size, constant memory. Judges nothing; the bytes go to whoever does.

use crate::untrusted;
use orch_common::domain::failure::TRIMMED;
use rustix::fs::{SeekFrom, seek};
use rustix::io::Errno;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::Path;

/// What a classifier looks at where a log holds no record at all.
pub const TAIL_BYTES: u64 = 16 * 1024;
const BUFFER_BYTES: usize = 64 * 1024;

/// What was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LogExtent {
    /// The file's length, holes included.
    pub size: u64,
    /// Bytes handed on.
    pub read: u64,
    /// Holes: places where the middle of an overlong log was given back to the file system.
    pub holes: u32,
}

/// Hands a log to `sink` piece by piece. A hole becomes a line of its own that says how much is missing; of the lines that
/// it divided, nothing is handed on. A log that does not exist is empty.
pub fn read_log(path: &Path, mut sink: impl FnMut(&[u8])) -> io::Result<LogExtent> {
    let Some(file) = open(path)? else { return Ok(LogExtent::default()) };
    let mut extent = LogExtent { size: file.metadata()?.len(), ..LogExtent::default() };
    let mut buffer = vec![0; BUFFER_BYTES];
    let (mut at, mut kept_to) = (0, 0);
    while let Some((start, end)) = next_stretch(&file, at, extent.size)? {
        let from = if start > at { after_first_line(&file, start, end)? } else { start };
        if start > at {
            extent.holes += 1;
            sink(format!("\n{{\"type\":\"{TRIMMED}\",\"bytes\":{}}}\n", from - kept_to).as_bytes());
        }
        kept_to = if end < extent.size { after_last_line(&file, from, end)? } else { end };
        seek(&file, SeekFrom::Start(from))?;
        extent.read += copy(&file, kept_to - from, &mut buffer, &mut sink)?;
        at = end;
    }
    Ok(extent)
}

/// Hands on what was written since `from`, a bounded part of it, and returns up to where. Holes are passed over, each for
/// one line feed; a log that was emptied is read from its beginning. One that does not exist has nothing new.
pub fn read_on(path: &Path, from: u64, limit: u64, mut sink: impl FnMut(&[u8])) -> io::Result<u64> {
    let Some(file) = open(path)? else { return Ok(from) };
    let size = file.metadata()?.len();
    let mut at = if size < from { 0 } else { from };
    if at < from {
        sink(b"\n");
    }
    let (mut buffer, mut left) = (vec![0; BUFFER_BYTES], limit);
    while let Some((start, end)) = next_stretch(&file, at, size)?.filter(|_| left > 0) {
        if start > at {
            sink(b"\n");
        }
        seek(&file, SeekFrom::Start(start))?;
        let read = copy(&file, (end - start).min(left), &mut buffer, &mut sink)?;
        if read == 0 {
            break;
        }
        left -= read;
        at = start + read;
    }
    Ok(at)
}

/// Where the first whole line of a stretch begins; its start where it is all one line.
fn after_first_line(file: &File, start: u64, end: u64) -> io::Result<u64> {
    let (mut at, mut buffer) = (start, vec![0; BUFFER_BYTES]);
    while at < end {
        let n = file.read_at(room(&mut buffer, end - at), at)?;
        let piece = buffer.get(..n).unwrap_or_default();
        if let Some(found) = piece.iter().position(|b| *b == b'\n') {
            return Ok(at + found as u64 + 1);
        }
        if n == 0 {
            break;
        }
        at += n as u64;
    }
    Ok(start)
}

/// Where the last whole line of a stretch ends; its end where it is all one line.
fn after_last_line(file: &File, start: u64, end: u64) -> io::Result<u64> {
    let (mut at, mut buffer) = (end, vec![0; BUFFER_BYTES]);
    while at > start {
        let room = room(&mut buffer, at - start);
        let from = at - room.len() as u64;
        file.read_exact_at(room, from)?;
        if let Some(found) = room.iter().rposition(|b| *b == b'\n') {
            return Ok(from + found as u64 + 1);
        }
        at = from;
    }
    Ok(end)
}

fn room(buffer: &mut [u8], left: u64) -> &mut [u8] {
    let wanted = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
    buffer.get_mut(..wanted).unwrap_or_default()
}

/// The next stretch of the file, from `at`, that holds data. One file where the file system knows no holes.
fn next_stretch(file: &File, at: u64, size: u64) -> io::Result<Option<(u64, u64)>> {
    if at >= size {
        return Ok(None);
    }
    let start = match seek(file, SeekFrom::Data(at)) {
        Ok(start) => start,
        Err(Errno::NXIO) => return Ok(None),
        Err(Errno::INVAL) => return Ok(Some((at, size))),
        Err(e) => return Err(e.into()),
    };
    let end = seek(file, SeekFrom::Hole(start)).unwrap_or(size).min(size);
    Ok((end > start).then_some((start, end)))
}

fn copy(mut file: &File, length: u64, buffer: &mut [u8], sink: &mut impl FnMut(&[u8])) -> io::Result<u64> {
    let mut left = length;
    while left > 0 {
        let wanted = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        let Some(room) = buffer.get_mut(..wanted) else { break };
        let n = file.read(room)?;
        if n == 0 {
            break;
        }
        sink(room.get(..n).unwrap_or_default());
        left -= n as u64;
    }
    Ok(length - left)
}

/// The last bytes of a file, at most `limit`. A file that does not exist is empty.
pub fn tail(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let Some(file) = open(path)? else { return Ok(Vec::new()) };
    let from = file.metadata()?.len().saturating_sub(limit);
    seek(&file, SeekFrom::Start(from))?;
    bounded(&file, limit)
}

/// The first bytes of a file, at most `limit`. A file that does not exist is empty.
pub fn head(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    open(path)?.map_or(Ok(Vec::new()), |file| bounded(&file, limit))
}

fn bounded(file: &File, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(limit).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Regular files alone, and never waiting: whoever writes the log may have put something else in its place.
fn open(path: &Path) -> io::Result<Option<File>> {
    Ok(untrusted::open(path)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::{FallocateFlags, fallocate};

    fn read(path: &Path) -> (Vec<u8>, LogExtent) {
        let mut bytes = Vec::new();
        let extent = read_log(path, |piece| bytes.extend_from_slice(piece)).unwrap();
        (bytes, extent)
    }

    #[test]
    fn what_was_written_is_what_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        assert_eq!(read(&path), (vec![], LogExtent::default()));
        for length in [0, 1, BUFFER_BYTES - 1, BUFFER_BYTES, 3 * BUFFER_BYTES + 7] {
            let text: Vec<u8> = (0..length).map(|n| b'a' + (n % 26) as u8).collect();
            std::fs::write(&path, &text).unwrap();
            let (got, extent) = read(&path);
            assert!(got == text, "{length}");
            assert_eq!(extent, LogExtent { size: length as u64, read: length as u64, holes: 0 });
            let last = text.len().saturating_sub(100);
            assert_eq!(tail(&path, 100).unwrap(), text[last..]);
            assert_eq!(head(&path, 100).unwrap(), text[..length.min(100)]);
        }
    }

    #[test]
    fn a_log_is_read_on_in_bounded_parts_over_holes_and_from_the_beginning_once_it_was_emptied() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let read = |from, limit| {
            let mut bytes = Vec::new();
            let at = read_on(&path, from, limit, |piece| bytes.extend_from_slice(piece)).unwrap();
            (at, String::from_utf8(bytes).unwrap())
        };
        assert_eq!(read(7, 10), (7, String::new()), "there is none yet");
        std::fs::write(&path, "one\ntwo\n").unwrap();
        assert_eq!(read(0, 4), (4, "one\n".into()));
        assert_eq!(read(4, 100), (8, "two\n".into()));
        assert_eq!(read(8, 100), (8, String::new()));
        std::fs::write(&path, "x\n").unwrap();
        assert_eq!(read(8, 100), (2, "\nx\n".into()));
        let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
        file.set_len(1 << 40).unwrap();
        let started = std::time::Instant::now();
        let (_, text) = read(2, 1 << 20);
        assert!(text.trim_matches(['\0', '\n']).is_empty());
        assert!(started.elapsed() < std::time::Duration::from_secs(5));
    }

    #[test]
    fn what_is_no_regular_file_is_refused_without_waiting_for_it() {
        let dir = tempfile::tempdir().unwrap();
        let (fifo, link) = (dir.path().join("fifo"), dir.path().join("link"));
        nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::from_bits_truncate(0o600)).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", &link).unwrap();
        for path in [&fifo, &link, &dir.path().to_owned()] {
            assert!(read_log(path, |_| ()).is_err(), "{path:?}");
            assert!(read_on(path, 0, 10, |_| ()).is_err(), "{path:?}");
            assert!(tail(path, 10).is_err(), "{path:?}");
        }
    }

    #[test]
    fn a_hole_parts_whole_lines_and_says_how_much_is_missing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let line = |c: &str| format!("{}\n", c.repeat(999));
        std::fs::write(&path, [line("h").repeat(9), line("m").repeat(60), line("t").repeat(9)].concat()).unwrap();
        let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
        fallocate(&file, FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE, 8192, 61_440).unwrap();
        let (got, extent) = read(&path);
        let text = String::from_utf8(got).unwrap();
        let want = format!(
            "{}\n{{\"type\":\"orch_log_trimmed\",\"bytes\":62000}}\n{}",
            line("h").repeat(8),
            line("t").repeat(8)
        );
        assert!(text == want, "{text:.9}");
        assert_eq!(extent, LogExtent { size: 78_000, read: 16_000, holes: 1 });
    }

    #[test]
    fn a_hole_is_one_line_however_large() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        std::fs::write(&path, [vec![b'h'; 8192], vec![b'm'; 65536], vec![b't'; 100]].concat()).unwrap();
        let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
        fallocate(&file, FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE, 8192, 65536).unwrap();
        let (got, extent) = read(&path);
        let marker = b"\n{\"type\":\"orch_log_trimmed\",\"bytes\":65536}\n".to_vec();
        assert!(got == [vec![b'h'; 8192], marker, vec![b't'; 100]].concat());
        assert_eq!(extent, LogExtent { size: 8192 + 65536 + 100, read: 8292, holes: 1 });
        file.set_len(1 << 40).unwrap();
        let started = std::time::Instant::now();
        assert_eq!(read(&path).1.size, 1 << 40);
        assert!(started.elapsed() < std::time::Duration::from_secs(5), "the hole was read, not skipped");
    }
}
