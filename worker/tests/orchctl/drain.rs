//! `drain`: the wish that a worker starts no more agents, waiting until none is at work, and taking the wish back.

use super::support::{World, agent_payload, eventually, now};
use orch_common::domain::job::{JobEnd, JobKind};
use orch_common::domain::run::WorkerState;
use orch_common::domain::stage::{Stage, TaskState};
use orch_common::store::jobs::{self, Job};
use orch_common::store::workers;
use std::io::{BufRead, BufReader, Read};
use std::process::Stdio;
use std::time::{Duration, Instant};

/// Worker `w1` with an agent at work.
fn busy() -> (World, Job) {
    let world = World::new();
    world.worker(0);
    let task = world.task("ET-001", Stage::Development, TaskState::Active);
    let job = world.job(JobKind::Agent, Some(&task), &agent_payload(Stage::Development));
    let job = world.claim(job);
    (world, job)
}

fn state(world: &World) -> WorkerState {
    world.write(|conn| Ok(workers::all(conn)?.remove(0).state))
}

#[test]
fn a_worker_is_told_and_told_otherwise() {
    let (world, _) = busy();
    assert_eq!(world.ctl(&["drain", "w1"]).ok(), "w1 starts no more agents; at work: 1\n");
    assert_eq!(state(&world), WorkerState::Draining);
    assert!(world.ctl(&["status"]).ok().contains("draining"));
    // A second time says the same and changes nothing.
    assert_eq!(world.ctl(&["drain", "w1"]).ok(), "w1 starts no more agents; at work: 1\n");
    assert_eq!(world.ctl(&["drain", "w1", "--undo"]).ok(), "w1 starts agents again\n");
    assert_eq!(state(&world), WorkerState::Running);
}

#[test]
fn an_idle_worker_may_be_stopped_at_once() {
    let world = World::new();
    world.worker(0);
    let said = world.ctl(&["drain", "w1", "--wait"]).ok();
    assert_eq!(said, "w1 starts no more agents; at work: 0\nw1 may be stopped: none of its agents is at work\n");
}

/// Jobs of other kinds go on while it drains, and are not waited for.
#[test]
fn waiting_is_for_the_last_agent_and_for_nothing_else() {
    let (world, job) = busy();
    let task = world.task_now(job.task_id.unwrap());
    let effect = world.job(JobKind::Effect, None, "{}");
    world.claim(effect);
    let mut child = world.command(&["drain", "w1", "--wait"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    out.read_line(&mut line).unwrap();
    assert_eq!(line, "w1 starts no more agents; at work: 1\n");
    // It looks twice a second.
    let until = Instant::now() + Duration::from_millis(1200);
    while Instant::now() < until {
        assert!(child.try_wait().unwrap().is_none(), "it did not wait for {}", task.key);
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(world.write(|conn| jobs::finish(conn, &job, &JobEnd::Done { note: None }, now())));
    let status = eventually("the end of the wait", || child.try_wait().unwrap());
    let mut rest = String::new();
    out.read_to_string(&mut rest).unwrap();
    assert_eq!((status.code(), rest.as_str()), (Some(0), "w1 may be stopped: none of its agents is at work\n"));
}

#[test]
fn strangers_the_stopped_and_contradictions_are_refused() {
    let world = World::new();
    assert!(world.ctl(&["drain", "w1"]).fails(3).contains("no worker named w1"));
    world.worker(0);
    assert!(world.ctl(&["drain", "w2"]).fails(3).contains("no worker named w2"));
    assert!(world.ctl(&["drain", "w1", "--wait", "--undo"]).fails(2).contains("--undo"));
    world.write(|conn| {
        let mut worker = workers::all(conn)?.remove(0);
        worker.state = WorkerState::Stopped;
        workers::register(conn, &worker)
    });
    assert!(world.ctl(&["drain", "w1"]).fails(3).contains("orchctl status"));
    assert_eq!(state(&world), WorkerState::Stopped);
}
