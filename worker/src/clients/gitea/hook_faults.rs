//! A webhook compared as a whole with what Orch needs. An address alone proves little: the forge calls a webhook of another type, of
//! other branches or of other events delivered all the same. Pure.

use super::{ForgeVersion, HOOK_EVENTS};
use crate::clients::times;
use serde::Deserialize;
use std::fmt;
use url::Url;

/// The types whose deliveries are those that are read here.
const TYPES: &[&str] = &["gitea", "forgejo", "gogs"];
const CONTENT_TYPES: &[&str] = &["json", "form"];
/// Of what is asked for: comments on issues move nothing, those on pull requests have a name of their own.
const NOT_NEEDED: &str = "issue_comment";
/// A review, under the names that the versions have for it: each of one list, or none of them is missing.
const REVIEWS: [&[&str]; 2] = [
    &["pull_request_review"],
    &["pull_request_review_approved", "pull_request_review_rejected", "pull_request_review_comment"],
];
const COMMENTS: &str = "pull_request_comment";
/// Without these something is seen later, or without its details.
const COMFORT: &[&str] = &["workflow_job"];

/// A webhook of a repository. The secret is never shown by the server.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Hook {
    pub id: i64,
    /// Whose language it speaks: `gitea`, `slack`, ...
    #[serde(rename = "type", default)]
    pub kind: String,
    #[serde(default)]
    pub branch_filter: String,
    /// In milliseconds since the epoch. (It is "updated" by each delivery, too.)
    #[serde(default, deserialize_with = "times::millis")]
    pub created_at: i64,
    #[serde(default)]
    pub active: bool,
    /// In no order; the word `pull_request` comes back as all of its parts.
    #[serde(default)]
    pub events: Vec<String>,
    pub config: HookConfig,
}

/// Where a webhook goes.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct HookConfig {
    #[serde(default)]
    pub url: String,
    #[serde(default)]
    pub content_type: String,
}

/// What is wrong with a webhook that leads to us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HookFault {
    Off,
    /// It speaks another program's language.
    Type(String),
    ContentType(String),
    /// It leaves the tasks' branches out.
    BranchFilter(String),
    /// What it does not tell of.
    Events(Vec<&'static str>),
}

impl HookFault {
    /// Work goes on without it, later or with less.
    pub fn is_mild(&self) -> bool {
        matches!(self, HookFault::Events(missing) if missing.iter().all(|event| COMFORT.contains(event)))
    }
}

impl fmt::Display for HookFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HookFault::Off => f.write_str("is switched off"),
            HookFault::Type(kind) => write!(f, "is of the type {kind}, whose deliveries nobody here can read"),
            HookFault::ContentType(kind) => write!(f, "sends '{kind}' and not application/json"),
            HookFault::BranchFilter(filter) => {
                write!(f, "has the branch filter '{filter}', which leaves out tasks' branches")
            }
            HookFault::Events(missing) => write!(f, "does not tell of: {}", missing.join(", ")),
        }
    }
}

impl Hook {
    /// Whether it leads to this address; without regard to what addresses may be written in several ways.
    pub fn leads_to(&self, address: &str) -> bool {
        let bare = |text: &str| Url::parse(text.trim().trim_end_matches('/')).ok();
        match (bare(&self.config.url), bare(address)) {
            (Some(theirs), Some(ours)) => theirs == ours,
            _ => self.config.url.trim_end_matches('/') == address.trim_end_matches('/'),
        }
    }

    /// What is wrong with it, for a forge of this version and a task's branch such as `branch`.
    pub fn faults(&self, version: &ForgeVersion, branch: &str) -> Vec<HookFault> {
        let mut faults = Vec::new();
        if !self.active {
            faults.push(HookFault::Off);
        }
        // Very old servers do not say it.
        if !self.kind.is_empty() && !TYPES.contains(&self.kind.as_str()) {
            faults.push(HookFault::Type(self.kind.clone()));
        }
        if !CONTENT_TYPES.contains(&self.config.content_type.as_str()) {
            faults.push(HookFault::ContentType(self.config.content_type.clone()));
        }
        if !self.branch_filter.is_empty() && !glob(&self.branch_filter, branch, false) {
            faults.push(HookFault::BranchFilter(self.branch_filter.clone()));
        }
        let missing = self.missing(version);
        if !missing.is_empty() {
            faults.push(HookFault::Events(missing));
        }
        faults
    }

    fn missing(&self, version: &ForgeVersion) -> Vec<&'static str> {
        let has = |event: &str| self.events.iter().any(|e| e == event);
        let asked = HOOK_EVENTS.iter().copied().filter(|event| *event != NOT_NEEDED && version.sends(event));
        let mut missing: Vec<&'static str> = asked.filter(|event| !has(event)).collect();
        if !REVIEWS.iter().any(|names| names.iter().all(|name| has(name))) {
            missing.push("pull_request_review");
        }
        if !has(COMMENTS) {
            missing.push(COMMENTS);
        }
        missing
    }
}

/// The forge's patterns of branch names: `*`, `**`, `?` and `{a,b}`. In a webhook's filter `*` takes slashes, in a branch rule
/// (`by_parts`) only `**` does.
pub fn glob(pattern: &str, text: &str, by_parts: bool) -> bool {
    if let Some((before, rest)) = pattern.split_once('{')
        && let Some((choices, after)) = rest.split_once('}')
    {
        return choices.split(',').any(|choice| glob(&format!("{before}{}{after}", choice.trim()), text, by_parts));
    }
    fits(&pattern.chars().collect::<Vec<_>>(), &text.chars().collect::<Vec<_>>(), by_parts)
}

fn fits(pattern: &[char], text: &[char], by_parts: bool) -> bool {
    if let Some(rest) = pattern.strip_prefix(&['*', '*']) {
        return (0..=text.len()).any(|n| text.get(n..).is_some_and(|later| fits(rest, later, by_parts)));
    }
    match (pattern.split_first(), text.split_first()) {
        (None, None) => true,
        (Some(('*', rest)), _) if fits(rest, text, by_parts) => true,
        (Some(('*', _)), Some((c, later))) => !(by_parts && *c == '/') && fits(pattern, later, by_parts),
        (Some(('?', rest)), Some((c, later))) => !(by_parts && *c == '/') && fits(rest, later, by_parts),
        (Some((wanted, rest)), Some((found, later))) if wanted == found => fits(rest, later, by_parts),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const BRANCH: &str = "feature/ET-001-x";
    const OURS: &str = "http://192.0.2.10:8500/webhook/gitea";
    const PARTS: [&str; 8] = [
        "pull_request_sync",
        "pull_request_review",
        "pull_request",
        "pull_request_label",
        "pull_request_comment",
        "pull_request_assign",
        "pull_request_review_request",
        "pull_request_milestone",
    ];

    fn hook(change: impl FnOnce(&mut serde_json::Value)) -> Hook {
        let mut events: Vec<&str> = HOOK_EVENTS.iter().copied().filter(|e| *e != "pull_request").collect();
        events.extend(PARTS);
        events.reverse();
        let mut json = json!({
            "id": 7, "type": "gitea", "branch_filter": "*", "active": true, "events": events,
            "config": { "url": OURS, "content_type": "json" },
        });
        change(&mut json);
        serde_json::from_value(json).unwrap()
    }

    fn without(events: &[&str]) -> Hook {
        hook(|h| {
            let all = h["events"].as_array().unwrap().clone();
            h["events"] = all.into_iter().filter(|e| !events.contains(&e.as_str().unwrap())).collect();
        })
    }

    #[test]
    fn a_webhook_is_compared_as_a_whole() {
        use HookFault::{BranchFilter, ContentType, Events, Off, Type};
        let gitea = ForgeVersion::parse("1.26.0");
        let set = |key: &'static str, value: serde_json::Value| hook(move |h| h[key] = value);
        let content = |kind: &'static str| hook(move |h| h["config"]["content_type"] = json!(kind));
        let table = [
            ("as it is made", hook(|_| ()), vec![]),
            ("no filter", set("branch_filter", json!("")), vec![]),
            ("a filter that lets them in", set("branch_filter", json!("{main,feature/**}")), vec![]),
            ("Forgejo's type", set("type", json!("forgejo")), vec![]),
            ("a form", content("form"), vec![]),
            ("nobody needs labels", without(&["pull_request_label", "pull_request_assign", "issue_comment"]), vec![]),
            ("off", set("active", json!(false)), vec![Off]),
            ("slack", set("type", json!("slack")), vec![Type("slack".into())]),
            ("discord", set("type", json!("discord")), vec![Type("discord".into())]),
            ("main alone", set("branch_filter", json!("main")), vec![BranchFilter("main".into())]),
            (
                "other branches",
                set("branch_filter", json!("{main,release/*}")),
                vec![BranchFilter("{main,release/*}".into())],
            ),
            ("xml", content("xml"), vec![ContentType("xml".into())]),
            ("no reviews", without(&["pull_request_review"]), vec![Events(vec!["pull_request_review"])]),
            ("no comments", without(&["pull_request_comment"]), vec![Events(vec!["pull_request_comment"])]),
            ("no status", without(&["status"]), vec![Events(vec!["status"])]),
            ("no pushes", without(&["push", "delete"]), vec![Events(vec!["push", "delete"])]),
            (
                "two at once",
                hook(|h| {
                    h["active"] = json!(false);
                    h["type"] = json!("msteams");
                }),
                vec![Off, Type("msteams".into())],
            ),
        ];
        for (what, hook, faults) in table {
            assert_eq!(hook.faults(&gitea, BRANCH), faults, "{what}");
        }
    }

    #[test]
    fn what_a_server_does_not_know_is_not_missing() {
        let old = ForgeVersion::parse("1.22.0");
        assert_eq!(without(&["status", "workflow_job"]).faults(&old, BRANCH), []);
        let forgejo = ForgeVersion::parse("11.0.0+gitea-1.22.0");
        let names = ["pull_request_review_approved", "pull_request_review_rejected", "pull_request_review_comment"];
        let theirs = |names: &[&str]| {
            let mut hook = without(&["status", "workflow_job", "pull_request_review"]);
            hook.events.extend(names.iter().map(|n| (*n).to_owned()));
            hook
        };
        assert_eq!(theirs(&names).faults(&forgejo, BRANCH), []);
        assert_eq!(theirs(&names[..2]).faults(&forgejo, BRANCH), [HookFault::Events(vec!["pull_request_review"])]);
    }

    #[test]
    fn an_address_is_ours_however_it_is_written() {
        let at = |url: &'static str| hook(move |h| h["config"]["url"] = json!(url));
        for same in ["https://Orch.example/webhook/gitea", "https://orch.example:443/webhook/gitea/"] {
            assert!(at(same).leads_to("https://orch.example/webhook/gitea"), "{same}");
        }
        for other in
            ["http://orch.example/webhook/gitea", "https://orch.example/webhook/plane", "https://x/webhook/gitea", ""]
        {
            assert!(!at(other).leads_to("https://orch.example/webhook/gitea"), "{other}");
        }
    }

    #[test]
    fn patterns_are_the_forges() {
        for (pattern, text, in_filters, in_rules) in [
            ("*", BRANCH, true, false),
            ("**", BRANCH, true, true),
            ("feature/*", BRANCH, true, true),
            ("feature/ET-*", BRANCH, true, true),
            ("feature/ET-00?-x", BRANCH, true, true),
            ("{main,feature/*}", BRANCH, true, true),
            ("feature?ET-001-x", BRANCH, true, false),
            ("*-x", BRANCH, true, false),
            ("**-x", BRANCH, true, true),
            ("feature", BRANCH, false, false),
            ("feature/*", "main", false, false),
            ("*/ET", BRANCH, false, false),
            ("", BRANCH, false, false),
        ] {
            assert_eq!(glob(pattern, text, false), in_filters, "filter {pattern} {text}");
            assert_eq!(glob(pattern, text, true), in_rules, "rule {pattern} {text}");
        }
    }
}
