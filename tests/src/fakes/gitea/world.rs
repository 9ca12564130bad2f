//! What the forge knows, and what it works out in the background.

use super::FakeGitea;
use super::actions::JobRow;
use super::git;
use super::rights::{BranchRule, Right};
use crate::fakes::now_ms;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::PathBuf;

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
    /// Who may do what; the same in every repository. Whoever is not here is a stranger.
    pub rights: BTreeMap<String, Right>,
    /// The owner's teams, by name.
    pub teams: BTreeMap<String, Vec<String>>,
    pub deleted: Vec<String>,
    /// They may not sign in.
    pub suspended: Vec<String>,
    /// Accounts that the forge lets nobody ask for a review.
    pub no_reviewers: Vec<String>,
    /// They must choose a new password first.
    pub must_change: Vec<String>,
    /// Accounts without a second factor see no repository.
    pub second_factor: bool,
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
    /// It keeps it under any name.
    pub id: i64,
    /// The owner and the name that it has now, if they are others than at first.
    pub renamed: Option<(String, String)>,
    /// By pull request number.
    pub comments: BTreeMap<i64, Vec<CommentRow>>,
    pub reviews: BTreeMap<i64, Vec<ReviewRow>>,
    pub hooks: Vec<(i64, Value)>,
    pub jobs: Vec<JobRow>,
    pub merge_style: String,
    /// The styles that are switched off.
    pub forbidden_styles: Vec<String>,
    /// By the base branch's name.
    pub rules: BTreeMap<String, BranchRule>,
    pub archived: bool,
    pub without_pulls: bool,
    pub private: bool,
    pub mirror: bool,
    pub empty: bool,
    /// Folders of the default branch that there are.
    pub folders: Vec<String>,
    /// When something last happened, if it is to be said.
    pub updated_at: Option<i64>,
    /// What the server's hook says to every push and merge into a base.
    pub hook_words: Option<String>,
    /// So many merges are answered "Please try again later".
    pub merges_later: usize,
    /// How long the forge works out whether a pull request can be merged, after each push and change of the base or its rule.
    pub computing_ms: i64,
    /// How long a review of an older head is not yet marked as stale.
    pub stale_ms: i64,
    /// So many comments are stored and answered 500 with a page.
    pub comments_panic: usize,
}

/// Where a pull request comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A branch of the repository itself.
    Here,
    /// A branch of a fork, at this commit; the fork's repository has this id (-1: it was deleted).
    Fork { repo_id: i64, owner: String, head: String },
    /// Pushed to `refs/for/BASE`: no branch at all.
    Agit { head: String },
}

/// A pull request as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PullRow {
    pub number: i64,
    pub branch: String,
    pub base: String,
    pub title: String,
    pub body: String,
    pub opener: String,
    pub origin: Origin,
    pub open: bool,
    pub merged: bool,
    pub merged_by: Option<String>,
    /// `false`: it conflicts, whatever git says.
    pub mergeable: bool,
    /// Who is asked for a review.
    pub requested: Vec<String>,
    pub requested_teams: Vec<String>,
    /// The head when it was closed; while open the branch says it.
    pub closed_head: Option<String>,
    pub merge_commit: Option<String>,
    pub updated_ms: i64,
    pub(super) computed: Computed,
}

/// What the background has seen of a pull request.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Computed {
    pub head: String,
    pub base: String,
    /// The head is known since then.
    pub head_at_ms: i64,
    pub ready_at_ms: i64,
    pub conflict: bool,
}

/// A commit status.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StatusRow {
    pub id: i64,
    pub sha: String,
    pub context: String,
    pub state: String,
    pub description: String,
    /// As lists have it: a path without the host where the forge's own CI made it.
    pub target_url: String,
    /// When it was said, in ms.
    pub at: i64,
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
    /// `APPROVED REQUEST_CHANGES COMMENT REQUEST_REVIEW`.
    pub state: String,
    pub body: String,
    pub commit: String,
    pub official: bool,
    pub dismissed: bool,
    pub at_ms: i64,
    pub inline: Vec<InlineRow>,
}

/// A comment on a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InlineRow {
    pub path: String,
    pub line: i64,
    pub hunk: String,
    pub body: String,
}

impl World {
    pub fn new(version: (u32, u32), rights: BTreeMap<String, Right>) -> Self {
        World {
            version,
            forgejo: false,
            url: String::new(),
            repos: BTreeMap::new(),
            scopes: None,
            hidden_from_reviewer: false,
            rights,
            teams: BTreeMap::new(),
            deleted: Vec::new(),
            suspended: Vec::new(),
            no_reviewers: Vec::new(),
            must_change: Vec::new(),
            second_factor: false,
            last_id: 100,
            last_ms: 0,
        }
    }

    pub fn next_id(&mut self) -> i64 {
        self.last_id += 1;
        self.last_id
    }

    /// A time later than every one before.
    pub fn tick(&mut self) -> i64 {
        self.last_ms = now_ms().max(self.last_ms + 1);
        self.last_ms
    }

    /// What is at this place: a repository, by its first name, or where one went to.
    pub fn place(&self, owner: &str, name: &str) -> Place {
        let at = |(key, row): &(&String, &RepoRow)| row.place(key) == (owner.to_owned(), name.to_owned());
        if let Some((key, _)) = self.repos.iter().find(at) {
            return Place::Here(key.clone());
        }
        match self.repos.get_key_value(name) {
            Some((key, row)) if owner == FakeGitea::OWNER => Place::Moved(row.place(key)),
            Some(_) | None => Place::Nowhere,
        }
    }

    pub fn repo(&mut self, name: &str) -> &mut RepoRow {
        self.repos.get_mut(name).unwrap_or_else(|| panic!("no repository {name}"))
    }

    /// The background: pushes are noticed, branches that are gone close their pull requests. Gives the numbers of those.
    pub fn observe(&mut self, repo: &str) -> Vec<i64> {
        let (now, forgejo) = (self.tick(), self.forgejo);
        let row = self.repo(repo);
        let open: Vec<i64> = row.pulls.iter().filter(|p| p.open).map(|p| p.number).collect();
        let (mut gone, mut bases) = (Vec::new(), BTreeMap::new());
        for number in open {
            let pull = row.pull(number).clone();
            if pull.origin == Origin::Here && row.head(&pull.branch).is_none() {
                row.close(number, now);
                gone.push(number);
                continue;
            }
            // Git is asked once, however many go there.
            let base = bases.entry(pull.base.clone()).or_insert_with(|| row.head(&pull.base).unwrap_or_default());
            row.compute(number, base.clone(), now, forgejo);
        }
        gone
    }
}

/// What a path of the API leads to.
pub(super) enum Place {
    Here(String),
    Moved((String, String)),
    Nowhere,
}

impl RepoRow {
    /// Owner and name.
    pub fn place(&self, first: &str) -> (String, String) {
        self.renamed.clone().unwrap_or_else(|| (FakeGitea::OWNER.to_owned(), first.to_owned()))
    }

    pub fn head(&self, branch: &str) -> Option<String> {
        match &self.bare {
            Some(bare) => git::head(bare, branch),
            None => self.branches.get(branch).cloned(),
        }
    }

    /// Whether a branch's name is one, or stands in the way of one.
    pub fn takes_the_name(&self, branch: &str) -> bool {
        let names: Vec<String> = match &self.bare {
            Some(bare) => git::branches(bare),
            None => self.branches.keys().cloned().collect(),
        };
        names.iter().any(|n| n.starts_with(&format!("{branch}/")) || branch.starts_with(&format!("{n}/")))
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

    pub fn pull(&self, number: i64) -> &PullRow {
        self.pulls.iter().find(|p| p.number == number).unwrap_or_else(|| panic!("no pull request {number}"))
    }

    pub fn pull_mut(&mut self, number: i64) -> &mut PullRow {
        self.pulls.iter_mut().find(|p| p.number == number).unwrap_or_else(|| panic!("no pull request {number}"))
    }

    /// The head of a pull request: of the branch while it is open.
    pub fn pull_head(&self, number: i64) -> String {
        let pull = self.pull(number);
        let now = match &pull.origin {
            Origin::Here => self.head(&pull.branch),
            Origin::Fork { head, .. } | Origin::Agit { head } => Some(head.clone()),
        };
        pull.closed_head.clone().or(now).unwrap_or_else(|| "0".repeat(40))
    }

    pub fn close(&mut self, number: i64, now_ms: i64) {
        let head = self.pull_head(number);
        let head = if head.bytes().all(|b| b == b'0') { self.pull(number).computed.head.clone() } else { head };
        let pull = self.pull_mut(number);
        (pull.open, pull.closed_head, pull.updated_ms) = (false, Some(head), now_ms);
    }

    /// Notices a push or a moved base: what was known of it is worked out again, which takes its time.
    fn compute(&mut self, number: i64, base: String, now: i64, forgejo: bool) {
        let head = self.pull_head(number);
        let old = self.pull(number).computed.clone();
        if (old.head.as_str(), old.base.as_str()) == (head.as_str(), base.as_str()) {
            return;
        }
        let moved = old.head != head;
        if !moved && forgejo {
            // A moved base is not looked at there: the merge finds out.
            return;
        }
        let conflict = self.bare.as_ref().is_some_and(|bare| git::merged_tree(bare, &base, &head).is_err());
        let head_at_ms = if moved { now } else { old.head_at_ms };
        let computed = Computed { head, base, head_at_ms, ready_at_ms: now + self.computing_ms, conflict };
        let (dismiss, first) = (self.rule_of(number).dismiss_stale, old.head.is_empty());
        let pull = self.pull_mut(number);
        pull.computed = computed;
        if moved && !first {
            pull.updated_ms = now;
            for review in self.reviews.entry(number).or_default().iter_mut() {
                review.dismissed |= dismiss && review.state == "APPROVED";
            }
        }
    }

    /// The rule of a branch: by its name, else the first pattern (`feature/**`) that fits.
    pub fn rule_for(&self, branch: &str) -> Option<&BranchRule> {
        let fits = |pattern: &str| pattern.strip_suffix("**").is_some_and(|start| branch.starts_with(start));
        self.rules.get(branch).or_else(|| self.rules.iter().find(|(pattern, _)| fits(pattern)).map(|(_, rule)| rule))
    }

    /// The rule of its base; one that asks for nothing where there is none.
    pub fn rule_of(&self, number: i64) -> BranchRule {
        self.rules.get(&self.pull(number).base).cloned().unwrap_or_default()
    }

    /// After a change of the base's rule everything is worked out again.
    pub fn compute_again(&mut self, base: &str, now: i64) {
        let wait = self.computing_ms;
        for pull in self.pulls.iter_mut().filter(|p| p.open && p.base == base) {
            pull.computed.ready_at_ms = now + wait;
        }
    }
}
