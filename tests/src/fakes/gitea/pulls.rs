//! Pull requests: listed, opened, edited, shown.

use super::FakeGitea;
use super::deliveries::Courier;
use super::merge::merge;
use super::rest::{Place, error, not_found, paged};
use super::reviews::{requested, reviews};
use super::rights::{Right, account_id};
use super::world::{Computed, Origin, PullRow, World};
use crate::fakes::server::{Reply, Request};
use crate::fakes::{Delivery, fixture_json, rfc3339};
use serde_json::{Value, json};

/// What a repository says of the styles it allows.
const ALLOWED: [(&str, &str); 5] = [
    ("merge", "allow_merge_commits"),
    ("rebase", "allow_rebase"),
    ("rebase-merge", "allow_rebase_explicit"),
    ("squash", "allow_squash_merge"),
    ("fast-forward-only", "allow_fast_forward_only_merge"),
];

/// Below `/pulls`.
pub(super) fn pulls(
    world: &mut World,
    courier: &Courier,
    request: &Request,
    (repo, login): (&str, &str),
    rest: Place<'_>,
) -> Reply {
    let body = request.json();
    match (request.method.as_str(), rest) {
        ("GET", []) => list_pulls(world, request, repo),
        ("POST", []) => create_pull(world, courier, (repo, login), &body),
        (method, [number, rest @ ..]) => match (number_of(world, repo, number), method, rest) {
            (Some(number), "GET", []) => Reply::json(200, world.pull_json(repo, number)),
            (Some(number), "PATCH", []) => edit(world, courier, (repo, number, login), &body),
            (Some(number), "GET", ["merge"]) => match world.repos[repo].pull(number).merged {
                true => Reply::empty(204),
                false => not_found(),
            },
            (Some(number), "POST", ["merge"]) => merge(world, courier, (repo, number, login), &body),
            (Some(number), _, ["reviews", rest @ ..]) => reviews(world, courier, request, (repo, number, login), rest),
            (Some(number), "POST" | "DELETE", ["requested_reviewers"]) => {
                requested(world, courier, request, (repo, number, login))
            }
            (None, "GET", [_, ..]) => by_ends(world, repo, number, &rest.join("/")),
            _ => not_found(),
        },
        _ => not_found(),
    }
}

pub(super) fn number_of(world: &World, repo: &str, number: &str) -> Option<i64> {
    let number = number.parse().ok()?;
    world.repos[repo].pulls.iter().any(|p| p.number == number).then_some(number)
}

/// `GET /pulls/BASE/HEAD`: the first that there was, open or not.
fn by_ends(world: &World, repo: &str, base: &str, head: &str) -> Reply {
    let here = |p: &&PullRow| p.origin == Origin::Here && p.base == base && p.branch == head;
    match world.repos[repo].pulls.iter().find(here) {
        Some(pull) => Reply::json(200, world.pull_json(repo, pull.number)),
        None => not_found(),
    }
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
    let shown = page.into_iter().map(|p| {
        let mut json = world.pull_json(repo, p.number);
        // Only the single answer says who merged.
        json["merged_by"] = Value::Null;
        json
    });
    Reply::json(200, shown.collect()).with("x-total-count", total)
}

fn create_pull(world: &mut World, courier: &Courier, (repo, login): (&str, &str), body: &Value) -> Reply {
    let text = |key: &str| body[key].as_str().unwrap_or_default().to_owned();
    let (branch, base) = (text("head"), text("base"));
    let row = &world.repos[repo];
    let (Some(head), Some(base_head)) = (row.head(&branch), row.head(&base)) else {
        return not_found();
    };
    if world.right(login) < Right::Read {
        return not_found();
    }
    let same = |p: &&PullRow| p.open && p.origin == Origin::Here && p.branch == branch && p.base == base;
    if let Some(open) = row.pulls.iter().find(same) {
        let at = format!("id: {}, issue_id: {}, head_repo_id: 11, base_repo_id: 11", 400 + open.number, open.number);
        let ends = format!("head_branch: {branch}, base_branch: {base}");
        return error(409, &format!("pull request already exists for these targets [{at}, {ends}]"));
    }
    if head == base_head {
        return error(422, "Invalid PullRequest: There are no changes between the head and the base");
    }
    let number = world.open_pull(repo, (&branch, &base), (&text("title"), &text("body")), login, Origin::Here);
    courier.take(world.about_pull(repo, number, "pull_request_opened", login));
    Reply::json(201, world.pull_json(repo, number))
}

/// A closed one is opened again where its branch is there (again).
fn edit(world: &mut World, courier: &Courier, (repo, number, login): (&str, i64, &str), body: &Value) -> Reply {
    let now = world.tick();
    let opener = world.repos[repo].pull(number).opener.clone();
    if world.right(login) < Right::Write && opener != login {
        return error(403, "user should have a permission to write to a repo");
    }
    let row = world.repo(repo);
    let pull = row.pull_mut(number);
    for (key, place) in [("title", &mut pull.title), ("body", &mut pull.body)] {
        if let Some(text) = body[key].as_str() {
            text.clone_into(place);
        }
    }
    let (wanted, is_open, merged, branch) = (body["state"].as_str(), pull.open, pull.merged, pull.branch.clone());
    match wanted {
        Some("open" | "closed") if merged => {
            return error(412, "cannot change state of this pull request, it was already merged");
        }
        Some("open") if !is_open && row.head(&branch).is_none() => return not_found(),
        Some("open") if !is_open => {
            let pull = row.pull_mut(number);
            (pull.open, pull.closed_head, pull.updated_ms) = (true, None, now);
            world.observe(repo);
            courier.take(world.about_pull(repo, number, "pull_request_reopened", login));
        }
        Some("closed") if is_open => {
            row.close(number, now);
            courier.take(world.about_pull(repo, number, "pull_request_closed_unmerged", login));
        }
        _ => {}
    }
    Reply::json(201, world.pull_json(repo, number))
}

impl World {
    pub(super) fn open_pull(
        &mut self,
        repo: &str,
        (branch, base): (&str, &str),
        (title, body): (&str, &str),
        opener: &str,
        origin: Origin,
    ) -> i64 {
        let updated_ms = self.tick();
        let row = self.repo(repo);
        let number = i64::try_from(row.pulls.len()).unwrap() + 1;
        row.pulls.push(PullRow {
            number,
            branch: branch.to_owned(),
            base: base.to_owned(),
            title: title.to_owned(),
            body: body.to_owned(),
            opener: opener.to_owned(),
            origin,
            open: true,
            merged: false,
            merged_by: None,
            mergeable: true,
            requested: Vec::new(),
            requested_teams: Vec::new(),
            closed_head: None,
            merge_commit: None,
            updated_ms,
            computed: Computed::default(),
        });
        self.observe(repo);
        number
    }

    /// False while it is worked out, and for a conflict.
    fn is_mergeable(&self, repo: &str, number: i64) -> bool {
        let pull = self.repos[repo].pull(number);
        let ready = crate::fakes::now_ms() >= pull.computed.ready_at_ms;
        if pull.open { ready && pull.mergeable && !pull.computed.conflict } else { pull.merged }
    }

    pub(super) fn repo_json(&self, repo: &str) -> Value {
        let mut json = fixture_json("gitea/rest_pull.json")["base"]["repo"].clone();
        let (owner, name) = self.repos[repo].place(repo);
        json["id"] = json!(self.repos[repo].id);
        json["name"] = json!(name);
        json["full_name"] = json!(format!("{owner}/{name}"));
        json["default_branch"] = json!("main");
        json["default_merge_style"] = json!(self.repos[repo].merge_style);
        json["html_url"] = json!(format!("{}/{}/{repo}", self.url, FakeGitea::OWNER));
        json["owner"]["id"] = json!(account_id(FakeGitea::OWNER));
        let row = &self.repos[repo];
        json["archived"] = json!(row.archived);
        json["private"] = json!(row.private);
        json["mirror"] = json!(row.mirror);
        json["empty"] = json!(row.empty);
        if let Some(at) = row.updated_at {
            json["updated_at"] = json!(rfc3339(at));
        }
        json["has_pull_requests"] = json!(!row.without_pulls);
        for (style, key) in ALLOWED {
            json[key] = json!(!row.forbidden_styles.iter().any(|f| f == style));
        }
        if let Some(bare) = &self.repos[repo].bare {
            json["clone_url"] = json!(bare);
        }
        json
    }

    pub(super) fn pull_json(&self, repo: &str, number: i64) -> Value {
        let row = &self.repos[repo];
        let pull = row.pull(number);
        let mut json = fixture_json("gitea/rest_pull.json");
        json["id"] = json!(400 + number);
        json["number"] = json!(number);
        json["title"] = json!(pull.title);
        json["body"] = json!(pull.body);
        json["state"] = json!(if pull.open { "open" } else { "closed" });
        json["merged"] = json!(pull.merged);
        json["user"] = self.shown(&pull.opener);
        json["draft"] = json!(super::merge::is_draft(&pull.title));
        json["mergeable"] = json!(self.is_mergeable(repo, number));
        json["merged_by"] = pull.merged_by.as_ref().map_or(Value::Null, |login| self.shown(login));
        json["requested_reviewers"] = pull.requested.iter().map(|login| self.shown(login)).collect();
        json["requested_reviewers_teams"] = pull.requested_teams.iter().map(|name| json!({ "name": name })).collect();
        json["merge_commit_sha"] = json!(pull.merge_commit);
        json["html_url"] = json!(format!("{}/{}/{repo}/pulls/{number}", self.url, FakeGitea::OWNER));
        json["updated_at"] = json!(rfc3339(pull.updated_ms));
        let hidden = format!("refs/pull/{number}/head");
        let (label, at) = match &pull.origin {
            Origin::Here if row.head(&pull.branch).is_none() => (pull.branch.clone(), hidden),
            Origin::Here | Origin::Fork { .. } => (pull.branch.clone(), pull.branch.clone()),
            Origin::Agit { .. } => (String::new(), hidden),
        };
        json["head"]["label"] = json!(label);
        json["head"]["ref"] = json!(at);
        if let Origin::Fork { repo_id, owner, .. } = &pull.origin {
            // Its branch has the bare name: only the repository tells.
            json["head"]["repo_id"] = json!(repo_id);
            json["head"]["repo"]["id"] = json!(repo_id);
            json["head"]["repo"]["full_name"] = json!(format!("{owner}/{repo}"));
            json["head"]["repo"]["fork"] = json!(true);
            if *repo_id < 0 {
                json["head"]["repo"] = Value::Null;
            }
        }
        json["head"]["sha"] = json!(row.pull_head(number));
        json["base"]["label"] = json!(pull.base);
        json["base"]["ref"] = json!(pull.base);
        json["base"]["sha"] = json!(row.head(&pull.base));
        json
    }
}

impl FakeGitea {
    pub fn pulls(&self, repo: &str) -> Vec<PullRow> {
        let mut world = self.world();
        world.observe(repo);
        world.repo(repo).pulls.clone()
    }

    /// The newest pull request of the branch.
    pub fn pull_of(&self, repo: &str, branch: &str) -> Option<PullRow> {
        self.pulls(repo).into_iter().rfind(|p| p.branch == branch && p.origin == Origin::Here)
    }

    /// A person opens a pull request of a branch; gives its number.
    pub fn open_pull_as(&self, login: &str, repo: &str, branch: &str, base: &str) -> i64 {
        self.opened(login, repo, (branch, base), Origin::Here)
    }

    /// A person opens one of a branch of their fork, which bears this name and is at this commit.
    pub fn open_fork_pull(&self, login: &str, repo: &str, branch: &str, head: &str) -> i64 {
        let origin = Origin::Fork { repo_id: 900, owner: login.to_owned(), head: head.to_owned() };
        self.opened(login, repo, (branch, "main"), origin)
    }

    /// A person pushes a commit to `refs/for/main`.
    pub fn open_agit_pull(&self, login: &str, repo: &str, head: &str) -> i64 {
        self.opened(login, repo, ("", "main"), Origin::Agit { head: head.to_owned() })
    }

    fn opened(&self, login: &str, repo: &str, ends: (&str, &str), origin: Origin) -> i64 {
        let mut world = self.world();
        let number = world.open_pull(repo, ends, ("By hand", ""), login, origin);
        self.courier().take(world.about_pull(repo, number, "pull_request_opened", login));
        number
    }

    /// A person gives the pull request another title.
    pub fn rename_as(&self, login: &str, repo: &str, number: i64, title: &str) -> Delivery {
        let mut world = self.world();
        let now = world.tick();
        let pull = world.repo(repo).pull_mut(number);
        (pull.title, pull.updated_ms) = (title.to_owned(), now);
        let edited = world.about_pull(repo, number, "pull_request_edited_title", login);
        self.courier().take(edited)
    }

    /// A person has it go to another base.
    pub fn retarget_as(&self, login: &str, repo: &str, number: i64, base: &str) -> Delivery {
        let mut world = self.world();
        let now = world.tick();
        let pull = world.repo(repo).pull_mut(number);
        (pull.base, pull.updated_ms) = (base.to_owned(), now);
        let edited = world.about_pull(repo, number, "pull_request_edited_title", login);
        self.courier().take(edited)
    }

    /// A person opens it again.
    pub fn reopen_as(&self, login: &str, repo: &str, number: i64) -> Delivery {
        let mut world = self.world();
        let now = world.tick();
        let pull = world.repo(repo).pull_mut(number);
        (pull.open, pull.closed_head, pull.updated_ms) = (true, None, now);
        world.observe(repo);
        let reopened = world.about_pull(repo, number, "pull_request_reopened", login);
        self.courier().take(reopened)
    }

    /// A person closes the pull request without merging.
    pub fn close(&self, repo: &str, number: i64) -> Delivery {
        let mut world = self.world();
        world.observe(repo);
        let now = world.tick();
        world.repo(repo).close(number, now);
        self.courier().take(world.about_pull(repo, number, "pull_request_closed_unmerged", "maria"))
    }

    /// The fork of a pull request is deleted, which closes it.
    pub fn delete_fork(&self, repo: &str, number: i64) -> Delivery {
        let mut world = self.world();
        let now = world.tick();
        if let Origin::Fork { repo_id, .. } = &mut world.repo(repo).pull_mut(number).origin {
            *repo_id = -1;
        }
        world.repo(repo).close(number, now);
        self.courier().take(world.about_pull(repo, number, "pull_request_closed_unmerged", "ada"))
    }

    /// Whatever git says: it conflicts, or not.
    pub fn set_mergeable(&self, repo: &str, number: i64, mergeable: bool) {
        self.world().repo(repo).pull_mut(number).mergeable = mergeable;
    }
}
