//! Requested changes that nobody has acted on. What a reviewer says at the forge while work of the task is under way is
//! only recorded; whoever looks at the end of that work hears it here, each review once. A file that says "approved"
//! does not outvote a person.

use crate::clients::ApiError;
use crate::clients::gitea::{Review, standing_since};
use crate::context::Context;
use crate::events::{Once, review_counts};
use crate::git::GitError;
use orch_common::config::Project;
use orch_common::domain::decide::{ForgeEvent, Trigger};
use orch_common::domain::gate::FailReason;
use orch_common::domain::stage::Stage;
use orch_common::store::tasks::Task;

/// Characters of a review that are passed on.
const REASON_CHARS: usize = 1_000;

/// Somebody asks for changes.
pub(super) struct Rejection {
    /// The newest one's words.
    pub reason: FailReason,
    /// All of them.
    pub heard: Vec<Once>,
}

/// Whether this look has to ask. A person's command is the newer word, and a rejection of its own says it itself.
pub(super) fn hears_reviews(task: &Task, trigger: &Trigger) -> bool {
    task.stage == Stage::Review
        && match trigger {
            Trigger::AgentEnded { .. } | Trigger::Look => true,
            Trigger::Forge { what } => !matches!(what, ForgeEvent::ReviewRejected { .. }),
            Trigger::Appeared { .. } | Trigger::Command { .. } | Trigger::Answer { .. } | Trigger::Deleted { .. } => {
                false
            }
        }
}

/// The reviews of the branch's open pull request that ask for changes and have not acted.
pub(super) async fn unheard_rejection(
    ctx: &Context,
    project: &Project,
    task: &Task,
) -> Result<Option<Rejection>, GitError> {
    let unavailable = |e: ApiError| GitError::Unavailable { tail: e.to_string() };
    let Some(gitea) = &ctx.outside.gitea else { return Ok(None) };
    let Some(pull) = gitea.open_pull_for(&task.repo, &task.branch).await.map_err(unavailable)? else {
        return Ok(None);
    };
    let all = gitea.all_reviews(&task.repo, pull.number).await.map_err(unavailable)?;
    let mut unheard: Vec<(&Review, Once)> = Vec::new();
    for review in standing_since(&all, task.created_at).into_iter().filter(|r| r.rejects()) {
        let once = Once::review(&task.repo, review.id);
        let by = review.user.as_ref().map(|user| user.id).unwrap_or_default();
        if review_counts(ctx, project, by).await.map_err(unavailable)? && !was_taken(ctx, once.clone()).await? {
            unheard.push((review, once));
        }
    }
    let newest = unheard.iter().map(|(review, _)| *review).max_by_key(|r| (r.submitted_at, r.id));
    Ok(newest.map(|review| Rejection {
        reason: FailReason::PullRejected {
            reviewer: review.user.as_ref().map(|user| user.login.clone()).unwrap_or_default(),
            reason: review.words().chars().take(REASON_CHARS).collect(),
        },
        heard: unheard.into_iter().map(|(_, once)| once).collect(),
    }))
}

async fn was_taken(ctx: &Context, once: Once) -> Result<bool, GitError> {
    let asked = ctx.store.read(move |c| once.was_taken(c)).await;
    asked.map_err(|e| GitError::Unavailable { tail: e.to_string() })
}
