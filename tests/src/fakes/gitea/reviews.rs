//! The forge's reviews: given through the API or by people, asked for, and shown.

use super::FakeGitea;
use super::deliveries::Courier;
use super::rest::{Place, error, list, not_found};
use super::rights::Right;
use super::world::{InlineRow, ReviewRow, World};
use crate::fakes::server::{Reply, Request};
use crate::fakes::{fixture_json, rfc3339};
use serde_json::{Value, json};

/// Below `/pulls/N/reviews`.
pub(super) fn reviews(
    world: &mut World,
    courier: &Courier,
    request: &Request,
    (repo, number, login): (&str, i64, &str),
    rest: Place<'_>,
) -> Reply {
    match (request.method.as_str(), rest) {
        ("GET", []) => {
            let rows = world.repos[repo].reviews.get(&number).cloned().unwrap_or_default();
            list(rows.iter().map(|r| world.review_json(repo, number, r)).collect(), request)
        }
        ("POST", []) => give(world, courier, &request.json(), (repo, number, login)),
        ("GET", [id, "comments"]) => {
            let rows = world.repos[repo].reviews.get(&number).cloned().unwrap_or_default();
            match rows.into_iter().find(|r| r.id.to_string() == *id) {
                Some(row) => Reply::json(200, row.inline.iter().map(|line| world.inline_json(&row, line)).collect()),
                None => not_found(),
            }
        }
        ("DELETE", [id]) => {
            let rows = world.repo(repo).reviews.entry(number).or_default();
            let Some(at) = rows.iter().position(|r| r.id.to_string() == *id) else { return not_found() };
            if rows[at].login != login {
                return error(403, "Must be repo admin");
            }
            rows.remove(at);
            Reply::empty(204)
        }
        ("POST", [id, "dismissals"]) if world.right(login) >= Right::Admin => {
            let rows = world.repo(repo).reviews.entry(number).or_default();
            match rows.iter_mut().find(|r| r.id.to_string() == *id) {
                Some(row) => {
                    row.dismissed = true;
                    let shown = row.clone();
                    Reply::json(200, world.review_json(repo, number, &shown))
                }
                None => not_found(),
            }
        }
        ("POST", [_, "dismissals"]) => error(403, "Must be repo admin"),
        _ => not_found(),
    }
}

fn give(world: &mut World, courier: &Courier, body: &Value, (repo, number, login): (&str, i64, &str)) -> Reply {
    let (state, words) = (body["event"].as_str().unwrap_or_default(), body["body"].as_str().unwrap_or_default());
    let inline = inline_of(body);
    let wordless = words.trim().is_empty() && inline.is_empty();
    match state {
        "APPROVED" => {}
        "REQUEST_CHANGES" | "COMMENT" | "PENDING" if wordless => {
            return error(422, &format!("review event {state} requires a body or a comment"));
        }
        "REQUEST_CHANGES" | "COMMENT" => {}
        _ => return error(422, "[Event]: In"),
    }
    match world.add_review(repo, number, login, (state, words), inline) {
        Err(why) => error(422, why),
        Ok(mut review) => {
            if let Some(commit) = body["commit_id"].as_str().filter(|c| !c.is_empty()) {
                let rows = world.repo(repo).reviews.entry(number).or_default();
                rows.iter_mut().filter(|r| r.id == review.id).for_each(|r| r.commit = commit.to_owned());
                review.commit = commit.to_owned();
            }
            courier.take(world.reviewed(repo, number, &review));
            Reply::json(200, world.review_json(repo, number, &review))
        }
    }
}

fn inline_of(body: &Value) -> Vec<InlineRow> {
    let all = body["comments"].as_array().cloned().unwrap_or_default();
    let text = |of: &Value, key: &str| of[key].as_str().unwrap_or_default().to_owned();
    let line = |c: &Value| c["new_position"].as_i64().filter(|n| *n > 0).or(c["old_position"].as_i64()).unwrap_or(0);
    let row = |c: &Value| InlineRow {
        path: text(c, "path"),
        line: line(c),
        hunk: "@@ -1 +1 @@".into(),
        body: text(c, "body"),
    };
    all.iter().map(row).collect()
}

/// `/pulls/N/requested_reviewers`.
pub(super) fn requested(
    world: &mut World,
    courier: &Courier,
    request: &Request,
    (repo, number, login): (&str, i64, &str),
) -> Reply {
    if world.right(login) < Right::Write {
        return error(403, "user should have a permission to write to a repo");
    }
    let body = request.json();
    let names = |key: &str| -> Vec<String> {
        let all = body[key].as_array().cloned().unwrap_or_default();
        all.iter().filter_map(|n| n.as_str().map(str::to_owned)).collect()
    };
    let (people, teams) = (names("reviewers"), names("team_reviewers"));
    for name in &people {
        if !world.rights.contains_key(name) {
            return error(404, &format!("user does not exist [uid: 0, name: {name}]"));
        }
        if world.no_reviewers.contains(name) {
            return error(422, &format!("Reviewer {name} can't be requested for review"));
        }
        if *name == world.repos[repo].pull(number).opener {
            return error(422, "poster of pr can't be reviewer");
        }
    }
    if let Some(unknown) = teams.iter().find(|team| !world.teams.contains_key(*team)) {
        return error(404, &format!("team does not exist [org_id 0, team_id 0, name: {unknown}]"));
    }
    let asks = request.method == "POST";
    world.ask_for_review(repo, number, asks, (&people, &teams));
    let action = if asks { "review_requested" } else { "review_request_removed" };
    courier.take(world.review_asked(repo, number, action, login));
    if asks { Reply::json(201, json!([])) } else { Reply::empty(204) }
}

impl World {
    /// A review, of the head as it is; `Err`: the forge's words of why not.
    pub fn add_review(
        &mut self,
        repo: &str,
        number: i64,
        login: &str,
        (state, body): (&str, &str),
        inline: Vec<InlineRow>,
    ) -> Result<ReviewRow, &'static str> {
        let pull = self.repos[repo].pull(number);
        let verdict = matches!(state, "APPROVED" | "REQUEST_CHANGES");
        match state {
            _ if !pull.open => return Err("can't submit review for a closed or merged PR"),
            "APPROVED" if pull.opener == login => return Err("approve your own pull is not allowed"),
            "REQUEST_CHANGES" if pull.opener == login => return Err("reject your own pull is not allowed"),
            _ => {}
        }
        let official = verdict && self.is_official(repo, number, login);
        let (id, at_ms) = (self.next_id(), self.tick());
        let row = self.repo(repo);
        let commit = row.pull_head(number);
        let review = ReviewRow {
            id,
            login: login.to_owned(),
            state: state.to_owned(),
            body: body.to_owned(),
            commit,
            official,
            dismissed: false,
            at_ms,
            inline,
        };
        let all = row.reviews.entry(number).or_default();
        for earlier in all.iter_mut().filter(|r| verdict && r.login == login) {
            // Only the newest verdict of a reviewer keeps the mark; an approval takes the rejections back.
            earlier.official = false;
            earlier.dismissed |= state == "APPROVED" && earlier.state == "REQUEST_CHANGES";
        }
        all.retain(|r| !(verdict && r.login == login && r.state == "REQUEST_REVIEW"));
        all.push(review.clone());
        let pull = row.pull_mut(number);
        pull.updated_ms = at_ms;
        pull.requested.retain(|name| !verdict || name != login);
        Ok(review)
    }

    fn ask_for_review(&mut self, repo: &str, number: i64, asks: bool, (people, teams): (&[String], &[String])) {
        let (id, at_ms) = (self.next_id(), self.tick());
        let row = self.repo(repo);
        let commit = row.pull_head(number);
        for name in people {
            let all = row.reviews.entry(number).or_default();
            all.retain(|r| !(r.login == *name && r.state == "REQUEST_REVIEW"));
            let state = "REQUEST_REVIEW".to_owned();
            let (login, commit, body) = (name.clone(), commit.clone(), String::new());
            let review =
                ReviewRow { id, login, state, body, commit, official: true, dismissed: false, at_ms, inline: vec![] };
            all.extend(asks.then_some(review));
        }
        let pull = row.pull_mut(number);
        pull.requested.retain(|name| !people.contains(name));
        pull.requested_teams.retain(|name| !teams.contains(name));
        if asks {
            pull.requested.extend_from_slice(people);
            pull.requested_teams.extend_from_slice(teams);
        }
    }

    /// As the list has it: the commit is right at once, the mark of an older one comes late.
    pub fn review_json(&mut self, repo: &str, number: i64, row: &ReviewRow) -> Value {
        let now = self.tick();
        let of = &self.repos[repo];
        let (head, computed) = (of.pull_head(number), &of.pull(number).computed);
        let noticed = computed.head != head || now >= computed.head_at_ms + of.stale_ms;
        let mut review = fixture_json("gitea/rest_reviews.json")[0].clone();
        review["id"] = json!(row.id);
        review["user"] = self.shown(&row.login);
        review["state"] = json!(row.state);
        review["body"] = json!(row.body);
        review["commit_id"] = json!(row.commit);
        review["stale"] = json!(row.commit != head && noticed);
        review["official"] = json!(row.official);
        review["dismissed"] = json!(row.dismissed);
        review["comments_count"] = json!(row.inline.len());
        review["submitted_at"] = json!(rfc3339(row.at_ms));
        review
    }

    fn inline_json(&self, review: &ReviewRow, row: &InlineRow) -> Value {
        let mut comment = fixture_json("gitea/recorded_review_comments.json")["body"][0].clone();
        comment["user"] = self.shown(&review.login);
        comment["pull_request_review_id"] = json!(review.id);
        comment["path"] = json!(row.path);
        comment["position"] = json!(row.line);
        comment["diff_hunk"] = json!(row.hunk);
        comment["body"] = json!(row.body);
        comment["commit_id"] = json!(review.commit);
        comment
    }

    /// The verdicts that count for the rule of the base: official ones, not dismissed.
    pub fn counting(&self, repo: &str, number: i64, state: &str) -> usize {
        let all = self.repos[repo].reviews.get(&number).map(Vec::as_slice).unwrap_or_default();
        all.iter().filter(|r| r.state == state && r.official && !r.dismissed).count()
    }
}

impl FakeGitea {
    /// The forge lets nobody ask this account for a review.
    pub fn cannot_review(&self, login: &str) {
        self.world().no_reviewers.push(login.to_owned());
    }

    /// A review by `login`; `state` is `APPROVED`, `REQUEST_CHANGES` or `COMMENT`.
    pub fn review(&self, repo: &str, number: i64, login: &str, state: &str, body: &str) -> crate::fakes::Delivery {
        self.review_lines(repo, number, login, (state, body), Vec::new())
    }

    /// [`FakeGitea::review`] with comments on lines.
    pub fn review_lines(
        &self,
        repo: &str,
        number: i64,
        login: &str,
        words: (&str, &str),
        lines: Vec<InlineRow>,
    ) -> crate::fakes::Delivery {
        let mut world = self.world();
        world.observe(repo);
        let review = world.add_review(repo, number, login, words, lines).unwrap();
        self.courier().take(world.reviewed(repo, number, &review))
    }

    /// An administrator dismisses a review; the forge says nothing of it.
    pub fn dismiss(&self, repo: &str, number: i64, id: i64) {
        let mut world = self.world();
        let all = world.repo(repo).reviews.entry(number).or_default();
        all.iter_mut().filter(|r| r.id == id).for_each(|r| r.dismissed = true);
    }

    /// Every review of a pull request, oldest first.
    pub fn reviews_of(&self, repo: &str, number: i64) -> Vec<ReviewRow> {
        self.world().repo(repo).reviews.get(&number).cloned().unwrap_or_default()
    }
}
