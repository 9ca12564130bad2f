//! What `/proc` says about processes. Reads only; every answer may be outdated when it arrives, so whoever
//! acts on one checks the start time again (see [`super::identity`]).

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read};

/// The part of `/proc/<pid>/stat` that tells processes apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stat {
    pub pid: i32,
    pub ppid: i32,
    /// Its process group.
    pub group: i32,
    /// `R S D T Z X` and so on.
    pub state: u8,
    /// Field 22: clock ticks from boot to the start of the process.
    pub start_ticks: u64,
}

impl Stat {
    /// Stopped by a signal: it does nothing until it is continued or killed.
    pub fn is_stopped(&self) -> bool {
        self.state == b'T'
    }

    /// A zombie holds nothing but its number.
    pub fn is_gone(&self) -> bool {
        matches!(self.state, b'Z' | b'X' | b'x')
    }
}

/// Reads one process; `NotFound` when there is none.
pub(crate) fn stat(pid: i32) -> io::Result<Stat> {
    let mut line = [0u8; 1024];
    let mut file = File::open(format!("/proc/{pid}/stat")).map_err(gone)?;
    let n = file.read(&mut line).map_err(gone)?;
    line.get(..n).and_then(|l| parse_stat(pid, l)).ok_or_else(|| ErrorKind::InvalidData.into())
}

/// A process that ends between open and read answers ESRCH; to callers it was never there.
fn gone(e: io::Error) -> io::Error {
    if e.raw_os_error() == Some(rustix::io::Errno::SRCH.raw_os_error()) { ErrorKind::NotFound.into() } else { e }
}

/// The command name in field 2 may hold blanks and parentheses: the fields are counted from the last `)`.
fn parse_stat(pid: i32, line: &[u8]) -> Option<Stat> {
    let close = line.iter().rposition(|b| *b == b')')?;
    let rest = std::str::from_utf8(line.get(close + 1..)?).ok()?;
    let mut fields = rest.split_ascii_whitespace();
    let state = *fields.next()?.as_bytes().first()?;
    let ppid = fields.next()?.parse().ok()?;
    let group = fields.next()?.parse().ok()?;
    let start_ticks = fields.nth(16)?.parse().ok()?;
    Some(Stat { pid, ppid, group, state, start_ticks })
}

/// Every process there is, the newest numbers first: they are looked at right after they were listed, which is what it
/// takes to meet a process that lives for a millisecond.
pub(crate) fn all() -> impl Iterator<Item = Stat> {
    let listed = fs::read_dir("/proc").into_iter().flatten();
    let mut pids: Vec<i32> = listed.filter_map(|e| e.ok()?.file_name().to_str()?.parse().ok()).collect();
    pids.sort_unstable_by(|a, b| b.cmp(a));
    pids.into_iter().filter_map(|pid| stat(pid).ok())
}

/// The children of one process. Much faster than looking at every process, and so able to keep up with one that
/// forks and exits all the time; a kernel built without this list gets the slow way.
pub(crate) fn children(pid: i32) -> Vec<Stat> {
    match listed_children(pid) {
        Ok(pids) => pids.into_iter().filter_map(|c| stat(c).ok()).collect(),
        Err(_) => all().filter(|s| s.ppid == pid).collect(),
    }
}

/// Children are listed per thread, by the one that forked them.
fn listed_children(pid: i32) -> io::Result<Vec<i32>> {
    let mut found = Vec::new();
    for task in fs::read_dir(format!("/proc/{pid}/task"))? {
        let list = fs::read_to_string(task?.path().join("children"))?;
        found.extend(list.split_ascii_whitespace().filter_map(|p| p.parse::<i32>().ok()));
    }
    Ok(found)
}

/// Whether a process was started with exactly this `NAME=value` in its environment. False when it may not be read.
pub(crate) fn has_env_entry(pid: i32, entry: &str) -> bool {
    File::open(format!("/proc/{pid}/environ")).is_ok_and(|f| contains_entry(f, entry.as_bytes()).unwrap_or(false))
}

/// Looks for one NUL-terminated entry, in constant memory: an environment may be megabytes.
fn contains_entry(mut source: impl Read, entry: &[u8]) -> io::Result<bool> {
    let mut buffer = [0u8; 4096];
    let mut matched = Some(0);
    loop {
        let n = source.read(&mut buffer)?;
        if n == 0 {
            return Ok(matched == Some(entry.len()));
        }
        for byte in buffer.iter().take(n) {
            matched = match (*byte, matched) {
                (0, Some(m)) if m == entry.len() => return Ok(true),
                (0, _) => Some(0),
                (b, Some(m)) if entry.get(m) == Some(&b) => Some(m + 1),
                (_, _) => None,
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_full_of_parentheses_does_not_shift_the_fields() {
        let tail = "6 1 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 9876 1 2";
        for comm in ["sh", "a b", ") Z 7 (", "(((", "x) R 1 1"] {
            let line = format!("42 ({comm}) S 7 {tail}\n");
            let got = parse_stat(42, line.as_bytes()).unwrap();
            assert_eq!(got, Stat { pid: 42, ppid: 7, group: 6, state: b'S', start_ticks: 9876 }, "{comm}");
        }
        assert_eq!(parse_stat(1, b"1 (x) S 1"), None);
    }

    #[test]
    fn this_process_is_found_with_its_child() {
        let me = std::process::id() as i32;
        let mut child = std::process::Command::new("sleep").arg("30").env("MARK", "one").spawn().unwrap();
        let pid = child.id() as i32;
        // The list of threads is read while those of other tests come and go, and a process has no environment for an
        // instant of its exec.
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
        let found = || children(me).iter().any(|s| s.pid == pid && s.ppid == me) && has_env_entry(pid, "MARK=one");
        while !found() {
            assert!(std::time::Instant::now() < deadline, "the child is not found");
            std::thread::yield_now();
        }
        assert!(all().any(|s| s.pid == pid));
        assert!(!has_env_entry(pid, "MARK=on"));
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(stat(pid).unwrap_err().kind(), ErrorKind::NotFound);
    }

    #[test]
    fn entries_match_whole_and_across_buffers() {
        let long = format!("PAD={}\0ID=77\0", "x".repeat(4090));
        for (env, entry, want) in [
            (long.as_str(), "ID=77", true),
            (long.as_str(), "ID=7", false),
            ("ID=77", "ID=77", true),
            ("XID=77\0", "ID=77", false),
            ("ID=777\0ID=77\0", "ID=77", true),
            ("", "ID=77", false),
        ] {
            assert_eq!(contains_entry(env.as_bytes(), entry.as_bytes()).unwrap(), want, "{entry}");
        }
    }
}
