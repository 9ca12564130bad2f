//! Webhooks of a repository. The URL is the key: the server shows no secret, and cannot change one.

use super::{GiteaClient, Hook};
use crate::clients::error::ApiError;
use crate::clients::http::Call;
use serde_json::json;
use std::fmt;

/// What Orch wants to hear. Words a server does not know are dropped by it (`status` before 1.23, `workflow_job` before 1.24, and
/// both at Forgejo).
pub const HOOK_EVENTS: &[&str] =
    &["push", "create", "delete", "pull_request", "issue_comment", "status", "workflow_job"];

/// A webhook to install.
#[derive(Clone, Copy)]
pub struct NewHook<'a> {
    /// Where deliveries go.
    pub url: &'a str,
    /// What they are signed with.
    pub secret: &'a str,
}

impl fmt::Debug for NewHook<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let NewHook { url, secret: _ } = self;
        f.debug_struct("NewHook").field("url", url).field("secret", &"***").finish()
    }
}

impl GiteaClient {
    /// The repository's webhooks; needs its admin right.
    pub async fn hooks(&self, repo: &str) -> Result<Vec<Hook>, ApiError> {
        self.all_pages(Call::get(self.path(repo, &["hooks"]))).await
    }

    /// Installs the webhook. A second one with the same URL is a second webhook: look with [`GiteaClient::hooks`]
    /// first. The answer's events lack those the server does not know.
    pub async fn create_hook(&self, repo: &str, new: NewHook<'_>) -> Result<Hook, ApiError> {
        let NewHook { url, secret } = new;
        let body = json!({
            "type": "gitea",
            "active": true,
            "branch_filter": "*",
            "events": HOOK_EVENTS,
            "config": { "url": url, "content_type": "json", "secret": secret },
        });
        self.read(&Call::post(self.path(repo, &["hooks"]), body)).await
    }

    /// Removes a webhook; `false`: it was gone.
    pub async fn delete_hook(&self, repo: &str, id: i64) -> Result<bool, ApiError> {
        let path = self.path(repo, &["hooks", &id.to_string()]);
        match self.send(&Call::new(reqwest::Method::DELETE, path)).await {
            Ok(answer) => answer.deleted().map(|()| true),
            Err(ApiError::NotFound) => Ok(false),
            Err(other) => Err(other),
        }
    }
}
