//! Commit statuses. The forge's own summary follows different rules by version and counts our statuses too, so only the newest
//! status of each context is read here; what they mean together is [`orch_common::domain::checks`]'s.

use super::{GiteaClient, MOST_PAGES, paged};
use crate::clients::call::says;
use crate::clients::error::ApiError;
use crate::clients::http::Call;
use crate::clients::times::parse_millis;
use orch_common::domain::checks::{Check, CheckState};
use orch_common::domain::effect::StatusState;
use serde::Deserialize;
use serde_json::json;

/// Characters of a context's name and of its words that are passed on.
const NAME_CHARS: usize = 255;

/// The newest status of one context.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct ContextStatus {
    pub context: String,
    /// `pending success error failure warning skipped`, or any other word. The key differs: `status` in lists, `state` elsewhere.
    #[serde(rename = "status", alias = "state", default)]
    pub state: String,
    #[serde(default)]
    pub description: String,
    /// For people; a path without the host where the forge's own CI set it.
    #[serde(default)]
    pub target_url: Option<String>,
    #[serde(default)]
    created_at: String,
    #[serde(default)]
    updated_at: String,
}

impl ContextStatus {
    /// When it was said, in ms by the forge's clock; 0 = it does not say.
    fn at(&self) -> i64 {
        let ms = |text: &str| parse_millis(text).unwrap_or(0);
        ms(&self.created_at).max(ms(&self.updated_at))
    }
}

#[derive(Deserialize)]
struct WireCombined {
    /// There whatever it is: null where the commit has none.
    #[serde(deserialize_with = "Option::deserialize")]
    statuses: Option<Vec<ContextStatus>>,
}

/// What is known of a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CombinedStatus {
    /// Every context, ours included.
    pub contexts: Vec<ContextStatus>,
    /// The forge's clock when it answered, in ms; `None` = it does not say.
    pub server_time: Option<i64>,
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
    /// The newest status of every context of a commit.
    pub async fn combined_status(&self, repo: &str, sha: &str) -> Result<CombinedStatus, ApiError> {
        let first = Call::get(self.path(repo, &["commits", sha, "status"]));
        let (mut contexts, mut server_time) = (Vec::<ContextStatus>::new(), None);
        for page in 1..=MOST_PAGES {
            let answer = self.send(&paged(&first, page)).await?;
            let combined: WireCombined = answer.json()?;
            let known = contexts.len();
            for status in combined.statuses.unwrap_or_default() {
                if contexts.iter().all(|c| c.context != status.context) {
                    contexts.push(status);
                }
            }
            server_time = server_time.or(answer.date_ms());
            // Some versions count the page, not the whole: the end is where nothing new comes.
            if contexts.len() == known || answer.total().is_some_and(|total| contexts.len() >= total) {
                break;
            }
        }
        Ok(CombinedStatus { contexts, server_time })
    }

    /// These statuses as checks to be judged, with whole addresses.
    pub fn checks(&self, status: &CombinedStatus) -> Vec<Check> {
        let cut = |text: &str| text.chars().filter(|c| !c.is_control()).take(NAME_CHARS).collect::<String>();
        let check = |c: &ContextStatus| Check {
            context: cut(&c.context),
            state: CheckState::read(&c.state, &c.description),
            description: cut(&c.description),
            link: c.target_url.as_deref().and_then(|link| self.http.absolute(link)),
            at: c.at(),
        };
        status.contexts.iter().map(check).collect()
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
        let made: ContextStatus = self.send(&call).await?.json()?;
        says(made.context == context && made.state == state.as_str(), "the status")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clients::gitea::GiteaSettings;

    #[test]
    fn a_status_becomes_a_check_with_a_whole_address() {
        let of = str::to_owned;
        let settings = GiteaSettings { url: of("https://git.example/forge"), owner: of("acme"), token: of("t") };
        let client = GiteaClient::new(settings).unwrap();
        let text = r#"[
            {"context": "ci / test (push)", "status": "failure", "description": "Has been cancelled",
             "target_url": "/forge/acme/shop/actions/runs/5/jobs/0", "created_at": "2026-11-26T14:40:31Z"},
            {"context": "x\u0001", "state": "splendid", "target_url": "javascript:alert(1)"},
            {"context": "y", "status": "success", "target_url": "https://u:p@ci.example/", "updated_at": "2026-11-26T14:40:31Z"},
            {"context": "z", "status": "success", "target_url": "//ci.example/1"}
        ]"#;
        let contexts: Vec<ContextStatus> = serde_json::from_str(text).unwrap();
        let checks = client.checks(&CombinedStatus { contexts, server_time: None });
        let link = Some(of("https://git.example/forge/acme/shop/actions/runs/5/jobs/0"));
        let at = 1_795_704_031_000;
        let description = of("Has been cancelled");
        let cancelled = CheckState::Cancelled;
        assert_eq!(checks[0], Check { context: of("ci / test (push)"), state: cancelled, description, link, at });
        assert_eq!((checks[1].context.as_str(), checks[1].state, checks[1].at), ("x", CheckState::Unknown, 0));
        assert!(checks[1..].iter().all(|check| check.link.is_none()), "{checks:?}");
        assert_eq!(checks[2].at, at);
    }
}
