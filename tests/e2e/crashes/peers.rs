//! Several workers on one database.

use orch_common::domain::run::RunOutcome;
use orch_common::domain::stage::{Role, Stage, TaskState};
use orch_common::store::workers;
use orch_tests::stack::play::{after, develops};
use orch_tests::stack::{Play, Stack};
use orch_worker::agent::RunDir;

#[test]
fn a_living_workers_run_is_left_alone_and_a_dead_ones_is_adopted() {
    let mut stack = Stack::builder().without_worker().set("worker.heartbeat_dead_s", 3).start();
    let go = stack.signal("go");
    stack.change_play(&Play::default().role(Role::Developer, [after(&go, develops("done"))]));
    stack.start_worker("first");
    let item = stack.approved("Login");
    let run = stack.wait_at_work(&item, Role::Developer);
    stack.start_worker("second");
    stack.wait("the second worker to have looked for orphans", || {
        let rows = stack.read(workers::all);
        rows.iter().any(|w| w.name == "second" && w.heartbeat_at - w.started_at > 3_500)
    });
    assert_eq!(stack.agent_job(&item).worker.as_deref(), Some("first"), "its owner lives");

    stack.kill_worker("first");
    stack.wait("the second worker to take over", || stack.agent_job(&item).worker.as_deref() == Some("second"));
    let agent = RunDir::at(stack.scene.runs.join(&run.dir)).read_agent().unwrap().unwrap();
    assert!(agent.is_alive(), "adopted as it was");
    stack.give("go");
    stack.wait_task(&item, Stage::Done, TaskState::Done);
    stack.settle();
    assert_eq!(stack.agents_begun(&item, Role::Developer), 1);
    let run = stack.runs(&item).into_iter().find(|r| r.id == run.id).unwrap();
    assert_eq!((run.worker.as_str(), run.outcome), ("second", Some(RunOutcome::Success)));
    let job = stack.jobs(&item).into_iter().find(|j| j.id == run.job_id).unwrap();
    assert_eq!((job.attempts, job.recoveries), (1, 0));
}

#[test]
fn two_workers_share_the_work_and_do_nothing_twice() {
    let mut stack = Stack::builder().start();
    stack.start_worker("w2");
    let items: Vec<String> = (0..4).map(|n| stack.plane().create_item(&format!("Item {n}"), "", &[]).0).collect();
    for item in &items {
        stack.wait_task(item, Stage::Analysis, TaskState::WaitingApproval);
        stack.plane().comment(item, "<p>:approved:</p>");
    }
    for item in &items {
        stack.wait_task(item, Stage::Done, TaskState::Done);
    }
    stack.settle();
    for item in &items {
        assert_eq!(stack.comments(item).len(), 8, "{:?}", stack.comments(item));
        for role in Role::ALL {
            assert_eq!(stack.agents_begun(item, *role), 1, "{role}");
        }
        // One agent at a time per task: no run begins before the one before has ended.
        let runs = stack.runs(item);
        let overlaps = runs.windows(2).filter(|pair| pair[0].finished_at.is_none_or(|end| end > pair[1].started_at));
        assert_eq!(overlaps.count(), 0, "{runs:?}");
    }
}
