//! The shape is a contract: clients read these very names.

use super::*;
use orch_common::domain::breaker::BreakerState;
use orch_common::domain::run::WorkerState;
use serde_json::json;

const NOW: i64 = 1_800_000_000_000;
const DEAD_AFTER: Duration = Duration::from_secs(30);

fn counts() -> BTreeMap<JobKind, StatusCounts> {
    let zero: StatusCounts = JobStatus::ALL.iter().map(|status| (status.as_str(), 0)).collect();
    JobKind::ALL.iter().map(|kind| (*kind, zero.clone())).collect()
}

fn snapshot() -> Snapshot {
    Snapshot { counts: counts(), recent: Vec::new(), workers: Vec::new(), account: Account::default() }
}

fn worker(name: &str, heartbeat_ago_ms: i64, preflight_ok: Option<bool>) -> Worker {
    Worker {
        name: name.into(),
        host: "host".into(),
        pid: 7,
        pid_start: 1,
        boot_id: "boot".into(),
        version: "1.2.3".into(),
        state: WorkerState::Running,
        max_concurrency: 2,
        poll_interval: 2.0,
        preflight_ok,
        preflight_reason: format!("reason of {name}"),
        started_at: NOW - 60_000,
        heartbeat_at: NOW - heartbeat_ago_ms,
    }
}

fn shown(snapshot: Snapshot) -> serde_json::Value {
    serde_json::to_value(Queue::of(snapshot, NOW, DEAD_AFTER)).unwrap()
}

#[test]
fn an_empty_queue() {
    let zero = json!({"queued": 0, "running": 0, "done": 0, "failed": 0, "cancelled": 0});
    let expected = json!({
        "counts": zero,
        "counts_by_kind": {"event": zero, "agent": zero, "advance": zero, "effect": zero},
        "max_concurrency": 0,
        "poll_interval": null,
        "resilience": {
            "breaker": {"state": "closed", "consecutive_transient": 0, "pause_remaining_s": 0},
            "preflight_ok": null,
            "preflight_reason": "not checked",
        },
        "workers": [],
        "recent": [],
    });
    assert_eq!(shown(snapshot()), expected);
}

#[test]
fn counts_are_those_of_agent_jobs() {
    let mut snapshot = snapshot();
    snapshot.counts.get_mut(&JobKind::Agent).unwrap().insert("running", 3);
    snapshot.counts.get_mut(&JobKind::Event).unwrap().insert("done", 9);
    let shown = shown(snapshot);
    assert_eq!((&shown["counts"]["running"], &shown["counts"]["done"]), (&json!(3), &json!(0)));
    assert_eq!(shown["counts_by_kind"]["event"]["done"], 9);
}

#[test]
fn the_living_workers_count_and_a_failing_preflight_is_the_one_shown() {
    let mut stopped = worker("stopped", 0, Some(false));
    stopped.state = WorkerState::Stopped;
    let workers = vec![
        worker("a", 1_000, Some(true)),
        worker("b", 29_900, Some(false)),
        worker("c", 0, None),
        worker("dead", 31_000, Some(false)),
        stopped,
    ];
    let shown = shown(Snapshot { workers, ..snapshot() });
    assert_eq!((&shown["max_concurrency"], &shown["poll_interval"]), (&json!(6), &json!(2.0)));
    assert_eq!(shown["resilience"]["preflight_ok"], false);
    assert_eq!(shown["resilience"]["preflight_reason"], "reason of b");
    let alive: Vec<_> = shown["workers"].as_array().unwrap().iter().map(|w| w["alive"].as_bool().unwrap()).collect();
    assert_eq!(alive, [true, true, true, false, false]);
    assert_eq!(shown["workers"][0]["heartbeat_age_s"], 1.0);
    assert_eq!(shown["workers"][0]["started_at"], "2027-01-15T07:59:00Z");
    assert!(shown["workers"][0].get("boot_id").is_none());
}

#[test]
fn the_breaker_by_state() {
    let rows = [
        (BreakerState::Open { until_ms: NOW + 1_500 }, "open", 2),
        (BreakerState::Open { until_ms: NOW - 1 }, "half-open", 0),
        (BreakerState::HalfOpen { probe_job: Some(4) }, "half-open", 0),
        (BreakerState::Closed, "closed", 0),
    ];
    for (state, name, remaining) in rows {
        let breaker = Breaker { state, consecutive_transient: 3, opened_at_ms: Some(NOW - 10) };
        let shown = shown(Snapshot { account: Account { breaker, ..Account::default() }, ..snapshot() });
        let expected = json!({"state": name, "consecutive_transient": 3, "pause_remaining_s": remaining});
        assert_eq!(shown["resilience"]["breaker"], expected);
    }
}
