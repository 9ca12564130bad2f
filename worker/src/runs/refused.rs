//! Why a start came to nothing.

use crate::clients::ApiError;
use crate::engine::needs_a_person;
use crate::git::GitError;
use crate::mend::{Mender, of_git};
use orch_common::domain::fault::Fault;
use orch_common::domain::messages::Message;
use orch_common::store::StoreError;

/// Why there will be no run.
pub(super) enum Refused {
    /// The worker stops; the row stays as it is.
    Stopping,
    /// Another worker has the job.
    NotOurs,
    /// The task went elsewhere meanwhile.
    NotWanted { why: String },
    /// The work item cannot be read now.
    Unread { error: ApiError },
    /// There is no such work item any more, or it is put away.
    Gone { archived: bool },
    /// The task waits for a mend at the forge.
    Held { message: Message },
    /// Money or a loop: the task is blocked.
    Block { message: Message },
    /// What time mends: the forge, the network, a lock, the disk. Charged to nobody.
    Later {
        why: String,
        /// It may be the disk that is away.
        disk: bool,
    },
}

impl From<StoreError> for Refused {
    fn from(error: StoreError) -> Self {
        Refused::Later { why: error.to_string(), disk: false }
    }
}

impl Refused {
    /// An account or a setting that is not as it should be.
    pub(super) fn person(fault: Fault, words: &impl ToString) -> Refused {
        Refused::Block { message: Message::NeedsAPerson { fault, words: words.to_string() } }
    }
}

impl From<GitError> for Refused {
    fn from(error: GitError) -> Self {
        if matches!(error, GitError::Cancelled) {
            return Refused::Stopping;
        }
        match needs_a_person(&error) {
            Some(message) => Refused::Block { message },
            None => {
                let disk = of_git(&error) == Mender::Disk;
                Refused::Later { why: format!("the worktree could not be made: {error}"), disk }
            }
        }
    }
}
