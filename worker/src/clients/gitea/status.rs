//! Commit statuses. The forge's own summary follows different rules by version and counts our statuses too, so
//! the verdict is drawn here, from the newest status of each context.

use super::{GiteaClient, MOST_PAGES, paged};
use crate::clients::error::ApiError;
use crate::clients::http::Call;
use orch_common::domain::effect::StatusState;
use orch_common::domain::gate::CiEvidence;
use serde::Deserialize;
use serde_json::json;

/// What Orch says itself about a commit; never evidence.
pub const OWN_CONTEXT_PREFIX: &str = "orch/";

/// The newest status of one context.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct ContextStatus {
    pub context: String,
    /// `pending success error failure warning skipped`. The key differs: `status` in lists, `state` elsewhere.
    #[serde(rename = "status", alias = "state", default)]
    pub state: String,
    #[serde(default)]
    pub description: String,
    /// For people; a path without the host where the forge's own CI set it.
    #[serde(default)]
    pub target_url: Option<String>,
}

#[derive(Deserialize)]
struct WireCombined {
    #[serde(default)]
    state: String,
    #[serde(default)]
    statuses: Option<Vec<ContextStatus>>,
}

/// A summary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Success,
    Pending,
    Failure,
}

/// What is known of a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CombinedStatus {
    pub verdict: Verdict,
    /// Nobody but us has said anything: pending, but perhaps for ever (no CI is set up).
    pub none: bool,
    /// Every context, ours included.
    pub contexts: Vec<ContextStatus>,
}

impl CombinedStatus {
    /// Failure if any context failed; success if all are through; else pending. `state` is the forge's word, used
    /// where it names no contexts.
    fn judge(contexts: Vec<ContextStatus>, state: &str) -> Self {
        let others: Vec<&str> = contexts.iter().filter(|c| !is_own(c)).map(|c| c.state.as_str()).collect();
        let all = |ok: &[&str]| others.iter().all(|s| ok.contains(s));
        let verdict = match () {
            () if contexts.is_empty() => one_word(state),
            () if others.is_empty() => Verdict::Pending,
            () if others.iter().any(|s| one_word(s) == Verdict::Failure) => Verdict::Failure,
            () if all(&["success", "skipped"]) => Verdict::Success,
            () => Verdict::Pending,
        };
        let none = others.is_empty() && verdict == Verdict::Pending;
        CombinedStatus { verdict, none, contexts }
    }

    /// The contexts of others that failed, with what they say.
    pub fn failures(&self) -> String {
        let failed = self.contexts.iter().filter(|c| !is_own(c) && one_word(&c.state) == Verdict::Failure);
        failed.map(|c| format!("{}: {} ({})", c.context, c.state, c.description)).collect::<Vec<_>>().join("; ")
    }

    /// The contexts of others that are neither a success nor skipped, by name.
    pub fn not_green(&self) -> Vec<String> {
        let others = self.contexts.iter().filter(|c| !is_own(c) && one_word(&c.state) != Verdict::Success);
        others.map(|c| c.context.clone()).collect()
    }

    /// For a gate.
    pub fn evidence(&self) -> CiEvidence {
        match self.verdict {
            Verdict::Success => CiEvidence::Success,
            Verdict::Pending => CiEvidence::Pending,
            Verdict::Failure => CiEvidence::Failure { detail: self.failures() },
        }
    }
}

fn is_own(status: &ContextStatus) -> bool {
    status.context.starts_with(OWN_CONTEXT_PREFIX)
}

fn one_word(state: &str) -> Verdict {
    match state {
        "success" | "skipped" => Verdict::Success,
        "error" | "failure" | "warning" => Verdict::Failure,
        _ => Verdict::Pending,
    }
}

/// A status to set.
#[derive(Debug, Clone, Copy)]
pub struct NewStatus<'a> {
    pub context: &'a str,
    pub state: StatusState,
    pub description: &'a str,
    /// Where its link leads.
    pub target_url: Option<&'a str>,
}

impl GiteaClient {
    /// The newest status of every context of a commit. No status at all is pending, with [`CombinedStatus::none`].
    pub async fn combined_status(&self, repo: &str, sha: &str) -> Result<CombinedStatus, ApiError> {
        let first = Call::get(self.path(repo, &["commits", sha, "status"]));
        let (mut contexts, mut state) = (Vec::<ContextStatus>::new(), String::new());
        for page in 1..=MOST_PAGES {
            let answer = self.http.send(&paged(&first, page)).await?;
            let combined: WireCombined = answer.json()?;
            let known = contexts.len();
            for status in combined.statuses.unwrap_or_default() {
                if contexts.iter().all(|c| c.context != status.context) {
                    contexts.push(status);
                }
            }
            if page == 1 {
                state = combined.state;
            }
            // Some versions count the page, not the whole: the end is where nothing new comes.
            if contexts.len() == known || answer.total().is_some_and(|total| contexts.len() >= total) {
                break;
            }
        }
        Ok(CombinedStatus::judge(contexts, &state))
    }

    /// Adds a status. An unknown commit is a 500 at the forge, hence [`ApiError::Unavailable`].
    pub async fn set_status(&self, repo: &str, sha: &str, new: NewStatus<'_>) -> Result<(), ApiError> {
        let NewStatus { context, state, description, target_url } = new;
        let mut body = json!({ "context": context, "state": state.as_str(), "description": description });
        if let (Some(fields), Some(url)) = (body.as_object_mut(), target_url) {
            fields.insert("target_url".into(), json!(url));
        }
        // Not repeatable: the forge keeps every one. Whoever got no answer reads again before it sends.
        let call = Call::post(self.path(repo, &["statuses", sha]), body);
        self.http.send(&call).await.map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(contexts: &[(&str, &str)], state: &str) -> (Verdict, bool) {
        let status = |(context, state): &(&str, &str)| ContextStatus {
            context: (*context).into(),
            state: (*state).into(),
            description: String::new(),
            target_url: None,
        };
        let combined = CombinedStatus::judge(contexts.iter().map(status).collect(), state);
        (combined.verdict, combined.none)
    }

    #[test]
    fn the_verdict_is_the_others() {
        use Verdict::{Failure, Pending, Success};
        type Contexts = &'static [(&'static str, &'static str)];
        let table: [(Contexts, &str, Verdict, bool); 10] = [
            (&[], "", Pending, true),
            (&[], "pending", Pending, true),
            (&[], "failure", Failure, false),
            (&[("orch/gate", "success")], "success", Pending, true),
            (&[("orch/gate", "failure"), ("ci", "success")], "failure", Success, false),
            (&[("ci", "success"), ("lint", "skipped")], "success", Success, false),
            (&[("ci", "success"), ("lint", "pending")], "pending", Pending, false),
            (&[("ci", "success"), ("lint", "error")], "failure", Failure, false),
            (&[("ci", "pending"), ("lint", "failure")], "failure", Failure, false),
            (&[("ci", "warning")], "warning", Failure, false),
        ];
        for (contexts, state, verdict, none) in table {
            assert_eq!(judged(contexts, state), (verdict, none), "{contexts:?} {state}");
        }
    }

    #[test]
    fn a_failure_names_its_contexts() {
        let status =
            ContextStatus { context: "ci".into(), state: "error".into(), description: "boom".into(), target_url: None };
        let combined = CombinedStatus::judge(vec![status], "failure");
        assert_eq!(combined.evidence(), CiEvidence::Failure { detail: "ci: error (boom)".into() });
    }
}
