//! A provider that keeps failing.

use orch_common::domain::job::JobStatus;
use orch_common::domain::stage::{Role, Stage, TaskState};
use orch_tests::stack::play::{after, develops};
use orch_tests::stack::{Play, Stack};
use orch_worker::ctl::scripted::Deed;

fn breaker(stack: &Stack) -> String {
    stack.get("/queue").map_or_else(String::new, |q| q["resilience"]["breaker"]["state"].as_str().unwrap_or("").into())
}

#[test]
fn three_transient_failures_open_the_breaker_and_one_probe_closes_it() {
    let stack =
        Stack::builder().with_telegram().set("resilience.breaker_pause_s", 5).set("worker.max_concurrency", 2).start();
    let item = stack.analysed("Login");
    let overloaded = || vec![Deed::ApiError(529)];
    let probe = after(&stack.signal("go"), develops("done"));
    stack.change_play(&Play::default().role(Role::Developer, [overloaded(), overloaded(), overloaded(), probe]));
    stack.plane().comment(&item, "<p>:approved:</p>");
    stack.wait("the breaker to open", || breaker(&stack) == "open");
    let remaining = stack.get("/queue").unwrap()["resilience"]["breaker"]["pause_remaining_s"].as_u64().unwrap();
    assert!(remaining <= 5, "{remaining}");

    // Half-open: exactly one, the probe, though there is room for two.
    stack.wait("the probe", || stack.agents_begun(&item, Role::Developer) == 4);
    assert_eq!(breaker(&stack), "half-open");
    let (other, _) = stack.plane().create_item("Another", "", &[]);
    stack.wait_said(&other, "started");
    let waiting = stack.agent_job(&other);
    assert_eq!((waiting.status, waiting.attempts), (JobStatus::Queued, 0));

    stack.give("go");
    stack.wait_task(&item, Stage::Done, TaskState::Done);
    stack.wait_task(&other, Stage::Analysis, TaskState::WaitingApproval);
    stack.settle();
    assert_eq!(breaker(&stack), "closed");
    let told = stack.told();
    let said = |kind: &str| told.iter().filter(|k| *k == kind).count();
    assert_eq!((said("breaker opened"), said("breaker closed")), (1, 1), "{told:?}");
    let developers: Vec<_> = stack.runs(&item).into_iter().filter(|r| r.role == Role::Developer).collect();
    assert_eq!(developers.iter().filter(|r| r.counts).count(), 1);
    let job = stack.jobs(&item).into_iter().find(|j| j.id == developers[0].job_id).unwrap();
    assert_eq!((job.attempts, job.transient_attempts), (1, 3));
}
