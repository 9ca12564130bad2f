//! What a merge waits for, and that it goes on when that is over.

use super::{asked, in_main, is_merged, merging, on_the_pull, reason};
use orch_common::domain::stage::{Role, Stage, TaskState};
use orch_tests::fakes::{BranchRule, Fault};
use orch_tests::stack::play::{after, deploys};
use orch_tests::stack::{Play, REPO, Stack};
use std::time::Duration;

/// Waits until people were told that the merge waits for this.
fn waits_for(stack: &Stack, item: &str, what: &str) {
    stack.wait(&format!("the merge to wait for: {what}"), || reason(stack, item).contains(what));
    stack.wait("the comment", || {
        stack.plane().item(item).comments.iter().any(|c| c.html.contains("The merge waits") && c.html.contains(what))
    });
}

#[test]
fn a_forge_that_still_computes_is_waited_for_and_nobody_is_told() {
    let stack = merging().without_worker().start();
    let mut stack = stack;
    stack.gitea().computes_for(REPO, Duration::from_millis(2_500));
    stack.start_worker("w1");
    let item = stack.approved("Login");
    stack.wait_task(&item, Stage::Done, TaskState::Done);
    // Whoever reads "done" finds it in the base.
    is_merged(&stack, &item);
    assert_eq!(in_main(&stack, "feature.txt"), "done");
    stack.settle();
    assert!(!stack.comments(&item).iter().any(|said| said == "merge waits"), "{:?}", stack.comments(&item));
    assert_eq!(stack.our_states(&item).last().map(String::as_str), Some("Done"));
    assert_eq!(asked(&stack), 1, "it is not asked to merge what it has not looked at");
    assert_eq!(stack.agents_begun(&item, Role::Developer), 1, "'not mergeable' is no conflict yet");
}

#[test]
fn each_reason_is_said_once_everywhere_and_the_merge_goes_on_after_the_mend() {
    let stack = merging().project("reviewers", vec!["hugo"]).without_worker().start();
    let mut stack = stack;
    let rule = BranchRule { required_approvals: 1, ..BranchRule::default() };
    stack.gitea().set_rule(REPO, "main", rule);
    stack.start_worker("w1");
    let item = stack.approved("Login");
    waits_for(&stack, &item, "approvals are missing (1 required)");
    stack.settle();
    let number = stack.pull(&item).unwrap().number;
    assert_eq!(stack.pull(&item).unwrap().requested, ["hugo"], "who has to act is told where they look");
    assert_eq!(on_the_pull(&stack, &item, "The merge waits: approvals are missing").len(), 1);
    let task = stack.task(&item).unwrap();
    assert_eq!((task.stage, task.state), (Stage::Deploy, TaskState::Active));
    assert_ne!(stack.plane().state_of(&item), "Done");
    // What the reconciler's round does, and a status of nobody's concern: tried again, not said again.
    stack.gitea().ci(REPO, task.head.as_deref().unwrap(), "lint", "success");
    stack.settle();
    assert_eq!(on_the_pull(&stack, &item, "The merge waits").len(), 1);

    stack.gitea().rename_as("maria", REPO, number, "WIP: Login");
    waits_for(&stack, &item, "work in progress");
    stack.gitea().hook_refuses(REPO, Some("no merges on Friday"));
    stack.gitea().rename_as("maria", REPO, number, "Login");
    stack.wait("the approvals to be missed again", || reason(&stack, &item).contains("approvals"));
    stack.settle();
    assert_eq!(
        on_the_pull(&stack, &item, "The merge waits: approvals are missing").len(),
        1,
        "said already of this head"
    );
    stack.gitea().review(REPO, number, "hugo", "APPROVED", "");
    waits_for(&stack, &item, "hook refused it: no merges on Friday");
    stack.gitea().archive(REPO, true);
    stack.settle();
    stack.plane().comment(&item, "<p>:retry:</p>");
    // Nothing can be written at the pull request until it is mended: it does not settle before.
    waits_for(&stack, &item, "archived");
    assert_eq!(stack.agents_begun(&item, Role::Deployer), 1, "another try is one of the merge");
    stack.plane().comment(&item, "<p>:approved:</p>");
    let refused = stack.wait_said(&item, "refused");
    assert!(refused.contains("archived"), "{refused}");
    stack.gitea().archive(REPO, false);
    stack.gitea().hook_refuses(REPO, None);
    stack.settle();
    stack.plane().comment(&item, "<p>:retry:</p>");
    stack.wait_task(&item, Stage::Done, TaskState::Done);
    is_merged(&stack, &item);
}

#[test]
fn a_check_that_the_rule_requires_is_waited_for_on_the_very_head() {
    let stack = merging().without_worker().start();
    let mut stack = stack;
    let rule = BranchRule { contexts: vec!["ci / *".into()], ..BranchRule::default() };
    stack.gitea().set_rule(REPO, "main", rule);
    stack.start_worker("w1");
    let item = stack.approved("Login");
    waits_for(&stack, &item, "checks are not green");
    let head = stack.task(&item).unwrap().head.unwrap();
    stack.gitea().ci(REPO, &head, "ci / test (push)", "pending");
    stack.gitea().ci(REPO, &head, "ci / test (push)", "success");
    stack.wait_task(&item, Stage::Done, TaskState::Done);
    is_merged(&stack, &item);
    assert_eq!(stack.agents_begun(&item, Role::Deployer), 1);
}

#[test]
fn a_merge_whose_answer_is_lost_is_asked_about_and_made_once() {
    let mut stack = merging().without_worker().start();
    stack.gitea().fail_when("POST", "/merge", 1, Fault::LostAnswer);
    stack.start_worker("w1");
    let item = stack.approved("Login");
    stack.wait_task(&item, Stage::Done, TaskState::Done);
    is_merged(&stack, &item);
    assert_eq!(asked(&stack), 1, "asked about, not repeated");
    assert!(!stack.comments(&item).iter().any(|said| said == "merge waits"));
}

#[test]
fn a_style_that_is_allowed_is_taken_and_a_page_is_no_merge() {
    let go = "go";
    let mut stack = merging().without_worker().start();
    stack.gitea().set_merge_style(REPO, "merge");
    stack.gitea().forbid_styles(REPO, &["merge", "rebase", "rebase-merge", "fast-forward-only"]);
    let page = orch_tests::fakes::Reply {
        status: 200,
        headers: vec![("content-type", "text/html".to_owned())],
        body: b"<!DOCTYPE html><title>Please log in</title>".to_vec(),
    };
    stack.gitea().fail_when("POST", "/merge", 1, Fault::Answer(page));
    stack.change_play(&Play::default().role(Role::Deployer, [after(&stack.signal(go), deploys())]));
    stack.start_worker("w1");
    let item = stack.approved("Login");
    stack.wait_at_work(&item, Role::Deployer);
    stack.give(go);
    stack.wait_task(&item, Stage::Done, TaskState::Done);
    let pull = is_merged(&stack, &item);
    assert_eq!(asked(&stack), 2);
    let parents = orch_tests::stack::git(&stack.scene.forge, &["rev-list", "--parents", "-n1", "main"]);
    assert_eq!(parents.split(' ').count(), 2, "squashed: {pull:?}");
}

#[test]
fn what_nobody_tells_is_found_by_the_round() {
    let mut stack = merging().set("worker.reconcile_s", 1).without_worker().start();
    stack.gitea().set_rule(REPO, "main", BranchRule { signed: true, ..BranchRule::default() });
    stack.start_worker("w1");
    let item = stack.approved("Login");
    waits_for(&stack, &item, "the forge refuses it: wont sign: nokey");
    let before = asked(&stack);
    stack.wait("further tries", || asked(&stack) >= before + 2);
    assert_eq!(on_the_pull(&stack, &item, "The merge waits").len(), 1);
    stack.gitea().set_rule(REPO, "main", BranchRule::default());
    stack.wait_task(&item, Stage::Done, TaskState::Done);
    is_merged(&stack, &item);
}
