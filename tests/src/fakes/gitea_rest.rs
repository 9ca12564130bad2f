//! The forge's REST API over the world, with the differences of its versions.

use super::courier::Courier;
use super::gitea::{CommentRow, FakeGitea, PullRow, StatusRow, World};
use super::gitea_hooks::{account, account_id};
use super::gitea_reviews::{give_review, review_json};
use super::server::{Reply, Request};
use super::{fixture_json, rfc3339};
use serde_json::{Value, json};

const NO_COMMIT: &str = "0000000000000000000000000000000000000000";

pub(super) fn handle(world: &mut World, courier: &Courier, request: &Request) -> Reply {
    let segments = request.segments();
    if segments == ["api", "v1", "version"] {
        return Reply::json(200, json!({ "version": world.version_text() }));
    }
    let login = match caller(request) {
        Ok(login) => login,
        Err(refusal) => return refusal,
    };
    if world.hidden_from_reviewer && login == FakeGitea::REVIEWER && segments.contains(&"repos") {
        return not_found();
    }
    if let Some(refusal) = lacking_scope(world, request, &segments) {
        return refusal;
    }
    match segments.as_slice() {
        ["api", "v1", "user"] => Reply::json(200, account(login)),
        ["api", "v1", "repos", FakeGitea::OWNER, repo, rest @ ..] if world.repos.contains_key(*repo) => {
            in_repo(world, courier, request, (repo, rest))
        }
        _ => not_found(),
    }
}

/// The account of a request's token.
pub(super) fn caller(request: &Request) -> Result<&'static str, Reply> {
    match request.header("authorization").map(|given| given.strip_prefix("token ").unwrap_or_default()) {
        None => Err(error(401, "token is required")),
        Some(FakeGitea::TOKEN) => Ok(FakeGitea::BOT),
        Some(FakeGitea::REVIEWER_TOKEN) => Ok(FakeGitea::REVIEWER),
        Some(_) => Err(error(401, "invalid username, password or token")),
    }
}

/// Asked before anything else of a request is looked at.
fn lacking_scope(world: &World, request: &Request, segments: &[&str]) -> Option<Reply> {
    let given = world.scopes.as_ref()?;
    let level = if request.method == "GET" { "read" } else { "write" };
    let kind = match segments {
        ["api", "v1", "user", ..] => "user",
        _ if segments.contains(&"issues") => "issue",
        _ => "repository",
    };
    let enough = |scope: &String| *scope == format!("{level}:{kind}") || *scope == format!("write:{kind}");
    let why = format!("token does not have at least one of required scope(s), required=[{level}:{kind}]");
    (!given.iter().any(enough)).then(|| error(403, &why))
}

pub(super) fn error(status: u16, message: &str) -> Reply {
    Reply::json(status, json!({ "message": message, "url": "http://git.example.test:3000/api/swagger" }))
}

pub(super) fn not_found() -> Reply {
    error(404, "not found")
}

type Place<'a> = (&'a str, &'a [&'a str]);

fn in_repo(world: &mut World, courier: &Courier, request: &Request, (repo, rest): Place<'_>) -> Reply {
    let body = request.json();
    match (request.method.as_str(), rest) {
        ("GET", []) => Reply::json(200, world.repo_json(repo)),
        ("POST", ["branches"]) => create_branch(world, courier, repo, &body),
        ("GET", ["branches", name @ ..]) => match world.repos[repo].head(&name.join("/")) {
            Some(sha) => Reply::json(200, branch_json(&name.join("/"), &sha)),
            None => not_found(),
        },
        ("DELETE", ["branches", name @ ..]) => delete_branch(world, courier, repo, &name.join("/")),
        ("GET", ["pulls"]) => list_pulls(world, request, repo),
        ("POST", ["pulls"]) => create_pull(world, courier, repo, &body),
        (_, ["pulls", number, rest @ ..]) => match pull_number(world, repo, number) {
            Some(number) => in_pull(world, courier, request, (repo, number, rest)),
            None => not_found(),
        },
        ("GET", ["commits", sha, "status"]) => combined(world, request, repo, sha),
        ("POST", ["statuses", sha]) => set_status(world, courier, repo, sha, &body),
        (_, ["issues", number, "comments"]) => match pull_number(world, repo, number) {
            Some(number) => comments(world, courier, request, repo, number),
            None => not_found(),
        },
        (_, ["hooks", rest @ ..]) => hooks(world, request, repo, rest),
        _ => not_found(),
    }
}

fn pull_number(world: &World, repo: &str, number: &str) -> Option<i64> {
    let number = number.parse().ok()?;
    world.repos[repo].pulls.iter().any(|p| p.number == number).then_some(number)
}

fn paged<T>(all: Vec<T>, request: &Request) -> (Vec<T>, usize) {
    let number = |key: &str, default: usize| request.query(key).and_then(|v| v.parse().ok()).unwrap_or(default);
    let (page, limit, total) = (number("page", 1).max(1), number("limit", 30).clamp(1, 50), all.len());
    (all.into_iter().skip((page - 1) * limit).take(limit).collect(), total)
}

fn list(all: Vec<Value>, request: &Request) -> Reply {
    let (page, total) = paged(all, request);
    Reply::json(200, page.into()).with("x-total-count", total)
}

fn branch_json(name: &str, sha: &str) -> Value {
    let mut branch = fixture_json("gitea/rest_branch.json");
    branch["name"] = json!(name);
    branch["commit"]["id"] = json!(sha);
    branch
}

fn create_branch(world: &mut World, courier: &Courier, repo: &str, body: &Value) -> Reply {
    let Some(name) = body["new_branch_name"].as_str() else {
        return error(422, "[NewBranchName]: Required");
    };
    let row = world.repo(repo);
    if row.head(name).is_some() {
        return error(409, "The branch already exists.");
    }
    let Some(sha) = row.head(body["old_ref_name"].as_str().unwrap_or("main")) else {
        return error(500, "");
    };
    row.create_branch(name, &sha);
    courier.take(world.branch_event(repo, name, "create", FakeGitea::BOT));
    courier.take(world.pushed(repo, name, (NO_COMMIT, &sha), FakeGitea::BOT));
    Reply::json(201, branch_json(name, &sha))
}

fn delete_branch(world: &mut World, courier: &Courier, repo: &str, name: &str) -> Reply {
    if world.repos[repo].head(name).is_none() {
        return not_found();
    }
    world.repo(repo).delete_branch(name);
    courier.take(world.branch_event(repo, name, "delete", FakeGitea::BOT));
    Reply::empty(204)
}

fn list_pulls(world: &World, request: &Request, repo: &str) -> Reply {
    let state = request.query("state").unwrap_or("open");
    let wanted = |p: &&PullRow| state == "all" || p.open == (state == "open");
    let mut rows: Vec<&PullRow> = world.repos[repo].pulls.iter().filter(wanted).collect();
    rows.sort_by_key(|p| std::cmp::Reverse(p.number));
    if request.query("sort") == Some("recentupdate") {
        rows.sort_by_key(|p| std::cmp::Reverse(p.updated_ms));
    }
    let (page, total) = paged(rows, request);
    let shown = page.into_iter().map(|p| world.pull_json(repo, p.number));
    Reply::json(200, shown.collect()).with("x-total-count", total)
}

fn create_pull(world: &mut World, courier: &Courier, repo: &str, body: &Value) -> Reply {
    let text = |key: &str| body[key].as_str().unwrap_or_default().to_owned();
    let (branch, base) = (text("head"), text("base"));
    let now = world.tick();
    let row = world.repo(repo);
    let (Some(head), Some(base_head)) = (row.head(&branch), row.head(&base)) else {
        return not_found();
    };
    if let Some(open) = row.pulls.iter().find(|p| p.open && p.branch == branch && p.base == base) {
        let at = format!("id: {}, issue_id: {}, head_repo_id: 11, base_repo_id: 11", 400 + open.number, open.number);
        let ends = format!("head_branch: {branch}, base_branch: {base}");
        return error(409, &format!("pull request already exists for these targets [{at}, {ends}]"));
    }
    if head == base_head {
        return error(422, "Invalid PullRequest: There are no changes between the head and the base");
    }
    let number = row.pulls.len() as i64 + 1;
    row.pulls.push(PullRow {
        number,
        branch,
        base,
        title: text("title"),
        body: text("body"),
        open: true,
        merged: false,
        mergeable: true,
        closed_head: None,
        merge_commit: None,
        updated_ms: now,
    });
    courier.take(world.about_pull(repo, number, "pull_request_opened", FakeGitea::BOT));
    Reply::json(201, world.pull_json(repo, number))
}

fn in_pull(world: &mut World, courier: &Courier, request: &Request, at: (&str, i64, &[&str])) -> Reply {
    let (repo, number, rest) = at;
    match (request.method.as_str(), rest) {
        ("GET", []) => Reply::json(200, world.pull_json(repo, number)),
        ("GET", ["merge"]) => match world.repo(repo).pull_mut(number).merged {
            true => Reply::empty(204),
            false => not_found(),
        },
        ("POST", ["merge"]) => merge(world, courier, repo, number, &request.json()),
        ("GET", ["reviews"]) => {
            let head = world.repos[repo].pull_head(number);
            let rows = world.repos[repo].reviews.get(&number).cloned().unwrap_or_default();
            list(rows.iter().map(|r| review_json(r, &head)).collect(), request)
        }
        ("POST", ["reviews"]) => give_review(world, courier, request, (repo, number)),
        _ => not_found(),
    }
}

fn merge(world: &mut World, courier: &Courier, repo: &str, number: i64, body: &Value) -> Reply {
    let key = if world.version >= (1, 26) && !world.forgejo { "do" } else { "Do" };
    let Some(style) = body[key].as_str().map(str::to_owned) else {
        return error(422, &format!("[{key}]: Required"));
    };
    let row = world.repo(repo);
    let head = row.pull_head(number);
    let pull = row.pull_mut(number).clone();
    if pull.merged {
        return error(405, "The PR is already merged");
    }
    if !pull.open {
        return not_found();
    }
    if pull.title.starts_with("WIP:") {
        return error(405, "Work in progress PRs cannot be merged");
    }
    if row.merges_later > 0 || !pull.mergeable {
        row.merges_later = row.merges_later.saturating_sub(1);
        return error(405, "Please try again later");
    }
    if body["head_commit_id"].as_str().is_some_and(|wanted| wanted != head) {
        return error(409, "head out of date");
    }
    if world.merge(repo, number, &style).is_err() {
        return error(405, "Please try again later");
    }
    if body["delete_branch_after_merge"] == json!(true) {
        world.repo(repo).delete_branch(&pull.branch);
    }
    courier.take(world.about_pull(repo, number, "pull_request_closed_merged", FakeGitea::BOT));
    Reply::empty(200)
}

fn status_json(row: &StatusRow) -> Value {
    let mut status = fixture_json("gitea/rest_commit_status_created.json");
    status["id"] = json!(row.id);
    status["context"] = json!(row.context);
    status["status"] = json!(row.state);
    status["description"] = json!(row.description);
    status
}

fn combined(world: &World, request: &Request, repo: &str, sha: &str) -> Reply {
    let mut newest: Vec<&StatusRow> = Vec::new();
    for row in world.repos[repo].statuses.iter().rev().filter(|s| s.sha == sha) {
        if newest.iter().all(|n| n.context != row.context) {
            newest.push(row);
        }
    }
    let none = newest.is_empty();
    let any = |words: &[&str]| newest.iter().any(|s| words.contains(&s.state.as_str()));
    let state = match () {
        () if any(&["error", "failure", "warning"]) => "failure",
        () if any(&["pending"]) => "pending",
        () if none && world.version >= (1, 26) => "pending",
        () if none => "",
        () => "success",
    };
    let all = newest.into_iter().map(status_json).collect();
    let (page, total) = paged(all, request);
    // Up to 1.24 the whole answer of a commit without statuses is a zero object.
    let shown = if none && world.version < (1, 25) { "" } else { sha };
    let statuses = if none { Value::Null } else { page.clone().into() };
    let body = json!({ "state": state, "sha": shown, "total_count": page.len(), "statuses": statuses });
    Reply::json(200, body).with("x-total-count", total)
}

fn set_status(world: &mut World, courier: &Courier, repo: &str, sha: &str, body: &Value) -> Reply {
    let text = |key: &str| body[key].as_str().unwrap_or_default().to_owned();
    let status = StatusRow {
        id: world.next_id(),
        sha: sha.to_owned(),
        context: text("context"),
        state: text("state"),
        description: text("description"),
    };
    world.repo(repo).statuses.push(status.clone());
    if world.version >= (1, 23) && !world.forgejo {
        courier.take(world.stated(repo, &status, FakeGitea::BOT));
    }
    Reply::json(201, status_json(&status))
}

fn comment_json(row: &CommentRow) -> Value {
    let mut comment = fixture_json("gitea/rest_comment.json");
    comment["id"] = json!(row.id);
    comment["body"] = json!(row.body);
    comment["user"] = account(&row.login);
    comment
}

fn comments(world: &mut World, courier: &Courier, request: &Request, repo: &str, number: i64) -> Reply {
    if request.method == "GET" {
        let rows = world.repos[repo].comments.get(&number).cloned().unwrap_or_default();
        return Reply::json(200, rows.iter().map(comment_json).collect());
    }
    let Some(text) = request.json()["body"].as_str().map(str::to_owned) else {
        return error(422, "[Body]: Required");
    };
    let row = CommentRow { id: world.next_id(), login: FakeGitea::BOT.into(), body: text };
    world.repo(repo).comments.entry(number).or_default().push(row.clone());
    courier.take(world.commented(repo, number, &row));
    Reply::json(201, comment_json(&row))
}

fn hooks(world: &mut World, request: &Request, repo: &str, rest: &[&str]) -> Reply {
    let (id, version) = (world.next_id(), world.version);
    let row = world.repo(repo);
    match (request.method.as_str(), rest) {
        ("GET", []) => list(row.hooks.iter().map(|(_, hook)| hook.clone()).collect(), request),
        ("POST", []) => {
            let body = request.json();
            let asked = body["events"].as_array().cloned().unwrap_or_default();
            let known = |e: &&Value| version >= (1, 23) || **e != json!("status");
            let mut hook = fixture_json("gitea/rest_hook.json");
            hook["id"] = json!(id);
            hook["active"] = json!(body["active"] == json!(true));
            hook["events"] = asked.iter().filter(known).cloned().collect();
            hook["config"] = json!({ "url": body["config"]["url"], "content_type": body["config"]["content_type"] });
            row.hooks.push((id, hook.clone()));
            Reply::json(201, hook)
        }
        ("DELETE", [id]) => {
            let before = row.hooks.len();
            row.hooks.retain(|(known, _)| known.to_string() != *id);
            if row.hooks.len() < before { Reply::empty(204) } else { not_found() }
        }
        _ => not_found(),
    }
}

impl World {
    fn version_text(&self) -> String {
        let (major, minor) = self.version;
        match self.forgejo {
            true => format!("11.0.0-1-0123abcd+gitea-{major}.{minor}.0"),
            false => format!("{major}.{minor}.0"),
        }
    }

    pub(super) fn repo_json(&self, repo: &str) -> Value {
        let mut json = fixture_json("gitea/rest_pull.json")["base"]["repo"].clone();
        json["name"] = json!(repo);
        json["full_name"] = json!(format!("{}/{repo}", FakeGitea::OWNER));
        json["default_branch"] = json!("main");
        json["default_merge_style"] = json!(self.repos[repo].merge_style);
        json["html_url"] = json!(format!("{}/{}/{repo}", self.url, FakeGitea::OWNER));
        json["owner"]["id"] = json!(account_id(FakeGitea::OWNER));
        if let Some(bare) = &self.repos[repo].bare {
            json["clone_url"] = json!(bare);
        }
        json
    }

    pub(super) fn pull_json(&self, repo: &str, number: i64) -> Value {
        let row = &self.repos[repo];
        let pull = row.pulls.iter().find(|p| p.number == number).unwrap();
        let mut json = fixture_json("gitea/rest_pull.json");
        json["id"] = json!(400 + number);
        json["number"] = json!(number);
        json["title"] = json!(pull.title);
        json["body"] = json!(pull.body);
        json["state"] = json!(if pull.open { "open" } else { "closed" });
        json["merged"] = json!(pull.merged);
        json["mergeable"] = json!(pull.open && pull.mergeable);
        json["merge_commit_sha"] = json!(pull.merge_commit);
        json["html_url"] = json!(format!("{}/{}/{repo}/pulls/{number}", self.url, FakeGitea::OWNER));
        json["updated_at"] = json!(rfc3339(pull.updated_ms));
        let gone = row.head(&pull.branch).is_none();
        json["head"]["label"] = json!(pull.branch);
        json["head"]["ref"] = json!(if gone { format!("refs/pull/{number}/head") } else { pull.branch.clone() });
        json["head"]["sha"] = json!(row.pull_head(number));
        json["base"]["label"] = json!(pull.base);
        json["base"]["ref"] = json!(pull.base);
        json["base"]["sha"] = json!(row.head(&pull.base));
        json
    }
}
