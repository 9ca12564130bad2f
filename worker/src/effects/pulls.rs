//! Writes on the task's own pull request: finding it, comments, reviews, and requests for one.

use super::send::{SendError, Sent, once};
use crate::clients::ApiError;
use crate::clients::gitea::{Asked, GiteaClient, NewPull, NewReview, Pull, PullFilter, Review, standing};
use orch_common::domain::messages::to_markdown;
use orch_common::domain::stage::CommitId;

/// The task's own pull request where it is there already: by its number, else the one of this branch and base that we opened
/// first, else a person's: of one branch and base only one can be open.
pub(super) async fn found_pull(
    gitea: &GiteaClient,
    repo: &str,
    new: &NewPull<'_>,
    known: Option<i64>,
) -> Result<Option<Pull>, ApiError> {
    if let Some(number) = known {
        return gitea.pull(repo, number).await;
    }
    let me = gitea.me().await?.id;
    let mut open = gitea.pulls_for(repo, new.branch, PullFilter::Open).await?;
    open.retain(|pull| pull.base.label == new.base);
    open.sort_by_key(|pull| (!pull.is_of(me, new.branch, Some(new.base)), pull.number));
    // An answer that was lost, or a worker that was killed while it waited, may have left two of ours.
    for double in open.iter().skip(1).filter(|pull| pull.is_of(me, new.branch, Some(new.base))) {
        tracing::warn!(repo, number = double.number, "a second pull request of ours for one branch is closed");
        gitea.close_pull(repo, double.number).await?;
    }
    Ok(open.into_iter().next())
}

/// The task's own pull request: by its number; where that is not known yet, the newest one of the branch that we opened.
pub(super) async fn own_pull(
    gitea: &GiteaClient,
    repo: &str,
    branch: &str,
    known: Option<i64>,
) -> Result<Option<Pull>, ApiError> {
    if let Some(number) = known {
        return gitea.pull(repo, number).await;
    }
    let me = gitea.me().await?.id;
    let mut ours = gitea.pulls_for(repo, branch, PullFilter::All).await?;
    ours.retain(|pull| pull.is_of(me, branch, None));
    ours.sort_by_key(|pull| (!pull.is_open(), std::cmp::Reverse(pull.number)));
    Ok(ours.into_iter().next())
}

pub(super) async fn comment(
    gitea: &GiteaClient,
    repo: &str,
    pull: Option<Pull>,
    key: &str,
    text: &str,
) -> Result<Sent, SendError> {
    let Some(pull) = pull else { return Ok(Sent::Skipped { why: "there is no pull request".into() }) };
    let new = gitea.post_comment_once(repo, pull.number, key, &to_markdown(text)).await?;
    Ok(once(new, format!("comment on #{}", pull.number)))
}

/// Of a task that nobody wants any more. What is merged or closed already is left alone.
pub(super) async fn give_up(
    gitea: &GiteaClient,
    repo: &str,
    pull: Option<Pull>,
    (key, text): (&str, Option<&str>),
    close: bool,
) -> Result<Sent, SendError> {
    let Some(pull) = pull.filter(Pull::is_open) else {
        return Ok(Sent::Skipped { why: "there is no open pull request".into() });
    };
    let mut new = false;
    if let Some(text) = text {
        new = gitea.post_comment_once(repo, pull.number, key, &to_markdown(text)).await?;
    }
    if close {
        gitea.close_pull(repo, pull.number).await?;
    }
    Ok(once(new || close, format!("pull request #{} given up", pull.number)))
}

/// Open again, if it was closed without a merge.
pub(super) async fn reopen(gitea: &GiteaClient, repo: &str, pull: Option<Pull>) -> Result<Sent, SendError> {
    let Some(pull) = pull.filter(|pull| !pull.merged) else {
        return Ok(Sent::Skipped { why: "there is no pull request to open again".into() });
    };
    let closed = !pull.is_open();
    if closed {
        gitea.reopen_pull(repo, pull.number).await?;
    }
    Ok(once(closed, format!("pull request #{} open again", pull.number)))
}

pub(super) async fn review(
    reviewer: &GiteaClient,
    repo: &str,
    pull: Option<Pull>,
    new: NewReview<'_>,
) -> Result<Sent, SendError> {
    let Some(pull) = pull.filter(Pull::is_open) else {
        return Ok(Sent::Skipped { why: "there is no open pull request".into() });
    };
    let detail = format!("review of #{}", pull.number);
    Ok(once(reviewer.post_review_once(repo, pull.number, new).await?, detail))
}

/// Whoever has given a verdict on this head, or is asked already, is not asked (again). One who cannot be asked is named in the
/// log, and keeps nobody else from being asked.
pub(super) async fn ask_for_review(
    gitea: &GiteaClient,
    repo: &str,
    pull: &Pull,
    head: &CommitId,
    (people, teams): (&[String], &[String]),
) -> Result<Sent, SendError> {
    let all = gitea.all_reviews(repo, pull.number).await?;
    let given = |login: &str| {
        let by = |r: &Review| r.user.as_ref().is_some_and(|u| u.login.eq_ignore_ascii_case(login));
        standing(&all).iter().any(|r| by(r) && r.commit_id == head.as_str())
    };
    let asked = pull.requested_reviewers.as_deref().unwrap_or_default();
    let asked_teams = pull.requested_reviewers_teams.as_deref().unwrap_or_default();
    let is_asked = |login: &str| asked.iter().any(|user| user.login.eq_ignore_ascii_case(login));
    let team_is_asked = |name: &str| asked_teams.iter().any(|team| team.name.eq_ignore_ascii_case(name));
    let opened = |login: &str| pull.user.as_ref().is_some_and(|user| user.login.eq_ignore_ascii_case(login));
    let wanted = people.iter().filter(|name| !given(name) && !is_asked(name) && !opened(name));
    let wanted = wanted.map(|name| Asked::Person(name));
    let wanted: Vec<Asked<'_>> =
        wanted.chain(teams.iter().filter(|name| !team_is_asked(name)).map(|name| Asked::Team(name))).collect();
    let count = wanted.len();
    for who in wanted {
        match gitea.ask_for_review(repo, pull, who).await {
            Ok(()) => {}
            Err(error) if error.is_transient() => return Err(error.into()),
            Err(error) => tracing::warn!(?who, %error, repo, number = pull.number, "could not be asked for a review"),
        }
    }
    Ok(once(count > 0, format!("reviewers of #{}", pull.number)))
}
