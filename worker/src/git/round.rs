//! What a round of work changed: trees are compared, by commit id and out of the object store, so that commits which
//! undo each other, empty ones and a merged base count as what they are.

use super::call::Call;
use super::error::GitError;
use super::repos::Repos;
use orch_common::domain::decide::Changed;
use orch_common::domain::stage::CommitId;
use std::path::Path;
use tokio_util::sync::CancellationToken;

/// A round of work on a task's branch.
#[derive(Debug, Clone)]
pub struct Round<'a> {
    /// The branch that the task's was cut from.
    pub base: &'a str,
    /// The branch's head when the round began; `None` = it was not seen before.
    pub began_at: Option<CommitId>,
    /// The folder of the work item's own documents.
    pub documents: String,
}

impl Repos {
    /// What `head` has that the branch had not when the round began, and that the base has not either: a base that was
    /// merged in is nobody's work, and work that was taken back is none.
    pub async fn changed_in_round(
        &self,
        repo: &str,
        round: &Round<'_>,
        head: &CommitId,
        cancel: &CancellationToken,
    ) -> Result<Changed, GitError> {
        let mirror = self.place(repo)?.mirror;
        let Some(base) = self.forge_head(repo, round.base, cancel).await? else {
            return Err(GitError::NotFound { what: format!("branch {} of {repo}", round.base) });
        };
        let fork = self.fork_point(&mirror, &base, head, cancel).await?;
        let against_base = self.changed_between(&mirror, &fork, head, &round.documents, cancel).await?;
        // A rewritten branch may have left the commit behind.
        match &round.began_at {
            Some(began) if self.has_commit(&mirror, began, cancel).await? => {
                Ok(against_base.min(self.changed_between(&mirror, began, head, &round.documents, cancel).await?))
            }
            Some(_) | None => Ok(against_base),
        }
    }

    pub(super) async fn has_commit(
        &self,
        mirror: &Path,
        id: &CommitId,
        cancel: &CancellationToken,
    ) -> Result<bool, GitError> {
        let call = Call::bare(mirror).args(["cat-file", "-e", &format!("{id}^{{commit}}")]);
        Ok(self.try_git(mirror, call, cancel).await?.code == 0)
    }

    async fn changed_between(
        &self,
        mirror: &Path,
        from: &CommitId,
        to: &CommitId,
        documents: &str,
        cancel: &CancellationToken,
    ) -> Result<Changed, GitError> {
        let outside = [format!(":(top,exclude,literal){documents}")];
        if self.differs(mirror, from, to, &outside, cancel).await? {
            return Ok(Changed::Work);
        }
        Ok(match self.differs(mirror, from, to, &[], cancel).await? {
            true => Changed::Documents,
            false => Changed::Nothing,
        })
    }

    pub(super) async fn differs(
        &self,
        mirror: &Path,
        from: &CommitId,
        to: &CommitId,
        specs: &[String],
        cancel: &CancellationToken,
    ) -> Result<bool, GitError> {
        let call = Call::bare(mirror)
            .args(["diff-tree", "-r", "--quiet", "--no-renames", "--no-ext-diff", "--no-textconv"])
            .args(["--ignore-submodules=none", from.as_str(), to.as_str(), "--"])
            .args(specs);
        let output = self.try_git(mirror, call, cancel).await?;
        match output.code {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(output.error()),
        }
    }
}
