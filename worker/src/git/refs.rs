//! Reading one ref of a mirror from its files, without a process. Only what is beyond doubt is answered: a plain file
//! with one id and a line's end, or an honest line of `packed-refs`. Everything else (a symbolic ref, a link, a broken
//! line, another way of keeping refs) is left to git, which is asked as ever. It never says whether an object exists.

use crate::untrusted::{self, Unfit};
use orch_common::domain::stage::CommitId;
use std::path::Path;

/// An id, a line's end, and one byte more to tell what is longer.
const LONGEST_LOOSE: u64 = 66;
/// Some hundred thousand refs; more are git's to read.
const LARGEST_PACKED: u64 = 16 << 20;
/// No honest HEAD is longer: a branch has 200 characters at most.
const LONGEST_HEAD: u64 = 1024;

/// What the files say of a ref.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Found {
    /// It holds this id; of what, and whether that is there, is not known.
    Id(CommitId),
    /// There is no such ref.
    Nothing,
    /// Git must be asked.
    Unclear,
}

/// Looks a full ref (`refs/...`, a name that was checked) up in the repository `git_dir`.
pub(super) fn read(git_dir: &Path, full_ref: &str) -> Found {
    // Where git keeps refs otherwise, none of these files means anything.
    if git_dir.join("reftable").symlink_metadata().is_ok() {
        return Found::Unclear;
    }
    match contents(&git_dir.join(full_ref), LONGEST_LOOSE) {
        Contents::Bytes(bytes) => loose(&bytes),
        Contents::Nothing => packed(git_dir, full_ref),
        Contents::Unclear => Found::Unclear,
    }
}

/// Whether there is any ref below a folder of refs (`refs/...`), or that is for git to say.
pub(super) fn any_below(git_dir: &Path, folder: &str) -> bool {
    let is_below = |line: &[u8]| {
        let name = line.iter().position(|b| *b == b' ').and_then(|space| line.get(space + 1..));
        name.is_some_and(|name| name.starts_with(folder.as_bytes()))
    };
    git_dir.join("reftable").symlink_metadata().is_ok()
        || has_a_file(&git_dir.join(folder))
        || match contents(&git_dir.join("packed-refs"), LARGEST_PACKED) {
            Contents::Bytes(bytes) => bytes.split(|b| *b == b'\n').any(is_below),
            Contents::Nothing => false,
            Contents::Unclear => true,
        }
}

fn has_a_file(folder: &Path) -> bool {
    let Ok(entries) = std::fs::read_dir(folder) else { return false };
    entries.filter_map(Result::ok).any(|entry| match entry.file_type() {
        Ok(kind) if kind.is_dir() => has_a_file(&entry.path()),
        Ok(_) | Err(_) => true,
    })
}

/// Whether the HEAD in `git_dir` says, in so many words, that `full_ref` is checked out.
pub(super) fn is_on(git_dir: &Path, full_ref: &str) -> bool {
    match contents(&git_dir.join("HEAD"), LONGEST_HEAD) {
        Contents::Bytes(bytes) => bytes == format!("ref: {full_ref}\n").into_bytes(),
        Contents::Nothing | Contents::Unclear => false,
    }
}

fn loose(bytes: &[u8]) -> Found {
    bytes.strip_suffix(b"\n").and_then(id).map_or(Found::Unclear, Found::Id)
}

fn packed(git_dir: &Path, full_ref: &str) -> Found {
    match contents(&git_dir.join("packed-refs"), LARGEST_PACKED) {
        Contents::Bytes(bytes) => packed_line(&bytes, full_ref.as_bytes()),
        Contents::Nothing => Found::Nothing,
        Contents::Unclear => Found::Unclear,
    }
}

/// Every line up to the one that is looked for must be as git writes it.
fn packed_line(bytes: &[u8], full_ref: &[u8]) -> Found {
    let Some(lines) = bytes.strip_suffix(b"\n") else {
        return if bytes.is_empty() { Found::Nothing } else { Found::Unclear };
    };
    for line in lines.split(|b| *b == b'\n') {
        match line.first() {
            Some(b'#') => continue,
            // What a tag of the line before points to.
            Some(b'^') if line.get(1..).and_then(id).is_some() => continue,
            Some(_) | None => {}
        }
        let Some(space) = line.iter().position(|b| *b == b' ') else { return Found::Unclear };
        let (Some(value), Some(name)) = (line.get(..space).and_then(id), line.get(space + 1..)) else {
            return Found::Unclear;
        };
        if name == full_ref {
            return Found::Id(value);
        }
    }
    Found::Nothing
}

fn id(bytes: &[u8]) -> Option<CommitId> {
    let id: CommitId = std::str::from_utf8(bytes).ok()?.parse().ok()?;
    // The name of nothing.
    id.as_str().bytes().any(|b| b != b'0').then_some(id)
}

enum Contents {
    Bytes(Vec<u8>),
    Nothing,
    Unclear,
}

/// A regular file, whole, if it is not longer than `most`. Whoever put something else there is not waited for.
fn contents(path: &Path, most: u64) -> Contents {
    match untrusted::read(path, most) {
        Ok(Some(bytes)) => Contents::Bytes(bytes),
        // A folder of refs with longer names; or a part of the way is a ref itself, or is not there.
        Ok(None) | Err(Unfit::Folder) => Contents::Nothing,
        Err(Unfit::Special | Unfit::TooLarge(_) | Unfit::Io(_)) => Contents::Unclear,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    const A: &str = "00000000000000000000000000000000000000aa";
    const B: &str = "00000000000000000000000000000000000000bb";
    const LONG: &str = "00000000000000000000000000000000000000000000000000000000000000cc";
    const NAME: &str = "refs/heads/feature/x";

    fn found(hex: &str) -> Found {
        Found::Id(hex.parse().unwrap())
    }

    fn repository(loose: Option<&str>, packed: Option<&str>) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("refs/heads/feature")).unwrap();
        if let Some(text) = loose {
            std::fs::write(dir.path().join(NAME), text).unwrap();
        }
        if let Some(text) = packed {
            std::fs::write(dir.path().join("packed-refs"), text).unwrap();
        }
        dir
    }

    #[test]
    fn loose_and_packed_refs_are_read_and_what_is_odd_is_left_to_git() {
        let header = "# pack-refs with: peeled fully-peeled sorted \n";
        let packed = |lines: &str| format!("{header}{lines}");
        let line = format!("{B} {NAME}\n");
        let cases: &[(Option<String>, Option<String>, Found)] = &[
            (Some(format!("{A}\n")), None, found(A)),
            (Some(format!("{LONG}\n")), None, found(LONG)),
            (Some(format!("{A}\n")), Some(packed(&line)), found(A)),
            (None, Some(packed(&line)), found(B)),
            (None, Some(line.clone()), found(B)),
            (None, Some(packed(&format!("{LONG} {NAME}\n"))), found(LONG)),
            (None, Some(packed(&format!("{A} refs/tags/v1\n^{B}\n{line}"))), found(B)),
            (None, Some(packed(&format!("{A} {NAME}-longer\n{A} refs/heads/feature\n"))), Found::Nothing),
            (None, Some(packed("")), Found::Nothing),
            (None, Some(String::new()), Found::Nothing),
            (None, None, Found::Nothing),
            // Left by a power cut, written by hand, or by somebody who means no good.
            (Some(String::new()), Some(packed(&line)), Found::Unclear),
            (Some(A.into()), None, Found::Unclear),
            (Some(format!("{A}\r\n")), None, Found::Unclear),
            (Some(format!("{A}\n\n")), None, Found::Unclear),
            (Some(format!("{}\n", &A[1..])), None, Found::Unclear),
            (Some(format!("{}\n", A.to_uppercase())), None, Found::Unclear),
            (Some(format!("{}\n", "0".repeat(40))), None, Found::Unclear),
            (Some("ref: refs/heads/other\n".into()), None, Found::Unclear),
            (Some(format!("{A}\n{}", "x".repeat(1 << 16))), None, Found::Unclear),
            (None, Some(packed(&format!("rubbish\n{line}"))), Found::Unclear),
            (None, Some(packed(&format!("\n{line}"))), Found::Unclear),
            (None, Some(packed(&format!("{A}\n{line}"))), Found::Unclear),
            (None, Some(packed(&format!("^rubbish\n{line}"))), Found::Unclear),
            (None, Some(packed(line.trim_end())), Found::Unclear),
        ];
        for (loose, packed, wanted) in cases {
            let dir = repository(loose.as_deref(), packed.as_deref());
            assert_eq!(read(dir.path(), NAME), *wanted, "{loose:?} {packed:?}");
        }
    }

    #[test]
    fn links_pipes_and_other_ways_of_keeping_refs_are_left_to_git_and_folders_are_no_refs() {
        let dir = repository(None, Some(&format!("{B} {NAME}\n")));
        assert_eq!(read(dir.path(), "refs/heads/feature"), Found::Nothing, "a folder");
        assert_eq!(read(dir.path(), &format!("{NAME}/below")), Found::Nothing);
        std::fs::write(dir.path().join("elsewhere"), format!("{A}\n")).unwrap();
        symlink(dir.path().join("elsewhere"), dir.path().join(NAME)).unwrap();
        assert_eq!(read(dir.path(), NAME), Found::Unclear);
        std::fs::remove_file(dir.path().join(NAME)).unwrap();
        let pipe = nix::unistd::mkfifo(&dir.path().join(NAME), nix::sys::stat::Mode::S_IRWXU);
        pipe.unwrap();
        assert_eq!(read(dir.path(), NAME), Found::Unclear, "nobody writes to it, and nobody waits");
        std::fs::remove_file(dir.path().join(NAME)).unwrap();
        assert_eq!(read(dir.path(), NAME), found(B));
        std::fs::create_dir(dir.path().join("reftable")).unwrap();
        assert_eq!(read(dir.path(), NAME), Found::Unclear);
    }

    #[test]
    fn head_is_on_a_branch_only_if_it_says_just_that() {
        let dir = tempfile::tempdir().unwrap();
        let head = dir.path().join("HEAD");
        assert!(!is_on(dir.path(), NAME));
        for (text, wanted) in [
            (format!("ref: {NAME}\n"), true),
            (format!("ref: {NAME}"), false),
            (format!("ref: {NAME}x\n"), false),
            (format!("ref: {NAME}\nmore\n"), false),
            (format!("{A}\n"), false),
            (String::new(), false),
        ] {
            std::fs::write(&head, &text).unwrap();
            assert_eq!(is_on(dir.path(), NAME), wanted, "{text:?}");
        }
        std::fs::write(dir.path().join("other"), format!("ref: {NAME}\n")).unwrap();
        std::fs::remove_file(&head).unwrap();
        symlink(dir.path().join("other"), &head).unwrap();
        assert!(!is_on(dir.path(), NAME), "a link");
    }
}
