//! Many ends of workers, and the end of everything at once.

use super::checks::all_is_well_with;
use super::freezes::signal_worker;
use super::round::{short_pipeline, short_play};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use orch_common::domain::stage::{Role, Stage, TaskState};
use orch_common::failpoint::{ARM, Point};
use orch_tests::stack::play::{after, analyses, develops, first};
use orch_tests::stack::{Play, Stack, WORKER};
use orch_worker::agent::RunDir;
use orch_worker::ctl::scripted::Deed;

fn done(stack: &Stack, item: &str) {
    stack.wait_task(item, Stage::Done, TaskState::Done);
    stack.settle();
}

#[test]
fn an_agent_does_not_notice_twenty_restarts_of_its_worker() {
    let mut stack = short_pipeline().start();
    let go = stack.signal("go");
    // It counts aloud, without a pause, until it is let go; then it says how far it came.
    let count = format!(
        "i=0; while [ ! -e '{}' ]; do i=$((i+1)); echo $i >> '{}'; sleep 0.02; done",
        go.display(),
        stack.signal("counted").display()
    );
    let counts = first(Deed::Say("I count.".into()), first(Deed::Shell(count), develops("done")));
    stack.change_play(&Play::default().role(Role::Developer, [counts]));
    stack.start_worker(WORKER);
    let (item, _) = stack.plane().create_item("Login", "", &[]);
    let run = stack.wait_at_work(&item, Role::Developer);
    stack.wait("it to count", || count_in(&stack) > 0);
    let dir = RunDir::at(stack.scene.runs.join(&run.dir));
    let agent = dir.read_agent().unwrap().unwrap();
    for n in 0..20 {
        if n % 2 == 0 {
            stack.kill_worker(WORKER);
        } else {
            stack.stop_worker(WORKER);
        }
        let so_far = count_in(&stack);
        stack.wait("it to count on while no worker lives", || count_in(&stack) > so_far);
        stack.start_worker(WORKER);
        let adoptions = n + 1;
        stack.wait("the run to be adopted", || {
            stack.worker(WORKER).log().matches("still at work: adopted").count() == adoptions
        });
        assert!(agent.is_alive(), "restart {n}");
    }
    stack.give("go");
    done(&stack, &item);
    all_is_well_with(&stack, &item, 1, 0);
    let runs: Vec<_> = stack.runs(&item).into_iter().filter(|r| r.role == Role::Developer).collect();
    assert_eq!(runs.iter().map(|r| r.id.as_str()).collect::<Vec<_>>(), [run.id.as_str()]);
    let job = stack.jobs(&item).into_iter().find(|j| j.id == run.job_id).unwrap();
    assert_eq!((job.attempts, job.recoveries), (1, 0));
    // Every number, in order: it was one process that never began anew.
    let text = std::fs::read_to_string(stack.signal("counted")).unwrap();
    assert!(text.lines().zip(1..).all(|(line, n)| line == n.to_string()), "{text}");
    let log = std::fs::read_to_string(dir.log()).unwrap();
    let kinds: Vec<String> = log
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["type"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(kinds, ["system", "assistant", "assistant", "assistant", "result"], "the log is whole");
}

fn count_in(stack: &Stack) -> usize {
    std::fs::read_to_string(stack.signal("counted")).unwrap_or_default().lines().count()
}

#[test]
fn everything_ends_at_once_as_by_a_power_cut() {
    let mut stack = short_pipeline().start();
    let go = stack.signal("go");
    let play = short_play(&stack).role(Role::Developer, [after(&go, develops("done"))]);
    stack.change_play(&play);
    stack.start_worker(WORKER);
    let (item, _) = stack.plane().create_item("Login", "", &[]);
    let run = stack.wait_at_work(&item, Role::Developer);
    let dir = RunDir::at(stack.scene.runs.join(&run.dir));
    let (agent, supervisor) = (dir.read_agent().unwrap().unwrap(), dir.read_supervisor().unwrap().unwrap());
    // Stood still first, so that none of them sees another's end.
    signal_worker(&stack, WORKER, Signal::SIGSTOP);
    for process in [&supervisor, &agent] {
        kill(Pid::from_raw(process.pid), Signal::SIGSTOP).unwrap();
    }
    stack.kill_api();
    for process in [&supervisor, &agent] {
        kill(Pid::from_raw(process.pid), Signal::SIGKILL).unwrap();
    }
    stack.kill_worker(WORKER);
    stack.give("go");
    stack.start_api();
    stack.start_worker(WORKER);
    done(&stack, &item);
    all_is_well_with(&stack, &item, 2, 0);
    let ends: Vec<_> = stack.runs(&item).into_iter().map(|r| (r.role, r.outcome.unwrap().as_str())).collect();
    let expected = [(Role::Analyst, "success"), (Role::Developer, "lost"), (Role::Developer, "success")];
    assert_eq!(ends, expected);
}

#[test]
fn two_workers_killed_in_turn_bring_every_task_to_its_end() {
    let mut stack = short_pipeline().set("worker.heartbeat_dead_s", 4).start();
    stack.change_play(&short_play(&stack).role(Role::Analyst, [first(Deed::Work(600), analyses())]));
    let names = ["w1", "w2"];
    names.iter().for_each(|name| stack.start_worker(name));
    let items: Vec<String> = (0..3).map(|n| stack.plane().create_item(&format!("Item {n}"), "", &[]).0).collect();
    // A job that is lost a sixth time is poison by rule, and one that waits for its turn at the chat may be there each time.
    for round in 0..5 {
        let name = names[round % 2];
        let before = stack.jobs_with(orch_common::domain::job::JobStatus::Done);
        let finished = |stack: &Stack| stack.is_settled() && stack.task(&items[2]).is_some();
        stack.wait("some progress", || {
            stack.jobs_with(orch_common::domain::job::JobStatus::Done) > before || finished(&stack)
        });
        stack.kill_worker(name);
        stack.start_worker(name);
    }
    for item in &items {
        done(&stack, item);
    }
    for item in &items {
        all_is_well_with(&stack, item, 1, 5);
    }
}

#[test]
fn an_agent_that_is_killed_is_recorded_by_its_supervisor_and_tried_once_more() {
    let mut stack = short_pipeline().start();
    let go = stack.signal("go");
    stack.change_play(&short_play(&stack).role(Role::Developer, [after(&go, develops("done"))]));
    stack.start_worker(WORKER);
    let (item, _) = stack.plane().create_item("Login", "", &[]);
    let run = stack.wait_at_work(&item, Role::Developer);
    let agent = RunDir::at(stack.scene.runs.join(&run.dir)).read_agent().unwrap().unwrap();
    kill(Pid::from_raw(agent.pid), Signal::SIGKILL).unwrap();
    stack.give("go");
    done(&stack, &item);
    all_is_well_with(&stack, &item, 2, 0);
    let job = stack.jobs(&item).into_iter().find(|j| j.id == run.job_id).unwrap();
    assert_eq!((job.attempts, job.recoveries), (2, 0), "it was the agent's own end");
}

#[test]
fn a_worker_killed_while_it_signs_off_is_followed_by_one_that_adopts() {
    for point in [Point::SignOff, Point::SignedOff] {
        let mut stack = short_pipeline().start();
        let go = stack.signal("go");
        stack.change_play(&short_play(&stack).role(Role::Developer, [after(&go, develops("done"))]));
        let token = stack.signal("token");
        stack.start_worker_with(WORKER, &[(ARM, &format!("{point}:1:kill:{}", token.display()))]);
        let (item, _) = stack.plane().create_item("Login", "", &[]);
        stack.wait_at_work(&item, Role::Developer);
        signal_worker(&stack, WORKER, Signal::SIGTERM);
        stack.wait("its end there", || token.exists());
        stack.kill_worker(WORKER);
        stack.start_worker(WORKER);
        stack.wait("the run to be adopted", || stack.worker(WORKER).log().contains("still at work: adopted"));
        stack.give("go");
        done(&stack, &item);
        all_is_well_with(&stack, &item, 1, 0);
    }
}
