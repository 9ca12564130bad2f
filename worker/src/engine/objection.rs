//! Requested changes that nobody has acted on. What a reviewer says at the forge while work of the task is under way is
//! only recorded; whoever looks at the end of that work hears it here, each review once, at every stage from review to the merge.
//! A file that says "approved" does not outvote a person.

use super::seen::{Seen, unavailable};
use crate::clients::ApiError;
use crate::clients::gitea::{GiteaClient, Review, standing};
use crate::context::Context;
use crate::events::{Once, Voice};
use crate::git::GitError;
use orch_common::domain::decide::Trigger;
use orch_common::domain::gate::FailReason;
use orch_common::domain::stage::Stage;
use orch_common::store::tasks::Task;
use std::fmt::Write as _;

/// Characters of one review, of one comment on a line and of one piece of code that are passed on, and of all together.
const REVIEW_CHARS: usize = 2_000;
const LINE_CHARS: usize = 1_000;
const HUNK_CHARS: usize = 400;
const ALL_CHARS: usize = 12_000;

/// Comments on lines of one review that are passed on.
const LINES: usize = 30;

/// Somebody asks for changes.
pub(super) struct Rejection {
    /// The words of all of them.
    pub reason: FailReason,
    pub heard: Vec<Once>,
}

/// Whether this look has to ask. A person's command is the newer word, and a rejection of its own says it itself.
pub(super) fn hears_reviews(task: &Task, trigger: &Trigger) -> bool {
    matches!(task.stage, Stage::Review | Stage::Testing | Stage::Deploy)
        && match trigger {
            Trigger::AgentEnded { .. } | Trigger::Look | Trigger::Forge { .. } => true,
            Trigger::Appeared { .. } | Trigger::Command { .. } | Trigger::Answer { .. } | Trigger::Deleted { .. } => {
                false
            }
        }
}

/// The reviews of the task's own pull request that ask for changes, by those who may, and have not acted.
pub(super) async fn unheard_rejection(seen: &Seen<'_>) -> Result<Option<Rejection>, GitError> {
    let Seen { ctx, task, .. } = *seen;
    let (Some(gitea), Some(number)) = (&ctx.outside.gitea, task.pull) else { return Ok(None) };
    let all = seen.reviews().await.map_err(unavailable)?;
    let mut unheard: Vec<(&Review, Voice)> = Vec::new();
    for review in standing(all).into_iter().filter(|r| r.rejects()) {
        if let Some(voice) = seen.speakers().await.map_err(unavailable)?.voice(review)
            && !was_heard(ctx, task, review).await?
        {
            unheard.push((review, voice));
        }
    }
    if unheard.is_empty() {
        return Ok(None);
    }
    unheard.sort_by_key(|(review, _)| (review.submitted_at, review.id));
    let reason = words_of_all(gitea, task, number, &unheard).await.map_err(unavailable)?;
    let heard = unheard.iter().map(|(review, _)| Once::review(&task.repo, review.id)).collect();
    Ok(Some(Rejection { reason, heard }))
}

/// One reviewer: their words. Several: each with their name.
async fn words_of_all(
    gitea: &GiteaClient,
    task: &Task,
    number: i64,
    unheard: &[(&Review, Voice)],
) -> Result<FailReason, ApiError> {
    let (mut names, mut words) = (Vec::new(), Vec::new());
    for (review, _) in unheard {
        let lines = match review.comments_count {
            0 => Vec::new(),
            _ => gitea.line_comments(&task.repo, number, review.id).await?,
        };
        let mut text = cut(review.words(), REVIEW_CHARS);
        for line in lines.iter().take(LINES) {
            let place = format!("\n\n{}:{}: {}", cut(&line.path, 200), line.line(), cut(&line.body, LINE_CHARS));
            let _ = write!(text, "{place}\n{}", cut(&line.diff_hunk, HUNK_CHARS));
        }
        names.push(review.user.as_ref().map(|user| user.login.clone()).unwrap_or_default());
        words.push(text.trim().to_owned());
    }
    let text = match (names.as_slice(), words.as_slice()) {
        ([_], [one]) => one.clone(),
        (names, words) => {
            let each = names.iter().zip(words).map(|(name, text)| format!("{name}: {text}"));
            each.collect::<Vec<_>>().join("\n\n")
        }
    };
    let person = unheard.iter().any(|(_, voice)| *voice == Voice::Person);
    Ok(FailReason::PullRejected { reviewer: names.join(", "), reason: cut(&text, ALL_CHARS), person })
}

fn cut(text: &str, most: usize) -> String {
    text.trim().chars().take(most).collect()
}

/// Whether the task has acted on this review.
pub(crate) async fn was_heard(ctx: &Context, task: &Task, review: &Review) -> Result<bool, GitError> {
    let once = Once::review(&task.repo, review.id);
    let asked = ctx.store.read(move |c| once.was_taken(c)).await;
    asked.map_err(|e| GitError::Unavailable { tail: e.to_string() })
}
