//! What a task costs of the calls that Plane allows, and what becomes of a pause that it asks for.

use orch_common::domain::stage::{Stage, TaskState};
use orch_tests::fakes::{Fault, Reply, Request};
use orch_tests::stack::{LONG, Stack};
use serde_json::json;

#[test]
fn a_task_costs_twenty_calls_of_planes_allowance() {
    let stack = Stack::builder().start();
    // As in a project that has been worked in.
    stack.plane().add_state("In Review", "started");
    // The reconciler's first round is no task's.
    let lists = |requests: &[Request]| requests.iter().any(|r| r.path.ends_with("/work-items/"));
    assert!(stack.plane().wait_for(LONG, lists));
    let item = stack.approved("Login");
    stack.wait_task(&item, Stage::Done, TaskState::Done);
    stack.settle();
    let requests = stack.plane().requests();
    let calls: Vec<String> = requests
        .iter()
        .filter(|r| r.path.contains(&item))
        .map(|r| format!("{} {}", r.method, r.path.split(&item).nth(1).unwrap_or_default()))
        .collect();
    assert!(calls.len() <= 21, "{}: {calls:#?}", calls.len());
    let reads = calls.iter().filter(|call| *call == "GET /").count();
    assert!(reads <= 2, "the answer to a card's move is the step's reading of the item: {calls:#?}");
    let once = requests.iter().filter(|r| r.path.ends_with("/states/") || r.path.ends_with("/users/me/")).count();
    assert_eq!(once, 2, "once for all tasks");
}

#[test]
fn a_pause_of_a_year_is_an_hour_at_most_is_shown_and_is_lifted_by_a_person() {
    let mut stack = Stack::builder().without_worker().start();
    let year = Reply::json(429, json!({ "error_code": 5900 })).with("retry-after", 31_536_000);
    stack.plane().fail_when("POST", "/comments/", 1, Fault::Answer(year));
    stack.start_worker("w1");
    let (item, _) = stack.plane().create_item("Login", "", &[]);
    stack.wait("the pause to be shown", || stack.ctl(&["limits"]).contains("it asked for a pause"));
    let shown: serde_json::Value = serde_json::from_str(&stack.ctl(&["status", "--json"])).unwrap();
    assert_eq!(shown["limits"][0]["what"], "plane", "{shown}");
    let limits = stack.ctl(&["limits"]);
    assert!(limits.contains("in 59m") || limits.contains("in 1h"), "{limits}");
    assert!(stack.ctl(&["status"]).contains("orchctl limits lift"));
    assert!(stack.comments(&item).is_empty());
    // A worker that comes later heeds it.
    stack.stop_worker("w1");
    stack.start_worker("w2");
    assert!(stack.ctl(&["limits", "lift"]).contains("lifted: plane"));
    stack.wait_said(&item, "started");
    stack.wait_task(&item, Stage::Analysis, TaskState::WaitingApproval);
    assert!(stack.ctl(&["limits"]).contains("none"));
    assert!(stack.ctl(&["limits", "lift"]).contains("nothing to lift"));
    assert!(stack.ctl_fails(&["limits", "lift", "plane"]).contains("takes calls"));
}
