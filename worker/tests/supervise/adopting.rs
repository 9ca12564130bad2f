//! Workers and supervisors that are killed, and those who come after them.

use super::support::{PATIENCE, Run, WORKER, by_worker, eventually, is_alive, kill};
use orch_worker::agent::launch::{LaunchError, launch};
use orch_worker::agent::{ExitReason, Found, RunEnd, StopReason, examine, request_stop, wait_end};
use std::process::{Command, Stdio};

const FOLDER: &str = "ORCH_TEST_RUN_FOLDER";

#[tokio::test]
async fn a_living_run_is_found_and_waited_for_by_anyone() {
    let run = Run::of("echo up > $W/up; while ! [ -e $W/go ]; do sleep 0.02; done; exit 4");
    let launched = run.launch().await;
    run.note("up").await;
    assert_eq!(examine(&run.path()).unwrap(), Found::Alive(launched.supervisor));
    let path = run.path();
    let waiting = tokio::join!(wait_end(&path), wait_end(&path), async {
        std::fs::write(run.spec.cwd.join("go"), "").unwrap();
    });
    let record = run.record().await;
    assert_eq!(record.exit_code, Some(4));
    assert_eq!(waiting.0.unwrap(), RunEnd::Ended(record.clone()));
    assert_eq!(waiting.1.unwrap(), RunEnd::Ended(record.clone()));
    assert_eq!(examine(&run.path()).unwrap(), Found::Ended(record));
}

#[tokio::test]
async fn a_killed_supervisor_loses_the_run_and_its_agent_is_swept() {
    let script = "(setsid sleep 300 &); env -i /bin/sleep 301 & echo $! > $W/unmarked; while :; do sleep 1; done";
    let run = Run::of(script);
    let supervisor = run.launch().await.supervisor;
    let unmarked: i32 = run.note("unmarked").await.parse().unwrap();
    let agent = eventually("agent.json", || run.dir().read_agent().unwrap()).await;
    let tree = run.marked();
    assert!(tree.contains(&agent.pid) && tree.len() >= 2, "{tree:?}");
    kill(supervisor.pid);
    let end = tokio::time::timeout(PATIENCE, wait_end(&run.path())).await.unwrap().unwrap();
    assert_eq!(end, RunEnd::Lost);
    assert_eq!(run.marked(), Vec::<i32>::new());
    assert!(!agent.is_alive() && !is_alive(unmarked));
    assert!(run.dir().is_fenced());
    assert_eq!(examine(&run.path()).unwrap(), Found::Lost, "and stays lost");
}

#[tokio::test]
async fn a_supervisor_that_comes_late_starts_nothing() {
    let run = Run::of("echo up > $W/up");
    run.prepare();
    assert_eq!(examine(&run.path()).unwrap(), Found::Lost);
    let late = Command::new(WORKER).args(["supervise", "--run-dir"]).arg(run.path()).env_clear().status().unwrap();
    assert!(late.success());
    assert_eq!(run.noted("up"), None);
    assert!(!run.dir().has_exit());
    assert_eq!(run.dir().read_supervisor().unwrap(), None);
}

/// A worker that was stopped between the run's row and its launch, and goes on after another has given the run up.
#[tokio::test]
async fn a_run_given_up_before_its_folder_was_made_is_not_launched() {
    let run = Run::of("echo up > $W/up");
    assert_eq!(examine(&run.path()).unwrap(), Found::Lost);
    let launched = launch(&run.path(), &run.spec, b"", &by_worker(WORKER)).await;
    assert!(matches!(launched, Err(LaunchError::NotTaken(_))), "{launched:?}");
    assert_eq!(run.noted("up"), None);
}

#[tokio::test]
async fn a_run_is_not_played_twice() {
    let run = Run::of("echo x >> $W/up");
    let record = run.play().await;
    let again = Command::new(WORKER).args(["supervise", "--run-dir"]).arg(run.path()).env_clear().status().unwrap();
    assert!(again.success());
    assert_eq!((run.noted("up").as_deref(), run.record().await), (Some("x"), record));
}

/// Two who start the same run at the same time: one waits for the lock and then finds the record.
#[tokio::test]
async fn two_supervisors_make_one_run() {
    let run = Run::of("echo x >> $W/up");
    run.prepare();
    let start = || Command::new(WORKER).args(["supervise", "--run-dir"]).arg(run.path()).spawn().unwrap();
    let mut both = [start(), start()];
    for supervisor in &mut both {
        assert!(supervisor.wait().unwrap().success());
    }
    assert_eq!((run.noted("up").as_deref(), run.record().await.exit_code), (Some("x"), Some(0)));
}

#[tokio::test]
async fn nothing_is_known_of_a_folder_that_is_not_there() {
    let run = Run::of("");
    assert_eq!(examine(&run.path()).unwrap(), Found::Lost);
    assert!(run.dir().is_fenced(), "and whoever comes late starts nothing");
}

#[tokio::test]
async fn usage_errors_are_told() {
    let wrong = Command::new(WORKER).args(["supervise", "somewhere"]).stderr(Stdio::null()).status().unwrap();
    assert_eq!(wrong.code(), Some(2));
    let missing = Command::new(WORKER).args(["supervise", "--run-dir", "/no/such"]).stderr(Stdio::null()).status();
    assert_eq!(missing.unwrap().code(), Some(1));
}

/// This very test program, started again to be the worker that is killed.
#[tokio::test]
async fn a_killed_launcher_changes_nothing() {
    if let Some(folder) = std::env::var_os(FOLDER) {
        let folder = std::path::PathBuf::from(folder);
        let spec = serde_json::from_slice(&std::fs::read(folder.join("wanted.json")).unwrap()).unwrap();
        orch_worker::agent::launch(&folder.join("run"), &spec, b"", &by_worker(WORKER)).await.unwrap();
        std::future::pending::<()>().await;
    }
    let run = Run::of("echo up > $W/up; while ! [ -e $W/go ]; do sleep 0.02; done; echo done; exit 5");
    std::fs::write(run.temp.path().join("wanted.json"), serde_json::to_vec(&run.spec).unwrap()).unwrap();
    let mut launcher = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "adopting::a_killed_launcher_changes_nothing"])
        .env(FOLDER, run.temp.path())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    run.note("up").await;
    let supervisor = eventually("supervisor.json", || run.dir().read_supervisor().unwrap()).await;
    launcher.kill().unwrap();
    launcher.wait().unwrap();
    assert!(supervisor.is_alive());
    assert_eq!(examine(&run.path()).unwrap(), Found::Alive(supervisor.clone()));
    std::fs::write(run.spec.cwd.join("go"), "").unwrap();
    let record = run.record().await;
    assert_eq!((record.reason, record.exit_code), (ExitReason::Exited, Some(5)));
    assert_eq!(run.log(), "done\n");
    assert!(!is_alive(supervisor.pid));
}

/// What a folder from before says about a process number says nothing about who has it now.
#[tokio::test]
async fn a_stale_number_is_never_signalled() {
    let mut innocent = Command::new("sleep").arg("300").spawn().unwrap();
    let now = orch_worker::agent::Identity::of(innocent.id() as i32).unwrap();
    let run = Run::of("");
    run.prepare();
    for stale in [
        orch_worker::agent::Identity { start_ticks: now.start_ticks - 1, ..now.clone() },
        orch_worker::agent::Identity { boot_id: "an-earlier-boot".into(), ..now.clone() },
    ] {
        run.dir().write_supervisor(&stale).unwrap();
        run.dir().write_agent(&stale).unwrap();
        request_stop(&run.path(), StopReason::Cancel).unwrap();
        assert_eq!(examine(&run.path()).unwrap(), Found::Lost);
        assert!(innocent.try_wait().unwrap().is_none(), "somebody else was killed");
    }
    innocent.kill().unwrap();
    innocent.wait().unwrap();
}

/// No longer anybody's descendants, and each lives only long enough to start the next.
#[tokio::test]
async fn an_orphaned_chain_of_forks_is_caught_by_its_marker() {
    let hop = r#"echo $$ >> $W/hops; setsid sh -c "$hop" &"#;
    let run = Run::of("for n in 1 2 3; do setsid sh -c \"$hop\" & done; echo up > $W/up; sleep 60")
        .with(|s| s.env.push(("hop".into(), hop.into())));
    let supervisor = run.launch().await.supervisor;
    run.note("up").await;
    kill(supervisor.pid);
    eventually("the supervisor is gone", || (!supervisor.is_alive()).then_some(())).await;
    assert_eq!(examine(&run.path()).unwrap(), Found::Lost);
    let hops = || std::fs::metadata(run.spec.cwd.join("hops")).unwrap().len();
    let last = hops();
    for _ in 0..20 {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        assert_eq!(hops(), last);
    }
    assert_eq!(run.marked(), Vec::<i32>::new());
}
