//! The clock is set by an hour while work goes on. Who lives, who is dead and which run is which does not depend on it.

use super::freezes::{signal_worker, stop_outside_of_transactions};
use super::round::short_pipeline;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use orch_common::domain::stage::{Role, Stage, TaskState};
use orch_common::failpoint::TRACE;
use orch_common::store::runs::Run;
use orch_tests::stack::play::{after, develops};
use orch_tests::stack::{Play, Stack};
use orch_worker::agent::RunDir;

const HOUR_MS: i64 = 3_600_000;

struct Clock {
    stack: Stack,
    item: String,
    run: Run,
}

/// The developer is at work and waits for the file `go`; `w1` watches it.
fn at_work() -> Clock {
    let mut stack = short_pipeline().set("worker.heartbeat_dead_s", 4).start();
    let go = stack.signal("go");
    stack.change_play(&Play::default().role(Role::Developer, [after(&go, develops("done"))]));
    start(&mut stack, "w1");
    let (item, _) = stack.plane().create_item("Login", "", &[]);
    let run = stack.wait_at_work(&item, Role::Developer);
    Clock { stack, item, run }
}

fn start(stack: &mut Stack, name: &str) {
    let (offset, trace) = (stack.signal("clock"), stack.signal(&format!("trace-{name}")));
    let more = [("ORCH_CLOCK_OFFSET_FILE", &*offset.to_string_lossy()), (TRACE, &*trace.to_string_lossy())];
    stack.start_worker_with(name, &more);
}

impl Clock {
    fn set_by(&self, ms: i64) {
        std::fs::write(self.stack.signal("clock.new"), ms.to_string()).unwrap();
        std::fs::rename(self.stack.signal("clock.new"), self.stack.signal("clock")).unwrap();
    }

    /// How often `name` has looked for orphans.
    fn rounds_of(&self, name: &str) -> usize {
        let trace = std::fs::read_to_string(self.stack.signal(&format!("trace-{name}"))).unwrap_or_default();
        trace.lines().filter(|l| *l == "taken-over").count()
    }

    fn wait_rounds(&self, name: &str, more: usize) {
        let seen = self.rounds_of(name);
        self.stack.wait("some looks for orphans", || self.rounds_of(name) >= seen + more);
    }

    fn ends_well(&self, developers: usize) {
        self.stack.give("go");
        self.stack.wait_task(&self.item, Stage::Done, TaskState::Done);
        self.stack.settle();
        assert_eq!(self.stack.agents_begun(&self.item, Role::Developer), developers);
        assert_eq!(self.stack.comments(&self.item), ["started", "now in development", "done"]);
    }

    fn agent_is_alive(&self, run: &Run) -> bool {
        let dir = RunDir::at(self.stack.scene.runs.join(&run.dir));
        dir.read_agent().unwrap().unwrap().is_alive()
    }
}

#[test]
fn set_forward_a_living_workers_rows_are_left_alone() {
    let mut clock = at_work();
    start(&mut clock.stack, "w2");
    clock.wait_rounds("w2", 1);
    // It is quiet for a moment, as any process may be, and the moment is the one in which the clock is set.
    stop_outside_of_transactions(&clock.stack);
    clock.set_by(HOUR_MS);
    clock.wait_rounds("w2", 1);
    signal_worker(&clock.stack, "w1", Signal::SIGCONT);
    clock.wait_rounds("w2", 3);
    assert_eq!(clock.stack.agent_job(&clock.item).worker.as_deref(), Some("w1"), "its owner lives");
    assert!(clock.agent_is_alive(&clock.run), "an hour of the clock is no hour of work");
    clock.ends_well(1);
}

#[test]
fn a_dead_workers_rows_are_taken_over_although_the_clock_was_set_back() {
    let mut clock = at_work();
    start(&mut clock.stack, "w2");
    clock.stack.kill_worker("w1");
    clock.set_by(-HOUR_MS);
    let taken = || clock.stack.agent_job(&clock.item).worker.as_deref() == Some("w2");
    clock.stack.wait("the second worker to take over", taken);
    assert!(clock.agent_is_alive(&clock.run), "adopted as it was");
    clock.ends_well(1);
}

#[test]
fn set_back_between_two_runs_of_a_job_the_later_one_is_the_one_that_is_adopted() {
    let mut clock = at_work();
    clock.set_by(-HOUR_MS);
    let dir = RunDir::at(clock.stack.scene.runs.join(&clock.run.dir));
    kill(Pid::from_raw(dir.read_supervisor().unwrap().unwrap().pid), Signal::SIGKILL).unwrap();
    clock.stack.wait("the second run", || clock.stack.agents_begun(&clock.item, Role::Developer) == 2);
    let second = clock.stack.wait_at_work(&clock.item, Role::Developer);
    assert!(second.started_at < clock.run.started_at, "by the clock it began before the first");
    clock.stack.kill_worker("w1");
    start(&mut clock.stack, "w1");
    clock.stack.wait("the run to be adopted", || clock.stack.worker("w1").log().contains("adopted"));
    assert!(clock.agent_is_alive(&second));
    clock.ends_well(2);
}
