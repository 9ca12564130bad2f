//! Branches.

use super::{Branch, GiteaClient};
use crate::clients::call::says;
use crate::clients::error::ApiError;
use crate::clients::http::Call;
use reqwest::Method;
use serde_json::json;

/// What a create-if-missing did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Created {
    Now,
    Before,
}

impl GiteaClient {
    /// The branch, if it is there.
    pub async fn branch(&self, repo: &str, branch: &str) -> Result<Option<Branch>, ApiError> {
        self.read_if_there(&Call::get(self.branch_path(repo, branch))).await
    }

    /// The branch from the tip of `base`; one that is there is left as it is. (An unknown base is a 500 at the
    /// forge, hence [`ApiError::Unavailable`].)
    pub async fn create_branch(&self, repo: &str, branch: &str, base: &str) -> Result<Created, ApiError> {
        let body = json!({ "new_branch_name": branch, "old_ref_name": base });
        let call = Call::post(self.path(repo, &["branches"]), body).repeatable();
        match self.send(&call).await {
            Ok(answer) => {
                let made: Branch = answer.json()?;
                says(made.name == branch, "the branch").map(|()| Created::Now)
            }
            // The same is said of a branch with a part of this one's name.
            Err(conflict @ ApiError::Conflict { .. }) => match self.branch(repo, branch).await? {
                Some(_) => Ok(Created::Before),
                None => Err(conflict),
            },
            Err(other) => Err(other),
        }
    }

    /// Deletes the branch; `false`: it was gone.
    pub async fn delete_branch(&self, repo: &str, branch: &str) -> Result<bool, ApiError> {
        match self.send(&Call::new(Method::DELETE, self.branch_path(repo, branch))).await {
            Ok(answer) => answer.deleted().map(|()| true),
            Err(ApiError::NotFound) => Ok(false),
            Err(other) => Err(other),
        }
    }

    /// The route takes the slashes of the name as they are.
    fn branch_path(&self, repo: &str, branch: &str) -> Vec<String> {
        let mut path = self.path(repo, &["branches"]);
        path.extend(branch.split('/').map(str::to_owned));
        path
    }
}
