//! `status` and `agents`.

use super::support::{World, now};
use orch_common::domain::breaker::Breaker;
use orch_common::domain::job::JobKind;
use orch_common::domain::stage::{Stage, TaskState};
use orch_common::store::accounts::{self, Account, DEFAULT_ACCOUNT};

fn account(world: &World, account: &Account) {
    world.write(|conn| accounts::put(conn, DEFAULT_ACCOUNT, account, now()));
}

fn ill() -> Account {
    let mut breaker = Breaker::default();
    breaker.on_transient(now(), now(), 1, 300);
    Account {
        breaker,
        limit_until: Some(now() + 3_600_000),
        limit_reason: Some("usage limit reached (five_hour)".into()),
        fault: Some("no credentials".into()),
        fault_at: Some(now()),
    }
}

#[test]
fn status_when_nothing_runs() {
    let text = World::new().ctl(&["status"]).ok();
    for part in ["none has ever run", "breaker      closed", "fault        none", "Open tasks\nnone", "KIND", "effect"]
    {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(!text.contains('\u{1b}'), "no colour without a terminal");
}

#[test]
fn status_of_a_busy_place() {
    let world = World::new();
    world.worker(0);
    world.task("ET-001", Stage::Development, TaskState::Blocked);
    world.task("ET-002", Stage::Done, TaskState::Done);
    world.job(JobKind::Event, None, "{}");
    account(&world, &ill());
    let text = world.ctl(&["status"]).ok();
    for part in ["w1", "running", "s ago", "ok: 2.1.330", "open, one run may try in", "five_hour", "no credentials"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(text.contains("ET-001  development  blocked") && text.contains("the money is spent"), "{text}");
    assert!(text.contains("Pay [31mby card2J") && !text.contains("ET-002"), "{text}");
    let json = world.ctl(&["status", "--json"]).json();
    assert_eq!(json["workers"][0]["alive"], true);
    assert_eq!(json["agents"]["breaker"]["state"], "open");
    assert_eq!(json["counts_by_kind"]["event"]["queued"], 1);
    assert_eq!(json["active_tasks"].as_array().unwrap().len(), 1);
    assert_eq!(json["active_tasks"][0]["title"], "Pay \u{1b}[31mby card\u{9b}2J");
}

#[test]
fn a_silent_worker_is_dead() {
    let world = World::new();
    world.worker(120);
    assert!(world.ctl(&["status"]).ok().contains("w1      dead   2m ago"));
    assert_eq!(world.ctl(&["agents", "--json"]).json()["workers"][0]["alive"], false);
}

#[test]
fn resume_lifts_fault_and_limit_and_leaves_the_breaker() {
    let world = World::new();
    assert!(world.ctl(&["agents", "resume"]).ok().contains("nothing to lift"));
    let before = ill();
    account(&world, &before);
    assert!(world.ctl(&["agents"]).ok().contains("orchctl agents resume"));
    let said = world.ctl(&["agents", "resume"]).ok();
    assert!(said.contains("lifted the fault: no credentials") && said.contains("lifted the limit until"), "{said}");
    assert!(said.contains("the breaker decides for itself: open"), "{said}");
    let after = world.write(|conn| accounts::get(conn, DEFAULT_ACCOUNT));
    assert_eq!(after, Account { breaker: before.breaker, ..Account::default() });
}
