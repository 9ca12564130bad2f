//! Who can mend what went wrong: time, whoever works on the branch, or a person. Only time waits; a person is told at once, with
//! the words and the cure. Pure.

use crate::clients::causes::{Asked, What, diagnose_git};
use crate::git::GitError;
use orch_common::domain::fault::Fault;
use std::io;

/// Who.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mender {
    /// Nobody has to act: the same may work later.
    Time,
    /// The same, and it may be this host's disk that is away.
    Disk,
    /// Whoever works on the branch.
    Agent,
    /// Only a person.
    Person(Fault),
    /// A person, unless it passes: something outside refused, which a proxy or a service that starts does, too.
    Refusal,
}

/// Of a failure of the file system, or of starting a program.
pub fn of_io(error: &io::Error) -> Mender {
    use io::ErrorKind as Kind;
    let kind = error.kind();
    let is = |kinds: &[Kind]| kinds.contains(&kind);
    if is(&[Kind::PermissionDenied]) {
        Mender::Person(Fault::NoRight)
    } else if is(&[Kind::NotADirectory, Kind::IsADirectory, Kind::AlreadyExists]) || is_a_loop(error) {
        Mender::Person(Fault::InTheWay)
    } else if is(&[Kind::InvalidFilename, Kind::ArgumentListTooLong, Kind::FileTooLarge]) {
        Mender::Person(Fault::TooLarge)
    } else if is(&[Kind::ReadOnlyFilesystem, Kind::StorageFull, Kind::QuotaExceeded])
        || error.raw_os_error().is_some_and(|code| DISK_CODES.contains(&code))
    {
        Mender::Disk
    } else {
        Mender::Time
    }
}

/// EIO and ESTALE: the disk, or the server that it is on, gives no answers.
const DISK_CODES: [i32; 2] = [5, 116];

/// A link that leads to itself; its kind has no stable name.
fn is_a_loop(error: &io::Error) -> bool {
    error.raw_os_error() == Some(40)
}

/// Of a failure of git.
pub fn of_git(error: &GitError) -> Mender {
    match error {
        GitError::Unavailable { .. } | GitError::Timeout { .. } | GitError::Rejected { .. } | GitError::Cancelled => {
            Mender::Time
        }
        GitError::NoSpace => Mender::Disk,
        GitError::Conflict { .. } | GitError::Diverged { .. } => Mender::Agent,
        GitError::BadName { .. } => Mender::Person(Fault::BadName),
        GitError::InUse { .. } => Mender::Person(Fault::BranchTaken),
        GitError::TooLarge { .. } => Mender::Person(Fault::TooLarge),
        // Nobody outside was asked: the mirror was just fetched, and has no such branch.
        GitError::NotFound { what } if what.starts_with("branch ") => Mender::Person(Fault::NoBase),
        GitError::NotFound { .. } | GitError::AuthFailed { .. } | GitError::Declined { .. } => Mender::Refusal,
        // The next fetch brings everything anew; what the forge does not have nobody else has.
        GitError::Corrupt { .. } => Mender::Refusal,
        // These have messages of their own.
        GitError::Lfs(_) | GitError::Submodule(_) => Mender::Refusal,
        GitError::Io { source, .. } => of_io(source),
        GitError::Other { tail } => of_words(tail),
    }
}

/// What git says of itself and of the files around it, most specific first.
const WORDS: &[(&[&str], Mender)] = &[
    (&["Read-only file system"], Mender::Disk),
    (&["Input/output error"], Mender::Disk),
    (&["Stale file handle"], Mender::Disk),
    (&["unrelated histories"], Mender::Person(Fault::Unrelated)),
    (&["dubious ownership"], Mender::Person(Fault::ForeignOwner)),
    (&["cannot lock ref", "exists; cannot create"], Mender::Person(Fault::BranchInTheWay)),
    (&["cannot lock ref", "there is a non-empty directory"], Mender::Person(Fault::BranchInTheWay)),
    (&["refname conflict"], Mender::Person(Fault::BranchInTheWay)),
    // A lock of somebody who has it for a moment, or had it and was killed.
    (&[".lock': File exists"], Mender::Time),
    (&["Permission denied"], Mender::Person(Fault::NoRight)),
    (&["Operation not permitted"], Mender::Person(Fault::NoRight)),
    (&["Is a directory"], Mender::Person(Fault::InTheWay)),
    (&["Not a directory"], Mender::Person(Fault::InTheWay)),
    (&["File exists"], Mender::Person(Fault::InTheWay)),
    (&["ile name too long"], Mender::Person(Fault::TooLarge)),
    (&["Too many levels of symbolic links"], Mender::Person(Fault::InTheWay)),
];

fn of_words(text: &str) -> Mender {
    let fits = |words: &&(&[&str], Mender)| words.0.iter().all(|word| text.contains(word));
    WORDS.iter().find(fits).map_or(Mender::Time, |(_, mender)| *mender)
}

/// An error of git at a repository as people are told it: with the cure, where the fault is between us and the forge.
pub fn told(repo: &str, error: &GitError) -> String {
    let refused = of_git(error) == Mender::Refusal;
    let cause = refused.then(|| diagnose_git(&Asked::forge(What::Repo(repo)), error)).flatten();
    cause.map_or_else(|| error.to_string(), |cause| format!("{error}\n{}", cause.text()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use Mender::{Agent, Disk, Person, Refusal, Time};
    use orch_common::domain::stage::CommitId;

    #[test]
    fn what_the_system_answers_is_sorted_by_who_can_mend_it() {
        for (code, who) in [
            (1, Person(Fault::NoRight)),
            (13, Person(Fault::NoRight)),
            (17, Person(Fault::InTheWay)),
            (20, Person(Fault::InTheWay)),
            (21, Person(Fault::InTheWay)),
            (40, Person(Fault::InTheWay)),
            (36, Person(Fault::TooLarge)),
            (5, Disk),
            (28, Disk),
            (30, Disk),
            (116, Disk),
            (122, Disk),
            // Missing, interrupted, no processes, no memory, too many files, busy, being filled, timed out.
            (2, Time),
            (39, Time),
            (4, Time),
            (11, Time),
            (12, Time),
            (24, Time),
            (16, Time),
            (110, Time),
        ] {
            let error = io::Error::from_raw_os_error(code);
            assert_eq!(of_io(&error), who, "{error}");
        }
    }

    #[test]
    fn what_git_says_is_sorted_by_who_can_mend_it() {
        for (words, who) in [
            ("fatal: refusing to merge unrelated histories", Person(Fault::Unrelated)),
            ("error: open(\"x\"): Permission denied\nfatal: adding files failed", Person(Fault::NoRight)),
            ("fatal: Unable to create '/m/refs/heads/x.lock': File exists.", Time),
            ("fatal: Unable to create '/m/index.lock': Read-only file system", Disk),
            ("fatal: Unable to create '/m/packed-refs.lock': Permission denied", Person(Fault::NoRight)),
            (
                "fatal: update_ref failed for ref 'refs/heads/feature/x': cannot lock ref 'refs/heads/feature/x': 'refs/heads/feature' exists; cannot create 'refs/heads/feature/x'",
                Person(Fault::BranchInTheWay),
            ),
            (
                "error: cannot lock ref 'refs/heads/a': there is a non-empty directory '/m/refs/heads/a' blocking reference",
                Person(Fault::BranchInTheWay),
            ),
            ("fatal: detected dubious ownership in repository at '/m'", Person(Fault::ForeignOwner)),
            ("fatal: could not open '/m/HEAD': Is a directory", Person(Fault::InTheWay)),
            ("fatal: could not create leading directories of 'a/b': Not a directory", Person(Fault::InTheWay)),
            ("fatal: could not create work tree dir 'x': File exists", Person(Fault::InTheWay)),
            ("error: unable to create file x: File name too long", Person(Fault::TooLarge)),
            ("fatal: something that nobody has seen", Time),
        ] {
            assert_eq!(of_git(&GitError::Other { tail: words.into() }), who, "{words}");
        }
    }

    #[test]
    fn errors_of_git_are_sorted_by_who_can_mend_them() {
        let commit = || "a".repeat(40).parse::<CommitId>().unwrap();
        let text = String::new;
        for (error, who) in [
            (GitError::Unavailable { tail: text() }, Time),
            (GitError::Timeout { seconds: 1 }, Time),
            (GitError::Corrupt { tail: text() }, Refusal),
            (GitError::Rejected { tail: text() }, Time),
            (GitError::NoSpace, Disk),
            (GitError::Conflict { ours: commit(), theirs: commit(), paths: vec![] }, Agent),
            (GitError::Diverged { ours: commit(), theirs: commit() }, Agent),
            (GitError::NotFound { what: "branch main of acme/app".into() }, Person(Fault::NoBase)),
            (GitError::NotFound { what: "repository 'x' not found".into() }, Refusal),
            (GitError::AuthFailed { tail: text() }, Refusal),
            (GitError::Declined { why: text() }, Refusal),
            (GitError::BadName { what: "branch", given: text() }, Person(Fault::BadName)),
            (GitError::InUse { branch: text(), by: text() }, Person(Fault::BranchTaken)),
            (GitError::TooLarge { cap: 1 }, Person(Fault::TooLarge)),
            (
                GitError::Io { what: text(), source: io::Error::from(io::ErrorKind::PermissionDenied) },
                Person(Fault::NoRight),
            ),
        ] {
            assert_eq!(of_git(&error), who, "{error}");
        }
    }

    #[test]
    fn a_refusal_is_told_with_its_cure() {
        let refused = GitError::AuthFailed { tail: "fatal: Authentication failed for 'http://h/'".into() };
        let told = told("acme/app", &refused);
        assert!(told.contains("Authentication failed") && told.contains("gitea.token"), "{told}");
        assert_eq!(super::told("acme/app", &GitError::Timeout { seconds: 3 }), "git took longer than 3 s");
    }
}
