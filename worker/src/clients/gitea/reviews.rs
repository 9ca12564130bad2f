//! Reviews of a pull request, and which of them count.

use super::{GiteaClient, Review, marker};
use crate::clients::error::ApiError;
use crate::clients::http::Call;
use orch_common::domain::gate::ReviewEvidence;
use orch_common::domain::stage::CommitId;
use serde_json::json;
use std::collections::BTreeMap;

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

impl GiteaClient {
    /// Every review, in the order of the forge.
    pub async fn all_reviews(&self, repo: &str, number: i64) -> Result<Vec<Review>, ApiError> {
        self.all_pages(Call::get(self.path(repo, &["pulls", &number.to_string(), "reviews"]))).await
    }

    /// The latest review of each reviewer that counts, see [`latest_counting`].
    pub async fn reviews(&self, repo: &str, number: i64) -> Result<Vec<ReviewEvidence>, ApiError> {
        Ok(latest_counting(&self.all_reviews(repo, number).await?))
    }

    /// A review that is there once under its key; `false`: it was there. The forge refuses a verdict on an own pull
    /// request (422): this is for the second account.
    pub async fn post_review_once(&self, repo: &str, number: i64, new: NewReview<'_>) -> Result<bool, ApiError> {
        let NewReview { approved, head, key, text } = new;
        let (me, mark) = (self.me().await?.id, marker(key));
        let mine = |r: &Review| r.user.as_ref().is_some_and(|user| user.id == me);
        if self.all_reviews(repo, number).await?.iter().any(|r| mine(r) && r.body.contains(&mark)) {
            return Ok(false);
        }
        let body = json!({
            "event": if approved { "APPROVED" } else { "REQUEST_CHANGES" },
            "commit_id": head.as_str(),
            "body": format!("{text}\n\n{mark}"),
        });
        let path = self.path(repo, &["pulls", &number.to_string(), "reviews"]);
        self.http.send(&Call::post(path, body)).await.map(|_| true)
    }
}

/// The latest verdict of each reviewer. A comment, a pending or a requested review is no verdict; a dismissed
/// verdict, and an approval of older commits (stale), are void and leave the reviewer without one. A stale
/// rejection still stands (marked as such): new commits do not make a reviewer content.
pub fn latest_counting(reviews: &[Review]) -> Vec<ReviewEvidence> {
    let mut verdicts: Vec<&Review> = reviews.iter().filter(|r| r.is_verdict()).collect();
    verdicts.sort_by_key(|r| (r.submitted_at, r.id));
    let mut latest: BTreeMap<&str, &Review> = BTreeMap::new();
    for review in verdicts {
        if let Some(user) = &review.user {
            latest.insert(&user.login, review);
        }
    }
    latest.into_iter().filter(|(_, review)| counts(review)).map(|(login, review)| evidence(login, review)).collect()
}

/// The newest verdict of each reviewer given at or after `since` (ms), where it is not dismissed; whether commits came
/// after it does not matter: it is a person's word all the same.
pub fn standing_since(reviews: &[Review], since: i64) -> Vec<&Review> {
    let mut latest: BTreeMap<i64, &Review> = BTreeMap::new();
    for review in reviews.iter().filter(|r| r.is_verdict() && r.submitted_at >= since) {
        let Some(user) = &review.user else { continue };
        let newer = |known: &&Review| (known.submitted_at, known.id) <= (review.submitted_at, review.id);
        if latest.get(&user.id).is_none_or(newer) {
            latest.insert(user.id, review);
        }
    }
    latest.into_values().filter(|r| !r.dismissed).collect()
}

fn counts(review: &Review) -> bool {
    let outdated = review.stale && review.state == "APPROVED";
    !review.dismissed && !outdated
}

fn evidence(login: &str, review: &Review) -> ReviewEvidence {
    ReviewEvidence {
        reviewer: login.to_owned(),
        approved: review.state == "APPROVED",
        body: review.words().to_owned(),
        stale: review.stale,
        submitted_at: review.submitted_at,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clients::gitea::Account;

    fn review(id: i64, login: &str, state: &str) -> Review {
        Review {
            id,
            user: Some(Account { id: 1, login: login.into() }),
            state: state.into(),
            body: String::new(),
            commit_id: String::new(),
            stale: false,
            official: true,
            dismissed: false,
            submitted_at: id * 1000,
        }
    }

    #[test]
    fn the_latest_verdict_of_each_reviewer_counts() {
        let stale = |r: Review| Review { stale: true, ..r };
        let dismissed = |r: Review| Review { dismissed: true, ..r };
        type Verdicts = &'static [(&'static str, bool)];
        let table: [(&str, Vec<Review>, Verdicts); 8] = [
            ("nothing", vec![], &[]),
            ("approved", vec![review(1, "a", "APPROVED")], &[("a", true)]),
            ("changed mind", vec![review(1, "a", "APPROVED"), review(2, "a", "REQUEST_CHANGES")], &[("a", false)]),
            ("order of time", vec![review(2, "a", "APPROVED"), review(1, "a", "REQUEST_CHANGES")], &[("a", true)]),
            (
                "a comment takes nothing back",
                vec![review(1, "a", "APPROVED"), review(2, "a", "COMMENT")],
                &[("a", true)],
            ),
            ("stale approval", vec![review(1, "a", "REQUEST_CHANGES"), stale(review(2, "a", "APPROVED"))], &[]),
            ("stale rejection", vec![stale(review(1, "a", "REQUEST_CHANGES"))], &[("a", false)]),
            (
                "dismissed",
                vec![dismissed(review(1, "a", "REQUEST_CHANGES")), review(2, "b", "APPROVED")],
                &[("b", true)],
            ),
        ];
        for (what, reviews, expected) in table {
            let latest = latest_counting(&reviews);
            let found: Vec<(&str, bool)> = latest.iter().map(|r| (r.reviewer.as_str(), r.approved)).collect();
            assert_eq!(found, expected, "{what}");
        }
    }

    #[test]
    fn a_review_of_a_deleted_account_is_nobodys_word() {
        assert!(latest_counting(&[Review { user: None, ..review(1, "a", "APPROVED") }]).is_empty());
    }
}
