//! Writes on the task's own pull request: finding it, comments, reviews, and requests for one.

use super::send::{SendError, Sent, once};
use crate::clients::ApiError;
use crate::clients::gitea::{Asked, GiteaClient, NewPull, NewReview, Pull, Review, standing};
use orch_common::domain::messages::to_markdown;
use orch_common::domain::stage::CommitId;

/// What is known of the task's own pull request, and of the effect that is to be sent.
#[derive(Debug, Clone, Default)]
pub struct Known {
    /// The number of the task's own pull request.
    pub pull: Option<i64>,
    /// The base of the task's branch: where the number is not known, the pull request is meant by both.
    pub base: Option<String>,
    /// Nobody has tried to send it before: nothing of it can be there, so nothing is read first.
    pub untried: bool,
}

/// The task's own pull request where it is there already: by its number, else the one of this branch and base that we opened
/// first, else a person's: of one branch and base only one can be open.
pub(super) async fn found_pull(
    gitea: &GiteaClient,
    repo: &str,
    new: &NewPull<'_>,
    known: &Known,
) -> Result<Option<Pull>, ApiError> {
    match known.pull {
        Some(number) => gitea.pull(repo, number).await,
        // Where one is open, the forge names it instead of opening another.
        None if known.untried => Ok(None),
        None => open_between(gitea, repo, new.base, new.branch).await,
    }
}

/// An answer that was lost, or a worker that was killed while it waited, may have left two of ours, of which the forge names one.
/// The other is among those that changed last.
async fn open_between(gitea: &GiteaClient, repo: &str, base: &str, branch: &str) -> Result<Option<Pull>, ApiError> {
    let Some(first) = gitea.pull_between(repo, base, branch).await? else { return Ok(None) };
    let (me, seen) = (gitea.me().await?.id, first.number);
    let newest = gitea.newest_open_pulls(repo).await?.into_iter().filter(|pull| pull.number != seen);
    let mut open: Vec<Pull> = std::iter::once(first).chain(newest).collect();
    open.retain(|pull| pull.is_open() && pull.is_between(branch, base));
    open.sort_by_key(|pull| (!pull.is_of(me, branch, base), pull.number));
    for double in open.iter().skip(1).filter(|pull| pull.is_of(me, branch, base)) {
        tracing::warn!(repo, number = double.number, "a second pull request of ours for one branch is closed");
        gitea.close_pull(repo, double.number).await?;
    }
    Ok(open.into_iter().next())
}

/// The task's own pull request: by its number; where that is not known yet, the one of the branch and its base that we opened.
pub(super) async fn own_pull(
    gitea: &GiteaClient,
    repo: &str,
    branch: &str,
    known: &Known,
) -> Result<Option<Pull>, ApiError> {
    match (known.pull, &known.base) {
        (Some(number), _) => gitea.pull(repo, number).await,
        (None, Some(base)) => {
            let me = gitea.me().await?.id;
            let pull = gitea.pull_between(repo, base, branch).await?;
            Ok(pull.filter(|pull| pull.is_of(me, branch, base)))
        }
        (None, None) => Ok(None),
    }
}

pub(super) async fn comment(
    gitea: &GiteaClient,
    (repo, branch): (&str, &str),
    (key, text): (&str, &str),
    known: &Known,
) -> Result<Sent, SendError> {
    let number = match known.pull {
        Some(number) => number,
        None => match own_pull(gitea, repo, branch, known).await? {
            Some(pull) => pull.number,
            None => return Ok(Sent::Skipped { why: "there is no pull request".into() }),
        },
    };
    gitea.post_comment(repo, number, key, &to_markdown(text)).await?;
    Ok(once(true, format!("comment on #{number}")))
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

/// By the account that reviews; the pull request is found by the other one.
pub(super) async fn review(
    (gitea, reviewer): (&GiteaClient, &GiteaClient),
    (repo, branch): (&str, &str),
    new: NewReview<'_>,
    known: &Known,
) -> Result<Sent, SendError> {
    let open = || async { Ok::<_, ApiError>(own_pull(gitea, repo, branch, known).await?.filter(Pull::is_open)) };
    let number = match known.pull {
        Some(number) => Some(number),
        None => open().await?.map(|pull| pull.number),
    };
    let none = || Sent::Skipped { why: "there is no open pull request".into() };
    let Some(number) = number else { return Ok(none()) };
    match reviewer.post_review(repo, number, new).await {
        Ok(()) => Ok(once(true, format!("review of #{number}"))),
        // One that is closed takes none.
        Err(ApiError::Refused { status: 422, .. }) if open().await?.is_none() => Ok(none()),
        Err(other) => Err(other.into()),
    }
}

/// What asking for a review came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AskedOf {
    /// The pull request.
    pub number: i64,
    pub asked: usize,
    /// Who cannot be asked.
    pub unasked: Vec<Unasked>,
}

/// Somebody who cannot be asked for a review.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unasked {
    /// An account, or a team.
    pub who: String,
    /// The forge's words.
    pub words: String,
}

/// Whoever has given a verdict on this head, or is asked already, is not asked (again). One who cannot be asked keeps nobody else
/// from being asked.
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
    let (mut asked, mut unasked, mut failed) = (0, Vec::new(), None);
    for who in wanted {
        let Err(error) = gitea.ask_for_review(repo, pull, who).await else {
            asked += 1;
            continue;
        };
        if matches!(error, ApiError::RateLimited { .. }) {
            return Err(error.into());
        }
        tracing::warn!(?who, %error, repo, number = pull.number, "could not be asked for a review");
        match never(gitea, repo, who, &error).await {
            Ok(Some(words)) => unasked.push(Unasked { who: who.to_string(), words }),
            Ok(None) => failed = failed.or(Some(error)),
            Err(other) => failed = failed.or(Some(other)),
        }
    }
    match failed {
        Some(error) => Err(error.into()),
        None => Ok(Sent::Asked(AskedOf { number: pull.number, asked, unasked })),
    }
}

/// Why this one cannot be asked at all, in the forge's words; `None` = the forge may answer so to everybody now.
async fn never(gitea: &GiteaClient, repo: &str, who: Asked<'_>, error: &ApiError) -> Result<Option<String>, ApiError> {
    if error.is_final() {
        return Ok(Some(error.to_string()));
    }
    if *error != ApiError::NotFound {
        return Ok(None);
    }
    let there = match who {
        Asked::Person(login) => gitea.person(login).await?.is_some(),
        Asked::Team(name) => {
            let owner = repo.split_once('/').map_or(gitea.owner(), |(owner, _)| owner);
            match gitea.team_members(owner, name).await {
                Ok(_) => true,
                Err(ApiError::NotFound) => false,
                Err(other) => return Err(other),
            }
        }
    };
    Ok((!there).then(|| format!("{error}: the forge has no such account or team")))
}
