//! A Gitea (or Forgejo) with repositories of one owner, each in memory or over a real bare git repository. People
//! and CI act through methods here; a client acts through the REST API in `gitea_rest`. Both leave deliveries.

use super::courier::{Courier, Delivery};
use super::gitea_git as git;
use super::gitea_rest;
use super::now_ms;
use super::server::{Fault, Request, Server};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// A forge.
pub struct FakeGitea {
    server: Server,
    world: Arc<Mutex<World>>,
    courier: Arc<Courier>,
}

/// Everything the forge knows.
pub(super) struct World {
    /// Major and minor of the Gitea it is compatible with.
    pub version: (u32, u32),
    pub forgejo: bool,
    pub url: String,
    pub repos: BTreeMap<String, RepoRow>,
    /// The scopes of the tokens; `None`: all.
    pub scopes: Option<Vec<String>>,
    pub hidden_from_reviewer: bool,
    last_id: i64,
    last_ms: i64,
}

#[derive(Default)]
pub(super) struct RepoRow {
    /// Where the branches are; `None`: in `branches`.
    pub bare: Option<PathBuf>,
    pub branches: BTreeMap<String, String>,
    pub pulls: Vec<PullRow>,
    pub statuses: Vec<StatusRow>,
    /// By pull request number.
    pub comments: BTreeMap<i64, Vec<CommentRow>>,
    pub reviews: BTreeMap<i64, Vec<ReviewRow>>,
    pub hooks: Vec<(i64, Value)>,
    pub merge_style: String,
    /// So many merges are answered "Please try again later".
    pub merges_later: usize,
}

/// A pull request as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PullRow {
    pub number: i64,
    pub branch: String,
    pub base: String,
    pub title: String,
    pub body: String,
    pub open: bool,
    pub merged: bool,
    pub mergeable: bool,
    /// The head when it was closed; while open the branch says it.
    pub closed_head: Option<String>,
    pub merge_commit: Option<String>,
    pub updated_ms: i64,
}

/// A commit status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusRow {
    pub id: i64,
    pub sha: String,
    pub context: String,
    pub state: String,
    pub description: String,
}

/// A comment on a pull request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommentRow {
    pub id: i64,
    pub login: String,
    pub body: String,
}

/// A review.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReviewRow {
    pub id: i64,
    pub login: String,
    /// `APPROVED REQUEST_CHANGES COMMENT`.
    pub state: String,
    pub body: String,
    pub commit: String,
    pub dismissed: bool,
    pub at_ms: i64,
}

impl FakeGitea {
    pub const OWNER: &'static str = "acme";
    pub const TOKEN: &'static str = "fake-gitea-bot-token";
    pub const BOT: &'static str = "orch-bot";
    /// The second account, which reviews.
    pub const REVIEWER: &'static str = "orch-reviewer";
    pub const REVIEWER_TOKEN: &'static str = "fake-gitea-reviewer-token";
    pub const WEBHOOK_SECRET: &'static str = "fake-gitea-webhook-secret";

    /// A Gitea 1.26.
    pub fn start() -> Self {
        Self::start_version((1, 26))
    }

    pub fn start_version(version: (u32, u32)) -> Self {
        let scopes = None;
        let world = World {
            scopes,
            hidden_from_reviewer: false,
            version,
            forgejo: false,
            url: String::new(),
            repos: BTreeMap::new(),
            last_id: 100,
            last_ms: 0,
        };
        let (world, courier) = (Arc::new(Mutex::new(world)), Arc::new(Courier::default()));
        let (shared, carrier) = (Arc::clone(&world), Arc::clone(&courier));
        let server = Server::start(move |r| gitea_rest::handle(&mut held(&shared), &carrier, r));
        held(&world).url.clone_from(&server.url);
        FakeGitea { server, world, courier }
    }

    /// Says it is a Forgejo.
    pub fn be_forgejo(&self) {
        self.world().forgejo = true;
    }

    pub fn url(&self) -> &str {
        &self.server.url
    }

    pub fn requests(&self) -> Vec<Request> {
        self.server.requests()
    }

    pub fn forget_requests(&self) {
        self.server.forget_requests();
    }

    pub fn wait_for(&self, limit: Duration, enough: impl Fn(&[Request]) -> bool) -> bool {
        self.server.wait_for(limit, enough)
    }

    pub fn fail_next(&self, times: usize, fault: Fault) {
        self.server.fail("", "", times, fault);
    }

    /// The next `times` requests of `method` (empty: any) whose path contains `part` meet `fault`.
    pub fn fail_when(&self, method: &str, part: &str, times: usize, fault: Fault) {
        self.server.fail(method, part, times, fault);
    }

    /// Posts every delivery to `url` from now on.
    pub fn webhook_to(&self, url: &str) {
        self.courier.send_to(url);
    }

    pub fn deliveries(&self) -> Vec<Delivery> {
        self.courier.made()
    }

    /// What the receiver answered to each posted delivery.
    pub fn delivery_answers(&self) -> Vec<Option<u16>> {
        self.courier.answers()
    }

    /// The second account is no collaborator: it sees no repository.
    pub fn hide_from_reviewer(&self) {
        self.world().hidden_from_reviewer = true;
    }

    /// The tokens have these scopes and no others, e.g. `read:repository`.
    pub fn give_only(&self, scopes: &[&str]) {
        self.world().scopes = Some(scopes.iter().map(|s| (*s).to_owned()).collect());
    }

    /// A repository whose branches are those of the bare repository at `bare`.
    pub fn add_repo(&self, name: &str, bare: &Path) {
        self.insert(name, Some(bare.to_owned()), BTreeMap::new());
    }

    /// A repository without git: `main` points to a made-up commit.
    pub fn add_plain_repo(&self, name: &str) {
        self.insert(name, None, BTreeMap::from([("main".to_owned(), "a".repeat(40))]));
    }

    fn insert(&self, name: &str, bare: Option<PathBuf>, branches: BTreeMap<String, String>) {
        let row = RepoRow { bare, branches, merge_style: "merge".into(), ..RepoRow::default() };
        self.world().repos.insert(name.to_owned(), row);
    }

    /// Somebody switches the repository's webhooks off, or on.
    pub fn switch_hooks(&self, repo: &str, active: bool) {
        for (_, hook) in &mut self.world().repo(repo).hooks {
            hook["active"] = Value::Bool(active);
        }
    }

    /// The repository's webhooks: id and address.
    pub fn hooks(&self, repo: &str) -> Vec<(i64, String)> {
        let of = |hook: &Value| hook["config"]["url"].as_str().unwrap_or_default().to_owned();
        self.world().repo(repo).hooks.iter().map(|(id, hook)| (*id, of(hook))).collect()
    }

    /// Moves a branch of a repository without git.
    pub fn set_branch(&self, repo: &str, branch: &str, sha: &str) {
        self.world().repo(repo).branches.insert(branch.to_owned(), sha.to_owned());
    }

    pub fn head_of(&self, repo: &str, branch: &str) -> Option<String> {
        self.world().repo(repo).head(branch)
    }

    pub fn pulls(&self, repo: &str) -> Vec<PullRow> {
        self.world().repo(repo).pulls.clone()
    }

    /// The newest pull request of the branch.
    pub fn pull_of(&self, repo: &str, branch: &str) -> Option<PullRow> {
        self.pulls(repo).into_iter().rfind(|p| p.branch == branch)
    }

    /// Every status of a commit, oldest first.
    pub fn statuses_of(&self, repo: &str, sha: &str) -> Vec<StatusRow> {
        self.world().repo(repo).statuses.iter().filter(|s| s.sha == sha).cloned().collect()
    }

    pub fn comments_of(&self, repo: &str, number: i64) -> Vec<CommentRow> {
        self.world().repo(repo).comments.get(&number).cloned().unwrap_or_default()
    }

    /// The next `times` merges are answered "Please try again later".
    pub fn merges_later(&self, repo: &str, times: usize) {
        self.world().repo(repo).merges_later = times;
    }

    pub fn set_mergeable(&self, repo: &str, number: i64, mergeable: bool) {
        self.world().repo(repo).pull_mut(number).mergeable = mergeable;
    }

    /// The style the repository prefers (`merge squash rebase ...`).
    pub fn set_merge_style(&self, repo: &str, style: &str) {
        self.world().repo(repo).merge_style = style.to_owned();
    }

    /// A person closes the pull request without merging.
    pub fn close(&self, repo: &str, number: i64) -> Delivery {
        let mut world = self.world();
        let now = world.tick();
        world.repo(repo).close(number, now);
        self.courier.take(world.about_pull(repo, number, "pull_request_closed_unmerged", "maria"))
    }

    /// A person merges the pull request.
    pub fn merge_as(&self, login: &str, repo: &str, number: i64) -> Delivery {
        let mut world = self.world();
        world.merge(repo, number, "merge").unwrap();
        self.courier.take(world.about_pull(repo, number, "pull_request_closed_merged", login))
    }

    /// A review by `login`; `state` is `APPROVED`, `REQUEST_CHANGES` or `COMMENT`.
    pub fn review(&self, repo: &str, number: i64, login: &str, state: &str, body: &str) -> Delivery {
        let mut world = self.world();
        let review = world.add_review(repo, number, login, (state, body));
        self.courier.take(world.reviewed(repo, number, &review))
    }

    /// Every review of a pull request, oldest first.
    pub fn reviews_of(&self, repo: &str, number: i64) -> Vec<ReviewRow> {
        self.world().repo(repo).reviews.get(&number).cloned().unwrap_or_default()
    }

    /// A CI system (not the bot) says something about a commit.
    pub fn ci(&self, repo: &str, sha: &str, context: &str, state: &str) -> Delivery {
        let mut world = self.world();
        let status = StatusRow {
            id: world.next_id(),
            sha: sha.into(),
            context: context.into(),
            state: state.into(),
            description: format!("{context} {state}"),
        };
        world.repo(repo).statuses.push(status.clone());
        self.courier.take(world.stated(repo, &status, "ci-bot"))
    }

    /// A comment on a pull request.
    pub fn comment_as(&self, login: &str, repo: &str, number: i64, body: &str) -> Delivery {
        let mut world = self.world();
        let comment = CommentRow { id: world.next_id(), login: login.into(), body: body.into() };
        world.repo(repo).comments.entry(number).or_default().push(comment.clone());
        self.courier.take(world.commented(repo, number, &comment))
    }

    /// The delivery of a push that has happened (with git, or [`FakeGitea::set_branch`]).
    pub fn pushed(&self, login: &str, repo: &str, branch: &str, before: &str) -> Delivery {
        let world = self.world();
        let after = world.repos[repo].head(branch).unwrap();
        self.courier.take(world.pushed(repo, branch, (before, &after), login))
    }

    fn world(&self) -> MutexGuard<'_, World> {
        held(&self.world)
    }
}

fn held(world: &Mutex<World>) -> MutexGuard<'_, World> {
    world.lock().unwrap_or_else(PoisonError::into_inner)
}

impl World {
    pub fn next_id(&mut self) -> i64 {
        self.last_id += 1;
        self.last_id
    }

    /// A time later than every one before.
    pub fn tick(&mut self) -> i64 {
        self.last_ms = now_ms().max(self.last_ms + 1);
        self.last_ms
    }

    pub fn repo(&mut self, name: &str) -> &mut RepoRow {
        self.repos.get_mut(name).unwrap_or_else(|| panic!("no repository {name}"))
    }

    /// Merges; `Err`: it conflicts.
    pub fn merge(&mut self, repo: &str, number: i64, style: &str) -> Result<(), String> {
        let now = self.tick();
        let row = self.repo(repo);
        let (head, pull) = (row.pull_head(number), row.pull_mut(number).clone());
        let merged = match &row.bare {
            Some(bare) => git::merge(bare, &pull, &head, style)?,
            None => {
                row.branches.insert(pull.base.clone(), head.clone());
                head.clone()
            }
        };
        row.close(number, now);
        let pull = row.pull_mut(number);
        (pull.merged, pull.merge_commit) = (true, Some(merged));
        Ok(())
    }
}

impl RepoRow {
    pub fn head(&self, branch: &str) -> Option<String> {
        match &self.bare {
            Some(bare) => git::head(bare, branch),
            None => self.branches.get(branch).cloned(),
        }
    }

    pub fn create_branch(&mut self, branch: &str, sha: &str) {
        match &self.bare {
            Some(bare) => git::set_branch(bare, branch, sha),
            None => drop(self.branches.insert(branch.to_owned(), sha.to_owned())),
        }
    }

    pub fn delete_branch(&mut self, branch: &str) {
        match &self.bare {
            Some(bare) => git::delete_branch(bare, branch),
            None => drop(self.branches.remove(branch)),
        }
    }

    pub fn pull_mut(&mut self, number: i64) -> &mut PullRow {
        self.pulls.iter_mut().find(|p| p.number == number).unwrap_or_else(|| panic!("no pull request {number}"))
    }

    /// The head of a pull request: of the branch while it is open.
    pub fn pull_head(&self, number: i64) -> String {
        let pull = self.pulls.iter().find(|p| p.number == number).unwrap();
        pull.closed_head.clone().or_else(|| self.head(&pull.branch)).unwrap_or_else(|| "0".repeat(40))
    }

    fn close(&mut self, number: i64, now_ms: i64) {
        let head = self.pull_head(number);
        let pull = self.pull_mut(number);
        (pull.open, pull.closed_head, pull.updated_ms) = (false, Some(head), now_ms);
    }
}
