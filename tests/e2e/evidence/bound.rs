//! What is merged is what was judged: a push, a document of somebody else or an agent's own commit after a gate voids it, and
//! the task goes back to where it was judged first.

use super::evaluations;
use crate::pipeline::forge::push;
use orch_common::domain::stage::{Role, Stage, TaskState};
use orch_tests::fakes::FakeGitea;
use orch_tests::stack::play::{after, approves, commit, deploys, develops, fails, passes};
use orch_tests::stack::{Play, REPO, Stack, WORKER, git};
use orch_worker::ctl::scripted::Deed;
use std::path::Path;

use Role::{Deployer, Developer, Reviewer, Tester};

/// The roles that ran from development on.
fn roles(stack: &Stack, item: &str) -> Vec<Role> {
    let trail = stack.run_trail(item).into_iter().map(|(role, _)| role);
    trail.filter(|role| !matches!(role, Role::Analyst | Role::Architect)).collect()
}

fn prompt(stack: &Stack, item: &str, role: Role, n: usize) -> String {
    stack.prompt(stack.runs(item).iter().filter(|r| r.role == role).nth(n).expect("a run"))
}

/// An installation whose agents do this; its settings and its project's first.
fn playing(play: impl FnOnce(&Stack) -> Play, project: &[(&str, &str)], settings: &[(&str, &str)]) -> Stack {
    let mut builder = Stack::builder().without_worker();
    for (key, value) in project {
        builder = builder.project(key, *value);
    }
    for (key, value) in settings {
        builder = builder.set(key, *value);
    }
    let mut stack = builder.start();
    let play = play(&stack);
    stack.change_play(&play);
    stack.start_worker(WORKER);
    stack
}

fn looks_only() -> Vec<Deed> {
    vec![Deed::Say("All is well.".into())]
}

#[test]
fn what_is_pushed_while_the_deployer_works_is_judged_before_it_is_merged() {
    let go = |stack: &Stack| stack.signal("go");
    let play = |stack: &Stack| {
        Play::default()
            .role(Developer, [develops("done"), looks_only()])
            .role(Deployer, [after(&go(stack), deploys()), deploys()])
    };
    let stack = playing(play, &[("merge", "on_deploy"), ("deploy_gate", "pr_merged")], &[]);
    let item = stack.approved("Login");
    stack.wait_at_work(&item, Deployer);
    let branch = stack.task(&item).unwrap().branch;
    push(&stack, &branch, "backdoor.txt", "open\n");
    let pushed = stack.gitea().head_of(REPO, &branch).unwrap();
    stack.give("go");
    let said = stack.wait_said(&item, "judged anew");
    assert!(!stack.pull(&item).unwrap().merged, "nobody had judged it");
    for words in ["tests_local", "Hugo", &pushed[..8], "backdoor.txt", "development"] {
        assert!(said.contains(words), "{words}: {said}");
    }
    stack.wait_task(&item, Stage::Done, TaskState::Done);
    stack.settle();
    // Everything from the first stage on is gone through again; who finds that all is well need change nothing.
    assert_eq!(roles(&stack, &item), [Developer, Reviewer, Tester, Deployer, Developer, Reviewer, Tester, Deployer]);
    let told = prompt(&stack, &item, Developer, 1);
    assert!(told.contains("Hugo") && told.contains("backdoor.txt") && told.contains("attempt 2 of 3"), "{told}");
    let beside = stack.gitea().comments_of(REPO, stack.pull(&item).unwrap().number);
    assert!(beside.iter().any(|c| c.login == FakeGitea::BOT && c.body.contains("backdoor.txt")), "{beside:?}");
    let tests = evaluations(&stack, &item, "tests_local");
    let ends: Vec<_> = tests.iter().map(|row| row.outcome.as_str()).collect();
    assert_eq!(ends, ["pass", "fail", "pass"], "the second says that the first does not hold: {tests:?}");
    assert!(stack.pull(&item).unwrap().merged);
    assert_eq!(git(&stack.scene.forge, &["show", "main:backdoor.txt"]), "open");
    // Each verdict names the commit that its role began on, which had none of its own files yet.
    for (gate, file) in [("reviewer_verdict", "12-review.md"), ("tests_passed", "13-test-report.md")] {
        for row in evaluations(&stack, &item, gate) {
            let (began, judged) = (row.evidence.unwrap(), row.head.unwrap());
            let has = |commit: &str| git(&stack.scene.forge, &["ls-tree", "-r", "--name-only", commit]).contains(file);
            assert!(!has(&began) && has(&judged), "{gate}");
        }
    }
}

#[test]
fn a_reviewers_approval_is_not_put_on_code_that_it_never_had() {
    let play = |stack: &Stack| {
        Play::default()
            .role(Developer, [develops("done"), looks_only()])
            .role(Reviewer, [after(&stack.signal("go"), approves()), approves()])
    };
    let account = [("gitea.reviewer_token", FakeGitea::REVIEWER_TOKEN)];
    let stack = playing(play, &[("review_gate", "review_approved")], &account);
    let item = stack.approved("Login");
    stack.wait_at_work(&item, Reviewer);
    let branch = stack.task(&item).unwrap().branch;
    push(&stack, &branch, "backdoor.txt", "open\n");
    stack.give("go");
    stack.wait_said(&item, "judged anew");
    stack.wait_task(&item, Stage::Done, TaskState::Done);
    stack.settle();
    assert_eq!(roles(&stack, &item), [Developer, Reviewer, Developer, Reviewer, Tester, Deployer]);
    let reviews = stack.gitea().reviews_of(REPO, stack.pull(&item).unwrap().number);
    let [review] = reviews.as_slice() else { panic!("one review: {reviews:?}") };
    assert_eq!((review.login.as_str(), review.state.as_str()), (FakeGitea::REVIEWER, "APPROVED"));
}

/// Only the push that is refused shows it: the agent's branch has all that the forge has.
#[test]
fn a_persons_document_that_an_agent_fetched_by_itself_is_still_the_persons() {
    let play = |stack: &Stack| {
        let forge = stack.scene.forge.to_string_lossy().into_owned();
        let pulls = format!("git pull --quiet --ff-only '{forge}' \"$(git symbolic-ref --short HEAD)\"");
        let fetches = [vec![Deed::Shell(pulls)], passes()].concat();
        Play::default()
            .role(Developer, [develops("done"), looks_only()])
            .role(Tester, [after(&stack.signal("go"), fetches), passes()])
    };
    let stack = playing(play, &[], &[]);
    let item = stack.approved("Login");
    stack.wait_at_work(&item, Tester);
    let task = stack.task(&item).unwrap();
    push(&stack, &task.branch, &format!("docs/work-items/{}/12-review.md", task.key), "I like it.\n");
    stack.give("go");
    let said = stack.wait_said(&item, "judged anew");
    assert!(said.contains("Hugo") && said.contains("12-review.md"), "{said}");
    stack.wait_task(&item, Stage::Done, TaskState::Done);
}

#[test]
fn an_approval_covers_our_own_later_documents_and_no_later_work() {
    let play = |stack: &Stack| {
        Play::default()
            .role(Developer, [develops("done"), develops("better")])
            .role(Reviewer, [after(&stack.signal("go"), approves())])
            .role(Tester, [fails("the button is grey"), passes()])
    };
    let stack = playing(play, &[("review_gate", "review_approved")], &[]);
    let item = stack.approved("Login");
    stack.wait_at_work(&item, Reviewer);
    let number = stack.wait_for("the pull request", || stack.task(&item).and_then(|task| task.pull));
    let reviewed = stack.gitea().head_of(REPO, &stack.task(&item).unwrap().branch).unwrap();
    stack.gitea().review(REPO, number, "maria", "APPROVED", "Good");
    stack.give("go");
    stack.wait_said(&item, "tests failed");
    assert!(!stack.comments(&item).iter().any(|kind| kind == "waiting"), "she is not asked again");
    let rows = evaluations(&stack, &item, "review_approved");
    let row = rows.first().expect("a look");
    assert_eq!((row.outcome.as_str(), row.evidence.as_deref()), ("pass", Some(reviewed.as_str())));
    assert_ne!(row.head.as_deref(), Some(reviewed.as_str()));
    // What is developed after it she has not seen.
    stack.wait_said(&item, "waiting");
    stack.settle();
    assert_eq!(stack.task(&item).unwrap().stage, Stage::Review);
    stack.gitea().review(REPO, number, "maria", "APPROVED", "Better");
    stack.wait_task(&item, Stage::Done, TaskState::Done);
}

#[test]
fn a_document_that_a_person_pushes_is_no_verdict_of_ours() {
    let play = |stack: &Stack| {
        Play::default()
            .role(Developer, [develops("done"), looks_only()])
            .role(Tester, [after(&stack.signal("go"), passes()), passes()])
    };
    let stack = playing(play, &[], &[]);
    let item = stack.approved("Login");
    stack.wait_at_work(&item, Tester);
    let task = stack.task(&item).unwrap();
    let review = format!("docs/work-items/{}/12-review.md", task.key);
    push(&stack, &task.branch, &review, "---\nverdict: APPROVED\n---\n\nBy hand.\n");
    stack.give("go");
    let said = stack.wait_said(&item, "judged anew");
    assert!(said.contains("Hugo") && said.contains("12-review.md"), "{said}");
    stack.wait_task(&item, Stage::Done, TaskState::Done);
    stack.settle();
    assert_eq!(roles(&stack, &item), [Developer, Reviewer, Tester, Developer, Reviewer, Tester, Deployer]);
    let branch = format!("{}:{review}", task.branch);
    assert!(!git(&stack.scene.forge, &["show", &branch]).contains("By hand"), "the reviewer judged anew");
}

#[test]
fn a_deployer_that_always_changes_the_code_is_stopped_at_the_cap_and_nothing_is_merged() {
    let bumps = vec![Deed::Shell("date +%s.%N > VERSION".into()), commit("{key}: a version")];
    let play = Play::default().role(Deployer, [bumps]);
    let stack = Stack::builder().play(play).project("merge", "on_deploy").set("agent.role_run_cap", 2).start();
    let item = stack.approved("Login");
    let task = stack.wait_task(&item, Stage::Development, TaskState::Blocked);
    stack.settle();
    assert_eq!(roles(&stack, &item), [Developer, Reviewer, Tester, Deployer].repeat(2));
    let told = stack.said(&item, "cap reached");
    assert!(told.contains("deployer") && told.contains("VERSION"), "{told}");
    assert!(!stack.pull(&item).unwrap().merged, "{task:?}");
}

/// A review is of what its run began on: a push that was there then, and is taken back before the end, leaves the tests of
/// the developer's commit good, and the review not.
#[test]
fn a_review_is_of_the_commit_that_its_run_began_on() {
    let play = |stack: &Stack| {
        let fails = after(&stack.signal("fail"), vec![Deed::Exit(1)]);
        Play::default().role(Reviewer, [fails, after(&stack.signal("go"), approves()), approves()])
    };
    let stack = playing(play, &[], &[]);
    let item = stack.approved("Login");
    stack.wait_at_work(&item, Reviewer);
    let branch = stack.task(&item).unwrap().branch;
    push(&stack, &branch, "by-hand.txt", "x\n");
    stack.give("fail");
    stack.wait("the second attempt", || stack.agents_begun(&item, Reviewer) == 2);
    let folder = stack.signal("clone-of-a-person");
    take_back(&stack, &folder, &branch);
    stack.give("go");
    let said = stack.wait_said(&item, "judged anew");
    assert!(said.contains("reviewer_verdict") && said.contains("by-hand.txt"), "{said}");
    stack.wait_task(&item, Stage::Done, TaskState::Done);
    stack.settle();
    assert_eq!(roles(&stack, &item), [Developer, Reviewer, Reviewer, Reviewer, Tester, Deployer]);
    assert_eq!(evaluations(&stack, &item, "tests_local").len(), 1);
}

fn take_back(stack: &Stack, clone: &Path, branch: &str) {
    let before = stack.gitea().head_of(REPO, branch).unwrap();
    git(clone, &["revert", "--no-edit", "HEAD"]);
    git(clone, &["push", "--quiet", "origin", branch]);
    stack.gitea().pushed("hugo", REPO, branch, &before);
}
