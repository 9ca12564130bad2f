//! Reviews of a pull request. Who of those who give them may speak is decided elsewhere.

use super::{Account, GiteaClient, LineComment, Pull, Review, Team, marker};
use crate::clients::call::says;
use crate::clients::error::ApiError;
use crate::clients::http::Call;
use orch_common::domain::stage::CommitId;
use reqwest::Method;
use serde::Deserialize;
use serde_json::json;
use std::collections::BTreeMap;
use std::fmt;

/// A verdict to give.
#[derive(Debug, Clone, Copy)]
pub struct NewReview<'a> {
    pub approved: bool,
    /// The commit that was looked at; on a later one the forge marks the review stale.
    pub head: &'a CommitId,
    /// What makes it one, however often it is sent.
    pub key: &'a str,
    /// Markdown, not empty.
    pub text: &'a str,
}

/// Who is asked for a review, by one call.
#[derive(Debug, Clone, Copy)]
pub enum Asked<'a> {
    Person(&'a str),
    Team(&'a str),
}

impl fmt::Display for Asked<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Asked::Person(login) => f.write_str(login),
            Asked::Team(name) => write!(f, "team {name}"),
        }
    }
}

/// A request for a review, as the forge keeps it.
#[derive(Deserialize)]
struct Request {
    id: i64,
}

impl GiteaClient {
    /// Every review, in the order of the forge.
    pub async fn all_reviews(&self, repo: &str, number: i64) -> Result<Vec<Review>, ApiError> {
        self.all_pages(Call::get(self.path(repo, &["pulls", &number.to_string(), "reviews"]))).await
    }

    /// The comments on lines that belong to a review. The route has no pages.
    pub async fn line_comments(&self, repo: &str, number: i64, review: i64) -> Result<Vec<LineComment>, ApiError> {
        let path = ["pulls", &number.to_string(), "reviews", &review.to_string(), "comments"];
        let all: Option<Vec<LineComment>> = self.read(&Call::get(self.path(repo, &path))).await?;
        Ok(all.unwrap_or_default())
    }

    /// A review that cannot be there yet. The forge refuses a verdict on an own pull request (422): this is for the second account.
    pub async fn post_review(&self, repo: &str, number: i64, new: NewReview<'_>) -> Result<(), ApiError> {
        let NewReview { approved, head, key, text } = new;
        let mark = marker(key);
        let body = json!({
            "event": if approved { "APPROVED" } else { "REQUEST_CHANGES" },
            "commit_id": head.as_str(),
            "body": format!("{text}\n\n{mark}"),
        });
        let path = self.path(repo, &["pulls", &number.to_string(), "reviews"]);
        let made: Review = self.send(&Call::post(path, body)).await?.json()?;
        says(made.body.contains(&mark), "the review")
    }

    /// Our own reviews of this key, oldest first.
    pub async fn reviews_under(&self, repo: &str, number: i64, key: &str) -> Result<Vec<Review>, ApiError> {
        let (me, mark) = (self.me().await?.id, marker(key));
        let mine = |r: &Review| r.user.as_ref().is_some_and(|user| user.id == me);
        let mut all = self.all_reviews(repo, number).await?;
        all.retain(|r| mine(r) && r.body.contains(&mark));
        all.sort_by_key(|r| r.id);
        Ok(all)
    }

    /// Deletes a review of this client's own account.
    pub async fn delete_review(&self, repo: &str, number: i64, id: i64) -> Result<(), ApiError> {
        let path = self.path(repo, &["pulls", &number.to_string(), "reviews", &id.to_string()]);
        self.send(&Call::new(Method::DELETE, path)).await?.deleted()
    }

    /// Asks somebody for a review; the forge mails them. One who is asked already is asked again.
    pub async fn ask_for_review(&self, repo: &str, pull: &Pull, who: Asked<'_>) -> Result<(), ApiError> {
        let body = match who {
            Asked::Person(login) => json!({ "reviewers": [login] }),
            Asked::Team(name) => json!({ "team_reviewers": [name] }),
        };
        let path = self.path(repo, &["pulls", &pull.number.to_string(), "requested_reviewers"]);
        // Not repeatable: whoever is asked again is mailed again. Who got no answer reads again before it asks.
        let asked: Option<Vec<Request>> = self.send(&Call::post(path, body)).await?.json()?;
        says(asked.is_some_and(|all| all.iter().all(|request| request.id > 0)), "who was asked")
    }

    /// Who is in a team of an organisation; needs the permission *organization: read*.
    ///
    /// # Errors
    /// [`ApiError::NotFound`] where there is no such team.
    pub async fn team_members(&self, owner: &str, team: &str) -> Result<Vec<Account>, ApiError> {
        let teams: Vec<Team> = self.all_pages(Call::get(["api", "v1", "orgs", owner, "teams"])).await?;
        let found = teams.iter().find(|t| t.name.eq_ignore_ascii_case(team)).ok_or(ApiError::NotFound)?;
        self.all_pages(Call::get(["api", "v1", "teams", &found.id.to_string(), "members"])).await
    }
}

/// The newest verdict of each account, where it is not dismissed; whether commits came after it does not matter here.
pub fn standing(reviews: &[Review]) -> Vec<&Review> {
    let mut latest: BTreeMap<i64, &Review> = BTreeMap::new();
    for review in reviews.iter().filter(|r| r.is_verdict()) {
        let Some(user) = &review.user else { continue };
        let newer = |known: &&Review| (known.submitted_at, known.id) <= (review.submitted_at, review.id);
        if latest.get(&user.id).is_none_or(newer) {
            latest.insert(user.id, review);
        }
    }
    latest.into_values().filter(|r| !r.dismissed).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn review(id: i64, login: &str, state: &str) -> Review {
        let account = i64::from(login.as_bytes()[0]);
        Review {
            id,
            user: Some(Account { id: account, login: login.into() }),
            state: state.into(),
            body: String::new(),
            commit_id: String::new(),
            stale: false,
            official: true,
            dismissed: false,
            submitted_at: id * 1000,
            comments_count: 0,
        }
    }

    #[test]
    fn the_latest_verdict_of_each_reviewer_stands() {
        let dismissed = |r: Review| Review { dismissed: true, ..r };
        type Verdicts = &'static [(&'static str, &'static str)];
        let table: [(&str, Vec<Review>, Verdicts); 7] = [
            ("nothing", vec![], &[]),
            ("approved", vec![review(1, "a", "APPROVED")], &[("a", "APPROVED")]),
            (
                "changed mind",
                vec![review(1, "a", "APPROVED"), review(2, "a", "REQUEST_CHANGES")],
                &[("a", "REQUEST_CHANGES")],
            ),
            (
                "order of time",
                vec![review(2, "a", "APPROVED"), review(1, "a", "REQUEST_CHANGES")],
                &[("a", "APPROVED")],
            ),
            (
                "a comment takes nothing back",
                vec![review(1, "a", "APPROVED"), review(2, "a", "COMMENT")],
                &[("a", "APPROVED")],
            ),
            (
                "dismissed",
                vec![dismissed(review(1, "a", "REQUEST_CHANGES")), review(2, "b", "APPROVED")],
                &[("b", "APPROVED")],
            ),
            ("nobody's word", vec![Review { user: None, ..review(1, "a", "APPROVED") }], &[]),
        ];
        for (what, reviews, expected) in table {
            let found: Vec<(&str, &str)> = standing(&reviews)
                .iter()
                .map(|r| (r.user.as_ref().unwrap().login.as_str(), r.state.as_str()))
                .collect();
            assert_eq!(found, expected, "{what}");
        }
    }
}
