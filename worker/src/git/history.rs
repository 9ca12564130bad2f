//! Reading commits: what a branch changed, what it says, the files it holds. All of it comes from the object
//! store by commit id, never from a worktree, so it cannot change while it is judged.

use super::call::Call;
use super::check;
use super::commit::path_of;
use super::error::GitError;
use super::repos::{Repos, commit_id};
use super::worktree::Worktree;
use orch_common::domain::stage::CommitId;
use std::path::PathBuf;
use tokio_util::sync::CancellationToken;

/// One commit of a log, newest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogEntry {
    pub id: CommitId,
    /// The author's name, as written there.
    pub author: String,
    /// When it was committed, milliseconds since the epoch.
    pub committed_at: i64,
    /// The first line of its message.
    pub subject: String,
}

/// A regular file of a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TreeFile {
    /// From the top of the repository.
    pub path: String,
    /// The whole file's size in bytes.
    pub size: u64,
    blob: String,
}

impl Repos {
    /// The head of a branch as the mirror last saw it on the forge.
    pub async fn forge_head(
        &self,
        repo: &str,
        branch: &str,
        cancel: &CancellationToken,
    ) -> Result<Option<CommitId>, GitError> {
        let name = format!("refs/remotes/origin/{}", check::branch(branch)?);
        self.resolve(&self.place(repo)?.mirror, &name, cancel).await
    }

    /// At most `limit` commits that `head` has and `base` has not, newest first.
    pub async fn log_since(
        &self,
        repo: &str,
        base: &CommitId,
        head: &CommitId,
        limit: u32,
        cancel: &CancellationToken,
    ) -> Result<Vec<LogEntry>, GitError> {
        let mirror = self.place(repo)?.mirror;
        let call = Call::bare(&mirror)
            .args(["log", "-z", "--no-show-signature", "--no-color", "--format=%H%n%an%n%ct%n%s"])
            .args([format!("--max-count={limit}"), format!("{base}..{head}"), "--".into()]);
        let output = self.git(&mirror, call, cancel).await?;
        output.stdout.split(|b| *b == 0).filter(|record| !record.is_empty()).map(log_entry).collect()
    }

    /// The files that `head` changed since it left `base` (both names of a renamed one), in git's order.
    pub async fn changed_files(
        &self,
        repo: &str,
        base: &CommitId,
        head: &CommitId,
        cancel: &CancellationToken,
    ) -> Result<Vec<PathBuf>, GitError> {
        self.changed(repo, base, head, &[], cancel).await
    }

    /// Those of the changed files that match one of `patterns` (from the top of the repository; `*` stops at
    /// a slash, `**` does not, a folder stands for everything below it). No patterns: none.
    pub async fn protected_paths_changed(
        &self,
        repo: &str,
        base: &CommitId,
        head: &CommitId,
        patterns: &[String],
        cancel: &CancellationToken,
    ) -> Result<Vec<PathBuf>, GitError> {
        if patterns.is_empty() {
            return Ok(Vec::new());
        }
        let spec = |pattern: &String| {
            let pattern = pattern.trim_matches('/');
            [format!(":(top,glob){pattern}"), format!(":(top,glob){pattern}/**")]
        };
        let specs: Vec<String> = patterns.iter().flat_map(spec).collect();
        self.changed(repo, base, head, &specs, cancel).await
    }

    /// Those of the files that match one of `patterns` (as above) which the worktree's branch would change at the
    /// forge by itself: neither what the base has nor what the forge's branch has already (a person put it there).
    pub async fn protected_paths_unpublished(
        &self,
        worktree: &Worktree,
        base: &str,
        patterns: &[String],
        cancel: &CancellationToken,
    ) -> Result<Vec<PathBuf>, GitError> {
        if patterns.is_empty() {
            return Ok(Vec::new());
        }
        let (repo, head) = (&worktree.repo, self.head(worktree, cancel).await?);
        let Some(base) = self.forge_head(repo, base, cancel).await? else {
            return Err(GitError::NotFound { what: format!("branch {base} of {repo}") });
        };
        let mut touched = self.protected_paths_changed(repo, &base, &head, patterns, cancel).await?;
        if let Some(published) = self.forge_head(repo, &worktree.branch, cancel).await? {
            let ours = self.protected_paths_changed(repo, &published, &head, patterns, cancel).await?;
            touched.retain(|path| ours.contains(path));
        }
        Ok(touched)
    }

    /// Whether the worktree's branch has commits that the forge never had. A branch that the forge has deleted since, or
    /// that has nothing beyond `base`, has none.
    pub async fn has_unpublished(
        &self,
        worktree: &Worktree,
        base: &str,
        cancel: &CancellationToken,
    ) -> Result<bool, GitError> {
        let (mirror, head) = (&worktree.mirror, self.head(worktree, cancel).await?);
        for published in [worktree.origin_ref(), worktree.synced_ref(), format!("refs/remotes/origin/{base}")] {
            if let Some(there) = self.resolve(mirror, &published, cancel).await?
                && self.is_ancestor(mirror, &head, &there, cancel).await?
            {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The tree of a commit.
    pub async fn tree_at(
        &self,
        repo: &str,
        commit: &CommitId,
        cancel: &CancellationToken,
    ) -> Result<CommitId, GitError> {
        let mirror = self.place(repo)?.mirror;
        let tree = format!("{commit}^{{tree}}");
        let call = Call::bare(&mirror).args(["rev-parse", "--verify", "--quiet", "--end-of-options", &tree]);
        commit_id(&self.git(&mirror, call, cancel).await?.line())
    }

    /// Which of `paths` are regular files in the commit. A symlink, a submodule or a folder is not one.
    pub async fn files_at(
        &self,
        repo: &str,
        commit: &CommitId,
        paths: &[String],
        cancel: &CancellationToken,
    ) -> Result<Vec<TreeFile>, GitError> {
        let mirror = self.place(repo)?.mirror;
        if paths.is_empty() {
            return Ok(Vec::new());
        }
        let call = Call::bare(&mirror)
            .env("GIT_LITERAL_PATHSPECS", "1")
            .args(["ls-tree", "-z", "-l", "--full-tree", commit.as_str(), "--"])
            .args(paths);
        let output = self.git(&mirror, call, cancel).await?;
        Ok(output.stdout.split(|b| *b == 0).filter_map(tree_file).filter(|f| paths.contains(&f.path)).collect())
    }

    /// The first `cap` bytes of a file, however large it is: no process holds all of it.
    pub async fn content(
        &self,
        repo: &str,
        file: &TreeFile,
        cap: usize,
        cancel: &CancellationToken,
    ) -> Result<Vec<u8>, GitError> {
        let mirror = self.place(repo)?.mirror;
        // What is larger than the threshold git streams; what is smaller it may hold.
        let stream = ["-c", "core.bigFileThreshold=1m"];
        let call = Call::bare(&mirror).args(stream).args(["cat-file", "blob", &file.blob]).cut_at(cap);
        Ok(self.git(&mirror, call, cancel).await?.stdout)
    }

    async fn changed(
        &self,
        repo: &str,
        base: &CommitId,
        head: &CommitId,
        specs: &[String],
        cancel: &CancellationToken,
    ) -> Result<Vec<PathBuf>, GitError> {
        let mirror = self.place(repo)?.mirror;
        let from = self.fork_point(&mirror, base, head, cancel).await?;
        let call = Call::bare(&mirror)
            .args(["diff-tree", "-r", "-z", "--name-only", "--no-renames", "--no-ext-diff", "--no-textconv"])
            .args([from.as_str(), head.as_str(), "--"])
            .args(specs);
        let output = self.git(&mirror, call, cancel).await?;
        Ok(output.stdout.split(|b| *b == 0).filter(|name| !name.is_empty()).map(path_of).collect())
    }

    /// Where `head` left `base`; `base` itself when they share nothing.
    pub(super) async fn fork_point(
        &self,
        mirror: &std::path::Path,
        base: &CommitId,
        head: &CommitId,
        cancel: &CancellationToken,
    ) -> Result<CommitId, GitError> {
        let call = Call::bare(mirror).args(["merge-base", base.as_str(), head.as_str()]);
        let output = self.try_git(mirror, call, cancel).await?;
        match output.code {
            0 => commit_id(&output.line()),
            1 => Ok(base.clone()),
            _ => Err(output.error()),
        }
    }
}

fn log_entry(record: &[u8]) -> Result<LogEntry, GitError> {
    let text = String::from_utf8_lossy(record);
    let mut lines = text.splitn(4, '\n');
    let mut next = || lines.next().unwrap_or_default().to_owned();
    let (id, author, seconds, subject) = (next(), next(), next(), next());
    let committed_at = seconds.parse::<i64>().unwrap_or(0).saturating_mul(1000);
    Ok(LogEntry { id: commit_id(&id)?, author, committed_at, subject })
}

/// `<mode> SP blob SP <id> SP+ <size> TAB <path>`; only modes of regular files count.
fn tree_file(line: &[u8]) -> Option<TreeFile> {
    let line = std::str::from_utf8(line).ok()?;
    let (about, path) = line.split_once('\t')?;
    let mut words = about.split_ascii_whitespace();
    let (mode, kind, blob, size) = (words.next()?, words.next()?, words.next()?, words.next()?);
    let regular = matches!(mode, "100644" | "100755" | "100664") && kind == "blob";
    let size = size.parse().ok()?;
    regular.then(|| TreeFile { path: path.to_owned(), size, blob: blob.to_owned() })
}
