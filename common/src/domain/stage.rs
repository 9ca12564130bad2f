//! The vocabulary of the pipeline: stages, roles, task states. Every enum here is stored and shown by its
//! snake_case name; [`FromStr`] takes exactly those names.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// A name that is none of the allowed ones.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown {what} '{given}', allowed: {allowed}")]
pub struct UnknownName {
    /// What kind of name was expected, e.g. `stage`.
    pub what: &'static str,
    /// What was found.
    pub given: String,
    /// The allowed names, comma separated.
    pub allowed: String,
}

/// Declares an enum that is stored and shown by name: `ALL`, `as_str`, `Display`, `FromStr`, serde.
#[macro_export]
macro_rules! named_enum {
    ($(#[$meta:meta])* $vis:vis enum $name:ident ($what:literal) { $($(#[$vmeta:meta])* $variant:ident = $text:literal),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
        $vis enum $name { $($(#[$vmeta])* #[serde(rename = $text)] $variant),+ }

        impl $name {
            /// Every value, in the order of declaration.
            pub const ALL: &'static [$name] = &[$($name::$variant),+];

            /// The stored and shown name.
            pub const fn as_str(self) -> &'static str {
                match self { $($name::$variant => $text),+ }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::domain::stage::UnknownName;
            fn from_str(s: &str) -> Result<Self, Self::Err> {
                Self::ALL.iter().copied().find(|v| v.as_str() == s).ok_or_else(|| {
                    $crate::domain::stage::UnknownName {
                        what: $what,
                        given: s.chars().take(80).collect(),
                        allowed: Self::ALL.iter().map(|v| v.as_str()).collect::<Vec<_>>().join(", "),
                    }
                })
            }
        }
    };
}

named_enum! {
    /// Where a task stands. `Created` is the entrance, `Done` the only terminal stage.
    pub enum Stage ("stage") {
        Created = "created",
        Analysis = "analysis",
        Architecture = "architecture",
        Development = "development",
        Review = "review",
        Testing = "testing",
        Deploy = "deploy",
        Done = "done",
    }
}

named_enum! {
    /// Who works in a stage.
    pub enum Role ("role") {
        Analyst = "analyst",
        Architect = "architect",
        Developer = "developer",
        Reviewer = "reviewer",
        Tester = "tester",
        Deployer = "deployer",
    }
}

named_enum! {
    /// Whether, and why not, a task moves by itself.
    pub enum TaskState ("task state") {
        /// An agent works or a gate is being looked at.
        Active = "active",
        /// A person must say `:approved:` or `:rejected:`.
        WaitingApproval = "waiting_approval",
        /// A person must answer the analyst's questions.
        NeedsInput = "needs_input",
        /// A person stopped it; only a person resumes.
        Paused = "paused",
        /// A cap, a budget or a fault stopped it; only a person lifts it.
        Blocked = "blocked",
        /// Given up by a person. Terminal.
        Cancelled = "cancelled",
        /// Finished. Terminal.
        Done = "done",
    }
}

impl TaskState {
    /// No trigger moves a task out of this state.
    pub const fn is_terminal(self) -> bool {
        matches!(self, TaskState::Cancelled | TaskState::Done)
    }
}

/// The commit a piece of evidence was taken on: 40 or 64 lower-case hex digits.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CommitId(String);

impl CommitId {
    /// The hex digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first 8 digits, for people.
    pub fn short(&self) -> &str {
        self.0.get(..8).unwrap_or(&self.0)
    }
}

impl FromStr for CommitId {
    type Err = UnknownName;
    fn from_str(s: &str) -> Result<Self, Self::Err> {
        let hex = |b: &u8| b.is_ascii_digit() || (b'a'..=b'f').contains(b);
        if matches!(s.len(), 40 | 64) && s.as_bytes().iter().all(hex) {
            return Ok(CommitId(s.to_owned()));
        }
        Err(UnknownName {
            what: "commit id",
            given: s.chars().take(80).collect(),
            allowed: "40 or 64 lower-case hex digits".into(),
        })
    }
}

impl TryFrom<String> for CommitId {
    type Error = UnknownName;
    fn try_from(s: String) -> Result<Self, Self::Error> {
        s.parse()
    }
}

impl From<CommitId> for String {
    fn from(c: CommitId) -> String {
        c.0
    }
}

impl fmt::Display for CommitId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip() {
        for s in Stage::ALL {
            assert_eq!(s.as_str().parse::<Stage>().unwrap(), *s);
        }
        let err = "deploy2".parse::<Stage>().unwrap_err().to_string();
        assert!(err.contains("deploy2") && err.contains("architecture"), "{err}");
    }

    #[test]
    fn commit_ids_are_validated() {
        assert!("a".repeat(40).parse::<CommitId>().is_ok());
        for bad in ["", "HEAD", &"A".repeat(40), &"a".repeat(39), "--upload-pack=x"] {
            assert!(bad.parse::<CommitId>().is_err(), "{bad}");
        }
    }
}
