//! What one call of git is made of: arguments, the folders it is confined to, what it reads, how long it may
//! take. Folders are always named, never discovered: a `.git` file that an agent rewrote is not looked at.

use super::remote::Remote;
use super::workshop::Tenant;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

/// Enough for the file list of a huge change.
const DEFAULT_CAP: usize = 16 << 20;

/// Commands that only read or name objects: they start no program (no hook, filter, driver or transport), write to no
/// working tree, and are over in a moment.
const READERS: &[&str] = &[
    "cat-file",
    "check-attr",
    "diff-tree",
    "for-each-ref",
    "ls-files",
    "ls-tree",
    "merge-base",
    "rev-list",
    "rev-parse",
    "write-tree",
];

/// With one of these a reader runs a repository's filters all the same.
const FILTERING: &[&str] = &["--filters", "--textconv", "--modified"];

/// One call: arguments and where it runs.
#[derive(Debug)]
pub(super) struct Call<'a> {
    pub(super) args: Vec<OsString>,
    pub(super) env: Vec<(OsString, OsString)>,
    pub(super) dir: &'a Path,
    linked: Option<PathBuf>,
    pub(super) stdin: Input,
    /// `None` = the usual one for local calls.
    pub(super) timeout: Option<Duration>,
    /// The most that is read of the answer, in bytes.
    pub(super) cap: usize,
    /// Whether a longer answer is cut or an error.
    pub(super) cut: bool,
    /// Whose rights it has, if not the worker's.
    pub(super) tenant: Option<Tenant>,
}

/// What git reads.
#[derive(Debug)]
pub(super) enum Input {
    Nothing,
    Bytes(Vec<u8>),
    /// An open file that git merely holds, see [`Call::holding`].
    Held(Stdio),
}

impl<'a> Call<'a> {
    /// A call in the repository `git_dir` (bare, no worktree), with that as the current folder.
    pub(super) fn bare(git_dir: &'a Path) -> Call<'a> {
        Call {
            args: Vec::new(),
            env: vec![("GIT_DIR".into(), git_dir.into())],
            dir: git_dir,
            linked: None,
            stdin: Input::Nothing,
            timeout: None,
            cap: DEFAULT_CAP,
            cut: false,
            tenant: None,
        }
    }

    /// A call in a linked worktree whose three folders are all given, so that nothing inside it is believed.
    pub(super) fn linked(git_dir: &Path, common: &Path, work: &'a Path) -> Call<'a> {
        let mut call = Call::bare(work);
        call.linked = Some(git_dir.to_owned()).filter(|dir| dir != common);
        call.env = vec![
            ("GIT_DIR".into(), git_dir.into()),
            ("GIT_COMMON_DIR".into(), common.into()),
            ("GIT_WORK_TREE".into(), work.into()),
        ];
        call
    }

    /// The folder in which git keeps what it knows about the worktree, if the call is in one.
    pub(super) fn linked_dir(&self) -> Option<&Path> {
        self.linked.as_deref()
    }

    /// Whether something may be left to end when the call or the worker has ended: anything but a short read by the
    /// worker's own user.
    pub(super) fn needs_attendant(&self) -> bool {
        let mut rest = self.args.iter().map(|arg| arg.to_str().unwrap_or_default());
        let verb = loop {
            match rest.next() {
                Some("-c") => rest.next(),
                other => break other,
            };
        };
        let reads = verb.is_some_and(|verb| READERS.contains(&verb)) && !rest.any(|arg| FILTERING.contains(&arg));
        let talks = self.env.iter().any(|(name, _)| name == "GIT_ALLOW_PROTOCOL");
        !reads || talks || self.tenant.is_some()
    }

    /// More arguments.
    pub(super) fn args<S: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        self.args.extend(args.into_iter().map(|a| a.as_ref().to_owned()));
        self
    }

    pub(super) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.env.push((name.into(), value.as_ref().to_owned()));
        self
    }

    /// It is run by (and with the home of) this user, who owns the folders.
    pub(super) fn owned_by(mut self, tenant: &Tenant) -> Self {
        self.tenant = Some(tenant.clone());
        self
    }

    /// Without a variable that was set before.
    pub(super) fn without_env(mut self, name: &str) -> Self {
        self.env.retain(|(set, _)| set != name);
        self
    }

    /// Bytes for its standard input.
    pub(super) fn input(mut self, bytes: Vec<u8>) -> Self {
        self.stdin = Input::Bytes(bytes);
        self
    }

    /// Lets git hold an open (empty) file as its input: a lock on that file then lives as long as git does,
    /// also when the worker is killed in the middle.
    pub(super) fn holding(mut self, file: Stdio) -> Self {
        self.stdin = Input::Held(file);
        self
    }

    /// This call may use the network, and only to this remote.
    pub(super) fn network(mut self, remote: &Remote, timeout: Duration) -> Self {
        self.env.push(("GIT_ALLOW_PROTOCOL".into(), remote.scheme().into()));
        self.env.extend(remote.auth_env().into_iter().map(|(k, v)| (k.into(), v.into())));
        self.timeout = Some(timeout);
        self
    }

    /// Another limit than the usual one.
    pub(super) fn within(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Only the first `bytes` of the answer are wanted; a longer one is cut, not an error.
    pub(super) fn cut_at(mut self, bytes: usize) -> Self {
        self.cap = bytes;
        self.cut = true;
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_short_read_by_our_own_user_goes_without_an_attendant() {
        let here = Path::new("/repository.git");
        let call = |args: &[&str]| Call::bare(here).args(args);
        for reads in [
            &["rev-parse", "--verify", "HEAD"][..],
            &["-c", "core.bigFileThreshold=1m", "cat-file", "blob", "x"],
            &["ls-files", "-z", "--others", "--exclude-standard"],
        ] {
            assert!(!call(reads).needs_attendant(), "{reads:?}");
        }
        for acts in [
            &["fetch", "origin"][..],
            &["add", "--all"],
            &["cat-file", "--batch", "--filters"],
            &["ls-files", "--modified"],
            &["diff-index", "--cached", "HEAD"],
            &["-c", "alias.x=rev-parse", "x", "rev-parse"],
            &[],
        ] {
            assert!(call(acts).needs_attendant(), "{acts:?}");
        }
        let tenant = Tenant { uid: 1, gid: 1, home: "/nowhere".into() };
        assert!(call(&["rev-parse", "HEAD"]).owned_by(&tenant).needs_attendant(), "another user's process");
        let talks = call(&["rev-list", "HEAD"]).env("GIT_ALLOW_PROTOCOL", "https");
        assert!(talks.needs_attendant(), "a transport is a program");
    }
}
