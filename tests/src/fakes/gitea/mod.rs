//! A Gitea (or Forgejo) with repositories of one owner, each in memory or over a real bare git repository. People
//! and CI act through methods of [`FakeGitea`]; a client acts through the REST API in `rest`. Both leave deliveries.

mod actions;
mod deliveries;
mod git;
mod hooks;
mod merge;
mod pulls;
mod rest;
mod reviews;
mod rights;
mod statuses;
mod world;

pub use actions::NewActionJob;
pub use rights::{BranchRule, Right};
pub use world::{CommentRow, InlineRow, Origin, PullRow, ReviewRow, StatusRow};

use super::courier::{Courier, Delivery};
use super::server::{Fault, Request, Server};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use world::{RepoRow, World};

/// A forge.
pub struct FakeGitea {
    server: Server,
    world: Arc<Mutex<World>>,
    courier: Arc<Courier>,
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
        let world = World::new(version, rights::first_rights());
        let (world, courier) = (Arc::new(Mutex::new(world)), Arc::new(Courier::default()));
        let (shared, carrier) = (Arc::clone(&world), Arc::clone(&courier));
        let server = Server::start(move |r| rest::handle(&mut held(&shared), &carrier, r));
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

    /// No request meets a fault that was planned.
    pub fn heal(&self) {
        self.server.heal();
    }

    /// Every request meets `fault` from now on; `None`: no longer.
    pub fn fall_ill(&self, fault: Option<Fault>) {
        self.server.fall_ill(fault);
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

    /// An administrator prohibits the account's sign-in.
    pub fn suspend(&self, login: &str) {
        self.world().suspended.push(login.to_owned());
    }

    /// The account must choose a new password.
    pub fn must_change_password(&self, login: &str) {
        self.world().must_change.push(login.to_owned());
    }

    /// `TWO_FACTOR_AUTH = enforced`, and nobody has a second factor.
    pub fn enforce_second_factor(&self) {
        self.world().second_factor = true;
    }

    pub fn make_mirror(&self, repo: &str) {
        self.world().repo(repo).mirror = true;
    }

    /// As it is before the first push.
    pub fn make_empty(&self, repo: &str) {
        let mut world = self.world();
        let row = world.repo(repo);
        row.empty = true;
        row.branches.clear();
    }

    /// A folder of the default branch, such as `.gitea/workflows`.
    pub fn add_folder(&self, repo: &str, folder: &str) {
        self.world().repo(repo).folders.push(folder.to_owned());
    }

    /// When something last happened in the repository, in ms.
    pub fn set_updated(&self, repo: &str, at_ms: i64) {
        self.world().repo(repo).updated_at = Some(at_ms);
    }

    /// Somebody changes fields of the repository's webhooks by hand.
    pub fn change_hooks(&self, repo: &str, change: impl Fn(&mut Value)) {
        self.world().repo(repo).hooks.iter_mut().for_each(|(_, hook)| change(hook));
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
        let mut world = self.world();
        let id = 11 + i64::try_from(world.repos.len()).unwrap();
        let row = RepoRow { id, bare, branches, merge_style: "merge".into(), stale_ms: 300, ..RepoRow::default() };
        world.repos.insert(name.to_owned(), row);
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

    /// A branch where another one is.
    pub fn set_branch_at(&self, repo: &str, branch: &str, from: &str) {
        let mut world = self.world();
        let head = world.repo(repo).head(from).unwrap();
        world.repo(repo).create_branch(branch, &head);
    }

    pub fn head_of(&self, repo: &str, branch: &str) -> Option<String> {
        self.world().repo(repo).head(branch)
    }

    pub fn comments_of(&self, repo: &str, number: i64) -> Vec<CommentRow> {
        self.world().repo(repo).comments.get(&number).cloned().unwrap_or_default()
    }

    /// The next `times` merges are answered "Please try again later".
    pub fn merges_later(&self, repo: &str, times: usize) {
        self.world().repo(repo).merges_later = times;
    }

    /// The account's token.
    pub fn token_of(login: &str) -> String {
        format!("fake-token-of-{login}")
    }

    /// What an account may do, from now on.
    pub fn set_right(&self, login: &str, right: Right) {
        self.world().rights.insert(login.to_owned(), right);
    }

    pub fn set_team(&self, name: &str, members: &[&str]) {
        self.world().teams.insert(name.to_owned(), members.iter().map(|m| (*m).to_owned()).collect());
    }

    /// The account is deleted; what it said stays, and is said by the Ghost.
    pub fn delete_account(&self, login: &str) {
        self.world().deleted.push(login.to_owned());
    }

    /// The rule of a base branch. Whether pull requests can be merged is worked out again.
    pub fn set_rule(&self, repo: &str, base: &str, rule: BranchRule) {
        let mut world = self.world();
        let now = world.tick();
        let row = world.repo(repo);
        row.rules.insert(base.to_owned(), rule);
        row.compute_again(base, now);
    }

    /// How long it takes to work out whether a pull request can be merged.
    pub fn computes_for(&self, repo: &str, time: Duration) {
        self.world().repo(repo).computing_ms = i64::try_from(time.as_millis()).unwrap();
    }

    /// How long after a push a review is not yet marked as stale.
    pub fn marks_stale_after(&self, repo: &str, time: Duration) {
        self.world().repo(repo).stale_ms = i64::try_from(time.as_millis()).unwrap();
    }

    pub fn archive(&self, repo: &str, archived: bool) {
        self.world().repo(repo).archived = archived;
    }

    pub fn make_private(&self, repo: &str) {
        self.world().repo(repo).private = true;
    }

    pub fn switch_pulls_off(&self, repo: &str) {
        self.world().repo(repo).without_pulls = true;
    }

    pub fn switch_pulls_on(&self, repo: &str) {
        self.world().repo(repo).without_pulls = false;
    }

    /// An administrator allows the account's sign-in again.
    pub fn allow(&self, login: &str) {
        self.world().suspended.retain(|other| other != login);
    }

    /// The repository has another owner or name from now on (`owner/name`); the old place leads to the new one, and tests call it
    /// by the old name.
    pub fn rename_repo(&self, repo: &str, full_name: &str) {
        let (owner, name) = full_name.split_once('/').unwrap();
        self.world().repo(repo).renamed = Some((owner.to_owned(), name.to_owned()));
    }

    /// A person renames a branch; its open pull requests go with it.
    pub fn rename_branch_as(&self, login: &str, repo: &str, from: &str, to: &str) -> Delivery {
        let mut world = self.world();
        let row = world.repo(repo);
        let head = row.head(from).unwrap();
        row.delete_branch(from);
        row.create_branch(to, &head);
        for pull in row.pulls.iter_mut().filter(|pull| pull.open && pull.branch == from) {
            to.clone_into(&mut pull.branch);
        }
        self.courier.take(world.branch_event(repo, to, "create", login));
        self.courier.take(world.branch_event(repo, from, "delete", login))
    }

    /// The server's hook refuses every merge with these words; `None`: no longer.
    pub fn hook_refuses(&self, repo: &str, words: Option<&str>) {
        self.world().repo(repo).hook_words = words.map(str::to_owned);
    }

    /// These merge styles are not allowed.
    pub fn forbid_styles(&self, repo: &str, styles: &[&str]) {
        self.world().repo(repo).forbidden_styles = styles.iter().map(|s| (*s).to_owned()).collect();
    }

    /// The next `times` comments are stored, and answered 500 with a page.
    pub fn comments_panic(&self, repo: &str, times: usize) {
        self.world().repo(repo).comments_panic = times;
    }

    /// A person deletes a branch; its open pull requests are closed.
    pub fn delete_branch_as(&self, login: &str, repo: &str, branch: &str) -> Delivery {
        let mut world = self.world();
        world.repo(repo).delete_branch(branch);
        let told = self.courier.take(world.branch_event(repo, branch, "delete", login));
        for closed in world.observe(repo) {
            self.courier.take(world.about_pull(repo, closed, "pull_request_closed_unmerged", login));
        }
        told
    }

    /// The style the repository prefers (`merge squash rebase ...`).
    pub fn set_merge_style(&self, repo: &str, style: &str) {
        self.world().repo(repo).merge_style = style.to_owned();
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

    fn courier(&self) -> &Courier {
        &self.courier
    }
}

fn held(world: &Mutex<World>) -> MutexGuard<'_, World> {
    world.lock().unwrap_or_else(PoisonError::into_inner)
}
