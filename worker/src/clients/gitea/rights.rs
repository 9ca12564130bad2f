//! What a token may do, found by asking for what changes nothing: the forge tells nobody the scopes of their token, but
//! refuses for want of one before it looks at the rest of a request.

use super::GiteaClient;
use crate::clients::error::ApiError;
use crate::clients::http::Call;
use serde_json::json;

/// A number that no issue has.
const NO_ISSUE: &str = "0";

impl GiteaClient {
    /// Whether the token may write to the repository: asks for the default branch, which is there.
    ///
    /// # Errors
    /// [`ApiError::Unauthorized`] with the forge's words where it may not.
    pub async fn try_writing(&self, repo: &str, default_branch: &str) -> Result<(), ApiError> {
        self.create_branch(repo, default_branch, default_branch).await.map(drop)
    }

    /// Whether the token may comment: on an issue that cannot be.
    ///
    /// # Errors
    /// [`ApiError::Unauthorized`] with the forge's words where it may not.
    pub async fn try_commenting(&self, repo: &str) -> Result<(), ApiError> {
        let call = Call::post(self.path(repo, &["issues", NO_ISSUE, "comments"]), json!({ "body": "x" }));
        match self.send(&call).await {
            Ok(_) | Err(ApiError::NotFound) => Ok(()),
            Err(other) => Err(other),
        }
    }
}
