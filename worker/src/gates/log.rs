//! The output of a test run, bounded: a file that holds its beginning and its end with the middle cut out,
//! and the last 8 KiB for people. However much is printed, neither disk nor memory grows beyond the cap. What is cut is
//! in the hash all the same.

use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// The most that is shown to people, in bytes.
pub(super) const TAIL: usize = 8192;

/// A log being written.
#[derive(Debug)]
pub(super) struct BoundedLog {
    file: File,
    /// How much more of the beginning the file takes.
    head_left: usize,
    /// The end so far; may grow to twice its cap before it is trimmed.
    end: Vec<u8>,
    end_cap: usize,
    cut: u64,
    /// The last bytes of all, wherever they went.
    last: Vec<u8>,
    /// Of every byte.
    hash: Sha256,
}

impl BoundedLog {
    /// Starts a file of at most about `cap` bytes, readable by its owner only; an older one is replaced.
    pub(super) fn create(path: &Path, cap: usize) -> io::Result<BoundedLog> {
        match std::fs::remove_file(path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            Ok(()) | Err(_) => {}
        }
        let file = File::options().create_new(true).write(true).mode(0o600).open(path)?;
        let (half, hash) = (cap / 2, Sha256::new());
        Ok(BoundedLog { file, head_left: half, end: Vec::new(), end_cap: half, cut: 0, last: Vec::new(), hash })
    }

    /// Takes more output. A full disk loses the file's content, never the tail.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.hash.update(bytes);
        let (head, rest) = bytes.split_at(self.head_left.min(bytes.len()));
        self.head_left -= head.len();
        if self.file.write_all(head).is_err() {
            self.head_left = 0;
        }
        self.cut += keep_last(&mut self.end, rest, self.end_cap, 2 * self.end_cap);
        keep_last(&mut self.last, bytes, TAIL, 2 * TAIL);
    }

    /// SHA-256 of all that was taken, in hexadecimal.
    pub(super) fn sha256(&self) -> String {
        hex::encode(self.hash.clone().finalize())
    }

    /// Completes the file and returns the tail, as text.
    pub(super) fn finish(&mut self) -> String {
        self.cut += keep_last(&mut self.end, b"", self.end_cap, self.end_cap);
        let note = if self.cut > 0 { format!("\n[... {} bytes cut ...]\n", self.cut) } else { String::new() };
        let written = self.file.write_all(note.as_bytes()).and_then(|()| self.file.write_all(&self.end));
        if let Err(e) = written {
            tracing::warn!(error = %e, "the log of a test run is incomplete");
        }
        plain_tail(&self.last)
    }
}

/// Appends, and once `limit` is exceeded keeps only the last `cap` bytes; how many went.
fn keep_last(kept: &mut Vec<u8>, more: &[u8], cap: usize, limit: usize) -> u64 {
    kept.extend_from_slice(more);
    if kept.len() <= limit {
        return 0;
    }
    let gone = kept.len() - cap;
    kept.drain(..gone);
    gone as u64
}

/// The end of the output as text without colours and control characters, at most [`TAIL`] bytes.
fn plain_tail(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let mut plain = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            // ESC [ parameters letter
            '\u{1b}' if chars.peek() == Some(&'[') => {
                chars.next();
                chars.by_ref().find(|c| ('\u{40}'..='\u{7e}').contains(c));
            }
            '\n' | '\t' => plain.push(c),
            c if c.is_control() => {}
            c => plain.push(c),
        }
    }
    let from = plain.ceil_char_boundary(plain.len().saturating_sub(TAIL));
    plain.split_off(from)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log_of(chunks: &[&[u8]], cap: usize) -> (String, String) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let mut log = BoundedLog::create(&path, cap).unwrap();
        chunks.iter().for_each(|c| log.push(c));
        let tail = log.finish();
        (String::from_utf8(std::fs::read(path).unwrap()).unwrap(), tail)
    }

    #[test]
    fn the_hash_is_of_every_byte_also_of_those_that_are_cut() {
        let dir = tempfile::tempdir().unwrap();
        for cap in [4, 1 << 20] {
            let mut log = BoundedLog::create(&dir.path().join("log"), cap).unwrap();
            [&b"abcdefgh"[..], b"", b"ijk\n"].iter().for_each(|c| log.push(c));
            log.finish();
            assert_eq!(log.sha256(), hex::encode(Sha256::digest(b"abcdefghijk\n")), "{cap}");
        }
    }

    #[test]
    fn what_fits_is_kept_whole() {
        let (file, tail) = log_of(&[b"one\n", b"two\n"], 8);
        assert_eq!((file.as_str(), tail.as_str()), ("one\ntwo\n", "one\ntwo\n"));
        assert_eq!(log_of(&[], 8), (String::new(), String::new()));
    }

    #[test]
    fn the_middle_is_cut_and_counted_however_it_arrives() {
        let all: Vec<u8> = (0..1000_u32).flat_map(|n| format!("{n:03}\n").into_bytes()).collect();
        for size in [1, 7, 64, 4000] {
            let chunks: Vec<&[u8]> = all.chunks(size).collect();
            let (file, tail) = log_of(&chunks, 40);
            assert_eq!(file, "000\n001\n002\n003\n004\n\n[... 3960 bytes cut ...]\n995\n996\n997\n998\n999\n");
            assert!(tail.ends_with("998\n999\n") && tail.len() == 4000, "the tail has its own cap");
        }
    }

    #[test]
    fn the_tail_is_plain_text_of_bounded_size() {
        assert_eq!(plain_tail(b"\x1b[1;31mred\x1b[0m\r\nok\x07\t\xff"), "red\nok\t\u{fffd}");
        assert_eq!(plain_tail(b"cut \x1b[3"), "cut ");
        let tail = plain_tail(&vec![0xff; 2 * TAIL]);
        assert!(tail.len() <= TAIL && tail.len() > TAIL - 3);
    }
}
