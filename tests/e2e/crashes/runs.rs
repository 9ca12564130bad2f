//! An agent outlives its worker, and a supervisor that dies is noticed.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use orch_common::domain::run::RunOutcome;
use orch_common::domain::stage::{Role, Stage, TaskState};
use orch_common::store::runs::Run;
use orch_tests::stack::play::{after, develops};
use orch_tests::stack::{Play, Stack, WORKER};
use orch_worker::agent::{Identity, RunDir};

/// A stack whose developer is at work and waits for the file `go`.
fn with_developer_at_work() -> (Stack, String, Run) {
    let mut stack = Stack::builder().without_worker().start();
    let go = stack.signal("go");
    stack.change_play(&Play::default().role(Role::Developer, [after(&go, develops("done"))]));
    stack.start_worker(WORKER);
    let item = stack.approved("Login");
    let run = stack.wait_at_work(&item, Role::Developer);
    (stack, item, run)
}

fn agent_of(stack: &Stack, run: &Run) -> Identity {
    let dir = RunDir::at(stack.scene.runs.join(&run.dir));
    stack.wait_for("the agent's identity", || dir.read_agent().ok().flatten())
}

fn developer_ran_once(stack: &Stack, item: &str, run: &Run) {
    stack.wait_task(item, Stage::Done, TaskState::Done);
    stack.settle();
    assert_eq!(stack.agents_begun(item, Role::Developer), 1);
    let developers: Vec<_> = stack.runs(item).into_iter().filter(|r| r.role == Role::Developer).collect();
    let [only] = developers.as_slice() else { panic!("{developers:?}") };
    assert_eq!((only.id.as_str(), only.outcome, only.counts), (run.id.as_str(), Some(RunOutcome::Success), true));
    assert!(only.input_tokens > 0, "its tokens are counted");
    let job = stack.jobs(item).into_iter().find(|j| j.id == run.job_id).unwrap();
    assert_eq!((job.attempts, job.recoveries, job.transient_attempts), (1, 0, 0));
    let reviews = stack.comments(item).into_iter().filter(|k| k == "now in review").count();
    assert_eq!(reviews, 1, "what followed, followed once");
}

#[test]
fn an_agent_goes_on_when_its_worker_is_killed_and_the_next_one_adopts_it() {
    let (mut stack, item, run) = with_developer_at_work();
    let agent = agent_of(&stack, &run);
    stack.kill_worker(WORKER);
    assert!(agent.is_alive(), "the agent does not need its worker");
    stack.start_worker(WORKER);
    stack.wait("the run to be adopted", || stack.worker(WORKER).log().contains("adopted"));
    assert!(agent.is_alive(), "adopting does not disturb it");
    stack.give("go");
    developer_ran_once(&stack, &item, &run);
}

#[test]
fn an_agent_that_ends_while_no_worker_lives_is_finished_from_its_record() {
    let (mut stack, item, run) = with_developer_at_work();
    stack.kill_worker(WORKER);
    stack.give("go");
    let dir = RunDir::at(stack.scene.runs.join(&run.dir));
    stack.wait("the run to end", || dir.has_exit());
    stack.start_worker(WORKER);
    developer_ran_once(&stack, &item, &run);
}

#[test]
fn an_agent_goes_on_over_a_restart_of_its_worker() {
    let (mut stack, item, run) = with_developer_at_work();
    let agent = agent_of(&stack, &run);
    stack.stop_worker(WORKER);
    assert!(agent.is_alive(), "the agent does not need its worker");
    stack.start_worker(WORKER);
    stack.wait("the run to be adopted", || stack.worker(WORKER).log().contains("adopted"));
    stack.give("go");
    developer_ran_once(&stack, &item, &run);
}

#[test]
fn a_run_whose_supervisor_is_killed_is_lost_and_run_again_at_no_charge() {
    let (stack, item, run) = with_developer_at_work();
    let agent = agent_of(&stack, &run);
    let dir = RunDir::at(stack.scene.runs.join(&run.dir));
    let supervisor = dir.read_supervisor().unwrap().unwrap();
    kill(Pid::from_raw(supervisor.pid), Signal::SIGKILL).unwrap();
    stack.wait("the second run", || stack.agents_begun(&item, Role::Developer) == 2);
    assert!(!agent.is_alive(), "what the supervisor left was ended before the next began");
    stack.give("go");
    stack.wait_task(&item, Stage::Done, TaskState::Done);
    stack.settle();
    let developers: Vec<_> = stack.runs(&item).into_iter().filter(|r| r.role == Role::Developer).collect();
    let ends: Vec<_> = developers.iter().map(|r| (r.outcome, r.counts)).collect();
    assert_eq!(ends, [(Some(RunOutcome::Lost), false), (Some(RunOutcome::Success), true)]);
    let job = stack.jobs(&item).into_iter().find(|j| j.id == run.job_id).unwrap();
    assert_eq!((job.attempts, job.recoveries), (1, 1));
}
