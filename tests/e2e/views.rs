//! The read-only views, while something is going on.

use orch_common::domain::job::JobStatus;
use orch_common::domain::stage::{Role, Stage, TaskState};
use orch_tests::stack::play::{after, analyses};
use orch_tests::stack::{Play, Stack, WORKER};
use serde_json::{Value, json};
use std::collections::BTreeSet;

fn keys(value: &Value) -> BTreeSet<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

#[test]
fn the_views_show_a_task_while_its_agent_works() {
    let mut stack = Stack::builder().without_worker().start();
    assert_eq!(stack.get("/status").unwrap(), json!({ "active_tasks": [] }));
    let health = stack.get("/health").unwrap();
    assert_eq!((&health["status"], &health["readiness"]["worker_heartbeat_age_s"]), (&json!("ok"), &Value::Null));

    let go = stack.signal("go");
    stack.change_play(&Play::default().role(Role::Analyst, [after(&go, analyses())]));
    stack.start_worker(WORKER);
    let (item, _) = stack.plane().create_item("Login", "<p>Secret plans.</p>", &[]);
    let run = stack.wait_at_work(&item, Role::Analyst);

    let status = stack.get("/status").unwrap();
    let [task] = status["active_tasks"].as_array().unwrap().as_slice() else { panic!("{status}") };
    assert_eq!((&task["key"], &task["title"], &task["state"]), (&json!("ET-001"), &json!("Login"), &json!("active")));
    assert_eq!((&task["stage"], &task["work_item"]), (&json!("analysis"), &json!(item)));

    let queue = stack.get("/queue").unwrap();
    let wanted = ["counts", "counts_by_kind", "max_concurrency", "poll_interval", "recent", "resilience", "workers"];
    assert_eq!(keys(&queue), BTreeSet::from(wanted));
    assert_eq!(queue["counts"], json!({ "queued": 0, "running": 1, "done": 0, "failed": 0, "cancelled": 0 }));
    assert_eq!(keys(&queue["counts_by_kind"]), BTreeSet::from(["advance", "agent", "effect", "event"]));
    assert_eq!((&queue["max_concurrency"], &queue["poll_interval"]), (&json!(1), &json!(0.2)));
    assert_eq!(
        queue["resilience"]["breaker"],
        json!({ "state": "closed", "consecutive_transient": 0, "pause_remaining_s": 0 })
    );
    assert_eq!(queue["resilience"]["preflight_ok"], true);
    let [job] = queue["recent"].as_array().unwrap().as_slice() else { panic!("{queue}") };
    assert_eq!((&job["run_id"], &job["worker"], &job["role"]), (&json!(run.id), &json!(WORKER), &json!("analyst")));
    let [worker] = queue["workers"].as_array().unwrap().as_slice() else { panic!("{queue}") };
    assert_eq!((&worker["name"], &worker["alive"]), (&json!(WORKER), &json!(true)));
    assert!(stack.get("/health").unwrap()["readiness"]["worker_heartbeat_age_s"].as_f64().unwrap() < 30.0);
    for view in ["/status", "/queue", "/health"] {
        assert!(!stack.get(view).unwrap().to_string().contains("Secret plans"), "{view} shows bodies");
    }

    // There is room for one agent: a second waits, whatever else goes on meanwhile.
    let (other, _) = stack.plane().create_item("Logout", "", &[]);
    stack.wait_said(&other, "started");
    stack.plane().comment(&other, "<p>:approved:</p>");
    stack.wait_said(&other, "refused");
    let waiting = stack.agent_job(&other);
    assert_eq!((waiting.status, waiting.attempts), (JobStatus::Queued, 0));

    stack.give("go");
    stack.wait_task(&item, Stage::Analysis, TaskState::WaitingApproval);
    stack.wait_task(&other, Stage::Analysis, TaskState::WaitingApproval);
    let first = stack.runs(&item)[0].finished_at.expect("it has ended");
    assert!(stack.runs(&other)[0].started_at >= first, "one after the other");
    stack.plane().comment(&other, "<p>:cancel:</p>");
    stack.wait_task(&other, Stage::Analysis, TaskState::Cancelled);
    stack.plane().comment(&item, "<p>:approved:</p>");
    stack.wait_task(&item, Stage::Done, TaskState::Done);
    stack.settle();
    assert_eq!(stack.get("/status").unwrap(), json!({ "active_tasks": [] }), "done is not active");
    let queue = stack.get("/queue").unwrap();
    assert_eq!(queue["counts"]["done"], 7);
    let recent: Vec<i64> = queue["recent"].as_array().unwrap().iter().map(|j| j["id"].as_i64().unwrap()).collect();
    assert!(recent.len() == 7 && recent.windows(2).all(|p| p[0] > p[1]), "newest first: {recent:?}");
}
