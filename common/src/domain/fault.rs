//! What is wrong on a worker's host, in a repository or in a project's settings that nobody but a person can mend.

use crate::named_enum;

named_enum! {
    /// Kinds of it; each has its cure.
    pub enum Fault ("fault") {
        /// A file or folder that the worker may not read or write.
        NoRight = "no_right",
        /// Something else is in the place of a file or folder.
        InTheWay = "in_the_way",
        /// Git refuses a repository that belongs to somebody else.
        ForeignOwner = "foreign_owner",
        /// A branch of another name is in the way of the task's branch.
        BranchInTheWay = "branch_in_the_way",
        /// The task's branch is the branch of another work item.
        BranchTaken = "branch_taken",
        /// The task's branch and what it is to be joined with have no commit in common.
        Unrelated = "unrelated",
        /// The branch that the work begins on is not at the forge.
        NoBase = "no_base",
        /// A name that cannot be one of a branch, a repository or a folder.
        BadName = "bad_name",
        /// Something is larger, or its path longer, than can be worked with.
        TooLarge = "too_large",
        /// The account that the agents are to run as is not there.
        NoAccount = "no_account",
        /// What is to start the agent cannot be used as it is set up.
        NoStart = "no_start",
        /// The project has no test command.
        NoTests = "no_tests",
        /// A program that the test command needs is not there.
        NoProgram = "no_program",
        /// What the test command names cannot be executed.
        NotExecutable = "not_executable",
    }
}
