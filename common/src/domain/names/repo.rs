//! Repositories at the forge.

use super::{BadName, stored_as_text};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

const RULE: &str =
    "owner/name, each 1 to 100 of A-Z a-z 0-9 . _ -, not starting with '.' or '-', not ending in .git or .lock";

/// `owner/name`; both parts are safe as a folder name, in a URL and on a command line.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RepoName {
    owner: String,
    name: String,
}

impl RepoName {
    /// The user or organisation.
    pub fn owner(&self) -> &str {
        &self.owner
    }

    /// The repository's own name.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl FromStr for RepoName {
    type Err = BadName;
    fn from_str(s: &str) -> Result<Self, BadName> {
        match s.split_once('/') {
            Some((owner, name)) if is_part(owner) && is_part(name) => {
                Ok(RepoName { owner: owner.to_owned(), name: name.to_owned() })
            }
            Some(_) | None => Err(BadName::new("repository", s, RULE)),
        }
    }
}

fn is_part(part: &str) -> bool {
    let lower = part.to_ascii_lowercase();
    (1..=100).contains(&part.len())
        && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
        && !part.starts_with(['.', '-'])
        && ![".git", ".lock"].iter().any(|end| lower.ends_with(end))
}

impl fmt::Display for RepoName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.owner, self.name)
    }
}
stored_as_text!(RepoName);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_validated() {
        for good in ["acme/web", "a/b", "A_c.me/we-b.rs", "a/x.github.io"] {
            let repo: RepoName = good.parse().unwrap();
            assert_eq!(format!("{}/{}", repo.owner(), repo.name()), good);
        }
        let long = format!("a/{}", "x".repeat(101));
        let rows = [
            "", "a", "/", "a/", "/b", "a/b/c", "a/..", "../b", "a/.b", "-a/b", "a/-b", "a/b.git", "a/b.GIT",
            "a/b.lock", "a b/c", "a/b\n", "a/ü", "a\\b/c", "a/b?x", &long,
        ];
        for bad in rows {
            assert!(bad.parse::<RepoName>().is_err(), "{bad}");
        }
    }
}
