//! Webhooks of a repository, as they are kept and shown: what is asked for as one word comes back as its parts, in no order.

use super::FakeGitea;
use super::deliveries::Courier;
use super::rest::{Place, error, list, not_found};
use super::rights::BranchRule;
use super::world::{RepoRow, World};
use crate::fakes::server::{Reply, Request};
use crate::fakes::{fixture_json, now_ms, rfc3339};
use serde_json::{Value, json};

/// The types of webhooks that the forge has.
const TYPES: [&str; 6] = ["gitea", "forgejo", "gogs", "slack", "discord", "msteams"];
/// What the word `pull_request` stands for.
const PARTS: [&str; 8] = [
    "pull_request",
    "pull_request_assign",
    "pull_request_label",
    "pull_request_milestone",
    "pull_request_comment",
    "pull_request_review",
    "pull_request_review_request",
    "pull_request_sync",
];
/// Under these names reviews are Forgejo's.
const REVIEWS: [&str; 3] =
    ["pull_request_review_approved", "pull_request_review_rejected", "pull_request_review_comment"];

/// Below `/hooks`; only admins come here.
pub(super) fn hooks(world: &mut World, courier: &Courier, request: &Request, repo: &str, rest: Place<'_>) -> Reply {
    let id = world.next_id();
    match (request.method.as_str(), rest) {
        ("GET", []) => list(world.repos[repo].hooks.iter().map(|(_, hook)| hook.clone()).collect(), request),
        ("POST", []) => match made(world, id, &request.json()) {
            Ok(hook) => {
                world.repo(repo).hooks.push((id, hook.clone()));
                Reply::json(201, hook)
            }
            Err(refusal) => refusal,
        },
        ("DELETE", [id]) => {
            let row = world.repo(repo);
            let before = row.hooks.len();
            row.hooks.retain(|(known, _)| known.to_string() != *id);
            if row.hooks.len() < before { Reply::empty(204) } else { not_found() }
        }
        ("POST", [id, "tests"]) if world.repos[repo].hooks.iter().any(|(known, _)| known.to_string() == *id) => {
            let head = world.repos[repo].head("main").unwrap_or_default();
            // Whether or not anything is delivered.
            courier.take(world.pushed(repo, "main", (&head, &head), FakeGitea::BOT));
            Reply::empty(204)
        }
        _ => not_found(),
    }
}

fn made(world: &World, id: i64, body: &Value) -> Result<Value, Reply> {
    let kind = body["type"].as_str().unwrap_or_default();
    if !TYPES.contains(&kind) {
        return Err(error(422, &format!("Invalid hook type: {kind}")));
    }
    let asked = body["events"].as_array().cloned().unwrap_or_default();
    let mut events: Vec<&str> = asked.iter().filter_map(Value::as_str).flat_map(|word| world.parts_of(word)).collect();
    // No order that anybody could rely on.
    let middle = usize::try_from(id).unwrap_or(0) % events.len().max(1);
    events.rotate_left(middle);
    let mut hook = fixture_json("gitea/rest_hook.json");
    hook["id"] = json!(id);
    hook["type"] = json!(kind);
    hook["branch_filter"] = body["branch_filter"].clone();
    hook["active"] = json!(body["active"] == json!(true));
    hook["events"] = json!(events);
    hook["config"] = json!({ "url": body["config"]["url"], "content_type": body["config"]["content_type"] });
    for key in ["created_at", "updated_at"] {
        hook[key] = json!(rfc3339(now_ms()));
    }
    Ok(hook)
}

impl World {
    /// What a word stands for; nothing where the server does not know it.
    fn parts_of<'a>(&self, word: &'a str) -> Vec<&'a str> {
        let since = |version: (u32, u32)| !self.forgejo && self.version >= version;
        match word {
            "status" if !since((1, 23)) => Vec::new(),
            "workflow_job" if !since((1, 24)) => Vec::new(),
            "workflow_run" if !since((1, 25)) => Vec::new(),
            "pull_request" if self.forgejo => {
                PARTS.into_iter().filter(|part| *part != "pull_request_review").chain(REVIEWS).collect()
            }
            "pull_request" => PARTS.to_vec(),
            other => vec![other],
        }
    }
}

impl RepoRow {
    /// The rules as an admin sees them.
    pub(super) fn protections(&self) -> Value {
        let shown = |(name, rule): (&String, &BranchRule)| {
            json!({
                "branch_name": name, "rule_name": name,
                "enable_push": rule.pushers.is_some(), "enable_push_whitelist": rule.pushers.is_some(),
                "push_whitelist_usernames": rule.pushers, "push_whitelist_teams": null,
                "enable_merge_whitelist": rule.mergers.is_some(), "merge_whitelist_usernames": rule.mergers,
                "required_approvals": rule.required_approvals, "enable_status_check": !rule.contexts.is_empty(),
                "status_check_contexts": rule.contexts, "require_signed_commits": rule.signed,
            })
        };
        self.rules.iter().map(shown).collect()
    }

    /// All branches.
    pub(super) fn branch_names(&self) -> Vec<String> {
        match &self.bare {
            Some(bare) => super::git::branches(bare),
            None => self.branches.keys().cloned().collect(),
        }
    }
}
