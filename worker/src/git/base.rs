//! The branch and its base, asked of git and out of the object store: can they be merged, and what of the judged commit is
//! in the base after a merge that anybody made in any style. The forge says "conflict" also of what it has not looked at yet.

use super::call::Call;
use super::check;
use super::commit::path_of;
use super::error::GitError;
use super::remote::Remote;
use super::repos::{Repos, commit_id};
use super::worktree::Worktree;
use orch_common::domain::stage::CommitId;
use std::path::Path;
use tokio_util::sync::CancellationToken;

/// Files that are named to people.
const NAMED: usize = 20;

/// How a branch and its base go together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Joins {
    /// The base has all of the branch.
    InBase,
    /// The branch has all of the base.
    UpToDate,
    Cleanly,
    /// In these files.
    Conflicts(Vec<String>),
}

/// What a merge brought into the base, compared with what was judged: paths, without those of the work item's own documents.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Landed {
    /// Judged, and not in the base as it was judged.
    pub missing: Vec<String>,
    /// In the base by this merge, and never judged.
    pub unjudged: Vec<String>,
}

impl Landed {
    /// The base has what was judged, and nothing else.
    pub fn is_whole(&self) -> bool {
        self.missing.is_empty() && self.unjudged.is_empty()
    }
}

/// A merge to be compared with what was judged.
#[derive(Debug, Clone, Copy)]
pub struct Merge<'a> {
    /// The base's head now.
    pub base: &'a CommitId,
    pub judged: &'a CommitId,
    /// The commit that the forge names for the merge.
    pub commit: Option<&'a CommitId>,
    /// The folder of the work item's own documents.
    pub documents: &'a str,
}

impl Repos {
    /// How a branch's head and the base's go together.
    pub async fn joins(
        &self,
        repo: &str,
        base: &CommitId,
        head: &CommitId,
        cancel: &CancellationToken,
    ) -> Result<Joins, GitError> {
        let mirror = self.place(repo)?.mirror;
        if self.is_ancestor(&mirror, head, base, cancel).await? {
            return Ok(Joins::InBase);
        }
        if self.is_ancestor(&mirror, base, head, cancel).await? {
            return Ok(Joins::UpToDate);
        }
        Ok(match self.merged_tree(&mirror, base, head, cancel).await? {
            Ok(_) => Joins::Cleanly,
            Err(files) => Joins::Conflicts(files),
        })
    }

    /// What a merge brought into the base.
    pub async fn landed(&self, repo: &str, merge: Merge<'_>, cancel: &CancellationToken) -> Result<Landed, GitError> {
        let mirror = self.place(repo)?.mirror;
        let Merge { base, judged, commit, documents } = merge;
        let in_base = self.is_ancestor(&mirror, judged, base, cancel).await?;
        let Some(commit) = commit else { return Ok(absent(judged, in_base)) };
        if !self.has_commit(&mirror, commit, cancel).await? || !self.is_ancestor(&mirror, commit, base, cancel).await? {
            return Ok(absent(judged, in_base));
        }
        let parents = self.parents(&mirror, commit, cancel).await?;
        let merged = parents.get(1).unwrap_or(commit);
        if in_base {
            // What was merged goes on from what was judged, or is that itself.
            let more = merged != judged && self.is_ancestor(&mirror, judged, merged, cancel).await?;
            let unjudged = match more {
                true => self.paths_between(&mirror, judged, merged, documents, cancel).await?,
                false => Vec::new(),
            };
            return Ok(Landed { missing: Vec::new(), unjudged });
        }
        // Squashed or rebased, or another commit than the judged one: what would merging the judged one have made of it?
        let mut differing = vec![judged.short().to_owned()];
        for before in self.bases_before(&mirror, commit, &parents, judged, cancel).await? {
            let Ok(tree) = self.merged_tree(&mirror, &before, judged, cancel).await? else { continue };
            differing = self.paths_between(&mirror, &tree, commit, documents, cancel).await?;
            if differing.is_empty() {
                return Ok(Landed::default());
            }
        }
        let earlier = parents.len() < 2 || self.is_ancestor(&mirror, merged, judged, cancel).await?;
        Ok(match earlier {
            true => Landed { missing: differing, unjudged: Vec::new() },
            false => Landed { missing: vec![judged.short().to_owned()], unjudged: differing },
        })
    }

    /// Joins the branch with its base, in the worktree. No agent may be at work in it; needs a fetched mirror.
    pub async fn take_base(&self, worktree: &Worktree, base: &str, cancel: &CancellationToken) -> Result<(), GitError> {
        let name = format!("refs/remotes/origin/{}", check::branch(base)?);
        let Some(theirs) = self.resolve(&worktree.mirror, &name, cancel).await? else {
            return Err(GitError::NotFound { what: format!("branch {base} of {}", worktree.repo) });
        };
        self.join_with(worktree, theirs, cancel).await
    }

    /// Whether `head` is ahead of `from` by nothing but files of the work item's own folder.
    pub async fn adds_only_documents(
        &self,
        worktree: &Worktree,
        from: &CommitId,
        head: &CommitId,
        cancel: &CancellationToken,
    ) -> Result<bool, GitError> {
        let documents = format!("docs/work-items/{}", worktree.key);
        let mirror = &worktree.mirror;
        Ok(self.is_ancestor(mirror, from, head, cancel).await?
            && self.paths_between(mirror, from, head, &documents, cancel).await?.is_empty())
    }

    /// [`Repos::take_base`], and pushes the branch.
    pub async fn bring_up_to_date(
        &self,
        worktree: &Worktree,
        base: &str,
        remote: &Remote,
        cancel: &CancellationToken,
    ) -> Result<CommitId, GitError> {
        self.take_base(worktree, base, cancel).await?;
        Ok(self.push(worktree, remote, cancel).await?.head)
    }

    /// Where the base may have been before the merge: its first parent, or (rebased) as many commits back as were replayed.
    async fn bases_before(
        &self,
        mirror: &Path,
        commit: &CommitId,
        parents: &[CommitId],
        judged: &CommitId,
        cancel: &CancellationToken,
    ) -> Result<Vec<CommitId>, GitError> {
        let mut bases: Vec<CommitId> = parents.first().cloned().into_iter().collect();
        let call =
            Call::bare(mirror).args(["rev-list", "--count", "--no-merges", judged.as_str(), "--not", commit.as_str()]);
        let count = self.git(mirror, call, cancel).await?.line();
        let name = format!("{commit}~{}^{{commit}}", count.trim());
        let call = Call::bare(mirror).args(["rev-parse", "--verify", "--quiet", "--end-of-options", &name]);
        let output = self.try_git(mirror, call, cancel).await?;
        if output.code == 0 && parents.len() == 1 {
            bases.push(commit_id(&output.line())?);
        }
        Ok(bases)
    }

    async fn parents(
        &self,
        mirror: &Path,
        commit: &CommitId,
        cancel: &CancellationToken,
    ) -> Result<Vec<CommitId>, GitError> {
        let call = Call::bare(mirror).args(["rev-list", "--parents", "-n1", commit.as_str()]);
        let line = self.git(mirror, call, cancel).await?.line();
        line.split_whitespace().skip(1).map(commit_id).collect()
    }

    /// The tree that both make together, or the files in which they conflict.
    async fn merged_tree(
        &self,
        mirror: &Path,
        base: &CommitId,
        head: &CommitId,
        cancel: &CancellationToken,
    ) -> Result<Result<CommitId, Vec<String>>, GitError> {
        let call = Call::bare(mirror)
            .args(["merge-tree", "--write-tree", "--name-only", "--no-messages", "-z"])
            .args([base.as_str(), head.as_str()]);
        let output = self.try_git(mirror, call, cancel).await?;
        let mut parts = output.stdout.split(|b| *b == 0).filter(|part| !part.is_empty());
        let tree = String::from_utf8_lossy(parts.next().unwrap_or_default()).into_owned();
        match output.code {
            0 => Ok(Ok(commit_id(&tree)?)),
            1 => Ok(Err(named(parts.map(|name| path_of(name).to_string_lossy().into_owned())))),
            _ => Err(output.error()),
        }
    }

    /// The paths outside of `documents` in which two commits or trees differ.
    async fn paths_between(
        &self,
        mirror: &Path,
        from: &CommitId,
        to: &CommitId,
        documents: &str,
        cancel: &CancellationToken,
    ) -> Result<Vec<String>, GitError> {
        let call = Call::bare(mirror)
            .args(["diff-tree", "-r", "-z", "--name-only", "--no-renames", "--no-ext-diff", "--no-textconv"])
            .args([from.as_str(), to.as_str(), "--", &format!(":(top,exclude,literal){documents}")]);
        let output = self.git(mirror, call, cancel).await?;
        let names = output.stdout.split(|b| *b == 0).filter(|name| !name.is_empty());
        Ok(named(names.map(|name| path_of(name).to_string_lossy().into_owned())))
    }
}

/// The forge names no commit of the base: only history says whether the judged one is there.
fn absent(judged: &CommitId, in_base: bool) -> Landed {
    let missing = if in_base { Vec::new() } else { vec![judged.short().to_owned()] };
    Landed { missing, unjudged: Vec::new() }
}

/// The first ones, and how many more.
fn named(names: impl Iterator<Item = String>) -> Vec<String> {
    let one_line = |name: String| name.chars().map(|c| if c.is_control() { '?' } else { c }).collect();
    let mut all: Vec<String> = names.map(one_line).collect();
    all.dedup();
    let more = all.len().saturating_sub(NAMED);
    all.truncate(NAMED);
    all.extend((more > 0).then(|| format!("+{more}")));
    all
}
