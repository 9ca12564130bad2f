//! What lies between the commit that evidence was taken on and a later one: which files differ, and by whose commits.

use super::call::Call;
use super::error::GitError;
use super::refresh::Refreshed;
use super::repos::{Repos, commit_id};
use super::worktree::Worktree;
use orch_common::domain::evidence::{Drift, Step};
use orch_common::domain::stage::CommitId;
use std::collections::BTreeSet;
use std::path::Path;
use tokio_util::sync::CancellationToken;

/// The most that is read of a list of files or commits, in bytes. What goes beyond is not covered.
const LIST_CAP: usize = 1 << 20;
/// Commits that are read, and that are remembered as published at once.
const COMMITS: usize = 10_000;

/// Two commits of a task's branch.
#[derive(Debug, Clone, Copy)]
pub struct Span<'a> {
    pub repo: &'a str,
    /// The branch that the task's was cut from; its own commits are nobody's.
    pub base: &'a str,
    /// The folder of the work item's own documents.
    pub documents: &'a str,
    pub from: &'a CommitId,
    pub to: &'a CommitId,
}

impl Repos {
    /// What lies between the two commits; `ours` are the ids that we published.
    pub async fn drift(
        &self,
        span: Span<'_>,
        ours: &BTreeSet<String>,
        cancel: &CancellationToken,
    ) -> Result<Drift, GitError> {
        if span.from == span.to {
            return Ok(Drift::default());
        }
        let mirror = self.place(span.repo)?.mirror;
        if !self.has_commit(&mirror, span.from, cancel).await? {
            return Ok(Drift { unknown: true, ..Drift::default() });
        }
        let outside = format!(":(top,exclude,literal){}", span.documents);
        let inside = format!(":(top,literal){}", span.documents);
        let (documents, too_many) = self.files_between(&mirror, span, &inside, cancel).await?;
        let mut drift = Drift { documents, unknown: too_many, ..Drift::default() };
        // The answer must not depend on how many names are read.
        if self.differs(&mirror, span.from, span.to, std::slice::from_ref(&outside), cancel).await? {
            drift.work = self.files_between(&mirror, span, &outside, cancel).await?.0;
            drift.unknown |= drift.work.is_empty();
        } else if drift.documents.is_empty() && !drift.unknown {
            return Ok(drift);
        }
        drift.commits = self.steps(&mirror, span, ours, cancel).await?;
        Ok(drift)
    }

    /// The files that differ, and whether there are more than were read.
    async fn files_between(
        &self,
        mirror: &Path,
        span: Span<'_>,
        spec: &str,
        cancel: &CancellationToken,
    ) -> Result<(Vec<String>, bool), GitError> {
        let call = Call::bare(mirror)
            .args(["diff-tree", "-r", "-z", "--name-only", "--no-renames", "--no-ext-diff", "--no-textconv"])
            .args(["--ignore-submodules=none", span.from.as_str(), span.to.as_str(), "--", spec])
            .cut_at(LIST_CAP);
        let output = self.git(mirror, call, cancel).await?;
        let cut = output.stdout.len() >= LIST_CAP;
        Ok((output.stdout.split(|b| *b == 0).filter(|name| !name.is_empty()).map(text_of).collect(), cut))
    }

    /// The commits that the later one has, and the earlier one and the base have not.
    async fn steps(
        &self,
        mirror: &Path,
        span: Span<'_>,
        ours: &BTreeSet<String>,
        cancel: &CancellationToken,
    ) -> Result<Vec<Step>, GitError> {
        let mut call = Call::bare(mirror)
            .args(["log", "-z", "--no-color", "--no-show-signature", "--full-history", "-c", "--name-only"])
            .args(["--no-renames", "--no-ext-diff", "--no-textconv", "--format=%x01%H%x00%P%x00%an%x00"])
            .args([format!("--max-count={COMMITS}"), span.to.to_string(), format!("^{}", span.from)]);
        if let Some(base) = self.forge_head(span.repo, span.base, cancel).await? {
            call = call.args([format!("^{base}")]);
        }
        let output = self.git(mirror, call.args(["--"]).cut_at(LIST_CAP), cancel).await?;
        steps_of(&output.stdout, ours)
    }

    /// The commits of the worktree's branch that the forge has nowhere: what the next push publishes is our roles' work.
    pub async fn unpublished_commits(
        &self,
        worktree: &Worktree,
        cancel: &CancellationToken,
    ) -> Result<Vec<String>, GitError> {
        let (mirror, head) = (&worktree.mirror, self.head(worktree, cancel).await?);
        let mut call = Call::bare(mirror)
            .args(["rev-list".to_owned(), format!("--max-count={COMMITS}"), head.to_string(), "--not".into()])
            .args(["--remotes=origin"]);
        // A branch that the forge has deleted since had come from there all the same.
        if let Some(synced) = self.resolve(mirror, &worktree.synced_ref(), cancel).await? {
            call = call.args([synced.as_str()]);
        }
        self.ids(mirror, call, cancel).await
    }

    /// The commits that came with a join which changed no file: what they brought was ours before, whoever rewrote it.
    pub async fn joined_for_nothing(
        &self,
        repo: &str,
        joined: &Refreshed,
        cancel: &CancellationToken,
    ) -> Result<Vec<String>, GitError> {
        let (from, to) = match joined {
            Refreshed::FastForwarded { from, to } | Refreshed::Replaced { from, to } => (from, to),
            Refreshed::Unchanged | Refreshed::Merged { .. } => return Ok(Vec::new()),
        };
        if self.tree_at(repo, from, cancel).await? != self.tree_at(repo, to, cancel).await? {
            return Ok(Vec::new());
        }
        let mirror = self.place(repo)?.mirror;
        let call = Call::bare(&mirror).args(["rev-list".to_owned(), format!("--max-count={COMMITS}"), to.to_string()]);
        self.ids(&mirror, call.args(["--not", from.as_str()]), cancel).await
    }

    async fn ids(&self, mirror: &Path, call: Call<'_>, cancel: &CancellationToken) -> Result<Vec<String>, GitError> {
        let output = self.git(mirror, call, cancel).await?;
        Ok(String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect())
    }
}

/// Reads the log: each commit as `\x01<id>`, its parents and its author, then its files; every piece ends with NUL.
fn steps_of(log: &[u8], ours: &BTreeSet<String>) -> Result<Vec<Step>, GitError> {
    let mut steps: Vec<Step> = Vec::new();
    let mut pieces = log.split(|b| *b == 0);
    while let Some(piece) = pieces.next() {
        let piece = text_of(piece);
        if let Some(id) = piece.strip_prefix('\u{1}') {
            let (Some(parents), Some(author)) = (pieces.next(), pieces.next()) else { break };
            let is_merge = text_of(parents).contains(' ');
            let (id, ours) = (commit_id(id)?, ours.contains(id));
            steps.push(Step { id, author: text_of(author), ours, is_merge, files: Vec::new() });
            continue;
        }
        let file = piece.strip_prefix('\n').unwrap_or(&piece);
        if let Some(step) = steps.last_mut().filter(|_| !file.is_empty()) {
            step.files.push(file.to_owned());
        }
    }
    Ok(steps)
}

fn text_of(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
