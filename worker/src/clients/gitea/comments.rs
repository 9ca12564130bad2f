//! Comments on a pull request, each there once: a hidden marker in the text names it.

use super::{Comment, GiteaClient};
use crate::clients::call::says;
use crate::clients::error::ApiError;
use crate::clients::http::Call;
use reqwest::Method;
use serde_json::json;

/// How every marker begins.
pub(super) const MARKER_BEGIN: &str = "<!-- orch:";

/// The marker of `key`: an HTML comment, invisible in rendered Markdown. What could end it early is left out.
pub fn marker(key: &str) -> String {
    let safe: String = key.chars().filter(|c| c.is_ascii_alphanumeric() || "-_:./".contains(*c)).collect();
    format!("{MARKER_BEGIN}{safe} -->")
}

impl GiteaClient {
    /// The comments of a pull request (or issue), oldest first. The route has no pages.
    pub async fn comments(&self, repo: &str, number: i64) -> Result<Vec<Comment>, ApiError> {
        self.read(&Call::get(self.path(repo, &["issues", &number.to_string(), "comments"]))).await
    }

    /// A comment that is there once under `key`; `false`: it was there. Only our own comments are looked at, since
    /// anybody can write a marker.
    pub async fn post_comment_once(&self, repo: &str, number: i64, key: &str, text: &str) -> Result<bool, ApiError> {
        if !self.comments_under(repo, number, key).await?.is_empty() {
            return Ok(false);
        }
        self.post_comment(repo, number, key, text).await.map(|()| true)
    }

    /// A comment that cannot be there yet.
    pub async fn post_comment(&self, repo: &str, number: i64, key: &str, text: &str) -> Result<(), ApiError> {
        let mark = marker(key);
        let path = self.path(repo, &["issues", &number.to_string(), "comments"]);
        let body = json!({ "body": format!("{text}\n\n{mark}") });
        let made: Comment = self.send(&Call::post(path, body)).await?.json()?;
        says(made.body.contains(&mark), "the comment")
    }

    /// Our own comments under this key, oldest first; more than one = an answer was lost while the forge was slow.
    pub async fn comments_under(&self, repo: &str, number: i64, key: &str) -> Result<Vec<Comment>, ApiError> {
        let (me, mark) = (self.me().await?.id, marker(key));
        let mut there = self.comments(repo, number).await?;
        there.retain(|c| c.user.as_ref().is_some_and(|user| user.id == me) && c.body.contains(&mark));
        Ok(there)
    }

    /// Deletes a comment; `false`: it was gone.
    pub async fn delete_comment(&self, repo: &str, id: i64) -> Result<bool, ApiError> {
        let path = self.path(repo, &["issues", "comments", &id.to_string()]);
        match self.send(&Call::new(Method::DELETE, path)).await {
            Ok(answer) => answer.deleted().map(|()| true),
            Err(ApiError::NotFound) => Ok(false),
            Err(other) => Err(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_marker_cannot_be_ended_from_inside() {
        assert_eq!(marker("task-7:review/2"), "<!-- orch:task-7:review/2 -->");
        assert_eq!(marker("a--> <b>"), "<!-- orch:a--b -->");
    }
}
