//! What an agent left that is not simply on the task's branch: what it is, and where it is kept.

use crate::named_enum;

named_enum! {
    /// What kind of thing was left.
    pub enum LeftKind ("kind of leftover") {
        /// Files that a run which did not end well left uncommitted.
        Files = "files",
        /// Commits on the task's branch that the forge does not have, of a run that did not end well.
        Commits = "commits",
        /// A version of files that was staged, and is neither on the branch nor in the folder.
        Index = "index",
        /// A stash.
        Stash = "stash",
        /// A branch, tag or other ref with commits that the task's branch lacks.
        Ref = "ref",
        /// Commits that were checked out beside the task's branch.
        Head = "head",
        /// Commits that were checked out beside the task's branch and follow it: they are on it now.
        Taken = "taken",
        /// Commits that the branch had, or was about to get, when somebody rewrote it at the forge.
        Rewritten = "rewritten",
        /// The history of a repository that was begun again in the place of the task's.
        Repository = "repository",
        /// The folder's link to its repository was gone or led elsewhere; it was made again.
        Link = "link",
        /// A repository inside the folder: its files are on the branch, its `.git` is not.
        Nested = "nested",
        /// The history of a repository inside the folder.
        History = "history",
        /// A worktree that the agent made.
        Worktree = "worktree",
        /// A submodule at another commit, or with other files, than the branch says.
        Submodule = "submodule",
        /// A pointer to a commit of another repository, without its files.
        Pointer = "pointer",
        /// What is no file or cannot be read.
        Unread = "unread",
        /// What could be kept in no repository: the folder itself was moved aside.
        Aside = "aside",
        /// The accounting itself failed.
        Unaccounted = "unaccounted",
    }
}

impl LeftKind {
    /// The next run of the same role goes on with it where it lies, so people are told only when there is none.
    pub const fn waits_for_the_next_run(self) -> bool {
        match self {
            LeftKind::Files | LeftKind::Commits => true,
            LeftKind::Index
            | LeftKind::Stash
            | LeftKind::Ref
            | LeftKind::Head
            | LeftKind::Taken
            | LeftKind::Rewritten
            | LeftKind::Repository
            | LeftKind::Link
            | LeftKind::Nested
            | LeftKind::History
            | LeftKind::Worktree
            | LeftKind::Submodule
            | LeftKind::Pointer
            | LeftKind::Unread
            | LeftKind::Aside
            | LeftKind::Unaccounted => false,
        }
    }
}

/// One thing that was left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leftover {
    pub kind: LeftKind,
    /// A path, a ref, a stash's message: for people, on one line.
    pub name: String,
    /// The ref of the repository on the worker's host that keeps it.
    pub kept: Option<String>,
    /// The commit that is kept.
    pub commit: Option<String>,
}

/// The longest name, in characters.
const NAME_MAX: usize = 200;

impl Leftover {
    /// With a name of an agent's choice made fit for one line of text.
    pub fn new(kind: LeftKind, name: &str) -> Leftover {
        let name = name.chars().map(|c| if c.is_control() { '?' } else { c }).take(NAME_MAX).collect();
        Leftover { kind, name, kept: None, commit: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_line_of_bounded_length() {
        let left = Leftover::new(LeftKind::Stash, &format!("a\nb\u{1b}[2J{}", "x".repeat(500)));
        assert!(left.name.starts_with("a?b?[2J") && left.name.chars().count() == NAME_MAX);
    }
}
