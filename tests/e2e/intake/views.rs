//! The read-only views, and who may see them.

use super::api::{Setup, push};
use super::http::Request;
use orch_common::store::tasks::{self, NewTask};
use serde_json::json;

fn task(key: &str) -> NewTask {
    NewTask {
        project: "P".into(),
        work_item: format!("W-{key}"),
        key: key.into(),
        title: "Add a \"login\" page".into(),
        description: "not shown".into(),
        repo: "acme/widgets".into(),
        branch: format!("feature/{key}"),
        base: "main".into(),
    }
}

#[test]
fn status_lists_the_open_tasks() {
    let api = Setup::new().start();
    assert_eq!(api.get("/status").json(), json!({"active_tasks": []}));
    api.store.write_now(|conn| tasks::insert(conn, &task("ET-001"), 1_800_000_000_000)).unwrap();
    let shown = api.get("/status").json();
    let first = &shown["active_tasks"][0];
    assert_eq!(
        (&first["key"], &first["stage"], &first["state"]),
        (&json!("ET-001"), &json!("created"), &json!("active"))
    );
    assert_eq!(first["title"], "Add a \"login\" page");
    assert_eq!(first["created_at"], "2027-01-15T08:00:00Z");
    assert_eq!(shown["active_tasks"].as_array().unwrap().len(), 1);
}

#[test]
fn queue_and_health_of_a_fresh_start() {
    let api = Setup::new().start();
    api.send(&push("x"));
    let queue = api.get("/queue").json();
    let names: Vec<&String> = queue.as_object().unwrap().keys().collect();
    assert_eq!(
        names,
        ["counts", "counts_by_kind", "max_concurrency", "poll_interval", "recent", "resilience", "workers"]
    );
    assert_eq!(queue["counts"], json!({"queued": 0, "running": 0, "done": 0, "failed": 0, "cancelled": 0}));
    assert_eq!(queue["counts_by_kind"]["event"]["queued"], 1);
    assert_eq!(queue["resilience"]["preflight_reason"], "not checked");
    let health = api.get("/health").json();
    assert_eq!(health["status"], "ok");
    assert_eq!(
        health["readiness"],
        json!({"ready": true, "database": "ok", "migrations": "ok", "worker_heartbeat_age_s": null})
    );
}

#[test]
fn elsewhere_than_on_loopback_reading_needs_the_token() {
    let open = Setup::new().set("ORCH_API_BIND", "0.0.0.0:0");
    let api = open.set("ORCH_API_READ_TOKEN", "t0ken").start();
    for path in ["/status", "/queue"] {
        let answer = api.get(path);
        assert_eq!(answer.assert_problem(401).header("www-authenticate"), Some("Bearer realm=\"orch\""));
        let with = |token: &str| api.send(&Request::new("GET", path).header("Authorization", token));
        with("Bearer wrong").assert_problem(401);
        assert_eq!(with("Bearer t0ken").status, 200);
    }
    assert_eq!(api.get("/health").status, 200, "a probe has no token");
    assert_eq!(api.send(&push("x")).outcome().0, "queued", "a webhook has its signature");
}

#[test]
fn without_a_token_the_views_say_what_to_set() {
    let api = Setup::new().set("ORCH_API_BIND", "0.0.0.0:0").start();
    for path in ["/status", "/queue"] {
        let answer = api.get(path);
        assert!(answer.assert_problem(403).body.contains("ORCH_API_READ_TOKEN"), "{answer:?}");
    }
    assert!(api.log().contains("ORCH_API_READ_TOKEN is not set"), "{}", api.log());
}
