//! Whole walks while git or the forge is away: nothing is spent, it is said once, and it goes on when they are back.

use crate::pipeline::forge::push;
use orch_common::domain::job::{JobKind, JobStatus};
use orch_common::domain::stage::{Role, Stage, TaskState};
use orch_common::store::jobs::{self, Job};
use orch_tests::fakes::{Fault, Reply};
use orch_tests::stack::play::{after, analyses, decides};
use orch_tests::stack::{Play, Stack};
use std::time::{Duration, Instant};

/// Far less than the time after which a job that nobody wakes looks by itself.
const SOON: Duration = Duration::from_secs(45);

/// All jobs there are.
fn every_job(stack: &Stack) -> Vec<Job> {
    stack.read(|c| (1..).map_while(|id| jobs::get(c, id).transpose()).collect())
}

fn said(stack: &Stack, kind: &str) -> usize {
    stack.told().iter().filter(|told| *told == kind).count()
}

/// Nothing was charged for waiting.
fn nothing_was_spent(stack: &Stack) {
    for job in every_job(stack) {
        let counters = (job.status, job.attempts, job.transient_attempts, job.recoveries);
        assert_eq!(counters, (JobStatus::Done, job.attempts.min(1), 0, 0), "{job:?}");
    }
}

#[test]
fn starts_and_looks_wait_at_no_charge_for_git_that_is_away() {
    let mut stack = Stack::builder().with_telegram().set("worker.outage_alert_s", 0).without_worker().start();
    let (go, other) = (stack.signal("go"), stack.signal("other"));
    stack.change_play(&Play::default().role(Role::Architect, [after(&go, decides())]));
    stack.start_worker("w1");
    let item = stack.approved("Login");
    stack.wait_at_work(&item, Role::Architect);
    // Another task's agent keeps the developer waiting until git is away.
    stack.change_play(&Play::default().role(Role::Analyst, [after(&other, analyses())]));
    let (second, _) = stack.plane().create_item("Logout", "", &[]);
    stack.wait("the second task", || stack.task(&second).is_some_and(|t| t.stage == Stage::Analysis));
    stack.give("go");
    stack.wait_at_work(&second, Role::Analyst);
    let task = stack.wait_task(&item, Stage::Development, TaskState::Active);
    push(&stack, &task.branch, "by-hand.txt", "kept\n");
    stack.wait("the push to be heard", || stack.notes_of_events().iter().any(|n| n.contains("recorded")));
    let away = stack.scene.forge.with_extension("away");
    std::fs::rename(&stack.scene.forge, &away).unwrap();
    stack.give("other");
    let waits = |item: &str, kind: JobKind| {
        let mut of_kind = stack.jobs(item).into_iter().filter(|j| j.kind == kind && j.status == JobStatus::Queued);
        of_kind.any(|j| j.error.is_some() && (j.attempts, j.transient_attempts) == (0, 0))
    };
    stack.wait("the developer's start to wait", || waits(&item, JobKind::Agent));
    stack.wait("the look at the analysis to wait", || waits(&second, JobKind::Advance));
    stack.wait("people to be told", || said(&stack, "away") == 1);
    assert_eq!(stack.task(&item).unwrap().state, TaskState::Active, "nobody is blocked");

    std::fs::rename(&away, &stack.scene.forge).unwrap();
    let back = Instant::now();
    stack.wait_task(&second, Stage::Analysis, TaskState::WaitingApproval);
    stack.wait_task(&item, Stage::Done, TaskState::Done);
    assert!(back.elapsed() < SOON, "{:?}", back.elapsed());
    stack.settle();
    assert_eq!((said(&stack, "away"), said(&stack, "back")), (1, 1), "{:?}", stack.told());
    assert_eq!(stack.agents_begun(&item, Role::Developer), 1);
    nothing_was_spent(&stack);
}

#[test]
fn a_review_and_all_writes_survive_a_forge_that_finds_nothing() {
    let stack = Stack::builder()
        .with_telegram()
        .set("worker.outage_alert_s", 0)
        .project("review_gate", "review_approved")
        .start();
    let item = stack.approved("Login");
    stack.wait("the reviewer's end to be looked at", || {
        stack.task(&item).is_some_and(|t| t.stage == Stage::Review)
            && stack.gates(&item).iter().any(|(gate, _)| gate == "review_approved")
    });
    stack.settle();
    let number = stack.pull(&item).unwrap().number;
    let nothing = serde_json::json!({ "message": "The target couldn't be found.", "errors": [] });
    stack.gitea().fall_ill(Some(Fault::Answer(Reply::json(404, nothing))));
    stack.gitea().review(orch_tests::stack::REPO, number, "maria", "APPROVED", "Good");
    stack.wait("the event to wait", || {
        let waits = |j: &Job| j.status == JobStatus::Queued && j.attempts == 0 && j.error.is_some();
        every_job(&stack).iter().any(|j| j.kind == JobKind::Event && waits(j))
    });
    stack.wait("people to be told", || said(&stack, "away") == 1);
    assert_eq!(stack.task(&item).unwrap().stage, Stage::Review);

    stack.gitea().fall_ill(None);
    let back = Instant::now();
    stack.wait_task(&item, Stage::Done, TaskState::Done);
    assert!(back.elapsed() < SOON, "{:?}", back.elapsed());
    stack.settle();
    assert_eq!((said(&stack, "away"), said(&stack, "back")), (1, 1), "{:?}", stack.told());
    assert_eq!(stack.gitea().pulls(orch_tests::stack::REPO).len(), 1);
    nothing_was_spent(&stack);
}
