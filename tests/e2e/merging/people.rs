//! People merge, too: when they like, and what they like.

use super::{asked, is_merged, merging, on_the_pull, reason};
use crate::pipeline::push;
use orch_common::domain::stage::{Role, Stage, TaskState};
use orch_common::failpoint::{ARM, Point};
use orch_tests::fakes::BranchRule;
use orch_tests::stack::play::{after, deploys};
use orch_tests::stack::{Play, REPO, Stack, git};

/// A task whose deployer is at work until `go` is given.
fn at_deploy(stack: &mut Stack) -> String {
    let go = stack.signal("go");
    stack.change_play(&Play::default().role(Role::Deployer, [after(&go, deploys())]));
    stack.start_worker("w1");
    let item = stack.approved("Login");
    stack.wait_at_work(&item, Role::Deployer);
    item
}

#[test]
fn what_a_person_merged_as_it_was_judged_is_done_also_before_the_last_documents() {
    let mut stack = merging().without_worker().start();
    let item = at_deploy(&mut stack);
    stack.gitea().merge_as("maria", REPO, stack.pull(&item).unwrap().number);
    stack.give("go");
    stack.wait_task(&item, Stage::Done, TaskState::Done);
    is_merged(&stack, &item);
}

#[test]
fn what_a_person_merged_with_more_than_was_judged_waits_for_their_word() {
    for branch_goes in [true, false] {
        merged_with_more(branch_goes);
    }
}

fn merged_with_more(branch_goes: bool) {
    let mut stack = Stack::builder().project("deploy_gate", "pr_merged").without_worker().start();
    let item = at_deploy(&mut stack);
    stack.give("go");
    stack.wait_said(&item, "waiting");
    stack.settle();
    let task = stack.task(&item).unwrap();
    let number = stack.pull(&item).unwrap().number;
    // Nobody looks in between: what was pushed is merged, and perhaps its branch is gone.
    stack.stop_worker("w1");
    push(&stack, &task.branch, "backdoor.txt", "x\n");
    stack.gitea().merge_as("maria", REPO, number);
    if branch_goes {
        stack.gitea().delete_branch_as("maria", REPO, &task.branch);
    }
    stack.start_worker("w1");
    stack.wait("people to be told", || reason(&stack, &item).contains("backdoor.txt"));
    stack.settle();
    let now = stack.task(&item).unwrap();
    assert_eq!((now.stage, now.state), (Stage::Deploy, TaskState::Active));
    assert_ne!(stack.plane().state_of(&item), "Done");
    assert_eq!(on_the_pull(&stack, &item, "The merge waits: it was merged by maria").len(), 1);
    stack.plane().comment(&item, "<p>:approved:</p>");
    stack.wait_task(&item, Stage::Done, TaskState::Done);
}

#[test]
fn a_closed_or_retargeted_pull_request_is_waited_for_and_looked_at_when_that_changes() {
    let mut stack = merging().without_worker().start();
    let item = at_deploy(&mut stack);
    let number = stack.pull(&item).unwrap().number;
    stack.gitea().set_branch_at(REPO, "develop", "main");
    stack.gitea().retarget_as("maria", REPO, number, "develop");
    stack.give("go");
    stack.wait("the other base to be told", || reason(&stack, &item).contains("goes to develop, not to main"));
    stack.settle();
    stack.gitea().close(REPO, number);
    stack.wait("the closed one to be told", || reason(&stack, &item).contains("pull_closed"));
    assert!(!stack.pull(&item).unwrap().merged);
    stack.settle();
    stack.gitea().retarget_as("maria", REPO, number, "main");
    stack.gitea().reopen_as("maria", REPO, number);
    stack.wait_task(&item, Stage::Done, TaskState::Done);
    is_merged(&stack, &item);
}

#[test]
fn a_person_approves_once_where_every_push_dismisses_approvals() {
    let mut stack = merging().project("review_gate", "review_approved").without_worker().start();
    let rule = BranchRule { required_approvals: 1, dismiss_stale: true, ..BranchRule::default() };
    stack.gitea().set_rule(REPO, "main", rule);
    stack.start_worker("w1");
    let item = stack.approved("Login");
    stack.wait_said(&item, "waiting");
    stack.settle();
    let number = stack.pull(&item).unwrap().number;
    let approved = stack.task(&item).unwrap().head.unwrap();
    stack.gitea().review(REPO, number, "maria", "APPROVED", "Good");
    let task = stack.wait_task(&item, Stage::Done, TaskState::Done);
    is_merged(&stack, &item);
    let approvals = stack.gitea().reviews_of(REPO, number);
    assert_eq!(approvals.iter().filter(|r| r.state == "APPROVED" && !r.dismissed).count(), 1, "{approvals:?}");
    let main = git(&stack.scene.forge, &["rev-parse", "main^2"]);
    assert_eq!(main, approved, "exactly what she approved");
    stack.settle();
    // The later documents are on the branch, once they can cost nothing any more.
    for document in ["13-test-report.md", "14-deploy.md"] {
        let place = format!("{}:docs/work-items/{}/{document}", task.branch, task.key);
        assert!(!git(&stack.scene.forge, &["show", &place]).is_empty(), "{document}");
    }
    assert!(!stack.comments(&item).iter().any(|said| said == "merge waits"));
}

#[test]
fn a_worker_killed_between_a_merge_and_its_record_finds_it_merged() {
    let mut stack = merging().without_worker().start();
    let token = stack.signal("killed");
    let armed = format!("{}:1:kill:{}", Point::AdvanceMerged, token.display());
    stack.start_worker_with("w1", &[(ARM, &armed)]);
    let item = stack.approved("Login");
    stack.wait("the worker to be killed", || token.exists());
    stack.wait("the forge to have it", || stack.pull(&item).is_some_and(|pull| pull.merged));
    assert_ne!(stack.task(&item).unwrap().state, TaskState::Done);
    stack.kill_worker("w1");
    stack.start_worker("w1");
    stack.wait_task(&item, Stage::Done, TaskState::Done);
    is_merged(&stack, &item);
    assert_eq!(asked(&stack), 1, "it is asked what became of it");
}
