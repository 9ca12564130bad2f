//! Everything that touches a repository: one mirror per repository, one worktree per task, commits, pushes
//! and what can be read from a commit. It drives the git command line (never a library, never a shell) and
//! trusts nothing that an agent or a remote may have written: see `call` and `command` for how a call is fenced.
//!
//! It decides nothing: which branch, when to push and what a conflict means for a task is the engine's.
//!
//! Layout under [`Repos`]' root: `<owner>/<name>/mirror.git` (branches of the forge under
//! `refs/remotes/origin/`, the tasks' own under `refs/heads/`), `<owner>/<name>/work/<KEY>`,
//! `<owner>/<name>/lock`; where the tests run, `.tests/<owner>/<name>/<KEY>`; where agents have a user of their own,
//! `.agents/<owner>/<name>/<KEY>`. Refs of our own: `refs/orch/preserved/<KEY>/<n>` (what agents left beside the branch)
//! and `refs/orch/synced/<KEY>` (where the task's branch and the forge last agreed).

mod account;
mod adopt;
mod base;
mod caches;
mod call;
mod check;
mod checkout;
mod clash;
mod command;
mod commit;
mod config_pin;
mod delete;
mod dirt;
mod drift;
mod error;
mod fetch;
pub(crate) mod group;
mod handover;
mod history;
mod index_file;
mod left_locks;
mod lfs;
mod lfs_upload;
mod lock;
mod memory;
mod mirror;
mod nested;
mod packed_refs;
mod preserve;
pub mod probe;
mod push;
mod refresh;
mod refs;
mod remote;
mod repos;
mod round;
mod settle;
mod shared;
mod shop_account;
mod special;
mod staging;
mod stray;
mod submodule_address;
mod submodule_list;
mod submodules;
mod take_in;
mod tidy;
mod workshop;
mod worktree;

#[cfg(test)]
mod tests;
#[cfg(test)]
pub(crate) use delete::tests::dig;

pub use account::Ended;
pub use base::{Joins, Landed, Merge};
pub use checkout::{Checkout, Judged};
pub use command::GitSettings;
pub use commit::Identity;
pub(crate) use delete::delete;
pub use drift::Span;
pub use error::{GitError, LfsFault, SubmoduleFault};
pub use history::{LogEntry, TreeFile};
pub use push::Pushed;
pub use refresh::Refreshed;
pub use remote::{AuthHeader, Remote};
pub use repos::Repos;
pub use round::Round;
pub use submodule_address::SubmoduleRules;
pub use submodules::SubmoduleFolder;
pub use workshop::{Tenant, Workshop};
pub use worktree::{Site, Worktree};
