//! Who may do what, the rules of branches, and accounts.

use super::FakeGitea;
use super::world::World;
use crate::fakes::fixture_json;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// What an account may do in the repositories.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Right {
    /// Signed in, and nothing else: may read what is public, and review there.
    Stranger,
    Read,
    Write,
    Admin,
    Owner,
}

/// What a base branch asks for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BranchRule {
    pub required_approvals: usize,
    /// Whose approvals are official; `None`: of those who may write.
    pub approvers: Option<Vec<String>>,
    /// Who may push; `None`: nobody.
    pub pushers: Option<Vec<String>>,
    /// Who may merge; `None`: those who may write.
    pub mergers: Option<Vec<String>>,
    pub block_on_rejection: bool,
    /// Each must be a success; empty: no checks are asked for. `*` at the end stands for anything.
    pub contexts: Vec<String>,
    /// A push dismisses the approvals.
    pub dismiss_stale: bool,
    /// Commits must be signed, and the forge has no key.
    pub signed: bool,
}

/// Who is who at the start: `ada` owns, `hugo`, `tom`, `maria` and the programs write, `rita` reads.
pub(super) fn first_rights() -> BTreeMap<String, Right> {
    let of = |right: Right| move |login: &&str| ((*login).to_owned(), right);
    let writers = ["hugo", "tom", "maria", "ivan", "ci-bot", FakeGitea::REVIEWER];
    let all = writers.iter().map(of(Right::Write)).chain(["rita"].iter().map(of(Right::Read)));
    all.chain(["ada", FakeGitea::OWNER].iter().map(of(Right::Owner)))
        .chain([FakeGitea::BOT].iter().map(of(Right::Admin)))
        .collect()
}

/// The id of an account; the bot's is that of `GET /user`.
pub(super) fn account_id(login: &str) -> i64 {
    match login {
        FakeGitea::BOT => 5,
        GHOST => -1,
        ACTIONS => -2,
        other => 1000 + other.bytes().map(i64::from).sum::<i64>(),
    }
}

/// What is left of every deleted account.
pub(super) const GHOST: &str = "Ghost";
/// As whom a job's own token pushes and states.
pub(super) const ACTIONS: &str = "gitea-actions";

pub(super) fn account(login: &str) -> Value {
    let mut user = fixture_json("gitea/rest_comment.json")["user"].clone();
    user["id"] = json!(account_id(login));
    user["login"] = json!(login);
    user["username"] = json!(login);
    user
}

impl World {
    pub fn right(&self, login: &str) -> Right {
        self.rights.get(login).copied().unwrap_or(Right::Stranger)
    }

    /// The account as it is shown: nobody is left of a deleted one.
    pub fn shown(&self, login: &str) -> Value {
        account(if self.deleted.iter().any(|gone| gone == login) { GHOST } else { login })
    }

    /// Whether a review by this account counts for the rule of the base.
    pub fn is_official(&self, repo: &str, number: i64, login: &str) -> bool {
        match &self.repos[repo].rule_of(number).approvers {
            Some(list) => list.iter().any(|l| l == login),
            None => self.right(login) >= Right::Write,
        }
    }

    pub fn may_push(&self, repo: &str, branch: &str, login: &str) -> bool {
        let listed = |rule: &BranchRule| rule.pushers.iter().flatten().any(|l| l == login);
        self.right(login) >= Right::Write && self.repos[repo].rule_for(branch).is_none_or(listed)
    }

    pub fn may_merge(&self, repo: &str, base: &str, login: &str) -> bool {
        let mergers = self.repos[repo].rule_for(base).and_then(|rule| rule.mergers.as_ref());
        self.right(login) >= Right::Write && mergers.is_none_or(|list| list.iter().any(|l| l == login))
    }
}
