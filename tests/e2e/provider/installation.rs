//! Faults that a person has to put right: no credentials, no program.

use orch_common::domain::job::JobStatus;
use orch_common::domain::stage::{Role, Stage, TaskState};
use orch_tests::fakes::fixture;
use orch_tests::stack::{Play, Stack, WORKER};
use orch_worker::ctl::scripted::Deed;

#[test]
fn without_credentials_agents_pause_and_everything_else_goes_on() {
    let log = fixture("claude/no_credentials.2.1.330.stdout.jsonl");
    let no_credentials = vec![Deed::Replay { log, code: 1 }];
    let play = Play::default().role(Role::Analyst, [no_credentials]);
    let mut stack = Stack::builder().play(play).with_telegram().start();
    let (item, _) = stack.plane().create_item("Login", "", &[]);
    stack.wait("the fault to be known", || stack.account().fault.is_some());
    let (other, _) = stack.plane().create_item("Another", "", &[]);
    stack.wait_said(&other, "started");
    stack.wait("the alert", || stack.told().contains(&"installation fault".to_owned()));
    for item in [&item, &other] {
        let job = stack.agent_job(item);
        assert_eq!((job.status, job.attempts, job.transient_attempts), (JobStatus::Queued, 0, 0));
        assert_eq!(stack.task(item).unwrap().state, TaskState::Active);
    }
    assert_eq!(stack.agents_begun(&item, Role::Analyst) + stack.agents_begun(&other, Role::Analyst), 1);

    // Put right, and the worker started anew.
    stack.change_play(&Play::default());
    stack.stop_worker(WORKER);
    stack.start_worker(WORKER);
    for item in [&item, &other] {
        stack.wait_task(item, Stage::Analysis, TaskState::WaitingApproval);
    }
    stack.settle();
    assert_eq!(stack.told().iter().filter(|k| *k == "installation fault").count(), 1);
    let charged = stack.runs(&item).into_iter().filter(|r| r.counts).count();
    assert_eq!(charged, 1, "only the run that worked");
}

#[test]
fn a_missing_agent_program_keeps_jobs_queued_and_is_shown() {
    let mut stack = Stack::builder().without_worker().set("resilience.preflight_cache_ttl_s", 1).start();
    let queue = stack.get("/queue").unwrap();
    assert_eq!(queue["resilience"]["preflight_ok"], serde_json::Value::Null);
    assert_eq!(queue["resilience"]["preflight_reason"], "not checked");
    std::fs::remove_file(stack.scene.agent()).unwrap();
    stack.start_worker(WORKER);
    let (item, _) = stack.plane().create_item("Login", "", &[]);
    stack.wait_said(&item, "started");
    stack.wait("the reason to be shown", || {
        stack.get("/queue").is_some_and(|q| q["resilience"]["preflight_ok"] == false)
    });
    let queue = stack.get("/queue").unwrap();
    let reason = queue["resilience"]["preflight_reason"].as_str().unwrap();
    assert!(reason.contains("agent"), "{reason}");
    let job = stack.agent_job(&item);
    assert_eq!((job.status, job.attempts), (JobStatus::Queued, 0));

    stack.scene.write_agent();
    stack.wait_task(&item, Stage::Analysis, TaskState::WaitingApproval);
    assert_eq!(stack.get("/queue").unwrap()["resilience"]["preflight_ok"], true);
}
