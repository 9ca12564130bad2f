//! Pull requests: finding and opening.

use super::{GiteaClient, Pull, message, paged};
use crate::clients::call::says;
use crate::clients::error::ApiError;
use crate::clients::http::Call;
use reqwest::Method;
use serde_json::json;

/// A pull request to open, both branches in the same repository.
#[derive(Debug, Clone, Copy)]
pub struct NewPull<'a> {
    pub branch: &'a str,
    pub base: &'a str,
    pub title: &'a str,
    pub body: &'a str,
}

/// An opened pull request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    pub number: i64,
    /// For people; empty where an existing one was named by number only.
    pub html_url: String,
    pub existed: bool,
}

impl GiteaClient {
    pub async fn pull(&self, repo: &str, number: i64) -> Result<Option<Pull>, ApiError> {
        self.read_if_there(&Call::get(self.path(repo, &["pulls", &number.to_string()]))).await
    }

    /// Opens a closed one again; its branch must be there.
    pub async fn reopen_pull(&self, repo: &str, number: i64) -> Result<(), ApiError> {
        self.set_pull_state(repo, number, "open").await
    }

    /// Closes it, unmerged.
    pub async fn close_pull(&self, repo: &str, number: i64) -> Result<(), ApiError> {
        self.set_pull_state(repo, number, "closed").await
    }

    async fn set_pull_state(&self, repo: &str, number: i64, state: &str) -> Result<(), ApiError> {
        let path = self.path(repo, &["pulls", &number.to_string()]);
        let call = Call::new(Method::PATCH, path).json(json!({ "state": state }));
        let now: Pull = self.send(&call).await?.json()?;
        says(now.number == number && now.state == state, &format!("the pull request {state}"))
    }

    /// The first that there ever was from `branch` to `base`, both of this repository, open or not.
    pub async fn pull_between(&self, repo: &str, base: &str, branch: &str) -> Result<Option<Pull>, ApiError> {
        // The base is one part of the route, slashes and all; the branch is all that follows.
        let mut path = self.path(repo, &["pulls", base]);
        path.extend(branch.split('/').map(str::to_owned));
        self.read_if_there(&Call::get(path)).await
    }

    /// The open pull requests that changed last: one page, however many there are.
    pub async fn newest_open_pulls(&self, repo: &str) -> Result<Vec<Pull>, ApiError> {
        let list = Call::get(self.path(repo, &["pulls"])).query("state", "open").query("sort", "recentupdate");
        let pulls: Option<Vec<Pull>> = self.read(&paged(&list, 1)).await?;
        Ok(pulls.unwrap_or_default())
    }

    /// Opens it; where one from this branch to this base is open, names that one.
    pub async fn create_pull(&self, repo: &str, new: NewPull<'_>) -> Result<Opened, ApiError> {
        let NewPull { branch, base, title, body } = new;
        let fields = json!({ "head": branch, "base": base, "title": title, "body": body });
        let call = Call::post(self.path(repo, &["pulls"]), fields);
        let answer = self.http.exchange(&call).await?;
        let there = (answer.status == 409).then(|| number_in_conflict(&message(&self.http, &answer))).flatten();
        if let Some(number) = there {
            return Ok(Opened { number, html_url: String::new(), existed: true });
        }
        let pull: Pull = self.believed(&call, self.http.take(answer)).await?.json()?;
        says(pull.branch() == branch && pull.base.label == base, "the pull request")?;
        Ok(Opened { number: pull.number, html_url: pull.html_url, existed: false })
    }
}

/// `pull request already exists for these targets [id: 401, issue_id: 42, ...]` -> 42: the id in that text
/// is the number people see.
fn number_in_conflict(text: &str) -> Option<i64> {
    let (_, rest) = text.split_once("issue_id:")?;
    let digits: String = rest.trim_start().chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_the_existing_one_is_found() {
        let text = "pull request already exists for these targets [id: 401, issue_id: 42, head_repo_id: 11, base_branch: main]";
        assert_eq!(number_in_conflict(text), Some(42));
        assert_eq!(number_in_conflict("[id: 401]"), None);
        assert_eq!(number_in_conflict("issue_id: x"), None);
    }
}
