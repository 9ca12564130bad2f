//! Whether the index of a worktree can be read, told without a process. The file is walked as git's own reader walks
//! it: header, entries in order, extensions up to the checksum. A "no" only means that git is to be asked, so what is
//! seldom (version 4, a split or sparse index, a giant) is simply not known here.

use crate::untrusted;
use std::path::Path;

/// Some two hundred thousand files.
const LARGEST: u64 = 32 << 20;
const HEADER: usize = 12;
/// Times, device, inode, mode, owner, size: all before an entry's id.
const STAT: usize = 40;
/// In an entry's flags: two bytes of more flags follow, and the stage.
const EXTENDED: u16 = 0x4000;
const STAGE: u16 = 0x3000;
/// The name's length, or this where it is longer.
const LENGTH: u16 = 0x0fff;
/// "To be added" and "not in the folder": the only flags of the second kind that there are.
const KNOWN_EXTENDED: u16 = 0x6000;

/// Whether the file at `path` is beyond doubt an index that git reads; `id_len` is the length of an object's name in
/// bytes.
pub(super) fn is_readable(path: &Path, id_len: usize) -> bool {
    matches!(untrusted::read(path, LARGEST), Ok(Some(bytes)) if walk(&bytes, id_len).is_some())
}

/// `None` at the first thing that is not as it should be.
fn walk(bytes: &[u8], id_len: usize) -> Option<()> {
    let (body, _checksum) = bytes.split_at_checked(bytes.len().checked_sub(id_len)?)?;
    let (signature, version) = (body.get(..4)?, number(body, 4)?);
    if signature != b"DIRC" || !matches!(version, 2 | 3) {
        return None;
    }
    let mut at = HEADER;
    let mut last: (&[u8], u16) = (b"", 0);
    for _ in 0..number(body, 8)? {
        let (name, stage, next) = entry(body, at, id_len, version)?;
        // Beside a file that is merged there are no other stages of it.
        let merged_already = name == last.0 && last.1 == 0;
        if name.is_empty() || merged_already || (name, stage) <= last {
            return None;
        }
        (last, at) = ((name, stage), next);
    }
    extensions(body, at)
}

/// Name and stage of the entry at `at`, and where the next one begins.
fn entry(body: &[u8], at: usize, id_len: usize, version: u32) -> Option<(&[u8], u16, usize)> {
    let flags_at = at.checked_add(STAT)?.checked_add(id_len)?;
    let flags = short(body, flags_at)?;
    let extended = flags & EXTENDED != 0;
    if extended && (version < 3 || short(body, flags_at + 2)? & !KNOWN_EXTENDED != 0) {
        return None;
    }
    let name_at = flags_at + if extended { 4 } else { 2 };
    let rest = body.get(name_at..)?;
    let name = rest.get(..rest.iter().position(|b| *b == 0)?)?;
    if usize::from(flags & LENGTH) != name.len().min(usize::from(LENGTH)) {
        return None;
    }
    // Padded with one to eight zeros to a multiple of eight.
    let length = (name_at - at + name.len() + 8) / 8 * 8;
    let padding = body.get(name_at + name.len()..at.checked_add(length)?)?;
    padding.iter().all(|b| *b == 0).then_some((name, flags & STAGE, at + length))
}

/// Those whose name begins with a small letter change what the entries mean.
fn extensions(body: &[u8], mut at: usize) -> Option<()> {
    while at < body.len() {
        if !body.get(at)?.is_ascii_uppercase() {
            return None;
        }
        let length = usize::try_from(number(body, at + 4)?).ok()?;
        at = at.checked_add(8)?.checked_add(length)?;
    }
    (at == body.len()).then_some(())
}

fn short(body: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(body.get(at..at.checked_add(2)?)?.try_into().ok()?))
}

fn number(body: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(body.get(at..at.checked_add(4)?)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::super::tests::world::{git, plain_git, write};
    use super::*;
    use std::path::PathBuf;

    const SHA1: usize = 20;

    fn repository(format: &str) -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        git(dir.path(), &["init", "--quiet", "-b", "main", &format!("--object-format={format}")]);
        for name in ["a", "b/c", "b/d e", "long/".repeat(20).as_str().trim_end_matches('/'), "z"] {
            write(dir.path(), name, name);
        }
        git(dir.path(), &["add", "-A"]);
        let index = dir.path().join(".git/index");
        (dir, index)
    }

    #[test]
    fn what_git_wrote_is_readable_in_both_formats_and_the_other_format_is_not_taken_for_it() {
        for (format, id_len) in [("sha1", SHA1), ("sha256", 32)] {
            let (dir, index) = repository(format);
            assert!(is_readable(&index, id_len), "{format}");
            assert!(!is_readable(&index, 52 - id_len), "{format}");
            git(dir.path(), &["commit", "--quiet", "-m", "with a tree in the index"]);
            git(dir.path(), &["status"]);
            git(dir.path(), &["update-index", "--skip-worktree", "a"]);
            assert!(is_readable(&index, id_len), "{format}, version 3");
            git(dir.path(), &["rm", "-r", "-q", "--cached", "."]);
            assert!(is_readable(&index, id_len), "{format}, empty");
        }
    }

    #[test]
    fn a_conflict_is_readable_and_what_is_rare_is_not_known() {
        let (dir, index) = repository("sha1");
        git(dir.path(), &["commit", "--quiet", "-m", "base"]);
        git(dir.path(), &["checkout", "--quiet", "-b", "other"]);
        write(dir.path(), "a", "theirs");
        git(dir.path(), &["commit", "--quiet", "-am", "theirs"]);
        git(dir.path(), &["checkout", "--quiet", "main"]);
        write(dir.path(), "a", "ours");
        git(dir.path(), &["commit", "--quiet", "-am", "ours"]);
        assert!(!plain_git(dir.path(), &["merge", "--quiet", "other"]).output().unwrap().status.success());
        assert!(is_readable(&index, SHA1));
        git(dir.path(), &["merge", "--abort"]);
        git(dir.path(), &["update-index", "--index-version=4"]);
        assert!(!is_readable(&index, SHA1), "version 4");
        git(dir.path(), &["update-index", "--index-version=2"]);
        git(dir.path(), &["update-index", "--split-index"]);
        assert!(!is_readable(&index, SHA1), "split");
    }

    /// Whatever is called readable here, git must read; cut anywhere it is not.
    #[test]
    fn nothing_that_git_refuses_is_called_readable() {
        let (dir, index) = repository("sha1");
        let whole = std::fs::read(&index).unwrap();
        for cut in 0..whole.len() {
            std::fs::write(&index, &whole[..cut]).unwrap();
            assert!(!is_readable(&index, SHA1), "cut at {cut}");
        }
        for at in (0..whole.len()).step_by(3) {
            let mut damaged = whole.clone();
            damaged[at] ^= 0x55;
            std::fs::write(&index, &damaged).unwrap();
            if is_readable(&index, SHA1) {
                let read = plain_git(dir.path(), &["ls-files", "--cached"]).output().unwrap();
                assert!(read.status.success(), "byte {at}: {}", String::from_utf8_lossy(&read.stderr));
            }
        }
        std::fs::remove_file(&index).unwrap();
        assert!(!is_readable(&index, SHA1));
        std::os::unix::fs::symlink("/dev/zero", &index).unwrap();
        assert!(!is_readable(&index, SHA1));
    }
}
