//! `jobs`.

use super::support::{World, agent_payload, now};
use orch_common::domain::job::{JobKind, JobStatus};
use orch_common::domain::run::StopReason;
use orch_common::domain::stage::{Stage, TaskState};
use orch_common::store::{jobs, runs};

const RUN: &str = "7b0c2a3e-1111-4222-8333-444455556666";

#[test]
fn jobs_are_listed_by_kind_status_and_task() {
    let world = World::new();
    assert!(world.ctl(&["jobs"]).ok().contains("no such jobs"));
    let task = world.task("ET-001", Stage::Development, TaskState::Active);
    let agent = world.job(JobKind::Agent, Some(&task), &agent_payload(Stage::Development));
    let effect = world.job(JobKind::Effect, None, "{}");
    world.fail(effect, "telegram:\u{1b}]0;x\u{7} no");
    for (arguments, found) in [
        (&["jobs", "--json"][..], vec![effect, agent]),
        (&["jobs", "--json", "--kind", "agent"], vec![agent]),
        (&["jobs", "--json", "--status", "failed"], vec![effect]),
        (&["jobs", "--json", "--task", "et-001"], vec![agent]),
        (&["jobs", "--json", "--limit", "1"], vec![effect]),
        (&["jobs", "--json", "--kind", "agent", "--status", "failed"], vec![]),
    ] {
        let json = world.ctl(arguments).json();
        let ids: Vec<i64> = json.as_array().unwrap().iter().map(|job| job["id"].as_i64().unwrap()).collect();
        assert_eq!(ids, found, "{arguments:?}");
    }
    let text = world.ctl(&["jobs"]).ok();
    assert!(text.contains("agent   developer  ET-001  queued"), "{text}");
    assert!(text.contains("telegram:]0;x no") && text.contains("s ago)"), "{text}");
}

#[test]
fn what_cannot_be_asked_for() {
    let world = World::new();
    let error = world.ctl(&["jobs", "--kind", "wish"]).fails(2);
    assert!(error.contains("event, agent, advance, effect"), "{error}");
    world.ctl(&["jobs", "show", "x"]).fails(2);
    world.ctl(&["jobs", "--limit", "0"]).fails(2);
    assert!(world.ctl(&["jobs", "--task", "ET-009"]).fails(3).contains("no task ET-009"));
    for verb in ["show", "retry", "cancel"] {
        assert!(world.ctl(&["jobs", verb, "9"]).fails(3).contains("no job 9"), "{verb}");
    }
}

#[test]
fn show_says_everything() {
    let world = World::new();
    let task = world.task("ET-001", Stage::Development, TaskState::Active);
    let id = world.job(JobKind::Agent, Some(&task), &agent_payload(Stage::Development));
    world.claim(id);
    world.run(RUN, id, &task);
    let text = world.ctl(&["jobs", "show", &id.to_string()]).ok();
    for part in ["(agent)", "running", "ET-001", "w1", "1 of 2", RUN, "\"stage\": \"development\"", "task:1"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let json = world.ctl(&["jobs", "show", &id.to_string(), "--json"]).json();
    assert_eq!((&json["task"], &json["run"]["id"]), (&"ET-001".into(), &RUN.into()));
    assert_eq!(json["payload"]["role"], "developer");
}

#[test]
fn a_failed_effect_is_put_back() {
    let world = World::new();
    let id = world.job(JobKind::Effect, None, "{}");
    assert!(world.ctl(&["jobs", "retry", &id.to_string()]).fails(1).contains("queued already"));
    world.fail(id, "no route");
    assert!(world.ctl(&["jobs", "retry", &id.to_string()]).ok().contains("queued again"));
    let job = world.job_now(id);
    assert_eq!((job.status, job.attempts), (JobStatus::Queued, 0));
}

#[test]
fn an_agent_is_put_back_only_where_its_task_wants_it() {
    for (stage, state, why) in [
        (Stage::Development, TaskState::Active, None),
        (Stage::Review, TaskState::Active, Some("stands at review")),
        (Stage::Development, TaskState::Blocked, Some("blocked (the money is spent); `orchctl tasks retry ET-001`")),
        (Stage::Development, TaskState::Paused, Some("orchctl tasks resume ET-001")),
        (Stage::Development, TaskState::Cancelled, Some("is cancelled")),
        (Stage::Development, TaskState::WaitingApproval, Some("waiting_approval")),
    ] {
        let world = World::new();
        let task = world.task("ET-001", stage, state);
        let id = world.job(JobKind::Agent, Some(&task), &agent_payload(Stage::Development));
        world.fail(id, "tests are red");
        let said = world.ctl(&["jobs", "retry", &id.to_string()]);
        match why {
            None => assert!(said.ok().contains("queued again")),
            Some(why) => {
                let error = said.fails(1);
                assert!(error.contains(why), "{why}: {error}");
                assert_eq!(world.job_now(id).status, JobStatus::Failed);
            }
        }
    }
}

#[test]
fn one_job_of_a_task_at_a_time() {
    let world = World::new();
    let task = world.task("ET-001", Stage::Development, TaskState::Active);
    let first = world.job(JobKind::Advance, Some(&task), r#"{"trigger":{"trigger":"look"}}"#);
    world.fail(first, "git");
    let second = world.job(JobKind::Agent, Some(&task), &agent_payload(Stage::Development));
    let error = world.ctl(&["jobs", "retry", &first.to_string()]).fails(1);
    assert!(error.contains(&format!("job {second} (agent) of ET-001 is queued")), "{error}");
    let said = world.ctl(&["jobs", "cancel", &second.to_string()]).ok();
    assert!(said.contains("ET-001 is blocked at development"), "{said}");
    // Nothing would have moved it any more: who goes on with it says so to the task.
    let error = world.ctl(&["jobs", "retry", &first.to_string()]).fails(1);
    assert!(error.contains("orchctl tasks retry ET-001"), "{error}");
}

#[test]
fn a_blocked_advance_is_told_how_to_look_again() {
    let world = World::new();
    let task = world.task("ET-001", Stage::Development, TaskState::Blocked);
    let id = world.job(JobKind::Advance, Some(&task), r#"{"trigger":{"trigger":"look"}}"#);
    world.fail(id, "git");
    let error = world.ctl(&["jobs", "retry", &id.to_string()]).fails(1);
    assert!(error.contains("orchctl tasks approve ET-001"), "{error}");
}

#[test]
fn a_queued_job_is_cancelled_once() {
    let world = World::new();
    let task = world.task("ET-001", Stage::Development, TaskState::Active);
    let id = world.job(JobKind::Agent, Some(&task), &agent_payload(Stage::Development));
    assert!(world.ctl(&["jobs", "cancel", &id.to_string()]).ok().contains("orchctl tasks retry ET-001"));
    let job = world.job_now(id);
    assert_eq!(job.status, JobStatus::Cancelled);
    assert!(job.error.unwrap().starts_with("cancelled by operator:"));
    assert!(world.ctl(&["jobs", "cancel", &id.to_string()]).fails(1).contains("is cancelled already"));
}

#[test]
fn a_running_agent_is_asked_to_stop() {
    let world = World::new();
    world.worker(0);
    let task = world.task("ET-001", Stage::Development, TaskState::Active);
    let id = world.job(JobKind::Agent, Some(&task), &agent_payload(Stage::Development));
    world.claim(id);
    assert!(world.ctl(&["jobs", "cancel", &id.to_string()]).fails(1).contains("about to start"));
    world.run(RUN, id, &task);
    assert!(world.ctl(&["jobs", "cancel", &id.to_string()]).ok().contains("worker w1 ends it"));
    assert_eq!(world.write(|conn| runs::wanted_stop(conn, RUN)), Some(StopReason::Operator));
    assert_eq!(world.job_now(id).status, JobStatus::Running, "its owner ends the row");
}

#[test]
fn a_running_effect_is_let_be() {
    let world = World::new();
    let id = world.job(JobKind::Effect, None, "{}");
    world.write(|conn| jobs::claim(conn, JobKind::Effect, "w1", now()));
    assert!(world.ctl(&["jobs", "cancel", &id.to_string()]).fails(1).contains("cannot be cut off"));
}
