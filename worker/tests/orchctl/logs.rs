//! `runs`: the list, a log that is read, one that is followed to its end, and ending a run.

use super::support::{World, agent_payload, eventually};
use orch_common::domain::job::JobKind;
use orch_common::domain::run::RunState;
use orch_common::domain::stage::{Stage, TaskState};
use orch_common::store::runs;
use orch_worker::agent::{ExitReason, RunDir, RunSpec, Starter, StopReason, launch};
use std::io::{BufRead, BufReader};
use std::process::Stdio;

const WORKER: &str = env!("CARGO_BIN_EXE_orch-worker");
const RUN: &str = "7b0c2a3e-1111-4222-8333-444455556666";
const OTHER: &str = "7b0c9999-1111-4222-8333-444455556666";
const HELLO: &str = r#"{"type":"assistant","message":{"content":[{"type":"text","text":"hello\u001b[2J"}]}}"#;

/// A real run of a shell script, supervised by the real supervisor. `$W` is the world's folder. The id is nobody else's:
/// whatever bears it is swept away at the run's end.
fn start(world: &World, script: &str) -> (String, RunDir) {
    let id = uuid::Uuid::new_v4().to_string();
    let spec = RunSpec {
        run_id: id.clone(),
        program: "/bin/sh".into(),
        args: vec!["-c".into(), script.into()],
        env: vec![("PATH".into(), "/usr/bin:/bin".into()), ("W".into(), world.at(""))],
        cwd: world.folder.path().to_owned(),
        timeout_s: 120,
        grace_s: 5,
        stall_s: 0,
        result_linger_s: 0,
        log_cap_bytes: 1 << 20,
        log_hard_limit_bytes: 1 << 40,
        user: None,
        max_processes: None,
        max_memory_mb: None,
    };
    let path = world.path("runs").join(&id);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(launch(&path, &spec, b"", &Starter::Worker(WORKER.into()))).unwrap();
    (id, RunDir::at(path))
}

fn waits_for(flag: &str) -> String {
    format!("echo '{HELLO}'; echo oops >&2; until [ -e \"$W/{flag}\" ]; do sleep 0.02; done; echo '{HELLO}'")
}

fn job_of(world: &World, run: &str) {
    let task = world.task("ET-001", Stage::Development, TaskState::Active);
    let job = world.job(JobKind::Agent, Some(&task), &agent_payload(Stage::Development));
    world.claim(job);
    world.run(run, job, &task);
}

#[test]
fn runs_are_listed() {
    let world = World::new();
    assert!(world.ctl(&["runs"]).ok().contains("no runs"));
    job_of(&world, RUN);
    let text = world.ctl(&["runs"]).ok();
    assert!(text.contains(RUN) && text.contains("ET-001  developer  development  running"), "{text}");
    assert_eq!(world.ctl(&["runs", "--task", "ET-001", "--json"]).json()[0]["id"], RUN);
    world.ctl(&["runs", "--task", "ET-002"]).fails(3);
}

#[test]
fn a_log_is_followed_to_the_end_of_its_run() {
    let world = World::bare();
    let (id, dir) = start(&world, &waits_for("go"));
    let mut follower = world.command(&["runs", "log", &id[..6], "-f"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(follower.stdout.take().unwrap()).lines().map(Result::unwrap);
    assert_eq!(lines.next().as_deref(), Some("hello[2J"), "shown while the agent works");
    assert!(!dir.has_exit());
    std::fs::write(world.path("go"), "").unwrap();
    let rest: Vec<String> = lines.collect();
    assert_eq!(rest[..3], ["hello[2J", "standard error:", "  oops"]);
    assert!(rest[3].starts_with("the agent exited with 0 at 2"), "{rest:?}");
    assert!(follower.wait().unwrap().success());
    let raw = world.ctl(&["runs", "log", &id, "--raw"]).ok();
    assert_eq!(raw, format!("{HELLO}\n{HELLO}\n"));
}

#[test]
fn a_log_is_read_while_its_run_goes_on() {
    let world = World::bare();
    let (id, dir) = start(&world, &waits_for("go"));
    let text = eventually("the first line", || {
        Some(world.ctl(&["runs", "log", &id]).ok()).filter(|text| text.contains("hello") && text.contains("oops"))
    });
    assert!(text.ends_with("(the run has not ended; -f follows it)\n"), "{text}");
    std::fs::write(world.path("go"), "").unwrap();
    eventually("the end", || dir.has_exit().then_some(()));
}

#[test]
fn a_run_that_was_lost_is_not_followed_for_ever() {
    let world = World::bare();
    RunDir::create(world.path("runs").join(RUN)).unwrap().fence().unwrap();
    let said = world.ctl(&["runs", "log", RUN, "-f"]);
    assert_eq!((said.code, said.out.as_str()), (1, "(the run left no exit record)\n"), "{said:?}");
}

#[test]
fn a_prefix_must_mean_one_run() {
    let world = World::bare();
    assert!(world.ctl(&["runs", "log", "7b0c"]).fails(3).contains("holds no run"));
    for id in [RUN, OTHER] {
        RunDir::create(world.path("runs").join(id)).unwrap();
    }
    std::fs::create_dir(world.path("runs/7b0c-not-a-run")).unwrap();
    let error = world.ctl(&["runs", "log", "7B0C"]).fails(2);
    assert!(error.contains(RUN) && error.contains(OTHER) && !error.contains("not-a-run"), "{error}");
    for outside in ["../runs", "..", "/", "%", "zzzz"] {
        world.ctl(&["runs", "log", outside]).fails(3);
    }
    world.ctl(&["runs", "log", ""]).fails(2);
}

#[test]
fn a_living_worker_is_asked_to_end_its_run() {
    let world = World::new();
    world.worker(0);
    job_of(&world, RUN);
    assert!(world.ctl(&["runs", "kill", "7b0c2a3e"]).ok().contains("worker w1 ends it"));
    assert_eq!(world.write(|conn| runs::wanted_stop(conn, RUN)), Some(StopReason::Operator));
    world.ctl(&["runs", "kill", "7b0d"]).fails(3);
    world.ctl(&["runs", "kill", "%"]).fails(3);
    world.ctl(&["runs", "kill", ""]).fails(2);
}

#[test]
fn where_the_worker_is_dead_the_supervisor_is_told() {
    let world = World::new();
    world.worker(3_600);
    let (id, dir) = start(&world, &waits_for("never"));
    job_of(&world, &id);
    assert!(world.ctl(&["runs", "kill", &id]).ok().contains("is ended; its worker is not alive"));
    let record = eventually("the end", || dir.read_exit().unwrap());
    assert_eq!(record.reason, ExitReason::Stopped { why: StopReason::Operator });
    assert!(world.ctl(&["runs", "log", &id]).ok().contains("the agent was stopped (operator)"));
    world.write(|conn| {
        let end = runs::RunEnd {
            state: RunState::Ended,
            finished_at: Some(1),
            exit_code: None,
            exit_signal: None,
            outcome: None,
            error: None,
            counts: false,
            session_id: None,
            input_tokens: 0,
            output_tokens: 0,
            cache_tokens: 0,
            cost_usd: 0.0,
            cost_cumulative: 0.0,
            turns: 0,
            model: None,
            cli_version: None,
            denied_tools: None,
            estimated: false,
            unpriced: false,
        };
        runs::finish(conn, &id, &end)
    });
    assert!(world.ctl(&["runs", "kill", &id]).fails(1).contains("ended already"));
}
