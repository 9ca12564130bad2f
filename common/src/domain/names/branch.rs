//! Branch names, by git's rules and a few of our own.

use super::{BadName, WorkItemKey, slug, stored_as_text};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Longest name taken from outside, in bytes.
const MAX: usize = 200;
/// Longest name made here, in bytes: the forge refuses longer ones when it creates a branch.
const MADE_MAX: usize = 100;
/// Longest slug in a name made here, so that it stays readable.
const SLUG_MAX: usize = 60;
const RULE: &str = "a git branch of 1 to 200 bytes without blanks, control characters, '..', '//', '@{' or any of \
                    ~^:?*[\\, no part starting with '.' or ending with '.lock', not starting with '-'";

/// A valid branch name (`git check-ref-format --branch`), without `refs/heads/`; never an option on a command line.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct BranchName(String);

impl BranchName {
    /// The branch of a task: `feature/<ID>-<slug of the title>`, at most 100 bytes.
    pub fn for_task(key: &WorkItemKey, title: &str) -> BranchName {
        let start = format!("feature/{key}-");
        let slug = slug(title, SLUG_MAX.min(MADE_MAX.saturating_sub(start.len())));
        BranchName(start + &slug)
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for BranchName {
    type Err = BadName;
    fn from_str(s: &str) -> Result<Self, BadName> {
        let fits = s.len() <= MAX && s.split('/').all(is_component) && !is_reserved(s);
        if fits { Ok(BranchName(s.to_owned())) } else { Err(BadName::new("branch name", s, RULE)) }
    }
}

/// One part between slashes.
fn is_component(part: &str) -> bool {
    !part.is_empty()
        && !part.starts_with('.')
        && !part.ends_with(".lock")
        && !part.contains("..")
        && !part.contains("@{")
        && !part.bytes().any(|b| b <= b' ' || b == 0x7f || b"~^:?*[\\".contains(&b))
}

/// Whole names with a meaning of their own.
fn is_reserved(name: &str) -> bool {
    matches!(name, "@" | "HEAD") || name.starts_with('-') || name.ends_with('.')
}

impl fmt::Display for BranchName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}
stored_as_text!(BranchName);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::process::Command;

    const GOOD: &[&str] = &[
        "main",
        "feature/ET-001-x",
        "a",
        "a/b/c",
        "a.b",
        "a.lockx",
        "x@y",
        "a{b",
        "ünï",
        "a-",
        "a/-b",
        "1",
        "a@",
        "@a",
        "refs/heads/x",
    ];
    const BAD: &[&str] = &[
        "",
        "/",
        "/a",
        "a/",
        "a//b",
        ".a",
        "a/.b",
        "a..b",
        "a.",
        "a.lock",
        "a.lock/b",
        "a b",
        "a~1",
        "a^",
        "a:b",
        "a?",
        "a*",
        "a[b",
        "a\\b",
        "a@{b",
        "@",
        "-a",
        "--upload-pack=x",
        "a\tb",
        "a\nb",
        "a\u{7f}",
        "HEAD",
        "..",
        ".",
    ];

    #[test]
    fn names_are_validated() {
        for good in GOOD {
            assert_eq!(good.parse::<BranchName>().unwrap().to_string(), **good);
        }
        for bad in BAD {
            assert!(bad.parse::<BranchName>().is_err(), "{bad}");
        }
        assert!("x".repeat(200).parse::<BranchName>().is_ok());
        assert!("x".repeat(201).parse::<BranchName>().is_err());
        assert!("a\0b".parse::<BranchName>().is_err());
    }

    #[test]
    fn git_agrees() {
        let dir = tempfile::tempdir().unwrap();
        // `@` alone is expanded by git (to HEAD) before it is checked.
        for name in GOOD.iter().chain(BAD).filter(|name| **name != "@") {
            let args = ["check-ref-format", "--branch", name];
            let git = Command::new("git").args(args).current_dir(dir.path()).output().unwrap();
            assert_eq!(git.status.success(), name.parse::<BranchName>().is_ok(), "{name:?}: {git:?}");
        }
    }

    #[test]
    fn a_task_gets_its_branch() {
        let key: WorkItemKey = "ET-001".parse().unwrap();
        assert_eq!(BranchName::for_task(&key, "Add login").as_str(), "feature/ET-001-add-login");
        assert_eq!(BranchName::for_task(&key, "…").as_str(), "feature/ET-001-task");
    }

    proptest! {
        #[test]
        fn made_names_are_valid_and_lead_back(title in "\\PC{0,300}", number in 1u32.., prefix in "[A-Z][A-Z0-9]{0,11}") {
            let key = WorkItemKey::new(&prefix.parse().unwrap(), number).unwrap();
            let branch = BranchName::for_task(&key, &title);
            prop_assert!(branch.as_str().len() <= MADE_MAX);
            prop_assert_eq!(&branch.as_str().parse::<BranchName>().unwrap(), &branch);
            prop_assert_eq!(super::super::key_in_branch(branch.as_str()), Some(key));
        }
    }
}
