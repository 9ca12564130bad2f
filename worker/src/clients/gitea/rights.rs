//! What an account and its token may do, found without writing anything: by one refusal that names the token's scopes, by what the
//! forge says of a branch to those who may write, and by requests that nothing can come of.

use super::{Account, Branch, GiteaClient, PAGE_SIZE, Pull, glob};
use crate::clients::causes;
use crate::clients::error::ApiError;
use crate::clients::http::Call;
use reqwest::Method;
use serde::Deserialize;
use serde_json::json;

/// A number that nothing has.
const NOTHING: &str = "0";
/// Where a repository's own workflows are.
const WORKFLOWS: [&str; 3] = [".gitea/workflows", ".forgejo/workflows", ".github/workflows"];

/// The scopes of a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scopes(Vec<String>);

impl Scopes {
    /// Whether it may what this scope allows, e.g. `write:issue`; writing includes reading.
    pub fn allow(&self, scope: &str) -> bool {
        let stronger = scope.strip_prefix("read:").map(|kind| format!("write:{kind}"));
        self.0.iter().any(|s| s == "all" || s == scope || Some(s) == stronger.as_ref())
    }

    /// It sees public repositories alone.
    pub fn is_public_only(&self) -> bool {
        self.0.iter().any(|s| s == "public-only")
    }

    /// As the forge lists them.
    pub fn names(&self) -> &[String] {
        &self.0
    }
}

/// A branch rule, as an admin of the repository sees it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default)]
pub struct Protection {
    /// A name or a pattern; older servers say `branch_name`.
    pub rule_name: String,
    pub branch_name: String,
    pub enable_push: bool,
    pub enable_push_whitelist: bool,
    pub push_whitelist_usernames: Option<Vec<String>>,
    pub push_whitelist_teams: Option<Vec<String>>,
    pub require_signed_commits: bool,
}

impl Protection {
    /// The name or pattern.
    pub fn pattern(&self) -> &str {
        if self.rule_name.is_empty() { &self.branch_name } else { &self.rule_name }
    }

    /// Whether it is about this branch.
    pub fn covers(&self, branch: &str) -> bool {
        glob(self.pattern(), branch, true)
    }

    /// Whether it keeps this account from pushing; ours are no signed commits. Who is in a listed team is not known, so a team is
    /// believed.
    pub fn shuts_out(&self, login: &str) -> bool {
        let named = |list: &Option<Vec<String>>| list.iter().flatten().any(|l| l.eq_ignore_ascii_case(login));
        let teams = self.push_whitelist_teams.as_ref().is_some_and(|teams| !teams.is_empty());
        !self.enable_push
            || self.require_signed_commits
            || (self.enable_push_whitelist && !teams && !named(&self.push_whitelist_usernames))
    }
}

impl GiteaClient {
    /// The scopes of the token; `None` = this server does not name them. An administrator's page is asked for, and the refusal
    /// says what the token has.
    ///
    /// # Errors
    /// Where the forge does not know the token, or does not answer.
    pub async fn scopes(&self) -> Result<Option<Scopes>, ApiError> {
        match self.read::<serde_json::Value>(&Call::get(["api", "v1", "admin", "cron"])).await {
            Ok(_) | Err(ApiError::NotFound) => Ok(None),
            Err(ApiError::Unauthorized(body)) if body.contains("scope(s)") => Ok(causes::scopes_of(&body).map(Scopes)),
            // The scope is there, and the account is no administrator; what else it could mean, other calls say better.
            Err(ApiError::Unauthorized(_)) => Ok(None),
            Err(other) => Err(other),
        }
    }

    /// Whether the token may write comments: a comment that cannot be is changed.
    ///
    /// # Errors
    /// [`ApiError::Unauthorized`] with the forge's words where it may not.
    pub async fn may_comment(&self, repo: &str) -> Result<(), ApiError> {
        let path = self.path(repo, &["issues", "comments", NOTHING]);
        nothing_came(self.http.send(&Call::new(Method::PATCH, path).json(json!({ "body": "x" }))).await.map(drop))
    }

    /// Whether the token may write to the repository: a pull request of a branch into itself cannot be.
    ///
    /// # Errors
    /// [`ApiError::Unauthorized`] with the forge's words where it may not.
    pub async fn may_write(&self, repo: &str, branch: &str) -> Result<(), ApiError> {
        let body = json!({ "head": branch, "base": branch, "title": "none" });
        nothing_came(self.http.send(&Call::post(self.path(repo, &["pulls"]), body)).await.map(drop))
    }

    /// The account of this name.
    pub async fn person(&self, login: &str) -> Result<Option<Account>, ApiError> {
        self.read_if_there(&Call::get(["api", "v1", "users", login])).await
    }

    /// Who can be asked for a review there.
    pub async fn reviewers_of(&self, repo: &str) -> Result<Vec<Account>, ApiError> {
        self.read(&Call::get(self.path(repo, &["reviewers"]))).await
    }

    /// Some of the branches, with what their rules let this account do.
    pub async fn some_branches(&self, repo: &str) -> Result<Vec<Branch>, ApiError> {
        self.read(&Call::get(self.path(repo, &["branches"])).query("limit", PAGE_SIZE)).await
    }

    /// The rule that keeps the account from pushing branches that are called like this one, or a branch that shows it. An admin
    /// sees the rules; who may write sees what they mean for the branches that are there: only where all of those are shut is
    /// it a rule about them all.
    pub async fn shut_out_by(&self, repo: &str, branch: &str, admin: bool) -> Result<Option<String>, ApiError> {
        if admin {
            let (rules, me) = (self.protections(repo).await?, self.me().await?);
            let first = rules.iter().find(|rule| rule.covers(branch));
            return Ok(first.filter(|rule| rule.shuts_out(&me.login)).map(|rule| rule.pattern().to_owned()));
        }
        let start = branch.split_inclusive('-').next().unwrap_or(branch);
        let mut alike = self.some_branches(repo).await?;
        alike.retain(|b| b.name.starts_with(start));
        let all_are_shut = alike.iter().all(|b| b.rule.protected && !b.rule.user_can_push);
        Ok(alike.first().filter(|_| all_are_shut).map(|b| b.name.clone()))
    }

    /// The branch rules; for admins of the repository.
    pub async fn protections(&self, repo: &str) -> Result<Vec<Protection>, ApiError> {
        self.read(&Call::get(self.path(repo, &["branch_protections"]))).await
    }

    /// The pull requests that changed last, open or not.
    pub async fn latest_pulls(&self, repo: &str, many: usize) -> Result<Vec<Pull>, ApiError> {
        let call = Call::get(self.path(repo, &["pulls"])).query("state", "all").query("sort", "recentupdate");
        self.read(&call.query("limit", many)).await
    }

    /// Whether the repository has workflows of its own on a branch.
    pub async fn has_workflows(&self, repo: &str, branch: &str) -> Result<bool, ApiError> {
        for folder in WORKFLOWS {
            let mut path = self.path(repo, &["contents"]);
            path.extend(folder.split('/').map(str::to_owned));
            if self.read_if_there::<serde_json::Value>(&Call::get(path).query("ref", branch)).await?.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Has the forge make a test delivery of a webhook: a push of nothing.
    pub async fn test_hook(&self, repo: &str, id: i64) -> Result<(), ApiError> {
        let call = Call::new(Method::POST, self.path(repo, &["hooks", &id.to_string(), "tests"]));
        self.http.send(&call).await?.deleted()
    }
}

/// Whatever else the forge says of what cannot be, it has looked at the token first.
fn nothing_came(answer: Result<(), ApiError>) -> Result<(), ApiError> {
    match answer {
        Err(ApiError::NotFound | ApiError::Refused { .. } | ApiError::Conflict { .. }) => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_include_each_other() {
        let scopes = |names: &[&str]| Scopes(names.iter().map(|n| (*n).to_owned()).collect());
        for (has, wanted, allowed) in [
            (&["all"][..], "write:issue", true),
            (&["write:issue"], "write:issue", true),
            (&["write:issue"], "read:issue", true),
            (&["read:issue"], "write:issue", false),
            (&["write:repository"], "write:issue", false),
            (&[], "read:user", false),
        ] {
            assert_eq!(scopes(has).allow(wanted), allowed, "{has:?} {wanted}");
        }
        assert!(scopes(&["public-only", "read:user"]).is_public_only() && !scopes(&["all"]).is_public_only());
    }

    #[test]
    fn a_rule_shuts_out_who_is_on_no_list() {
        let rule = |json: serde_json::Value| serde_json::from_value::<Protection>(json).unwrap();
        let table = [
            (json!({ "enable_push": true }), false),
            (json!({ "enable_push": false }), true),
            (json!({ "enable_push": true, "enable_push_whitelist": true, "push_whitelist_usernames": ["ada"] }), true),
            (json!({ "enable_push": true, "enable_push_whitelist": true, "push_whitelist_usernames": null }), true),
            (
                json!({ "enable_push": true, "enable_push_whitelist": true, "push_whitelist_usernames": ["Orch-Bot"] }),
                false,
            ),
            (json!({ "enable_push": true, "enable_push_whitelist": true, "push_whitelist_teams": ["bots"] }), false),
            (json!({ "enable_push": true, "require_signed_commits": true }), true),
        ];
        for (json, shut) in table {
            assert_eq!(rule(json.clone()).shuts_out("orch-bot"), shut, "{json}");
        }
        assert_eq!(rule(json!({ "branch_name": "main" })).pattern(), "main");
    }
}
