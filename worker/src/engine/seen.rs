//! What one look reads of the task's own pull request at the forge: each thing once, when it is first asked for, and the same for
//! all that ask. What is said there later is told by an event, and found by the next look.

use crate::clients::ApiError;
use crate::clients::gitea::{Branch, Pull, Review};
use crate::context::Context;
use crate::events::Speakers;
use crate::git::GitError;
use orch_common::config::Project;
use orch_common::store::tasks::Task;
use tokio::sync::OnceCell;

/// The forge as one look sees it.
pub struct Seen<'a> {
    pub ctx: &'a Context,
    pub project: &'a Project,
    pub task: &'a Task,
    pull: OnceCell<Option<Pull>>,
    reviews: OnceCell<Vec<Review>>,
    base: OnceCell<Option<Branch>>,
    speakers: OnceCell<Speakers>,
}

impl<'a> Seen<'a> {
    /// Nothing is read yet.
    pub fn new(ctx: &'a Context, project: &'a Project, task: &'a Task) -> Seen<'a> {
        let (pull, reviews, base, speakers) = Default::default();
        Seen { ctx, project, task, pull, reviews, base, speakers }
    }

    /// The task's own pull request; `None` = there is none yet, or no longer, or no forge to have one.
    pub async fn pull(&self) -> Result<Option<&Pull>, ApiError> {
        let (Some(gitea), Some(number)) = (&self.ctx.outside.gitea, self.task.pull) else { return Ok(None) };
        Ok(self.pull.get_or_try_init(|| gitea.pull(&self.task.repo, number)).await?.as_ref())
    }

    /// Its reviews, in the order of the forge; none where it is not there.
    pub async fn reviews(&self) -> Result<&[Review], ApiError> {
        let (Some(gitea), Some(number)) = (&self.ctx.outside.gitea, self.task.pull) else { return Ok(&[]) };
        let ask = || async {
            match gitea.all_reviews(&self.task.repo, number).await {
                Err(ApiError::NotFound) => Ok(Vec::new()),
                other => other,
            }
        };
        Ok(self.reviews.get_or_try_init(ask).await?)
    }

    /// The branch that it goes to, with its rule.
    pub async fn base(&self) -> Result<Option<&Branch>, ApiError> {
        let Some(gitea) = &self.ctx.outside.gitea else { return Ok(None) };
        Ok(self.base.get_or_try_init(|| gitea.branch(&self.task.repo, &self.task.base)).await?.as_ref())
    }

    /// Whose reviews count.
    pub async fn speakers(&self) -> Result<&Speakers, ApiError> {
        self.speakers.get_or_try_init(|| Speakers::of(self.ctx, self.project)).await
    }
}

/// The forge did not answer: the look is made again.
pub(super) fn unavailable(error: ApiError) -> GitError {
    GitError::Unavailable { tail: error.to_string() }
}
