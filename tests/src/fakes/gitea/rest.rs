//! The forge's REST API over the world, with the differences of its versions.

use super::FakeGitea;
use super::deliveries::Courier;
use super::hooks::hooks;
use super::rights::{Right, account};
use super::world::{CommentRow, Place as At, World};
use super::{actions, pulls, statuses};
use crate::fakes::fixture_json;
use crate::fakes::server::{Reply, Request};
use serde_json::{Value, json};

const NO_COMMIT: &str = "0000000000000000000000000000000000000000";

/// What is left of a request's path.
pub(super) type Place<'a> = &'a [&'a str];

pub(super) fn handle(world: &mut World, courier: &Courier, request: &Request) -> Reply {
    let segments = request.segments();
    if segments == ["api", "v1", "version"] {
        return match caller(world, request) {
            Err(refusal) if request.header("authorization").is_some() && refusal.status == 401 => {
                error(401, "user does not exist [uid: 0, name: ]")
            }
            Err(refusal) if refusal.status == 403 => refusal,
            Ok(_) | Err(_) => Reply::json(200, json!({ "version": world.version_text() })),
        };
    }
    let login = match caller(world, request) {
        Ok(login) => login,
        Err(refusal) => return refusal,
    };
    if world.hidden_from_reviewer && login == FakeGitea::REVIEWER && segments.contains(&"repos") {
        return not_found();
    }
    if world.second_factor && segments.contains(&"repos") && !login.is_empty() {
        return not_found();
    }
    if let Some(refusal) = lacking_scope(world, request, &segments) {
        return refusal;
    }
    match segments.as_slice() {
        ["api", "v1", "user"] => Reply::json(200, account(&login)),
        ["api", "v1", "users", name] => {
            // Without regard to case.
            let mut all = world.rights.keys().map(String::as_str).chain(["stranger"]);
            match all.find(|login| login.eq_ignore_ascii_case(name)) {
                Some(login) => Reply::json(200, world.shown(login)),
                None => not_found(),
            }
        }
        ["api", "v1", "admin", ..] => error(403, "user should be the site admin"),
        ["api", "v1", "orgs", FakeGitea::OWNER, "teams"] if world.right(&login) < Right::Write => {
            error(403, "Must be an organization member")
        }
        ["api", "v1", "orgs", FakeGitea::OWNER, "teams"] => {
            let teams = world.teams.keys().enumerate().map(|(n, name)| json!({ "id": 70 + n, "name": name }));
            list(teams.collect(), request)
        }
        ["api", "v1", "teams", id, "members"] => {
            let team = world.teams.values().enumerate().find(|(n, _)| (70 + n).to_string() == *id);
            match team {
                Some((_, names)) => list(names.iter().map(|name| world.shown(name)).collect(), request),
                None => not_found(),
            }
        }
        ["api", "v1", "repositories", id] => {
            match world.repos.iter().find(|(_, row)| row.id.to_string() == *id).map(|(key, _)| key.clone()) {
                Some(key) => at_repo(world, courier, request, (&key, &login), &[]),
                None => not_found(),
            }
        }
        ["api", "v1", "repos", owner, name, rest @ ..] => match world.place(owner, name) {
            At::Here(key) => at_repo(world, courier, request, (&key, &login), rest),
            // A new name: moved for good; a new owner: for now.
            At::Moved((now, name)) => {
                let tail: String = rest.iter().map(|part| format!("/{part}")).collect();
                let status = if now == *owner { 301 } else { 307 };
                let to = format!("{}/api/v1/repos/{now}/{name}{tail}", world.url);
                Reply::empty(status).with("location", to)
            }
            At::Nowhere => not_found(),
        },
        _ => not_found(),
    }
}

fn at_repo(
    world: &mut World,
    courier: &Courier,
    request: &Request,
    (repo, login): (&str, &str),
    rest: Place<'_>,
) -> Reply {
    if world.repos[repo].private && world.right(login) < Right::Read {
        return not_found();
    }
    if world.repos[repo].archived && request.method != "GET" {
        return error(423, &format!("{}/{repo} is archived", FakeGitea::OWNER));
    }
    for closed in world.observe(repo) {
        courier.take(world.about_pull(repo, closed, "pull_request_closed_unmerged", "hugo"));
    }
    in_repo(world, courier, request, (repo, login), rest)
}

/// The account of a request's token; a person's is that of [`FakeGitea::token_of`].
fn caller(world: &World, request: &Request) -> Result<String, Reply> {
    let login = owner_of_token(world, request)?;
    if world.suspended.contains(&login) {
        return Err(error(403, "This account is prohibited from signing in, please contact your site administrator."));
    }
    if world.must_change.contains(&login) {
        return Err(error(
            403,
            "You must change your password. Change it at: http://git.example.test/user/change_password",
        ));
    }
    Ok(login)
}

/// Anybody may look at what is public.
fn owner_of_token(world: &World, request: &Request) -> Result<String, Reply> {
    match request.header("authorization").map(|given| given.strip_prefix("token ").unwrap_or_default()) {
        None if request.method == "GET" && request.segments().contains(&"repos") => Ok(String::new()),
        None => Err(error(401, "token is required")),
        Some(FakeGitea::TOKEN) => Ok(FakeGitea::BOT.to_owned()),
        Some(FakeGitea::REVIEWER_TOKEN) => Ok(FakeGitea::REVIEWER.to_owned()),
        Some(other) => match other.strip_prefix("fake-token-of-") {
            Some(login) if !world.deleted.iter().any(|gone| gone == login) => Ok(login.to_owned()),
            _ => Err(error(401, "invalid username, password or token")),
        },
    }
}

/// Asked before anything else of a request is looked at.
fn lacking_scope(world: &World, request: &Request, segments: &[&str]) -> Option<Reply> {
    let given = world.scopes.as_ref()?;
    let level = if request.method == "GET" { "read" } else { "write" };
    let kind = match segments {
        ["api", "v1", "user", ..] => "user",
        ["api", "v1", "users", ..] => "user",
        ["api", "v1", "admin", ..] => "admin",
        ["api", "v1", "orgs" | "teams", ..] => "organization",
        _ if segments.contains(&"issues") => "issue",
        _ => "repository",
    };
    let enough =
        |scope: &String| *scope == "all" || *scope == format!("{level}:{kind}") || *scope == format!("write:{kind}");
    // Forgejo, and Gitea before it named what a token has.
    let why = match world.forgejo {
        true => format!("token does not have at least one of required scope(s): [{level}:{kind}]"),
        false => format!(
            "token does not have at least one of required scope(s), required=[{level}:{kind}], token scope={}",
            given.join(",")
        ),
    };
    (!given.iter().any(enough)).then(|| error(403, &why))
}

pub(super) fn error(status: u16, message: &str) -> Reply {
    Reply::json(status, json!({ "message": message, "url": "http://git.example.test:3000/api/swagger" }))
}

pub(super) fn not_found() -> Reply {
    error(404, "not found")
}

fn in_repo(
    world: &mut World,
    courier: &Courier,
    request: &Request,
    (repo, login): (&str, &str),
    rest: Place<'_>,
) -> Reply {
    let body = request.json();
    match (request.method.as_str(), rest) {
        ("GET", []) => {
            let (mut json, right) = (world.repo_json(repo), world.right(login));
            json["permissions"] = json!({
                "admin": right >= Right::Admin, "push": right >= Right::Write, "pull": true,
            });
            Reply::json(200, json)
        }
        (_, ["branches", ..]) if world.repos[repo].empty => error(404, "Git Repository is empty."),
        ("POST", ["branches"]) if world.repos[repo].mirror => error(403, "Git Repository is a mirror."),
        ("GET", ["branches"]) => {
            let row = &world.repos[repo];
            let names: Vec<String> = row.branch_names();
            let shown = names.iter().filter_map(|name| Some(branch_json(world, (repo, login), name, &row.head(name)?)));
            list(shown.collect(), request)
        }
        ("GET", ["contents", folder @ ..]) => {
            let folder = folder.join("/");
            match world.repos[repo].folders.contains(&folder) {
                true => Reply::json(200, json!([{ "name": "ci.yml", "type": "file" }])),
                false => not_found(),
            }
        }
        ("GET", ["reviewers"]) => {
            let may = world.rights.iter().filter(|(name, right)| **right >= Right::Read && *name != login);
            Reply::json(200, may.map(|(name, _)| world.shown(name)).collect())
        }
        ("POST", ["branches"]) => create_branch(world, courier, repo, &body),
        ("GET", ["branches", name @ ..]) => {
            let name = name.join("/");
            match world.repos[repo].head(&name) {
                Some(sha) => Reply::json(200, branch_json(world, (repo, login), &name, &sha)),
                None => not_found(),
            }
        }
        ("DELETE", ["branches", name @ ..]) => delete_branch(world, courier, repo, &name.join("/"), login),
        (_, ["branch_protections"]) if world.right(login) < Right::Admin => {
            error(403, "user should be an owner or a collaborator with admin write of a repository")
        }
        ("GET", ["branch_protections"]) => Reply::json(200, world.repos[repo].protections()),
        (_, ["pulls", ..]) if world.repos[repo].without_pulls => not_found(),
        (_, ["pulls", rest @ ..]) => pulls::pulls(world, courier, request, (repo, login), rest),
        ("GET", ["commits", sha, "status"]) => statuses::combined(world, request, repo, sha),
        ("GET", ["commits", sha, "statuses"]) => statuses::all(world, request, repo, sha),
        ("POST", ["statuses", sha]) => statuses::set(world, courier, (repo, sha, login), &body),
        (_, ["actions", rest @ ..]) => actions::actions(world, request, (repo, login), rest),
        ("PATCH", ["issues", "comments", _]) => not_found(),
        ("DELETE", ["issues", "comments", id]) => delete_comment(world, (repo, login), id.parse().unwrap_or(0)),
        (_, ["issues", number, "comments"]) => match pulls::number_of(world, repo, number) {
            Some(number) => comments(world, courier, request, (repo, number, login)),
            // A panic of its own, which stands in its log.
            None => error(500, ""),
        },
        (_, ["hooks", ..]) if world.right(login) < Right::Admin => {
            error(403, "user should be an owner or a collaborator with admin write of a repository")
        }
        (_, ["hooks", rest @ ..]) => hooks(world, courier, request, repo, rest),
        _ => not_found(),
    }
}

pub(super) fn paged<T>(all: Vec<T>, request: &Request) -> (Vec<T>, usize) {
    let number = |key: &str, default: usize| request.query(key).and_then(|v| v.parse().ok()).unwrap_or(default);
    let (page, limit, total) = (number("page", 1).max(1), number("limit", 30).clamp(1, 50), all.len());
    (all.into_iter().skip((page - 1) * limit).take(limit).collect(), total)
}

pub(super) fn list(all: Vec<Value>, request: &Request) -> Reply {
    let (page, total) = paged(all, request);
    Reply::json(200, page.into()).with("x-total-count", total)
}

fn branch_json(world: &World, (repo, login): (&str, &str), name: &str, sha: &str) -> Value {
    let mut branch = fixture_json("gitea/rest_branch.json");
    let rule = world.repos[repo].rule_for(name);
    branch["name"] = json!(name);
    branch["commit"]["id"] = json!(sha);
    branch["protected"] = json!(rule.is_some());
    branch["user_can_push"] = json!(world.may_push(repo, name, login));
    branch["user_can_merge"] = json!(world.may_merge(repo, name, login));
    let contexts = rule.map(|rule| rule.contexts.clone()).unwrap_or_default();
    branch["required_approvals"] = json!(rule.map_or(0, |rule| rule.required_approvals));
    branch["enable_status_check"] = json!(!contexts.is_empty());
    branch["status_check_contexts"] = json!(contexts);
    branch
}

fn create_branch(world: &mut World, courier: &Courier, repo: &str, body: &Value) -> Reply {
    let Some(name) = body["new_branch_name"].as_str() else {
        return error(422, "[NewBranchName]: Required");
    };
    if world.repos[repo].rule_for(name).is_some() && !world.may_push(repo, name, FakeGitea::BOT) {
        return error(500, "");
    }
    let row = world.repo(repo);
    if row.head(name).is_some() {
        return error(409, "The branch already exists.");
    }
    if row.takes_the_name(name) {
        return error(409, "The branch with the same name already exists.");
    }
    let Some(sha) = row.head(body["old_ref_name"].as_str().unwrap_or("main")) else {
        return error(500, "");
    };
    row.create_branch(name, &sha);
    courier.take(world.branch_event(repo, name, "create", FakeGitea::BOT));
    courier.take(world.pushed(repo, name, (NO_COMMIT, &sha), FakeGitea::BOT));
    Reply::json(201, branch_json(world, (repo, FakeGitea::BOT), name, &sha))
}

/// Its writer's, or an admin's.
fn delete_comment(world: &mut World, (repo, login): (&str, &str), id: i64) -> Reply {
    let is_admin = world.right(login) >= Right::Admin;
    for comments in world.repo(repo).comments.values_mut() {
        let Some(at) = comments.iter().position(|c| c.id == id) else { continue };
        if comments[at].login != login && !is_admin {
            return error(403, "user should have permission to delete it");
        }
        comments.remove(at);
        return Reply::empty(204);
    }
    not_found()
}

/// An open pull request of the branch is closed with it.
fn delete_branch(world: &mut World, courier: &Courier, repo: &str, name: &str, login: &str) -> Reply {
    if world.repos[repo].head(name).is_none() {
        return not_found();
    }
    world.repo(repo).delete_branch(name);
    courier.take(world.branch_event(repo, name, "delete", login));
    for closed in world.observe(repo) {
        courier.take(world.about_pull(repo, closed, "pull_request_closed_unmerged", login));
    }
    Reply::empty(204)
}

fn comment_json(world: &World, row: &CommentRow) -> Value {
    let mut comment = fixture_json("gitea/rest_comment.json");
    comment["id"] = json!(row.id);
    comment["body"] = json!(row.body);
    comment["user"] = world.shown(&row.login);
    comment
}

fn comments(
    world: &mut World,
    courier: &Courier,
    request: &Request,
    (repo, number, login): (&str, i64, &str),
) -> Reply {
    if request.method == "GET" {
        let rows = world.repos[repo].comments.get(&number).cloned().unwrap_or_default();
        return Reply::json(200, rows.iter().map(|row| comment_json(world, row)).collect());
    }
    let Some(text) = request.json()["body"].as_str().map(str::to_owned) else {
        return error(422, "[Body]: Required");
    };
    let row = CommentRow { id: world.next_id(), login: login.to_owned(), body: text };
    world.repo(repo).comments.entry(number).or_default().push(row.clone());
    courier.take(world.commented(repo, number, &row));
    if world.repos[repo].comments_panic > 0 {
        world.repo(repo).comments_panic -= 1;
        let headers = vec![("content-type", "text/html; charset=utf-8".to_owned())];
        return Reply { status: 500, headers, body: b"<!DOCTYPE html><title>Internal Server Error</title>".to_vec() };
    }
    Reply::json(201, comment_json(world, &row))
}

impl World {
    fn version_text(&self) -> String {
        let (major, minor) = self.version;
        match self.forgejo {
            true => format!("11.0.0-1-0123abcd+gitea-{major}.{minor}.0"),
            false => format!("{major}.{minor}.0"),
        }
    }
}
