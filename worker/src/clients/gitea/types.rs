//! What the forge answers, cut to the fields Orch uses. Everything that some version leaves out is optional.

use super::comments::MARKER_BEGIN;
use crate::clients::times;
use orch_common::domain::merge::MergeStyle;
use serde::Deserialize;

#[derive(Deserialize)]
pub(super) struct WireVersion {
    pub version: String,
}

#[derive(Deserialize)]
pub(super) struct WireMessage {
    #[serde(default)]
    pub message: String,
}

/// The kind and age of the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForgeVersion {
    /// As the server says it.
    pub raw: String,
    pub forgejo: bool,
    /// Major and minor of the Gitea it is, or says it is compatible with; `None` where that cannot be read.
    pub gitea: Option<(u32, u32)>,
}

impl ForgeVersion {
    /// `1.26.3`, or Forgejo's `11.0.0-...+gitea-1.22.0`.
    pub fn parse(raw: &str) -> Self {
        let (forgejo, gitea) = match raw.split_once("+gitea-") {
            Some((_, compatible)) => (true, compatible),
            None => (false, raw),
        };
        let mut parts = gitea.split(['.', '-', '+']).map(str::parse::<u32>);
        let gitea = match (parts.next(), parts.next()) {
            (Some(Ok(major)), Some(Ok(minor))) => Some((major, minor)),
            _ => None,
        };
        ForgeVersion { raw: raw.to_owned(), forgejo, gitea }
    }

    /// Whether it tells of commit statuses by webhook: Gitea since 1.23, no Forgejo. Else they must be polled.
    pub fn sends_status_events(&self) -> bool {
        self.sends("status")
    }

    /// Whether it has webhooks of this event.
    pub fn sends(&self, event: &str) -> bool {
        let since = match event {
            "status" => (1, 23),
            "workflow_job" => (1, 24),
            "workflow_run" => (1, 25),
            _ => return true,
        };
        !self.forgejo && self.gitea.is_some_and(|version| version >= since)
    }

    /// Whether it tells by webhook of the jobs of its CI, and of the ids by which their logs are had.
    pub fn sends_job_events(&self) -> bool {
        !self.forgejo && self.gitea.is_some_and(|version| version >= (1, 24))
    }
}

/// A user of the forge.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Account {
    pub id: i64,
    pub login: String,
}

/// A repository.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Repo {
    /// It keeps it under any name; 0 = not told.
    #[serde(default)]
    pub id: i64,
    pub name: String,
    /// `owner/name`.
    pub full_name: String,
    #[serde(default)]
    pub default_branch: String,
    /// Nothing can be written.
    #[serde(default)]
    pub archived: bool,
    /// Of another repository: nothing can be written.
    #[serde(default)]
    pub mirror: bool,
    /// It has no branch yet.
    #[serde(default)]
    pub empty: bool,
    #[serde(default)]
    pub private: bool,
    #[serde(default = "yes")]
    pub has_pull_requests: bool,
    /// Milliseconds since the epoch.
    #[serde(default, deserialize_with = "times::millis")]
    pub updated_at: i64,
    #[serde(default)]
    pub html_url: String,
    #[serde(default)]
    pub clone_url: String,
    #[serde(default)]
    pub permissions: Permissions,
    /// The style the repository prefers, e.g. `squash`; empty on old servers.
    #[serde(default)]
    pub default_merge_style: String,
    #[serde(flatten)]
    pub allowed: AllowedStyles,
    #[serde(default)]
    pub default_delete_branch_after_merge: bool,
}

impl Repo {
    /// The styles that a merge may have.
    pub fn allowed_styles(&self) -> Vec<MergeStyle> {
        MergeStyle::ALL.iter().filter(|style| self.allowed.has(style.as_str())).copied().collect()
    }
}

const fn yes() -> bool {
    true
}

/// The styles of merging that a repository allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct AllowedStyles {
    pub allow_merge_commits: bool,
    pub allow_rebase: bool,
    pub allow_rebase_explicit: bool,
    pub allow_squash_merge: bool,
    pub allow_fast_forward_only_merge: bool,
}

/// Older servers do not say all of them.
impl Default for AllowedStyles {
    fn default() -> Self {
        AllowedStyles {
            allow_merge_commits: true,
            allow_rebase: true,
            allow_rebase_explicit: true,
            allow_squash_merge: true,
            allow_fast_forward_only_merge: true,
        }
    }
}

impl AllowedStyles {
    /// Whether this style is one of them; one that nobody here knows is taken to be.
    pub fn has(&self, style: &str) -> bool {
        match style {
            "merge" => self.allow_merge_commits,
            "rebase" => self.allow_rebase,
            "rebase-merge" => self.allow_rebase_explicit,
            "squash" => self.allow_squash_merge,
            "fast-forward-only" => self.allow_fast_forward_only_merge,
            _ => true,
        }
    }
}

/// What an account may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
pub struct Permissions {
    #[serde(default)]
    pub admin: bool,
    #[serde(default)]
    pub push: bool,
    #[serde(default)]
    pub pull: bool,
}

/// A branch and its tip.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Branch {
    pub name: String,
    pub commit: BranchTip,
    /// What its rule says, to everybody who may write.
    #[serde(flatten)]
    pub rule: BranchRule,
}

/// The rule of a branch, as far as a writer is told of it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default)]
pub struct BranchRule {
    pub protected: bool,
    pub user_can_push: bool,
    pub user_can_merge: bool,
    pub required_approvals: i64,
    pub enable_status_check: bool,
    pub status_check_contexts: Option<Vec<String>>,
}

/// The commit a branch points to.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct BranchTip {
    /// Hex digits.
    pub id: String,
}

impl Branch {
    /// The tip's hex digits.
    pub fn head(&self) -> &str {
        &self.commit.id
    }
}

/// A pull request.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Pull {
    pub number: i64,
    #[serde(default)]
    pub title: String,
    /// `open` or `closed`.
    pub state: String,
    #[serde(default)]
    pub merged: bool,
    /// Also `false` while the server is still looking.
    #[serde(default)]
    pub mergeable: bool,
    #[serde(default)]
    pub draft: bool,
    #[serde(default)]
    pub html_url: String,
    pub head: PullEnd,
    pub base: PullEnd,
    /// Who opened it.
    #[serde(default)]
    pub user: Option<Account>,
    #[serde(default)]
    pub merge_commit_sha: Option<String>,
    /// Only where it is asked for by its number.
    #[serde(default)]
    pub merged_by: Option<Account>,
    #[serde(default)]
    pub requested_reviewers: Option<Vec<Account>>,
    #[serde(default)]
    pub requested_reviewers_teams: Option<Vec<Team>>,
    /// Milliseconds since the epoch.
    #[serde(deserialize_with = "times::millis")]
    pub updated_at: i64,
}

impl Pull {
    pub fn is_open(&self) -> bool {
        self.state == "open"
    }

    /// Who merged it, for people.
    pub fn merger(&self) -> String {
        self.merged_by.as_ref().map_or_else(|| "somebody".to_owned(), |user| user.login.clone())
    }

    /// It comes from another repository. A branch's name does not tell: a fork's may be the same.
    pub fn is_of_fork(&self) -> bool {
        self.head.repo_id != self.base.repo_id
    }

    /// This account opened it, from this repository's branch to `base` where one is named.
    pub fn is_of(&self, account: i64, branch: &str, base: Option<&str>) -> bool {
        let opened = self.user.as_ref().is_some_and(|user| user.id == account);
        opened && !self.is_of_fork() && self.branch() == branch && base.is_none_or(|base| self.base.label == base)
    }

    /// The branch it comes from, in this repository. The label keeps the name after the branch is gone, the ref
    /// does not (`refs/pull/N/head`).
    pub fn branch(&self) -> &str {
        if self.head.label.is_empty() { &self.head.r#ref } else { &self.head.label }
    }
}

/// One end of a pull request.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct PullEnd {
    #[serde(default)]
    pub label: String,
    #[serde(default)]
    pub r#ref: String,
    #[serde(default)]
    pub sha: String,
    #[serde(default)]
    pub repo_id: i64,
}

/// A review as stored.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Review {
    pub id: i64,
    /// `None`: a deleted account.
    pub user: Option<Account>,
    /// `APPROVED REQUEST_CHANGES COMMENT PENDING REQUEST_REVIEW`.
    pub state: String,
    #[serde(default)]
    pub body: String,
    /// The commit that was looked at.
    #[serde(default)]
    pub commit_id: String,
    /// Commits came after it.
    #[serde(default)]
    pub stale: bool,
    /// By somebody whose word counts for the branch's protection.
    #[serde(default)]
    pub official: bool,
    #[serde(default)]
    pub dismissed: bool,
    /// Milliseconds since the epoch.
    #[serde(deserialize_with = "times::millis")]
    pub submitted_at: i64,
    /// Comments on lines that belong to it.
    #[serde(default)]
    pub comments_count: i64,
}

/// A comment on a line, part of a review.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct LineComment {
    #[serde(default)]
    pub path: String,
    /// The line in the new file; 0 = it is gone there.
    #[serde(default)]
    pub position: i64,
    #[serde(default)]
    pub original_position: i64,
    #[serde(default)]
    pub diff_hunk: String,
    #[serde(default)]
    pub body: String,
}

impl LineComment {
    /// The line that is meant, in the new file or else in the old one.
    pub fn line(&self) -> i64 {
        if self.position > 0 { self.position } else { self.original_position }
    }
}

/// A team of an organisation.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Team {
    #[serde(default)]
    pub id: i64,
    pub name: String,
}

impl Review {
    /// It says yes or no.
    pub fn is_verdict(&self) -> bool {
        matches!(self.state.as_str(), "APPROVED" | "REQUEST_CHANGES")
    }

    /// What it says to people, without our own marker.
    pub fn words(&self) -> &str {
        self.body.split(MARKER_BEGIN).next().unwrap_or_default().trim()
    }

    /// It asks for changes, and stands.
    pub fn rejects(&self) -> bool {
        self.state == "REQUEST_CHANGES" && !self.dismissed
    }
}

/// A comment on an issue or a pull request.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Comment {
    pub id: i64,
    pub user: Option<Account>,
    #[serde(default)]
    pub body: String,
    /// Milliseconds since the epoch.
    #[serde(deserialize_with = "times::millis")]
    pub created_at: i64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_both_forges_are_read() {
        let table = [
            ("1.26.3", false, Some((1, 26)), true),
            ("1.24.0", false, Some((1, 24)), true),
            ("1.22.0", false, Some((1, 22)), false),
            ("1.23.0+dev-608-gec2d1593c2", false, Some((1, 23)), true),
            ("11.0.0-dev-617-1d1e0ced3e+gitea-1.22.0", true, Some((1, 22)), false),
            ("unknown", false, None, false),
        ];
        for (raw, forgejo, gitea, status) in table {
            let version = ForgeVersion::parse(raw);
            assert_eq!((version.forgejo, version.gitea), (forgejo, gitea), "{raw}");
            assert_eq!(version.sends_status_events(), status, "{raw}");
            assert_eq!(version.sends_job_events(), status && gitea != Some((1, 23)), "{raw}");
        }
    }
}
