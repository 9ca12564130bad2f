//! Commit statuses: each is kept, the newest of each context counts.

use super::FakeGitea;
use super::deliveries::Courier;
use super::git;
use super::rest::{error, not_found, paged};
use super::rights::Right;
use super::world::{StatusRow, World};
use crate::fakes::server::{Reply, Request};
use crate::fakes::{fixture_json, rfc3339};
use serde_json::{Value, json};
use std::time::Duration;

/// Whether a context is meant by a rule's pattern; `*` stands for anything.
pub(super) fn fits(pattern: &str, context: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == context,
        Some((before, after)) => context
            .strip_prefix(before)
            .is_some_and(|rest| (0..=rest.len()).filter_map(|at| rest.get(at..)).any(|tail| fits(after, tail))),
    }
}

pub(super) fn status_json(row: &StatusRow) -> Value {
    let mut status = fixture_json("gitea/rest_commit_status_created.json");
    status["id"] = json!(row.id);
    status["context"] = json!(row.context);
    status["status"] = json!(row.state);
    status["description"] = json!(row.description);
    status["target_url"] = json!(row.target_url);
    // In whole seconds, as the forge keeps them.
    let at = json!(rfc3339(row.at.div_euclid(1_000) * 1_000));
    (status["created_at"], status["updated_at"]) = (at.clone(), at);
    if row.target_url.starts_with('/') {
        status["creator"] = Value::Null;
    }
    status
}

/// `GET /commits/SHA/status`. Its words are those of the page; only the header knows the whole.
pub(super) fn combined(world: &World, request: &Request, repo: &str, sha: &str) -> Reply {
    if !world.knows_commit(repo, sha) {
        return not_found();
    }
    let newest = world.newest_of(repo, sha);
    let none = newest.is_empty();
    let (page, total) = paged(newest, request);
    let any = |words: &[&str]| page.iter().any(|s| words.contains(&s.state.as_str()));
    let state = match () {
        () if none && world.version >= (1, 27) => "pending",
        () if page.is_empty() => "",
        () if any(&["error", "failure", "warning"]) => "failure",
        () if any(&["pending"]) => "pending",
        () => "success",
    };
    // Up to 1.24, and at Forgejo, the whole answer of a commit without statuses is a zero object.
    let shown = if none && (world.version < (1, 25) || world.forgejo) { "" } else { sha };
    let statuses = if none { Value::Null } else { page.iter().map(|row| status_json(row)).collect() };
    let body = json!({ "state": state, "sha": shown, "total_count": page.len(), "statuses": statuses });
    Reply::json(200, body).with("x-total-count", total)
}

/// `GET /commits/SHA/statuses`: each one that was ever said, newest first.
pub(super) fn all(world: &World, request: &Request, repo: &str, sha: &str) -> Reply {
    let rows: Vec<_> = world.repos[repo].statuses.iter().rev().filter(|s| s.sha == sha).map(status_json).collect();
    let (page, total) = paged(rows, request);
    Reply::json(200, page.into()).with("x-total-count", total)
}

/// `POST /statuses/SHA`. The state is not checked.
pub(super) fn set(world: &mut World, courier: &Courier, (repo, sha, login): (&str, &str, &str), body: &Value) -> Reply {
    if world.right(login) < Right::Write {
        return error(403, "user should have a permission to write to a repo");
    }
    if !world.knows_commit(repo, sha) {
        return error(500, "");
    }
    let text = |key: &str| body[key].as_str().unwrap_or_default().to_owned();
    let status = StatusRow {
        sha: sha.to_owned(),
        context: text("context"),
        state: text("state"),
        description: text("description"),
        target_url: text("target_url"),
        ..StatusRow::default()
    };
    let status = world.say(courier, repo, status, login).0;
    Reply::json(201, status_json(&status))
}

impl World {
    /// A commit status, and its delivery where the version sends one.
    pub fn say(
        &mut self,
        courier: &Courier,
        repo: &str,
        status: StatusRow,
        login: &str,
    ) -> (StatusRow, crate::fakes::Delivery) {
        let (id, at) = (self.next_id(), self.tick());
        let status = StatusRow { id, at, ..status };
        self.repo(repo).statuses.push(status.clone());
        let delivery = self.stated(repo, &status, login);
        let sent = self.version >= (1, 23) && !self.forgejo;
        (status, if sent { courier.take(delivery) } else { delivery })
    }

    /// The newest of each context.
    pub fn newest_of(&self, repo: &str, sha: &str) -> Vec<&StatusRow> {
        let mut newest: Vec<&StatusRow> = Vec::new();
        for row in self.repos[repo].statuses.iter().rev().filter(|s| s.sha == sha) {
            if newest.iter().all(|n| n.context != row.context) {
                newest.push(row);
            }
        }
        newest
    }

    fn knows_commit(&self, repo: &str, sha: &str) -> bool {
        self.repos[repo].bare.as_ref().is_none_or(|bare| git::has_commit(bare, sha))
    }
}

impl FakeGitea {
    /// A CI system (not the bot) says something about a commit.
    pub fn ci(&self, repo: &str, sha: &str, context: &str, state: &str) -> crate::fakes::Delivery {
        self.ci_says(repo, sha, (context, state, &format!("{context} {state}")))
    }

    /// [`FakeGitea::ci`] with these words.
    pub fn ci_says(&self, repo: &str, sha: &str, said: (&str, &str, &str)) -> crate::fakes::Delivery {
        let mut world = self.world();
        let (context, state, description) = said;
        let target_url = format!("https://ci.acme.test/{context}");
        let status = StatusRow {
            sha: sha.into(),
            context: context.into(),
            state: state.into(),
            description: description.into(),
            target_url,
            ..StatusRow::default()
        };
        world.say(self.courier(), repo, status, "ci-bot").1
    }

    /// Everything that was said of commits so far was said so much earlier.
    pub fn statuses_age(&self, repo: &str, by: Duration) {
        let by = i64::try_from(by.as_millis()).unwrap();
        self.world().repo(repo).statuses.iter_mut().for_each(|status| status.at -= by);
    }

    /// Every status of a commit, oldest first.
    pub fn statuses_of(&self, repo: &str, sha: &str) -> Vec<StatusRow> {
        self.world().repo(repo).statuses.iter().filter(|s| s.sha == sha).cloned().collect()
    }
}
