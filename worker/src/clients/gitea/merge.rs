//! Asking the forge to merge. What its answer means is read in [`orch_common::domain::merge`], together with the facts.

use super::{GiteaClient, message};
use crate::clients::call::says;
use crate::clients::error::ApiError;
use crate::clients::http::Call;
use orch_common::domain::merge::MergeStyle;
use orch_common::domain::stage::CommitId;
use serde_json::{Value, json};

/// A merge to make.
#[derive(Debug, Clone, Copy)]
pub struct NewMerge<'a> {
    pub style: MergeStyle,
    /// Only while this is the head of the pull request.
    pub head: &'a CommitId,
    /// First line of the commit.
    pub title: &'a str,
    pub message: &'a str,
    pub delete_branch: bool,
}

/// What was answered. That it was merged, or was not, is asked afterwards.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MergeAnswer {
    /// 0 = there was no answer that can be read.
    pub status: u16,
    /// The forge's words; may be empty.
    pub words: String,
}

impl GiteaClient {
    /// Whether the pull request is merged.
    pub async fn is_merged(&self, repo: &str, number: i64) -> Result<bool, ApiError> {
        let path = self.path(repo, &["pulls", &number.to_string(), "merge"]);
        match self.send(&Call::get(path)).await {
            Ok(answer) => says(answer.status == 204, "that it is merged").map(|()| true),
            Err(ApiError::NotFound) => Ok(false),
            Err(other) => Err(other),
        }
    }

    /// Asks once to merge the pull request if its head is still `new.head`. Never sent twice: a merge may go on at the forge
    /// long after the answer was given up.
    pub async fn merge(&self, repo: &str, number: i64, new: NewMerge<'_>) -> MergeAnswer {
        let path = self.path(repo, &["pulls", &number.to_string(), "merge"]);
        match self.http.exchange(&Call::post(path, form(new))).await {
            Ok(answer) => MergeAnswer { status: answer.status, words: message(&self.http, &answer) },
            Err(error) => MergeAnswer { status: 0, words: error.to_string() },
        }
    }
}

/// The keys were renamed in 1.26; each version drops the spelling it does not know.
fn form(new: NewMerge<'_>) -> Value {
    let NewMerge { style, head, title, message, delete_branch } = new;
    json!({
        "Do": style.as_str(),
        "do": style.as_str(),
        "MergeTitleField": title,
        "merge_title_field": title,
        "MergeMessageField": message,
        "merge_message_field": message,
        "head_commit_id": head.as_str(),
        "delete_branch_after_merge": delete_branch,
    })
}
