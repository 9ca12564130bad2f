//! Why a git operation did not happen, by what the caller can do about it. Git tells most reasons only in
//! English on its error stream (calls run with `LANG=C.UTF-8`), so this is the one place that reads that text.

use orch_common::domain::refusal::Refusal;
use orch_common::domain::stage::CommitId;
use orch_common::domain::submodule::SubmoduleWhy;
use std::io;

/// A failed repository operation. Texts are cut, free of control characters and never hold a secret.
#[derive(Debug, thiserror::Error)]
pub enum GitError {
    /// A name that must not reach a path, a ref or a command line.
    #[error("'{given}' cannot be used as a {what}")]
    BadName { what: &'static str, given: String },
    /// The repository, branch or commit does not exist (a forge also says so when the account may not see it).
    #[error("not found: {what}")]
    NotFound { what: String },
    /// The forge does not accept our credentials.
    #[error("the forge refused our credentials: {tail}")]
    AuthFailed { tail: String },
    /// The forge cannot be reached, or broke off.
    #[error("the forge is not reachable: {tail}")]
    Unavailable { tail: String },
    /// Both sides changed the same lines; nothing was changed here. `paths` is empty when uncommitted work
    /// is what stands in the way.
    #[error("our {} and the forge's {} conflict in {} file(s)", ours.short(), theirs.short(), paths.len())]
    Conflict { ours: CommitId, theirs: CommitId, paths: Vec<String> },
    /// The forge's branch was rewritten under commits that only we have; a person must choose.
    #[error("the forge's branch was rewritten to {} under unpublished commits up to {}", theirs.short(), ours.short())]
    Diverged { ours: CommitId, theirs: CommitId },
    /// The forge's branch has commits that ours lacks (not a fast-forward), also after one refresh.
    #[error("the forge's branch moved on: {tail}")]
    Rejected { tail: String },
    /// The forge's own rules refuse the push (protected branch, hook).
    #[error("the forge declined the push: {why}")]
    Declined { why: String },
    /// The branch belongs to the worktree of another work item.
    #[error("branch {branch} is checked out for {by}")]
    InUse { branch: String, by: String },
    /// What git answered is larger than any sane answer.
    #[error("the answer is larger than {cap} bytes")]
    TooLarge { cap: usize },
    #[error("git took longer than {seconds} s")]
    Timeout { seconds: u64 },
    #[error("no space left on the device")]
    NoSpace,
    /// LFS content of the branch cannot reach the forge before a person acts; nothing was pushed.
    #[error(transparent)]
    Lfs(LfsFault),
    /// A submodule cannot be had before a person acts.
    #[error(transparent)]
    Submodule(Box<SubmoduleFault>),
    /// The local mirror is damaged; the next `ensure_mirror` or `fetch` rebuilds it.
    #[error("the mirror is damaged: {tail}")]
    Corrupt { tail: String },
    /// The caller gave up; what was started has been stopped.
    #[error("cancelled")]
    Cancelled,
    /// A file, a lock or the git program itself.
    #[error("{what}: {source}")]
    Io { what: String, source: io::Error },
    #[error("git failed: {tail}")]
    Other { tail: String },
}

/// Why LFS content is not at the forge. Commits and content are kept in the mirror.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LfsFault {
    #[error(
        "git-lfs is not installed where the worker runs, and {objects} LFS object(s) of the branch are to be uploaded"
    )]
    NoProgram { objects: usize },
    #[error("the content of these LFS objects is neither here nor at the forge: {}", oids.join(", "))]
    NoContent { oids: Vec<String> },
}

/// A submodule of the project that is not there, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("submodule {path} ({url}): {why}")]
pub struct SubmoduleFault {
    /// From the top of the repository, fit for a message.
    pub path: String,
    /// As the project names it, without a credential.
    pub url: String,
    pub why: SubmoduleWhy,
}

impl GitError {
    /// The fault lies with the machine, the network, the forge or the configuration, and says nothing about
    /// the work: try again later, charge nobody.
    pub fn is_infra(&self) -> bool {
        match self {
            GitError::NotFound { .. }
            | GitError::AuthFailed { .. }
            | GitError::Unavailable { .. }
            | GitError::Timeout { .. }
            | GitError::NoSpace
            | GitError::Corrupt { .. }
            | GitError::Cancelled
            | GitError::Io { .. }
            | GitError::InUse { .. }
            | GitError::Other { .. } => true,
            GitError::BadName { .. }
            | GitError::Conflict { .. }
            | GitError::Diverged { .. }
            | GitError::Rejected { .. }
            | GitError::Declined { .. }
            | GitError::Lfs(_)
            | GitError::Submodule(_)
            | GitError::TooLarge { .. } => false,
        }
    }

    /// Why the forge takes nothing of ours, where only a person can end that, and its words. A forge that is away, and one that
    /// says of a repository or of our credentials that it knows none, may mean it for a minute: these are none.
    pub fn refusal(&self) -> Option<(Refusal, String)> {
        let text = match self {
            GitError::Declined { why } => why,
            GitError::AuthFailed { tail } | GitError::Unavailable { tail } | GitError::Other { tail } => tail,
            GitError::NotFound { .. }
            | GitError::BadName { .. }
            | GitError::Conflict { .. }
            | GitError::Diverged { .. }
            | GitError::Rejected { .. }
            | GitError::InUse { .. }
            | GitError::TooLarge { .. }
            | GitError::Timeout { .. }
            | GitError::NoSpace
            | GitError::Lfs(_)
            | GitError::Submodule(_)
            | GitError::Corrupt { .. }
            | GitError::Cancelled
            | GitError::Io { .. } => return None,
        };
        let lower = text.to_lowercase();
        let known = REFUSALS.iter().find(|(words, _)| lower.contains(words)).map(|(_, why)| *why);
        let other = matches!(self, GitError::Declined { .. }).then_some(Refusal::Hook);
        Some((known.or(other)?, remote_words(text)))
    }

    pub(super) fn io(what: impl Into<String>, source: io::Error) -> GitError {
        if matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) {
            return GitError::NoSpace;
        }
        GitError::Io { what: what.into(), source }
    }
}

/// Words and the error they stand for, made from the text they were found in.
type Words = (&'static str, fn(String) -> GitError);

/// What git's words mean, most specific first. Only ever used on the error stream of a call that failed.
const WORDS: &[Words] = &[
    ("No space left on device", |_| GitError::NoSpace),
    ("Disk quota exceeded", |_| GitError::NoSpace),
    ("Authentication failed", |tail| GitError::AuthFailed { tail }),
    ("could not read Username", |tail| GitError::AuthFailed { tail }),
    ("could not read Password", |tail| GitError::AuthFailed { tail }),
    ("Permission denied (", |tail| GitError::AuthFailed { tail }),
    ("Host key verification failed", |tail| GitError::AuthFailed { tail }),
    ("returned error: 401", |tail| GitError::AuthFailed { tail }),
    ("returned error: 403", |tail| GitError::AuthFailed { tail }),
    ("returned error: 404", |tail| GitError::NotFound { what: tail }),
    ("returned error: 5", |tail| GitError::Unavailable { tail }),
    ("returned error: 429", |tail| GitError::Unavailable { tail }),
    ("epository not found", |tail| GitError::NotFound { what: tail }),
    ("' not found", |tail| GitError::NotFound { what: tail }),
    ("does not appear to be a git repository", |tail| GitError::NotFound { what: tail }),
    ("couldn't find remote ref", |tail| GitError::NotFound { what: tail }),
    ("Could not resolve host", |tail| GitError::Unavailable { tail }),
    ("Temporary failure in name resolution", |tail| GitError::Unavailable { tail }),
    ("Failed to connect", |tail| GitError::Unavailable { tail }),
    ("Could not connect", |tail| GitError::Unavailable { tail }),
    ("Connection ", |tail| GitError::Unavailable { tail }),
    ("Operation too slow", |tail| GitError::Unavailable { tail }),
    ("RPC failed", |tail| GitError::Unavailable { tail }),
    ("early EOF", |tail| GitError::Unavailable { tail }),
    ("unable to access '", |tail| GitError::Unavailable { tail }),
    ("hung up unexpectedly", |tail| GitError::Unavailable { tail }),
    ("not a git repository", |tail| GitError::Corrupt { tail }),
    ("bad object", |tail| GitError::Corrupt { tail }),
    ("missing object", |tail| GitError::Corrupt { tail }),
    ("is corrupt", |tail| GitError::Corrupt { tail }),
    ("unable to read tree", |tail| GitError::Corrupt { tail }),
    ("unable to read sha1 file", |tail| GitError::Corrupt { tail }),
    ("bad tree object", |tail| GitError::Corrupt { tail }),
    ("missing blob", |tail| GitError::Corrupt { tail }),
    (": bad file", |tail| GitError::Corrupt { tail }),
    ("invalid object", |tail| GitError::Corrupt { tail }),
    ("failed to read object", |tail| GitError::Corrupt { tail }),
    ("error: Could not read ", |tail| GitError::Corrupt { tail }),
    ("invalid sha1 pointer", |tail| GitError::Corrupt { tail }),
    ("could not parse commit", |tail| GitError::Corrupt { tail }),
    ("does not point to a valid object", |tail| GitError::Corrupt { tail }),
    ("cannot be accessed", |tail| GitError::Corrupt { tail }),
];

/// What the forge's words about a push mean, in lower case, most specific first.
const REFUSALS: &[(&str, Refusal)] = &[
    ("exists; cannot create", Refusal::NameTaken),
    ("repo is archived", Refusal::Archived),
    ("repository is archived", Refusal::Archived),
    ("user permission denied for writing", Refusal::NotAllowed),
    ("to protected branch", Refusal::BranchRule),
    ("protected branch hook declined", Refusal::BranchRule),
    ("returned error: 301", Refusal::Moved),
    ("returned error: 302", Refusal::Moved),
    ("returned error: 307", Refusal::Moved),
    ("returned error: 308", Refusal::Moved),
];

/// What the other side said, without git's own words around it; all of it where it said nothing.
fn remote_words(text: &str) -> String {
    let said = text.lines().filter_map(|line| line.trim().strip_prefix("remote:").map(str::trim));
    let said: Vec<&str> = said.filter(|line| !line.is_empty()).collect();
    if said.is_empty() { text.to_owned() } else { said.join("\n") }
}

/// The typed error for a call that ended with a failure and said `stderr`.
pub(super) fn classify(code: i32, stderr: &[u8]) -> GitError {
    let tail = clean_tail(stderr);
    let tail = if tail.is_empty() { format!("exit {code}, without a word") } else { tail };
    match WORDS.iter().find(|(words, _)| tail.contains(words)) {
        Some((_, make)) => make(tail),
        None => GitError::Other { tail },
    }
}

/// The end of an outside text, at most 2 KiB, fit for a log line or a comment.
pub(super) fn clean_tail(bytes: &[u8]) -> String {
    let from = bytes.len().saturating_sub(2048);
    let text = String::from_utf8_lossy(bytes.get(from..).unwrap_or_default());
    text.chars().filter(|c| *c == '\n' || !c.is_control()).collect::<String>().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gits_words_are_sorted_by_what_to_do() {
        type Case = (&'static str, fn(&GitError) -> bool);
        let cases: &[Case] = &[
            ("fatal: write error: No space left on device", |e| matches!(e, GitError::NoSpace)),
            ("fatal: Authentication failed for 'http://h/'", |e| matches!(e, GitError::AuthFailed { .. })),
            ("fatal: could not read Username for 'http://h': terminal prompts disabled", |e| {
                matches!(e, GitError::AuthFailed { .. })
            }),
            ("git@h: Permission denied (publickey).\nfatal: Could not read from remote repository.", |e| {
                matches!(e, GitError::AuthFailed { .. })
            }),
            ("fatal: repository 'http://h/a/b/' not found", |e| matches!(e, GitError::NotFound { .. })),
            ("fatal: '/x' does not appear to be a git repository", |e| matches!(e, GitError::NotFound { .. })),
            ("fatal: unable to access 'http://h/': The requested URL returned error: 502", |e| {
                matches!(e, GitError::Unavailable { .. })
            }),
            ("fatal: unable to access 'http://h/': Could not resolve host: h", |e| {
                matches!(e, GitError::Unavailable { .. })
            }),
            ("fatal: not a git repository: 'x'", |e| matches!(e, GitError::Corrupt { .. })),
            ("error: unable to read sha1 file of a.txt (0a)", |e| matches!(e, GitError::Corrupt { .. })),
            ("error: Could not read 0a\nfatal: Failed to traverse parents", |e| matches!(e, GitError::Corrupt { .. })),
            ("fatal: something else", |e| matches!(e, GitError::Other { .. })),
            ("", |e| matches!(e, GitError::Other { .. })),
        ];
        for (text, is) in cases {
            let err = classify(128, text.as_bytes());
            assert!(is(&err), "{text} -> {err:?}");
            assert!(err.is_infra(), "{err:?}");
        }
    }

    #[test]
    fn what_only_a_person_can_end_is_told_apart_with_the_forges_own_words() {
        use Refusal as P;
        let declined = |why: String| GitError::Declined { why };
        let auth = |tail: String| GitError::AuthFailed { tail };
        let away = |tail: String| GitError::Unavailable { tail };
        let other = |tail: String| classify(128, tail.as_bytes());
        let forbidden = "fatal: unable to access 'http://h/a/b.git/': The requested URL returned error: 403";
        let rows: Vec<(GitError, Option<(P, &str)>)> = vec![
            (
                declined(
                    "[remote rejected] (pre-receive hook declined) remote: No ticket in 'x'\nremote: \nerror: y".into(),
                ),
                Some((P::Hook, "")),
            ),
            (
                declined("pre-receive hook declined\nremote: No ticket\nremote: in the subject\nerror: failed".into()),
                Some((P::Hook, "No ticket\nin the subject")),
            ),
            (
                declined("hook declined\nremote: Gitea: Not allowed to push to protected branch feature/x".into()),
                Some((P::BranchRule, "Gitea: Not allowed to push to protected branch feature/x")),
            ),
            (
                auth(format!("remote: This repo is archived. You can view files but cannot push.\n{forbidden}")),
                Some((P::Archived, "This repo is archived. You can view files but cannot push.")),
            ),
            (
                auth(format!("remote: User permission denied for writing.\n{forbidden}")),
                Some((P::NotAllowed, "User permission denied for writing.")),
            ),
            (
                declined(
                    "remote: error: cannot lock ref 'refs/heads/feature/x': 'refs/heads/feature' exists; cannot create \
                     'refs/heads/feature/x'\n ! [remote rejected] HEAD -> feature/x (failed to update ref)"
                        .into(),
                ),
                Some((P::NameTaken, "")),
            ),
            (auth(forbidden.into()), None),
            (auth("fatal: Authentication failed for 'http://h/'".into()), None),
            (away("fatal: unable to access 'http://h/': The requested URL returned error: 502".into()), None),
            (
                other("fatal: unable to access 'http://h/': The requested URL returned error: 301".to_owned()),
                Some((P::Moved, "fatal: unable to access 'http://h/': The requested URL returned error: 301")),
            ),
            (other("fatal: repository 'http://h/a/b/' not found".to_owned()), None),
            (GitError::NoSpace, None),
        ];
        for (error, wanted) in rows {
            let found = error.refusal();
            match wanted {
                Some((why, "")) => assert_eq!(found.map(|f| f.0), Some(why), "{error}"),
                wanted => assert_eq!(found, wanted.map(|(why, words)| (why, words.to_owned())), "{error}"),
            }
        }
    }

    #[test]
    fn a_tail_is_short_and_harmless() {
        let noisy = format!("{}\u{1b}[31mred\r\nend\u{7}", "x".repeat(10_000));
        let tail = clean_tail(noisy.as_bytes());
        assert!(tail.len() <= 2048 && tail.ends_with("red\nend") && !tail.contains('\u{1b}'), "{tail}");
    }
}
