//! The last look at names before they become a path, a ref or an argument. The callers' own types check
//! more; this is the fence that holds even if they do not.

use super::error::GitError;

/// A repository as `(owner, name)`, each one path component.
pub(super) fn repo(full: &str) -> Result<(&str, &str), GitError> {
    match full.split_once('/') {
        Some((owner, name)) if component(owner) && component(name) => Ok((owner, name)),
        Some(_) | None => Err(bad("repository", full)),
    }
}

/// A work item's id: it names a folder and the last component of our own refs.
pub(super) fn key(key: &str) -> Result<&str, GitError> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    let fine = key.len() <= 64
        && key.bytes().all(plain)
        && key.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric() || b == b'_');
    if fine { Ok(key) } else { Err(bad("work item id", key)) }
}

/// A branch's short name, by the rules of `git check-ref-format --branch` and no leading dash.
pub(super) fn branch(name: &str) -> Result<&str, GitError> {
    let forbidden = |c: char| c.is_control() || c.is_whitespace() || "~^:?*[\\".contains(c);
    let bad_part =
        |part: &str| part.is_empty() || part.starts_with('.') || part.ends_with('.') || part.ends_with(".lock");
    let fine = name.len() <= 200
        && name != "HEAD"
        && name != "@"
        && !name.starts_with('-')
        && !name.contains("..")
        && !name.contains("@{")
        && !name.contains(forbidden)
        && !name.split('/').any(bad_part);
    if fine { Ok(name) } else { Err(bad("branch name", name)) }
}

fn component(s: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
    (1..=100).contains(&s.len()) && s.bytes().all(plain) && !s.starts_with('-') && s != "." && s != ".."
}

fn bad(what: &'static str, given: &str) -> GitError {
    GitError::BadName { what, given: given.chars().take(80).flat_map(char::escape_debug).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn branch_names_that_git_could_misread_are_refused() {
        for good in ["main", "feature/ET-001-a-b", "v1.2", "a@b", "фича", "a/b/c"] {
            assert!(branch(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "--upload-pack=x",
            "-x",
            "a..b",
            "a b",
            "a\nb",
            "a\0b",
            "/a",
            "a/",
            "a//b",
            ".a",
            "a/.b",
            "a.lock",
            "a.lock/b",
            "HEAD",
            "@",
            "a@{1}",
            "a:b",
            "a^",
            "a~1",
            "a*",
            "a?",
            "a[",
            "a\\b",
            "a.",
        ] {
            assert!(branch(bad).is_err(), "{bad:?}");
        }
        assert!(branch(&"x".repeat(201)).is_err());
    }

    #[test]
    fn keys_and_repositories_that_could_leave_their_folder_are_refused() {
        for good in ["ET-001", "A", "x_1-2", "_1"] {
            assert!(key(good).is_ok(), "{good}");
        }
        for bad in ["", "..", "a/b", "-x", "a b", "a.lock", "ET-001\n", "é"] {
            assert!(key(bad).is_err(), "{bad:?}");
        }
        assert_eq!(repo("team/app.rs").unwrap(), ("team", "app.rs"));
        for bad in ["", "app", "a/b/c", "../x", "a/..", "-a/b", "a/-b", "a/", "/b", "a/b c", "a/b\n"] {
            assert!(repo(bad).is_err(), "{bad:?}");
        }
    }
}
