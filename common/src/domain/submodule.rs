//! Why a submodule of a project is not in the folder of an agent.

use crate::named_enum;

named_enum! {
    /// Reasons that only a person can remove; a forge that does not answer is none of them.
    pub enum SubmoduleWhy ("reason") {
        /// Neither at the project's own forge nor at a host of `submodule_hosts`.
        Host = "host",
        /// No address that git may be given.
        Address = "address",
        /// A path that a checkout must not write to.
        Path = "path",
        /// The remote has not the commit that the project records, or there is no such repository.
        Commit = "commit",
        /// The remote refuses our credentials, or wants some.
        Credentials = "credentials",
        /// Submodules of submodules, too deep.
        Depth = "depth",
        /// Too many of them.
        Count = "count",
    }
}
