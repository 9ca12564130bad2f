//! Why the forge takes nothing of ours, as far as only a person can end it.

use crate::named_enum;

named_enum! {
    /// A forge that does not answer is none of them.
    pub enum Refusal ("reason") {
        /// A hook of the repository said no.
        Hook = "hook",
        /// Another branch's name is a folder of this one's, or the other way round.
        NameTaken = "name_taken",
        /// A rule of the branch keeps the account out.
        BranchRule = "branch_rule",
        Archived = "archived",
        Mirror = "mirror",
        /// The account may not write to the repository.
        NotAllowed = "not_allowed",
        /// The repository, or its owner, has another name now.
        Moved = "moved",
        /// It is not there, or the account may not see it.
        NotThere = "not_there",
        /// The repository has its pull requests switched off.
        PullsOff = "pulls_off",
        /// The account may not sign in.
        Suspended = "suspended",
        /// The account must choose a new password first.
        PasswordToChange = "password_to_change",
        /// The forge does not know the token.
        TokenUnknown = "token_unknown",
    }
}
