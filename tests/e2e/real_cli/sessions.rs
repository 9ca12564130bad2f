//! Sessions over several runs: gone on with where a run was interrupted from outside, never for ever.

use super::{Case, Setting, analysis, install, outcomes};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use orch_common::domain::job::JobStatus;
use orch_common::domain::stage::Role;
use orch_common::store::runs::Run;
use orch_tests::model_api::{Answer, Call, Message, ModelApi};
use orch_tests::stack::WORKER;
use orch_worker::agent::RunDir;
use serde_json::json;

/// A word of the first run that only a resumed session knows.
const SECRET: &str = "the-fact-of-the-first-run";

/// Says the secret and works for long; once the conversation tells of an interruption, does the analysis.
fn interrupted_once() -> impl FnMut(&Call) -> Answer + Send + 'static {
    let (mut begun, mut analyst) = (false, analysis());
    move |call| {
        if std::mem::replace(&mut begun, true) {
            return analyst(call);
        }
        let command = "touch at-work; sh -c 'sleep 120; true'";
        Message::default().text(SECRET).tool("Bash", json!({ "command": command, "timeout": 300_000 })).say()
    }
}

/// Waits until the agent's tool is at work; gives its run.
fn at_work(case: &Case) -> Run {
    let run = case.stack.wait_running(&case.item, Role::Analyst);
    case.stack.wait("the tool to be at work", || case.worktree().join("at-work").exists());
    run
}

fn went_on(case: &Case, runs: &[Run]) {
    assert_eq!(runs[0].session_id, runs[1].session_id);
    assert!(runs[1].resumed && !runs[0].resumed);
    let second = &case.api.calls()[1];
    assert!(second.conversation().contains(SECRET), "{:.3000}", second.conversation());
    assert!(second.conversation().contains("sleep 120"), "the interrupted call is told of");
}

/// Somebody ends the process: SIGTERM in the middle of a tool.
#[test]
#[ignore = "long: fetches the real agent CLI"]
fn an_agent_that_is_terminated_in_a_tool_goes_on_in_the_next_run() {
    let Some(cli) = install::fetched() else { return };
    let case = Setting::quick().start(&cli, ModelApi::start(interrupted_once()));
    let run = at_work(&case);
    let dir = RunDir::at(case.stack.scene.runs.join(&run.dir));
    let agent = dir.read_agent().unwrap().unwrap();
    kill(Pid::from_raw(agent.pid), Signal::SIGTERM).unwrap();
    let runs = case.wait_analysed();
    assert_eq!(outcomes(&runs), ["permanent", "success"], "{:?}", runs[0].error);
    assert!(runs[0].error.as_deref().is_some_and(|e| e.contains("signal 15")), "{:?}", runs[0].error);
    went_on(&case, &runs);
    assert_eq!(case.stack.agent_job(&case.item).attempts, 2);
}

/// The supervisor is killed with the agent.
#[test]
#[ignore = "long: fetches the real agent CLI"]
fn a_lost_run_goes_on_in_the_next() {
    goes_on_after(Signal::SIGKILL);
}

/// The machine is shut down: everybody is asked to end, by a bare signal.
#[test]
#[ignore = "long: fetches the real agent CLI"]
fn a_run_that_ended_with_the_machine_goes_on_in_the_next() {
    goes_on_after(Signal::SIGTERM);
}

/// Lost, requeued at no cost, gone on with.
fn goes_on_after(signal: Signal) {
    let Some(cli) = install::fetched() else { return };
    let case = Setting::quick().start(&cli, ModelApi::start(interrupted_once()));
    let run = at_work(&case);
    let dir = RunDir::at(case.stack.scene.runs.join(&run.dir));
    let supervisor = dir.read_supervisor().unwrap().unwrap();
    kill(Pid::from_raw(supervisor.pid), signal).unwrap();
    let runs = case.wait_analysed();
    assert_eq!(outcomes(&runs), ["lost", "success"], "{:?}", runs[0].error);
    went_on(&case, &runs);
    let job = case.stack.agent_job(&case.item);
    assert_eq!((job.status, job.attempts, job.recoveries), (JobStatus::Done, 1, 1), "{job:?}");
}

/// The worker is killed while the agent works; its successor adopts the run, and the agent never notices.
#[test]
#[ignore = "long: fetches the real agent CLI"]
fn an_agent_outlives_its_worker() {
    let Some(cli) = install::fetched() else { return };
    let (mut begun, mut analyst) = (false, analysis());
    let api = ModelApi::start(move |call| {
        if std::mem::replace(&mut begun, true) {
            return analyst(call);
        }
        Answer::bash("touch at-work; while [ ! -e go-on ]; do sh -c 'sleep 0.1'; done")
    });
    let mut case = Setting::quick().start(&cli, api);
    let run = at_work(&case);
    case.stack.kill_worker(WORKER);
    std::fs::write(case.worktree().join("go-on"), "").unwrap();
    assert!(case.api.wait_for_calls(4, orch_tests::stack::LONG), "the agent goes on without a worker");
    case.stack.start_worker(WORKER);
    let runs = case.wait_analysed();
    assert_eq!(outcomes(&runs), ["success"]);
    assert_eq!((runs[0].id.as_str(), runs[0].turns), (run.id.as_str(), 4));
    let job = case.stack.agent_job(&case.item);
    assert_eq!((job.attempts, job.recoveries), (1, 0), "{job:?}");
}

/// Failures after some work: the session is resumed, what it cost is charged once.
#[test]
#[ignore = "long: fetches the real agent CLI"]
fn a_resumed_sessions_cost_is_the_difference() {
    let Some(cli) = install::fetched() else { return };
    let (mut calls, mut analyst) = (0, analysis());
    let api = ModelApi::start(move |call| {
        calls += 1;
        match calls {
            1 => Message::default().text(SECRET).tool("Bash", json!({ "command": "echo 'sleep 120'" })).say(),
            2 => Answer::refuse(529, "overloaded_error", "Overloaded"),
            _ => analyst(call),
        }
    });
    let case = Setting::quick().start(&cli, api);
    let runs = case.wait_analysed();
    assert_eq!(outcomes(&runs), ["transient", "success"], "{:?}", runs[0].error);
    assert_eq!(runs[0].session_id, runs[1].session_id);
    assert!(runs[1].resumed);
    assert!(case.api.calls()[2].conversation().contains(SECRET));
    // One answer was paid for in the first run and three in the second, all alike but for what they say.
    let (first, second) = (runs[0].cost_usd, runs[1].cost_usd);
    assert!(first > 0.0 && (second - 3.0 * first).abs() < first * 0.01, "{first} then {second}");
    assert!((runs[1].cost_cumulative - (first + second)).abs() < 1e-9, "{}", runs[1].cost_cumulative);
    assert_eq!(runs[1].input_tokens, 3000);
}

/// A session whose transcript is gone cannot be resumed: after two tries a fresh one begins.
#[test]
#[ignore = "long: fetches the real agent CLI"]
fn a_session_that_cannot_be_resumed_is_given_up() {
    let Some(cli) = install::fetched() else { return };
    let (mut begun, mut analyst) = (false, analysis());
    let api = ModelApi::start(move |call| {
        if std::mem::replace(&mut begun, true) {
            return analyst(call);
        }
        let command = "touch at-work; sh -c 'sleep 120; true'";
        Message::default().text(SECRET).tool("Bash", json!({ "command": command })).say()
    });
    let case = Setting::quick().start(&cli, api);
    let run = at_work(&case);
    std::fs::remove_dir_all(case.home.path().join("agent/.claude/projects")).unwrap();
    let dir = RunDir::at(case.stack.scene.runs.join(&run.dir));
    let agent = dir.read_agent().unwrap().unwrap();
    kill(Pid::from_raw(agent.pid), Signal::SIGKILL).unwrap();
    let runs = case.wait_analysed();
    let last = runs.last().unwrap();
    assert!(!last.resumed && last.session_id != runs[0].session_id, "{:?}", outcomes(&runs));
    let tried = runs.iter().filter(|r| r.resumed).count();
    assert!(tried <= 2, "{:?}", outcomes(&runs));
    assert!(!case.api.calls().last().unwrap().conversation().contains(SECRET));
    assert_eq!(case.stack.agent_job(&case.item).status, JobStatus::Done);
}
