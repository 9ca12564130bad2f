//! A worker that dies in the middle of its own work: looking at a gate, sending, and just anywhere.

use orch_common::domain::job::{JobKind, JobStatus};
use orch_common::domain::stage::{Role, Stage, TaskState};
use orch_common::store::jobs::Job;
use orch_tests::fakes::Fault;
use orch_tests::stack::{REPO, Stack, WORKER};
use std::time::Duration;

const WHOLE_STORY: [&str; 8] = [
    "started",
    "approval wanted",
    "approved",
    "now in development",
    "now in review",
    "now in testing",
    "now in deploy",
    "done",
];

/// Done, and every effect was seen once.
fn all_went_well(stack: &Stack, item: &str) {
    stack.wait_task(item, Stage::Done, TaskState::Done);
    stack.settle();
    assert_eq!(stack.comments(item), WHOLE_STORY);
    stack.states_were(item, &["In Progress", "In Review", "In Progress", "In Review", "In Progress", "Done"]);
    assert_eq!(stack.gitea().pulls(REPO).len(), 1);
    let statuses = stack.statuses(item);
    assert_eq!(statuses.len(), 6, "one status per stage left: {statuses:?}");
    assert_eq!(stack.jobs_with(JobStatus::Failed), 0);
    for role in Role::ALL {
        assert_eq!(stack.agents_begun(item, *role), 1, "{role}");
        let counted = stack.runs(item).into_iter().filter(|r| r.role == *role && r.counts).count();
        assert_eq!(counted, 1, "{role}");
    }
}

#[test]
fn a_worker_killed_while_the_tests_run_looks_again() {
    let mut stack = Stack::builder().start();
    stack.give("hold-tests");
    let item = stack.approved("Login");
    let begun =
        |stack: &Stack| std::fs::read_to_string(stack.signal("tests-begun")).unwrap_or_default().lines().count();
    stack.wait("the tests to run", || begun(&stack) == 1);
    stack.kill_worker(WORKER);
    stack.start_worker(WORKER);
    stack.wait("the tests to run again", || begun(&stack) == 2);
    std::fs::remove_file(stack.signal("hold-tests")).unwrap();
    all_went_well(&stack, &item);
    let tests: Vec<_> = stack.gates(&item).into_iter().filter(|(gate, _)| gate == "tests_local").collect();
    assert_eq!(tests, [("tests_local".into(), "pass".into())], "one look counts");
    let jobs = stack.jobs(&item);
    // A message that was under way at the kill is taken up again too.
    let recovered = jobs.iter().filter(|j| j.recoveries > 0 && j.kind != JobKind::Effect);
    let recovered: Vec<_> = recovered.map(|j| (j.kind, j.attempts)).collect();
    assert_eq!(recovered, [(JobKind::Advance, 1)], "at no charge");
}

#[test]
fn a_comment_whose_answer_the_worker_did_not_live_to_see_is_there_once() {
    let mut stack = Stack::builder().without_worker().start();
    stack.plane().fail_when("POST", "/comments/", 1, Fault::Slow(Duration::from_secs(20)));
    stack.start_worker(WORKER);
    let (item, _) = stack.plane().create_item("Login", "", &[]);
    stack.wait("the comment to be stored", || stack.comments(&item).len() == 1);
    stack.kill_worker(WORKER);
    stack.start_worker(WORKER);
    stack.wait_task(&item, Stage::Analysis, TaskState::WaitingApproval);
    stack.wait("the comments", || stack.comments(&item).len() >= 2);
    stack.settle();
    assert_eq!(stack.comments(&item), ["started", "approval wanted"]);
    let of_comment = |j: &Job| j.kind == JobKind::Effect && j.payload.contains("plane_comment") && j.recoveries == 1;
    let sent = stack.jobs(&item).into_iter().find(of_comment).expect("the effect was taken up again");
    assert!(sent.note.unwrap_or_default().starts_with("already there"), "and found its comment");
}

#[test]
fn writes_whose_answers_are_lost_are_there_once() {
    let mut stack = Stack::builder().without_worker().start();
    for (method, part) in [("POST", "/comments/"), ("PATCH", "/work-items/")] {
        stack.plane().fail_when(method, part, 1, Fault::LostAnswer);
    }
    for part in ["/branches", "/pulls", "/statuses/"] {
        stack.gitea().fail_when("POST", part, 1, Fault::LostAnswer);
    }
    stack.start_worker(WORKER);
    let item = stack.approved("Login");
    all_went_well(&stack, &item);
}

#[test]
fn a_worker_killed_again_and_again_still_brings_the_task_to_its_end() {
    let mut stack = Stack::builder().start();
    let (item, _) = stack.plane().create_item("Login", "", &[]);
    let ended = |stack: &Stack| stack.jobs_with(JobStatus::Done) + stack.jobs_with(JobStatus::Running);
    // A job that ran at the kill counts as begun already: where it was the last one, no more will come.
    let idle = |stack: &Stack| stack.jobs_with(JobStatus::Queued) + stack.jobs_with(JobStatus::Running) == 0;
    let mut seen = 0;
    let mut approved = false;
    for round in 0..10_u64 {
        // Each time at another moment, and never without some progress in between.
        stack.wait("some progress", || ended(&stack) > seen || (seen > 0 && idle(&stack)));
        std::thread::sleep(Duration::from_millis(round * 37 % 150));
        stack.kill_worker(WORKER);
        seen = ended(&stack);
        if !approved && stack.task(&item).is_some_and(|t| t.state == TaskState::WaitingApproval) {
            stack.plane().comment(&item, "<p>:approved:</p>");
            approved = true;
            seen = 0;
        }
        stack.start_worker(WORKER);
    }
    if !approved {
        stack.wait_task(&item, Stage::Analysis, TaskState::WaitingApproval);
        stack.plane().comment(&item, "<p>:approved:</p>");
    }
    all_went_well(&stack, &item);
}
