//! Keeping what an agent writes within bounds without touching the agent: the head and the tail of a log stay, the
//! middle is given back to the file system as a hole. Offsets, and so appending, are unaffected.

use crate::agent::record::RunSpec;
use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::Errno;
use std::fs::File;
use std::os::unix::fs::MetadataExt;

/// A smaller cap could not hold one record at each end.
const SMALLEST_CAP: u64 = 64 * 1024;
const SMALLEST_BLOCK: u64 = 4096;

/// One file the agent writes to.
pub(super) struct LogFile {
    file: File,
    cap: u64,
    limit: u64,
    size: u64,
    /// Everything from the head up to here is a hole.
    punched_to: u64,
    can_punch: bool,
}

impl LogFile {
    pub fn new(file: File, spec: &RunSpec) -> LogFile {
        let cap = spec.log_cap_bytes.max(SMALLEST_CAP);
        let limit = spec.log_hard_limit_bytes.max(cap);
        let size = file.metadata().map_or(0, |m| m.len());
        LogFile { file, cap, limit, size, punched_to: 0, can_punch: true }
    }

    /// Its length now.
    pub fn length(&self) -> u64 {
        self.file.metadata().map_or(self.size, |m| m.len())
    }

    /// Looks at the file and trims it, but nothing from `kept_from` on. Bytes it grew by since the last look; `None` if it
    /// did not change.
    pub fn look(&mut self, kept_from: u64) -> Option<u64> {
        let size = self.length();
        if size == self.size {
            return None;
        }
        let growth = size.saturating_sub(self.size);
        self.size = size;
        // Shorter than before: the agent emptied its log, and holes with it.
        self.punched_to = self.punched_to.min(size);
        self.trim(kept_from, self.cap / 4);
        Some(growth)
    }

    /// More was written than a run may write.
    pub fn is_over_limit(&self) -> bool {
        self.size > self.limit
    }

    /// The last trim, when nobody writes any more.
    pub fn trim_fully(&mut self, kept_from: u64) {
        let _last = self.look(kept_from);
        self.trim(kept_from, 0);
    }

    /// Head a quarter, tail a half of the cap; the last quarter is what may gather before it is worth a call. A log that
    /// fits stays whole.
    fn trim(&mut self, kept_from: u64, worthwhile: u64) {
        let block = self.file.metadata().map_or(SMALLEST_BLOCK, |m| m.blksize().max(SMALLEST_BLOCK));
        let head = (self.cap / 4).next_multiple_of(block);
        let from = self.punched_to.max(head);
        let to = self.size.saturating_sub(self.cap / 2).min(kept_from) / block * block;
        let on_disk = self.size.saturating_sub(from.saturating_sub(head));
        if !self.can_punch || on_disk <= self.cap || to <= from || to - from < worthwhile {
            return;
        }
        let mode = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        match fallocate(&self.file, mode, from, to - from) {
            Ok(()) => self.punched_to = to,
            // Then the hard limit is the only bound.
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => self.can_punch = false,
            Err(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::record::tests::spec;
    use super::*;
    use std::io::Write;

    fn log(cap: u64, limit: u64) -> (tempfile::NamedTempFile, LogFile) {
        let temp = tempfile::NamedTempFile::new().unwrap();
        let file = std::fs::OpenOptions::new().append(true).open(temp.path()).unwrap();
        let spec = RunSpec { log_cap_bytes: cap, log_hard_limit_bytes: limit, ..spec("x") };
        (temp, LogFile::new(file, &spec))
    }

    #[test]
    fn disk_stays_bounded_and_both_ends_stay_whole() {
        let cap = 256 * 1024;
        let (temp, mut log) = log(cap, 1 << 40);
        let mut writer = log.file.try_clone().unwrap();
        for n in 0..400 {
            let line = format!("{n:0>9999}\n");
            writer.write_all(line.as_bytes()).unwrap();
            assert_eq!(log.look(u64::MAX), Some(10_000));
            let on_disk = temp.as_file().metadata().unwrap().blocks() * 512;
            assert!(on_disk <= cap + 64 * 1024, "{on_disk} after {n}");
        }
        log.trim_fully(u64::MAX);
        let text = std::fs::read(temp.path()).unwrap();
        assert_eq!(text.len(), 4_000_000);
        let zeros = text.iter().filter(|b| **b == 0).count();
        assert!(zeros > 3_500_000 && zeros < 4_000_000 - 160_000, "{zeros}");
        assert!(text.starts_with(format!("{:0>9999}\n", 0).as_bytes()));
        assert!(text.ends_with(format!("{:0>9999}\n", 399).as_bytes()));
        assert!(text[..60_000].iter().chain(&text[4_000_000 - 120_000..]).all(|b| *b != 0));
    }

    #[test]
    fn growth_limit_and_truncation_are_noticed() {
        let (_temp, mut log) = log(64 * 1024, 100_000);
        let mut writer = log.file.try_clone().unwrap();
        assert_eq!(log.look(u64::MAX), None);
        writer.write_all(&[b'x'; 100_000]).unwrap();
        assert_eq!(log.look(u64::MAX), Some(100_000));
        assert!(!log.is_over_limit());
        writer.write_all(b"x").unwrap();
        assert_eq!((log.look(u64::MAX), log.is_over_limit()), (Some(1), true));
        writer.set_len(10).unwrap();
        assert_eq!((log.look(u64::MAX), log.is_over_limit()), (Some(0), false));
    }

    #[test]
    fn a_log_that_fits_stays_whole() {
        for size in [150_000, 200_000, 255_000, 256 * 1024] {
            let (temp, mut log) = log(256 * 1024, 1 << 40);
            let text = "x".repeat(size);
            log.file.try_clone().unwrap().write_all(text.as_bytes()).unwrap();
            log.look(u64::MAX);
            log.trim_fully(u64::MAX);
            assert!(std::fs::read(temp.path()).unwrap() == text.as_bytes(), "{size}");
        }
    }

    #[test]
    fn what_decides_is_not_trimmed() {
        let (temp, mut log) = log(256 * 1024, 1 << 40);
        log.file.try_clone().unwrap().write_all("x".repeat(2_000_000).as_bytes()).unwrap();
        log.look(1_000_000);
        log.trim_fully(1_000_000);
        let text = std::fs::read(temp.path()).unwrap();
        assert!(text[1_000_000..].iter().all(|b| *b == b'x'));
        let zeros = text.iter().filter(|b| **b == 0).count();
        assert!(zeros > 900_000 && zeros < 940_000, "{zeros}");
    }
}
