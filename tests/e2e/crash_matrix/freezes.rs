//! A worker that is stopped for longer than its sign of life holds, while another takes its work: when it wakes in the
//! middle of a job, it finds that the job is not its own any more, and does nothing to it.

use super::checks::all_is_well_with;
use super::round::{short_pipeline, short_play};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use orch_common::domain::stage::{Stage, TaskState};
use orch_common::failpoint::{ARM, Point};
use orch_common::store::{Store, StoreOptions};
use orch_tests::stack::Stack;
use std::path::PathBuf;

const DEAD_S: i64 = 3;

pub fn signal_worker(stack: &Stack, name: &str, signal: Signal) {
    let pid = i32::try_from(stack.worker(name).pid()).unwrap();
    kill(Pid::from_raw(pid), signal).unwrap();
}

/// The first worker hangs at a point for as long as the file is there.
struct Frozen {
    stack: Stack,
    item: String,
    token: PathBuf,
}

fn freeze_at(point: Point, hit: u32, max_concurrency: i64) -> Frozen {
    let builder = short_pipeline().set("worker.heartbeat_dead_s", DEAD_S);
    let mut stack = builder.set("worker.max_concurrency", max_concurrency).start();
    stack.change_play(&short_play(&stack));
    let token = stack.signal("frozen");
    stack.start_worker_with("w1", &[(ARM, &format!("{point}:{hit}:hang:{}", token.display()))]);
    let (item, _) = stack.plane().create_item("Login", "<p>Please.</p>", &[]);
    stack.wait("the first worker to be there", || token.exists());
    stop_outside_of_transactions(&stack);
    Frozen { stack, item, token }
}

/// Stops the worker "w1". A process that is stopped within a transaction keeps everybody out, which is another matter.
pub fn stop_outside_of_transactions(stack: &Stack) {
    let patience = std::time::Duration::from_millis(200);
    let options = StoreOptions { pool_size: 1, patience, ..StoreOptions::new(&stack.scene.database) };
    let other = Store::open(&options).unwrap();
    stack.wait("a moment without a transaction", || {
        signal_worker(stack, "w1", Signal::SIGSTOP);
        // The signal is delivered to each thread later; until then one of them may begin a transaction.
        stack.wait("every thread to be stopped", || is_stopped(stack.worker("w1").pid()));
        let free = other.write_now(|_| Ok(())).is_ok();
        if !free {
            signal_worker(stack, "w1", Signal::SIGCONT);
        }
        free
    });
}

/// Every thread of the process is in the state T (stopped).
fn is_stopped(pid: u32) -> bool {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).expect("the worker's threads");
    threads.flatten().all(|thread| {
        let stat = std::fs::read_to_string(thread.path().join("stat")).unwrap_or_default();
        // The state is the field after the program's name, which may hold anything and is in parentheses.
        stat.rsplit_once(')').is_some_and(|(_, rest)| rest.trim_start().starts_with('T'))
    })
}

fn done(stack: &Stack, item: &str) {
    stack.wait_task(item, Stage::Done, TaskState::Done);
    stack.settle();
}

/// Frozen there, overtaken, awake again: everything happened once, and the sleeper is of use again.
fn overtaken_at(point: Point, hit: u32, told_again: usize) {
    let Frozen { mut stack, item, token } = freeze_at(point, hit, 1);
    stack.start_worker("w2");
    done(&stack, &item);
    stack.stop_worker("w2");
    std::fs::remove_file(&token).unwrap();
    signal_worker(&stack, "w1", Signal::SIGCONT);
    stack.wait("it to notice", || stack.worker("w1").log().contains("no sign of life was given for"));
    let (second, _) = stack.plane().create_item("Logout", "", &[]);
    done(&stack, &second);
    all_is_well_with(&stack, &second, 1, told_again);
    all_is_well_with(&stack, &item, 1, told_again);
}

#[test]
fn a_worker_frozen_before_it_launches_a_run_starts_no_second_agent() {
    overtaken_at(Point::AgentRowWritten, 1, 0);
}

#[test]
fn a_worker_frozen_before_it_starts_a_supervisor_starts_no_second_agent() {
    overtaken_at(Point::AgentFolder, 1, 0);
}

#[test]
fn a_worker_frozen_before_it_commits_an_event_does_not_handle_it_twice() {
    overtaken_at(Point::EventPlanned, 1, 0);
}

#[test]
fn a_worker_frozen_between_a_gate_and_its_decision_does_not_decide_twice() {
    overtaken_at(Point::AdvanceLooked, 1, 0);
}

// Among the last effects, when nothing of git is under way: a process that is stopped with a repository's lock keeps
// everybody out of it.

#[test]
fn a_worker_frozen_before_a_send_repeats_at_most_that_one() {
    overtaken_at(Point::EffectSend, 11, 1);
}

#[test]
fn a_worker_frozen_after_a_send_repeats_at_most_that_one() {
    overtaken_at(Point::EffectSent, 11, 1);
}

#[test]
fn a_worker_frozen_before_it_concludes_a_run_does_not_conclude_it_twice() {
    overtaken_at(Point::AgentKnown, 1, 0);
}

/// The sleeper wakes and takes the very job again, beside its own earlier self.
#[test]
fn a_job_that_comes_back_to_the_worker_that_lost_it_is_worked_on_once() {
    let Frozen { mut stack, item, token } = freeze_at(Point::AgentWorktree, 1, 2);
    // The second worker puts the job back and dies before it can claim it.
    let last = stack.signal("last");
    stack.start_worker_with("w2", &[(ARM, &format!("agent-claim:1:kill:{}", last.display()))]);
    stack.wait("the job to be put back", || last.exists());
    stack.kill_worker("w2");
    signal_worker(&stack, "w1", Signal::SIGCONT);
    stack.wait("the job to be claimed again", || {
        stack.agents_begun(&item, orch_common::domain::stage::Role::Analyst) > 0
    });
    std::fs::remove_file(&token).unwrap();
    done(&stack, &item);
    all_is_well_with(&stack, &item, 1, 0);
}
