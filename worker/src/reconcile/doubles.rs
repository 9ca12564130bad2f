//! Our own doubles. A create whose answer was lost is looked for before it is sent again, but a slow service may let the first
//! appear after that look: neither Plane nor the forge makes one of two that overlap. Whatever was sent twice is looked at
//! again once it is old enough; the oldest stays, and is the one that people may have seen.

use super::RoundError;
use crate::clients::ApiError;
use crate::clients::gitea::GiteaClient;
use crate::clients::plane::{Comment, EXTERNAL_SOURCE, Link, PlaneClient};
use crate::clock::now_ms;
use crate::context::Context;
use crate::effects::doubts::{self, Doubt};
use orch_common::domain::effect::Effect;
use orch_common::store::{StoreError, tasks};
use std::collections::HashSet;

/// Looks at what may be there twice.
pub(super) async fn remove(ctx: &Context) -> Result<(), StoreError> {
    doubts::forget_old(ctx, now_ms()).await?;
    for doubt in doubts::due(ctx, now_ms()).await? {
        match settle(ctx, &doubt).await {
            // What it was on is gone, and the doubles with it.
            Ok(()) | Err(RoundError::Outside(ApiError::NotFound)) => doubts::settle(ctx, doubt.job).await?,
            Err(error) => {
                tracing::warn!(%error, job = doubt.job, "what may be there twice could not be looked at; again next round");
            }
        }
    }
    Ok(())
}

async fn settle(ctx: &Context, Doubt { task, effect, .. }: &Doubt) -> Result<(), RoundError> {
    match (effect, &ctx.outside.plane, &ctx.outside.gitea) {
        (Effect::PlaneComment { project, work_item, .. }, Some(plane), _) => {
            let thread = plane.comments(project, work_item).await?;
            of_thread(ctx, plane, (project, work_item), &thread).await
        }
        (Effect::PlaneLink { project, work_item, url, .. }, Some(plane), _) => {
            for double in doubled_links(ctx, plane.links(project, work_item).await?, url).await? {
                tracing::warn!(work_item, url, "a second link of ours is deleted");
                plane.delete_link(project, work_item, &double.id).await?;
            }
            Ok(())
        }
        (Effect::GiteaPull { repo, branch, base, .. }, _, Some(gitea)) => {
            pulls(ctx, gitea, (repo, branch, base), *task).await
        }
        (Effect::GiteaReview { repo, key, .. }, ..) => {
            let (Some(number), Some(reviewer)) = (pull_of(ctx, *task).await?, &ctx.outside.reviewer) else {
                return Ok(());
            };
            // The forge counts the newest verdict of an account, so that is the one that stays.
            for double in reviewer.reviews_under(repo, number, key).await?.iter().rev().skip(1) {
                tracing::warn!(repo, number, key, "a second review of ours is deleted");
                reviewer.delete_review(repo, number, double.id).await?;
            }
            Ok(())
        }
        (Effect::GiteaComment { repo, key, .. } | Effect::GiteaGiveUp { repo, key, .. }, _, Some(gitea)) => {
            let Some(number) = pull_of(ctx, *task).await? else { return Ok(()) };
            for double in gitea.comments_under(repo, number, key).await?.iter().skip(1) {
                tracing::warn!(repo, number, key, "a second comment of ours is deleted");
                gitea.delete_comment(repo, double.id).await?;
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

async fn pull_of(ctx: &Context, task: Option<i64>) -> Result<Option<i64>, StoreError> {
    let Some(task) = task else { return Ok(None) };
    Ok(ctx.store.read(move |c| tasks::get(c, task)).await?.and_then(|task| task.pull))
}

/// Open pull requests of ours from this branch to this base, but for the task's own. One that was just made twice is among those
/// that changed last.
async fn pulls(
    ctx: &Context,
    gitea: &GiteaClient,
    (repo, branch, base): (&str, &str, &str),
    task: Option<i64>,
) -> Result<(), RoundError> {
    let me = gitea.me().await?.id;
    let mut ours = gitea.newest_open_pulls(repo).await?;
    ours.retain(|pull| pull.is_of(me, branch, base));
    let own = pull_of(ctx, task).await?.or(ours.iter().map(|pull| pull.number).min());
    for double in ours.iter().filter(|pull| Some(pull.number) != own) {
        tracing::warn!(repo, number = double.number, "a second pull request of ours for one branch is closed");
        gitea.close_pull(repo, double.number).await?;
    }
    Ok(())
}

/// Deletes what a thread that was read anyway has twice of ours.
pub(super) async fn of_thread(
    ctx: &Context,
    plane: &PlaneClient,
    (project, work_item): (&str, &str),
    thread: &[Comment],
) -> Result<(), RoundError> {
    for double in doubled_comments(thread) {
        let Some(actor) = &double.actor else { continue };
        // Anybody may give a comment this source by the API.
        if ctx.accounts.is_own_in_plane(&ctx.outside, actor).await? {
            tracing::warn!(work_item, key = double.external_id, "a second comment of ours is deleted");
            plane.delete_comment(project, work_item, &double.id).await?;
        }
    }
    Ok(())
}

/// All but the oldest of each author and key.
fn doubled_comments(thread: &[Comment]) -> Vec<&Comment> {
    let mut ours: Vec<&Comment> =
        thread.iter().filter(|c| c.external_source.as_deref() == Some(EXTERNAL_SOURCE)).collect();
    ours.sort_by_key(|c| (c.created_at, c.id.clone()));
    let mut seen = HashSet::new();
    ours.retain(|c| c.external_id.is_some() && !seen.insert((&c.actor, &c.external_id)));
    ours
}

/// All but the oldest of ours to this address; a person's counts as the one that is there.
async fn doubled_links(ctx: &Context, mut links: Vec<Link>, url: &str) -> Result<Vec<Link>, RoundError> {
    links.retain(|link| link.url == url);
    links.sort_by_key(|link| (link.created_at, link.id.clone()));
    let mut doubled = Vec::new();
    for link in links.into_iter().skip(1) {
        let Some(by) = &link.created_by else { continue };
        if ctx.accounts.is_own_in_plane(&ctx.outside, by).await? {
            doubled.push(link);
        }
    }
    Ok(doubled)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn comment(id: &str, actor: &str, key: Option<&str>, created_at: i64) -> Comment {
        Comment {
            id: id.into(),
            actor: Some(actor.into()),
            created_by: None,
            updated_by: None,
            comment_html: String::new(),
            external_source: key.map(|_| EXTERNAL_SOURCE.to_owned()),
            external_id: key.map(str::to_owned),
            created_at,
            updated_at: created_at,
        }
    }

    #[test]
    fn the_oldest_of_each_key_stays() {
        let other = Comment { external_source: Some("jira".into()), ..comment("x2", "bot", Some("k1"), 9) };
        let thread = [
            comment("c", "bot", Some("k1"), 30),
            comment("b", "bot", Some("k1"), 20),
            comment("a", "bot", Some("k1"), 10),
            comment("d", "bot", Some("k2"), 10),
            comment("e", "anna", None, 10),
            comment("f", "anna", None, 10),
            comment("g", "anna", Some("k1"), 5),
            other,
        ];
        let ids: Vec<&str> = doubled_comments(&thread).iter().map(|c| c.id.as_str()).collect();
        assert_eq!(ids, ["b", "c"], "who writes our source is a voice of its own, and no key is no double");
        assert!(doubled_comments(&[]).is_empty());
    }
}
