//! Names that come from outside and end up in a path, a ref or a command: each is checked once, here, and
//! is a type of its own from then on. Nothing in here looks at a disk or a repository.

mod branch;
mod key;
mod prefix;
mod repo;
mod slug;

pub use branch::BranchName;
pub use key::{ArtifactDir, WorkItemKey, key_in_branch};
pub use prefix::IdPrefix;
pub use repo::RepoName;
pub use slug::slug;

/// A name that cannot be used as what it was meant for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{given}' is no {what}, allowed: {allowed}")]
pub struct BadName {
    /// What kind of name was expected, e.g. `branch name`.
    pub what: &'static str,
    /// What was found, cut to 80 characters, control characters escaped.
    pub given: String,
    /// The rule, for people.
    pub allowed: &'static str,
}

impl BadName {
    fn new(what: &'static str, given: &str, allowed: &'static str) -> BadName {
        BadName { what, given: given.chars().take(80).flat_map(show).collect(), allowed }
    }
}

/// A character as it may appear in a log line: control characters escaped, all others unchanged.
fn show(c: char) -> Vec<char> {
    if c.is_control() { c.escape_default().collect() } else { vec![c] }
}

/// Serde and conversions of a type that is stored as its `Display` text and read by its `FromStr`.
macro_rules! stored_as_text {
    ($name:ident) => {
        impl TryFrom<String> for $name {
            type Error = $crate::domain::names::BadName;
            fn try_from(s: String) -> Result<Self, Self::Error> {
                s.parse()
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.to_string()
            }
        }
    };
}
use stored_as_text;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_short_and_safe_to_log() {
        let err = BadName::new("branch name", &format!("a\n\u{1b}[31m{}", "x".repeat(500)), "nice ones").to_string();
        assert!(err.contains("branch name") && err.contains("nice ones"), "{err}");
        assert!(!err.contains('\n') && !err.contains('\u{1b}') && err.len() < 200, "{err}");
    }
}
