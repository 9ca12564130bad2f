//! Merging. The forge's answers say much in few words; here they become [`MergeOutcome`].

use super::{GiteaClient, message};
use crate::clients::error::ApiError;
use crate::clients::http::{Answer, Call};
use orch_common::domain::stage::CommitId;
use orch_common::named_enum;
use serde_json::{Value, json};

/// "Please try again later" is answered while the forge still checks, and for conflicts: it is asked this often.
const TRIES: usize = 4;

named_enum! {
    /// How the commits get into the base branch.
    pub enum MergeStyle ("merge style") {
        Merge = "merge",
        Rebase = "rebase",
        RebaseMerge = "rebase-merge",
        Squash = "squash",
        FastForwardOnly = "fast-forward-only",
    }
}

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

/// How a merge ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MergeOutcome {
    Merged,
    AlreadyMerged,
    /// Commits came after the one that was judged.
    HeadMoved,
    /// It cannot be merged as it is.
    Conflicts,
    /// The forge is still checking; later.
    NotReady,
    /// A rule of the repository forbids it; the forge's own words.
    Forbidden(String),
}

/// What one answer means.
enum Step {
    Ended(MergeOutcome),
    Again,
}

impl GiteaClient {
    /// Whether the pull request is merged.
    pub async fn is_merged(&self, repo: &str, number: i64) -> Result<bool, ApiError> {
        let path = self.path(repo, &["pulls", &number.to_string(), "merge"]);
        match self.send(&Call::get(path)).await {
            Ok(_) => Ok(true),
            Err(ApiError::NotFound) => Ok(false),
            Err(other) => Err(other),
        }
    }

    /// Merges the pull request if its head is still `new.head`.
    pub async fn merge(&self, repo: &str, number: i64, new: NewMerge<'_>) -> Result<MergeOutcome, ApiError> {
        let path = self.path(repo, &["pulls", &number.to_string(), "merge"]);
        let call = Call::post(path, form(new)).repeatable();
        for attempt in 1..=TRIES {
            match self.read_merge(self.http.exchange(&call).await?)? {
                Step::Ended(outcome) => return Ok(outcome),
                Step::Again if attempt < TRIES => tokio::time::sleep(self.merge_pause).await,
                Step::Again => {}
            }
        }
        Ok(match self.pull(repo, number).await? {
            Some(pull) if pull.merged => MergeOutcome::AlreadyMerged,
            Some(pull) if !pull.mergeable => MergeOutcome::Conflicts,
            Some(_) => MergeOutcome::NotReady,
            None => return Err(ApiError::NotFound),
        })
    }

    fn read_merge(&self, answer: Answer) -> Result<Step, ApiError> {
        let text = message(&self.http, &answer);
        let says = |words: &str| text.to_ascii_lowercase().contains(words);
        Ok(match answer.status {
            200..=299 => Step::Ended(MergeOutcome::Merged),
            405 if says("try again later") => Step::Again,
            405 if says("already merged") => Step::Ended(MergeOutcome::AlreadyMerged),
            405 => Step::Ended(MergeOutcome::Forbidden(text)),
            409 if says("head out of date") => Step::Ended(MergeOutcome::HeadMoved),
            409 => Step::Ended(MergeOutcome::Conflicts),
            _ => {
                self.http.check(answer)?;
                Step::Again
            }
        })
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
