//! `tasks`: what is shown, and that an operator's word goes through the engine.

use super::support::{PLANE_PROJECT, World, agent_payload, now};
use orch_common::domain::gate::Gate;
use orch_common::domain::gate::OutcomeKind;
use orch_common::domain::job::{JobKind, JobStatus};
use orch_common::domain::run::{RunOutcome, RunState, StopReason};
use orch_common::domain::stage::{Stage, TaskState};
use orch_common::store::gates::{self, NewGateResult};
use orch_common::store::runs::{self, RunEnd};
use orch_common::store::{audit, tasks};

const RUN: &str = "7b0c2a3e-1111-4222-8333-444455556666";

fn ended(world: &World) {
    let end = RunEnd {
        state: RunState::Ended,
        finished_at: Some(now()),
        exit_code: Some(0),
        exit_signal: None,
        outcome: Some(RunOutcome::Success),
        error: None,
        counts: true,
        session_id: None,
        input_tokens: 1_200,
        output_tokens: 34,
        cache_tokens: 0,
        cost_usd: 0.125,
        cost_cumulative: 0.125,
        turns: 3,
        model: Some("sonnet".into()),
        cli_version: None,
        denied_tools: Some("WebFetch (2)".into()),
        estimated: false,
        unpriced: false,
    };
    world.write(|conn| runs::finish(conn, RUN, &end));
}

#[test]
fn tasks_are_listed() {
    let world = World::new();
    assert!(world.ctl(&["tasks"]).ok().contains("no open tasks"));
    world.task("ET-001", Stage::Development, TaskState::Active);
    world.task("ET-002", Stage::Done, TaskState::Done);
    let open = world.ctl(&["tasks"]).ok();
    assert!(open.contains("ET-001  development  active") && !open.contains("ET-002"), "{open}");
    let all = world.ctl(&["tasks", "--all", "--json"]).json();
    assert_eq!((&all[0]["key"], &all[1]["key"]), (&"ET-002".into(), &"ET-001".into()));
}

#[test]
fn show_tells_the_whole_story() {
    let world = World::new();
    let task = world.task("ET-001", Stage::Development, TaskState::Active);
    let job = world.job(JobKind::Agent, Some(&task), &agent_payload(Stage::Development));
    world.claim(job);
    world.run(RUN, job, &task);
    ended(&world);
    let effect = world.job(JobKind::Effect, Some(&task), "{}");
    let result = NewGateResult {
        task_id: task.id,
        job_id: Some(job),
        gate: Gate::TestsLocal,
        outcome: OutcomeKind::Fail,
        reason: Some("3 tests\nare red".into()),
        head: "0123456789abcdef0123456789abcdef01234567".into(),
        tree: "abcdefabcd0123456789abcdef0123456789abcd".into(),
        command: Some("make test".into()),
        exit_code: Some(2),
        duration_ms: Some(65_000),
        output_sha256: Some("fedcba9876543210".repeat(4)),
        evidence: "0123456789abcdef".repeat(2),
        detail: None,
        at: now(),
    };
    world.write(|conn| gates::record(conn, &result));
    world.ctl(&["tasks", "pause", "ET-001"]).ok();
    let text = world.ctl(&["tasks", "show", "et-001"]).ok();
    for part in [
        "ET-001 Pay [31mby card2J",
        "$0.12 in 1 runs, 1234 tokens",
        "denied: WebFetch (2)",
        "tests_local  fail     0123456789  abcdefabcd  0123456789  2     1m    fedcba9876  make test",
        "3 tests are red",
        "active > paused",
        "operator:",
        "a person paused it",
        "running",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let json = world.ctl(&["tasks", "show", "ET-001", "--json"]).json();
    assert_eq!(json["stage_trail"], serde_json::json!(["created", "development"]));
    assert_eq!((&json["cost_usd"], &json["runs"][0]["outcome"]), (&0.125.into(), &"success".into()));
    let gate = &json["gates"][0];
    assert_eq!(gate["tree"], "abcdefabcd0123456789abcdef0123456789abcd");
    assert_eq!((&gate["command"], &gate["output_sha256"]), (&"make test".into(), &"fedcba9876543210".repeat(4).into()));
    assert_eq!(json["transitions"][0]["to_state"], "paused");
    let effects = json["last_effects"].as_array().unwrap();
    assert!(effects.iter().any(|shown| shown["id"] == effect) && effects.len() > 1, "{effects:?}");
}

/// Command, the task before, and after.
#[test]
fn a_word_moves_a_task_through_the_engine() {
    for (arguments, before, after) in [
        (&["pause"][..], TaskState::Active, TaskState::Paused),
        (&["cancel"], TaskState::Active, TaskState::Cancelled),
        (&["retry"], TaskState::Blocked, TaskState::Active),
        (&["reject", "too", "slow"], TaskState::Active, TaskState::Active),
    ] {
        let world = World::new();
        let task = world.task("ET-001", Stage::Review, before);
        let mut command = vec!["tasks", arguments[0], "ET-001"];
        command.extend(&arguments[1..]);
        let said = world.ctl(&command);
        assert!(said.err.contains("no worker is alive"), "{said:?}");
        assert!(said.ok().starts_with("ET-001: a person "), "{arguments:?}");
        assert_eq!(world.task_now(task.id).state, after, "{arguments:?}");
        let moves = world.write(|conn| audit::of_task(conn, task.id));
        assert_eq!((moves.len(), moves[0].trigger.as_str()), (1, arguments[0]));
        assert!(moves[0].actor.as_deref().unwrap().starts_with("operator:"), "{moves:?}");
        let own = world.job_now(moves[0].job_id.unwrap());
        assert_eq!((own.kind, own.status), (JobKind::Event, JobStatus::Done), "the word is a job of its own");
        let effects = world.all_jobs(&task).iter().filter(|job| job.kind == JobKind::Effect).count();
        assert!(effects > 0, "people are told");
    }
}

#[test]
fn a_rejection_carries_its_reason_one_stage_back() {
    let world = World::new();
    world.worker(0);
    let task = world.task("ET-001", Stage::Review, TaskState::Active);
    let said = world.ctl(&["tasks", "reject", "ET-001", "too slow"]);
    assert_eq!(said.err, "", "a worker is alive");
    said.ok();
    assert_eq!(world.task_now(task.id).stage, Stage::Development);
    let jobs = world.all_jobs(&task);
    let agent = jobs.iter().find(|job| job.kind == JobKind::Agent).unwrap();
    assert!(agent.payload.contains("too slow") && agent.status == JobStatus::Queued, "{agent:?}");
    world.ctl(&["tasks", "reject", "ET-001"]).fails(2);
    assert!(world.ctl(&["tasks", "reject", "ET-001", " "]).fails(2).contains("needs a reason"));
}

#[test]
fn an_approval_waits_for_its_gate() {
    let world = World::new();
    let task = world.task("ET-001", Stage::Analysis, TaskState::WaitingApproval);
    assert!(world.ctl(&["tasks", "approve", "ET-001"]).ok().contains("waits for the gate"));
    let advance = |world: &World| world.all_jobs(&task).into_iter().filter(|j| j.kind == JobKind::Advance).count();
    assert_eq!(advance(&world), 1);
    // The look is under way: a second word is refused, and leaves nothing behind.
    let before = world.all_jobs(&task).len();
    assert!(world.ctl(&["tasks", "approve", "ET-001"]).fails(1).contains("still under way"));
    assert_eq!(world.all_jobs(&task).len(), before);
}

#[test]
fn pause_and_resume_stop_and_go() {
    let world = World::new();
    let task = world.task("ET-001", Stage::Development, TaskState::Active);
    assert!(world.ctl(&["tasks", "resume", "ET-001"]).fails(1).contains("not paused"));
    world.ctl(&["tasks", "pause", "ET-001"]).ok();
    assert!(world.ctl(&["tasks", "pause", "ET-001"]).fails(1).contains("paused already"));
    assert!(world.ctl(&["tasks", "retry", "ET-001"]).fails(1).contains("paused"));
    assert!(world.ctl(&["tasks", "resume", "ET-001"]).ok().contains("waits for the gate"));
    assert_eq!(world.all_jobs(&task).iter().filter(|job| job.kind == JobKind::Advance).count(), 1);
}

#[test]
fn cancel_asks_the_agent_to_stop_and_drops_what_is_queued() {
    let world = World::new();
    let task = world.task("ET-001", Stage::Development, TaskState::Active);
    let job = world.job(JobKind::Agent, Some(&task), &agent_payload(Stage::Development));
    world.claim(job);
    world.run(RUN, job, &task);
    let next = world.job(JobKind::Advance, Some(&task), r#"{"trigger":{"trigger":"look"}}"#);
    world.ctl(&["tasks", "cancel", "ET-001"]).ok();
    assert_eq!(world.write(|conn| runs::wanted_stop(conn, RUN)), Some(StopReason::Cancel));
    assert_eq!(world.job_now(next).status, JobStatus::Cancelled);
    assert!(world.ctl(&["tasks", "retry", "ET-001"]).ok().contains("opened it again"));
}

#[test]
fn what_is_not_there() {
    let world = World::new();
    for verb in ["show", "cancel", "pause", "resume", "retry", "approve"] {
        assert!(world.ctl(&["tasks", verb, "ET-404"]).fails(3).contains("tasks --all"), "{verb}");
    }
    let new = tasks::NewTask {
        project: PLANE_PROJECT.replace('0', "1"),
        work_item: "w".into(),
        key: "XY-001".into(),
        title: "t".into(),
        description: String::new(),
        repo: "team/other".into(),
        branch: "feature/XY-001-t".into(),
        base: "main".into(),
    };
    world.write(|conn| tasks::insert(conn, &new, now()));
    assert!(world.ctl(&["tasks", "retry", "XY-001"]).fails(1).contains("not in the configuration"));
}
