//! Why the forge takes no push of ours, as far as only a person can end it.

use crate::named_enum;

named_enum! {
    /// A forge that does not answer is none of them.
    pub enum PushRefusal ("reason") {
        /// A hook of the repository said no.
        Hook = "hook",
        /// A rule of the branch keeps the account out.
        BranchRule = "branch_rule",
        Archived = "archived",
        /// The account may not write to the repository.
        NotAllowed = "not_allowed",
        /// The repository, or its owner, has another name now.
        Moved = "moved",
    }
}
