//! Merging: what is answered, in the order in which the forge looks.

use super::FakeGitea;
use super::deliveries::Courier;
use super::git::{self, Refusal};
use super::rest::{error, not_found};
use super::statuses::fits;
use super::world::{Origin, World};
use crate::fakes::server::Reply;
use serde_json::{Value, json};

pub(super) const STYLES: [&str; 5] = ["merge", "rebase", "rebase-merge", "squash", "fast-forward-only"];

pub(super) fn merge(
    world: &mut World,
    courier: &Courier,
    (repo, number, login): (&str, i64, &str),
    body: &Value,
) -> Reply {
    let style = match style_of(world, body) {
        Ok(style) => style,
        Err(refusal) => return refusal,
    };
    if let Some(refusal) = refused(world, (repo, number, login)) {
        return refusal;
    }
    let row = &world.repos[repo];
    if row.forbidden_styles.contains(&style) {
        return error(405, &format!("{style} is not allowed an allowed merge style for this repository"));
    }
    if body["head_commit_id"].as_str().is_some_and(|wanted| !wanted.is_empty() && wanted != row.pull_head(number)) {
        return error(409, "head out of date");
    }
    if let Some(words) = &row.hook_words {
        return error(409, &format!("PushRejected with remote message: {words}"));
    }
    let pull = row.pull(number).clone();
    match world.merge(repo, number, (&style, login)) {
        // A page, and no message: the base moved since it was last looked at.
        Err(Refusal::Conflict(told)) => {
            return Reply::json(409, json!({ "Style": style, "StdOut": told, "StdErr": "", "Err": {} }));
        }
        Err(Refusal::BaseMoved) => return error(500, ""),
        Ok(()) => {}
    }
    if body["delete_branch_after_merge"] == json!(true) && pull.origin == Origin::Here {
        world.repo(repo).delete_branch(&pull.branch);
    }
    courier.take(world.about_pull(repo, number, "pull_request_closed_merged", login));
    Reply::empty(200)
}

/// The key was renamed in 1.26, and is read in both spellings by Forgejo.
fn style_of(world: &World, body: &Value) -> Result<String, Reply> {
    let keys: &[&str] = match (world.forgejo, world.version >= (1, 26)) {
        (true, _) => &["Do", "do"],
        (false, true) => &["do"],
        (false, false) => &["Do"],
    };
    let said = keys.iter().find_map(|key| body[key].as_str());
    let Some(style) = said else { return Err(error(422, &format!("[{}]: Required", keys[0]))) };
    if STYLES.contains(&style) { Ok(style.to_owned()) } else { Err(error(422, "[Do]: In")) }
}

/// Every reason that is looked at before git is asked.
fn refused(world: &mut World, (repo, number, login): (&str, i64, &str)) -> Option<Reply> {
    let now = world.tick();
    let row = &world.repos[repo];
    let pull = row.pull(number);
    let ready = now >= pull.computed.ready_at_ms && row.merges_later == 0;
    let conflict = !pull.mergeable || pull.computed.conflict;
    Some(match () {
        () if row.archived => error(423, &format!("{}/{repo} is archived", FakeGitea::OWNER)),
        () if pull.merged => error(405, if world.forgejo { "" } else { "The PR is already merged" }),
        () if !pull.open => not_found(),
        () if !world.may_merge(repo, &pull.base, login) => error(405, "User not allowed to merge PR"),
        () if is_draft(&pull.title) => error(405, "Work in progress PRs cannot be merged"),
        // Before any rule, and in the same words for what is still worked out and for what will always conflict.
        () if !ready || conflict => {
            let row = world.repo(repo);
            row.merges_later = row.merges_later.saturating_sub(1);
            error(405, "Please try again later")
        }
        () => return against_a_rule(world, repo, number),
    })
}

fn against_a_rule(world: &World, repo: &str, number: i64) -> Option<Reply> {
    let rule = world.repos[repo].rule_of(number);
    let head = world.repos[repo].pull_head(number);
    let checked = rule.contexts.iter().all(|wanted| {
        let mut said = world.newest_of(repo, &head).into_iter().filter(|s| fits(wanted, &s.context)).peekable();
        said.peek().is_some() && said.all(|s| matches!(s.state.as_str(), "success" | "skipped"))
    });
    match () {
        () if !checked => Some(error(405, "Not all required status checks successful")),
        () if world.counting(repo, number, "APPROVED") < rule.required_approvals => {
            Some(error(405, "Does not have enough approvals"))
        }
        () if rule.block_on_rejection && world.counting(repo, number, "REQUEST_CHANGES") > 0 => {
            Some(error(405, "There are requested changes"))
        }
        () if rule.signed => Some(error(405, "wont sign: nokey")),
        () => None,
    }
}

pub(super) fn is_draft(title: &str) -> bool {
    let title = title.to_ascii_uppercase();
    title.starts_with("WIP:") || title.starts_with("[WIP]")
}

impl World {
    /// Merges, whatever the rules say.
    pub fn merge(&mut self, repo: &str, number: i64, (style, by): (&str, &str)) -> Result<(), Refusal> {
        let now = self.tick();
        let row = self.repo(repo);
        let (head, pull) = (row.pull_head(number), row.pull(number).clone());
        let merged = match &row.bare {
            Some(bare) => git::merge(bare, &pull, &head, style)?,
            None => {
                row.branches.insert(pull.base.clone(), head.clone());
                head.clone()
            }
        };
        row.close(number, now);
        let pull = row.pull_mut(number);
        (pull.merged, pull.merge_commit, pull.merged_by) = (true, Some(merged), Some(by.to_owned()));
        Ok(())
    }
}

impl FakeGitea {
    /// A person merges the pull request.
    pub fn merge_as(&self, login: &str, repo: &str, number: i64) -> crate::fakes::Delivery {
        let mut world = self.world();
        world.observe(repo);
        assert!(world.merge(repo, number, ("merge", login)).is_ok(), "#{number} conflicts");
        self.courier().take(world.about_pull(repo, number, "pull_request_closed_merged", login))
    }
}
