//! Another program holds the database for a while.

use orch_common::domain::job::JobStatus;
use orch_common::domain::stage::{Stage, TaskState};
use orch_common::store::{Store, StoreOptions};
use orch_tests::stack::Stack;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

#[test]
fn a_database_locked_for_eight_seconds_loses_nothing() {
    let stack = Stack::builder().start();
    let (first, _) = stack.plane().create_item("Before", "", &[]);
    stack.wait("the first task", || stack.task(&first).is_some());
    let options = StoreOptions { pool_size: 1, ..StoreOptions::new(&stack.scene.database) };
    let other = Store::open(&options).unwrap();
    let (held, is_held) = channel();
    let lock = thread::spawn(move || {
        other.write_now(|_| {
            held.send(()).unwrap();
            thread::sleep(Duration::from_secs(8));
            Ok(())
        })
    });
    is_held.recv().unwrap();
    let (second, _) = stack.plane().create_item("Meanwhile", "", &[]);
    lock.join().unwrap().unwrap();

    for item in [&first, &second] {
        stack.wait_task(item, Stage::Analysis, TaskState::WaitingApproval);
        stack.plane().comment(item, "<p>:approved:</p>");
    }
    for item in [&first, &second] {
        stack.wait_task(item, Stage::Done, TaskState::Done);
    }
    stack.settle();
    assert!(stack.plane().delivery_answers().iter().all(|a| *a == Some(200)), "every delivery was taken");
    assert_eq!(stack.jobs_with(JobStatus::Failed), 0);
    for item in [&first, &second] {
        assert_eq!(stack.comments(item).len(), 8, "{:?}", stack.comments(item));
        assert_eq!(stack.runs(item).len(), 6);
    }
}
