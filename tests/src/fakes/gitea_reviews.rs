//! The forge's reviews: given through the API or by people, and shown.

use super::courier::Courier;
use super::fixture_json;
use super::gitea::{FakeGitea, ReviewRow, World};
use super::gitea_hooks::account;
use super::gitea_rest::{caller, error, not_found};
use super::rfc3339;
use super::server::{Reply, Request};
use serde_json::{Value, json};

/// A verdict; every pull request here is the bot's own.
pub(super) fn give_review(
    world: &mut World,
    courier: &Courier,
    request: &Request,
    (repo, number): (&str, i64),
) -> Reply {
    let Ok(login) = caller(request) else { return not_found() };
    let body = request.json();
    let (state, words) = (body["event"].as_str().unwrap_or_default(), body["body"].as_str().unwrap_or_default());
    match state {
        "APPROVED" if login == FakeGitea::BOT => return error(422, "approve your own pull is not allowed"),
        "REQUEST_CHANGES" if login == FakeGitea::BOT => return error(422, "reject your own pull is not allowed"),
        "APPROVED" => {}
        "REQUEST_CHANGES" if !words.is_empty() => {}
        _ => return error(422, "[Event]: In"),
    }
    let review = world.add_review(repo, number, login, (state, words));
    courier.take(world.reviewed(repo, number, &review));
    let head = world.repos[repo].pull_head(number);
    Reply::json(200, review_json(&review, &head))
}

pub(super) fn review_json(row: &ReviewRow, head: &str) -> Value {
    let mut review = fixture_json("gitea/rest_reviews.json")[0].clone();
    review["id"] = json!(row.id);
    review["user"] = account(&row.login);
    review["state"] = json!(row.state);
    review["body"] = json!(row.body);
    review["commit_id"] = json!(row.commit);
    review["stale"] = json!(row.commit != head);
    review["dismissed"] = json!(row.dismissed);
    review["submitted_at"] = json!(rfc3339(row.at_ms));
    review
}

impl World {
    /// A review, of the head as it is.
    pub fn add_review(&mut self, repo: &str, number: i64, login: &str, (state, body): (&str, &str)) -> ReviewRow {
        let (id, at_ms) = (self.next_id(), self.tick());
        let rows = self.repo(repo);
        let commit = rows.pull_head(number);
        let (login, state, body) = (login.to_owned(), state.to_owned(), body.to_owned());
        let review = ReviewRow { id, login, state, body, commit, dismissed: false, at_ms };
        rows.reviews.entry(number).or_default().push(review.clone());
        review
    }
}
