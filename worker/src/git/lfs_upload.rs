//! LFS content reaches the forge before the commits whose pointers stand for it. The real git-lfs uploads it, told by us
//! where to and with what credentials: nothing of the branch (`.lfsconfig`) has a say. Without git-lfs, or where the
//! content is neither here nor there, nothing is pushed, and the commits and the content stay in the mirror.

use super::call::Call;
use super::error::{GitError, LfsFault};
use super::lfs::{self, LARGEST_POINTER, Pointer, Store};
use super::remote::Remote;
use super::repos::Repos;
use orch_common::domain::stage::CommitId;
use std::collections::BTreeSet;
use std::path::Path;
use tokio_util::sync::CancellationToken;

/// Blobs that are read, and objects that are sent, in one call.
const AT_A_TIME: usize = 1000;

impl Repos {
    /// Uploads what the pointers stand for that `head` would bring to the forge.
    pub(super) async fn send_lfs(
        &self,
        mirror: &Path,
        head: &CommitId,
        remote: &Remote,
        cancel: &CancellationToken,
    ) -> Result<(), GitError> {
        let pointers = self.new_pointers(mirror, head, cancel).await?;
        let store = Store::of(mirror);
        let (here, elsewhere): (Vec<Pointer>, Vec<Pointer>) = pointers.into_iter().partition(|p| store.has(p));
        self.find_at_forge(mirror, &elsewhere, here.len(), remote, cancel).await?;
        for some in here.chunks(AT_A_TIME) {
            let push = lfs_call(mirror, remote, self.settings().network_timeout).args(["push", "--object-id", REMOTE]);
            let output = self.try_git(mirror, push.args(some.iter().map(|p| &p.oid)), cancel).await?;
            if output.code != 0 {
                return Err(no_program(&output.error(), here.len()).unwrap_or_else(|| output.error()));
            }
        }
        if !here.is_empty() {
            tracing::info!(objects = here.len(), "LFS objects were uploaded");
        }
        Ok(())
    }

    /// A file that was brought back from history has its content at the forge and not here.
    async fn find_at_forge(
        &self,
        mirror: &Path,
        pointers: &[Pointer],
        others: usize,
        remote: &Remote,
        cancel: &CancellationToken,
    ) -> Result<(), GitError> {
        let mut nowhere = Vec::new();
        for pointer in pointers {
            let get = lfs_call(mirror, remote, self.settings().network_timeout).args(["smudge"]);
            let output = self.try_git(mirror, get.input(pointer.text().into_bytes()).cut_at(1), cancel).await?;
            if output.code == 0 && Store::of(mirror).has(pointer) {
                continue;
            }
            let error = output.error();
            match no_program(&error, pointers.len().saturating_add(others)) {
                Some(missing) => return Err(missing),
                None if matches!(error, GitError::Unavailable { .. } | GitError::AuthFailed { .. }) => {
                    return Err(error);
                }
                None => nowhere.push(pointer.oid.clone()),
            }
        }
        if nowhere.is_empty() { Ok(()) } else { Err(GitError::Lfs(LfsFault::NoContent { oids: nowhere })) }
    }

    /// The pointers in files that `head` has and no branch of the forge has, each once.
    async fn new_pointers(
        &self,
        mirror: &Path,
        head: &CommitId,
        cancel: &CancellationToken,
    ) -> Result<BTreeSet<Pointer>, GitError> {
        let used = Call::bare(mirror).args(["grep", "--quiet", "--fixed-strings", "-e", "filter=lfs", head.as_str()]);
        let used = self.try_git(mirror, used.args(["--", ":(top,glob)**/.gitattributes"]), cancel).await?;
        if used.code == 1 {
            return Ok(BTreeSet::new());
        }
        let list = ["rev-list", "--objects", "--no-object-names", head.as_str(), "--not", "--remotes=origin", "--"];
        let objects = self.git(mirror, Call::bare(mirror).args(list), cancel).await?.stdout;
        let check = Call::bare(mirror).args(["cat-file", "--batch-check=%(objectname) %(objecttype) %(objectsize)"]);
        let mut check = check.input(objects);
        check.cap = check.cap.saturating_mul(2);
        let kinds = self.git(mirror, check, cancel).await?.stdout;
        let small: Vec<&[u8]> = kinds.split(|b| *b == b'\n').filter_map(small_blob).collect();
        let mut found = BTreeSet::new();
        for some in small.chunks(AT_A_TIME) {
            let read = Call::bare(mirror).args(["cat-file", "--batch"]).input(some.join(&b'\n'));
            let read = self.git(mirror, read, cancel).await?.stdout;
            found.extend(blobs(&read).into_iter().filter_map(Pointer::parse));
        }
        Ok(found)
    }

    /// Takes over what an agent's own git-lfs has stored in its repository, for the pointers of its commits.
    pub(super) async fn adopt_lfs(
        &self,
        mirror: &Path,
        commits: &CommitId,
        git_dir: &Path,
        cancel: &CancellationToken,
    ) -> Result<(), GitError> {
        let store = Store::of(mirror);
        for pointer in self.new_pointers(mirror, commits, cancel).await? {
            if !lfs::adopt(&store, git_dir, &pointer).await? {
                tracing::warn!(oid = pointer.oid, "the agent's repository has not the content of an LFS pointer");
            }
        }
        Ok(())
    }
}

/// A name that no repository has configured.
const REMOTE: &str = "orch";

/// `git lfs`, with the forge as its one server.
fn lfs_call<'a>(mirror: &'a Path, remote: &Remote, within: std::time::Duration) -> Call<'a> {
    let url = format!("remote.{REMOTE}.url={}", remote.url());
    Call::bare(mirror)
        .args(["-c", &url, "-c", &format!("remote.lfsdefault={REMOTE}"), "-c", "lfs.repositoryformatversion=0"])
        .args(["lfs"])
        .network(remote, within)
}

fn no_program(error: &GitError, objects: usize) -> Option<GitError> {
    error.to_string().contains("'lfs' is not a git command").then_some(GitError::Lfs(LfsFault::NoProgram { objects }))
}

/// The id in a line of `--batch-check`, where the object may be a pointer.
fn small_blob(line: &[u8]) -> Option<&[u8]> {
    let text = std::str::from_utf8(line).ok()?;
    let (id, about) = text.split_once(' ')?;
    let size: u64 = about.strip_prefix("blob ")?.parse().ok()?;
    (size <= LARGEST_POINTER).then_some(id.as_bytes())
}

/// The contents in an answer of `cat-file --batch`.
fn blobs(mut answer: &[u8]) -> Vec<&[u8]> {
    let mut found = Vec::new();
    while let Some(end) = answer.iter().position(|b| *b == b'\n') {
        let size = answer.get(..end).and_then(|line| std::str::from_utf8(line).ok()?.rsplit_once(' ')?.1.parse().ok());
        let Some(size) = size else { break };
        let from = end.saturating_add(1);
        let Some(bytes) = answer.get(from..from.saturating_add(size)) else { break };
        found.push(bytes);
        answer = answer.get(from.saturating_add(size).saturating_add(1)..).unwrap_or_default();
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_contents_of_a_batch_are_told_apart_by_their_sizes() {
        let answer = b"aa blob 3\na\nb\nbb blob 0\n\ncc blob 1\nx\n";
        assert_eq!(blobs(answer), [&b"a\nb"[..], b"", b"x"]);
        assert!(blobs(b"").is_empty() && blobs(b"aa missing\n").is_empty() && blobs(b"aa blob 9\nx\n").is_empty());
        assert_eq!(small_blob(b"aa blob 1024"), Some(&b"aa"[..]));
        assert!(small_blob(b"aa blob 1025").is_none() && small_blob(b"aa tree 3").is_none());
    }
}
