//! The disk is full, and the database is somebody else's for longer than anybody has patience.

use super::checks::all_is_well_with;
use super::round::{short_pipeline, short_play};
use orch_common::domain::job::JobStatus;
use orch_common::domain::stage::{Role, Stage, TaskState};
use orch_common::store::{Store, StoreOptions, workers};
use orch_testkit::now_ms;
use orch_tests::stack::play::{after, develops};
use orch_tests::stack::{Stack, WORKER};
use orch_worker::agent::RunDir;
use std::process::Command;
use std::sync::mpsc::channel;
use std::time::Duration;

/// No file of the worker may grow beyond this; `unlimited` lifts it.
fn limit_files(stack: &Stack, bytes: &str) {
    let pid = stack.worker(WORKER).pid().to_string();
    let limit = format!("--fsize={bytes}:unlimited");
    assert!(Command::new("prlimit").args(["--pid", &pid, &limit]).status().unwrap().success());
}

fn heartbeats(stack: &Stack) -> Vec<i64> {
    stack.read(workers::all).into_iter().map(|w| w.heartbeat_at).collect()
}

fn done(stack: &Stack, item: &str) {
    stack.wait_task(item, Stage::Done, TaskState::Done);
    stack.settle();
}

#[test]
fn a_run_that_ends_while_the_disk_is_full_is_concluded_when_there_is_room_again() {
    let mut stack = short_pipeline().set("worker.heartbeat_dead_s", 2).start();
    let go = stack.signal("go");
    stack.change_play(&short_play(&stack).role(Role::Developer, [after(&go, develops("done"))]));
    stack.start_worker_deaf_to_file_limits(WORKER);
    let (item, _) = stack.plane().create_item("Login", "", &[]);
    let run = stack.wait_at_work(&item, Role::Developer);
    // A message of the chat that is sent and not yet recorded would be sent again.
    stack.wait("all else to be recorded", || {
        stack.comments(&item).len() == 2
            && stack.jobs_with(JobStatus::Queued) == 0
            && stack.jobs_with(JobStatus::Running) == 1
    });
    limit_files(&stack, "1");
    stack.give("go");
    let dir = RunDir::at(stack.scene.runs.join(&run.dir));
    stack.wait("the run to end", || dir.has_exit());
    // It cannot even say that it lives.
    let ended = now_ms();
    stack.wait("its silence", || now_ms() > ended + 3_000 && heartbeats(&stack).iter().all(|at| *at < ended));
    assert_eq!(stack.agent_job(&item).run_id, Some(run.id), "nothing could be written");
    assert!(stack.worker_runs(WORKER), "it waits for better times");
    limit_files(&stack, "unlimited");
    done(&stack, &item);
    all_is_well_with(&stack, &item, 1, 0);
}

#[test]
#[ignore = "most of a minute; `make test-long` runs it"]
fn a_database_locked_for_longer_than_anybody_waits_costs_nothing_but_time() {
    let mut stack = short_pipeline().set("worker.heartbeat_dead_s", 30).start();
    let go = stack.signal("go");
    stack.change_play(&short_play(&stack).role(Role::Developer, [after(&go, develops("done"))]));
    stack.start_worker(WORKER);
    stack.start_worker("w2");
    let (item, _) = stack.plane().create_item("Login", "", &[]);
    stack.wait_at_work(&item, Role::Developer);
    let owner = stack.agent_job(&item).worker;
    let options = StoreOptions { pool_size: 1, ..StoreOptions::new(&stack.scene.database) };
    let other = Store::open(&options).unwrap();
    let (held, is_held) = channel();
    let lock = std::thread::spawn(move || {
        other.write_now(|_| {
            held.send(()).unwrap();
            std::thread::sleep(Duration::from_secs(45));
            Ok(())
        })
    });
    is_held.recv().unwrap();
    let second = stack.plane().create_item("Logout", "", &[]).0;
    lock.join().unwrap().unwrap();
    // Both workers were silent for as long; neither may take that for the other's death when it looks the next time.
    let released = now_ms();
    stack.wait("their next looks", || heartbeats(&stack).iter().all(|at| *at > released + 16_000));
    assert_eq!(stack.agent_job(&item).worker, owner);
    stack.give("go");
    done(&stack, &item);
    // The API has told the sender to come back after 20 s by closing the connection; it is sent again.
    let url = format!("{}/webhook/plane", stack.api_url().unwrap());
    for delivery in stack.plane().deliveries() {
        assert_eq!(delivery.post(&url), Some(200));
    }
    done(&stack, &second);
    all_is_well_with(&stack, &item, 1, 0);
    all_is_well_with(&stack, &second, 1, 0);
}
