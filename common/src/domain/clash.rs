//! Two sides of one branch that cannot simply be joined: what people pushed, and what our roles committed.

use serde::{Deserialize, Serialize};

/// Commits of a side, and files, that are named; the rest is counted.
pub const NAMED: usize = 20;

/// What stands in the way of what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Clash {
    /// The head of the forge's branch.
    pub theirs: String,
    /// The head of ours, which the forge does not have.
    pub ours: String,
    /// One line for each commit that only the forge's branch has (id, author, subject), newest first.
    pub their_commits: Vec<String>,
    /// The same of ours.
    pub our_commits: Vec<String>,
    /// The files with conflicts; none where the branch was rewritten.
    pub files: Vec<String>,
    /// The forge's branch has lost commits that it had: somebody rewrote it.
    pub rewritten: bool,
}

impl Clash {
    /// Short ids, for people.
    pub fn short(&self) -> (&str, &str) {
        (head_of(&self.ours), head_of(&self.theirs))
    }
}

fn head_of(id: &str) -> &str {
    id.get(..12).unwrap_or(id)
}
