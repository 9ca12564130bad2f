//! Real commands in real folders.

use crate::gates::*;
use orch_common::domain::fault::Fault;
use orch_common::domain::gate::{TestEnd, TestEvidence};
use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use std::path::Path;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

fn sh(line: &str) -> TestCommand {
    TestCommand::Shell(line.into())
}

fn limits() -> TestLimits {
    TestLimits { timeout: Duration::from_secs(60), grace: Duration::from_millis(300), ..TestLimits::default() }
}

async fn run_in(dir: &TempDir, command: &TestCommand, limits: TestLimits) -> TestEvidence {
    let log = dir.path().join("log");
    let env = [("PROJECT_VAR".to_owned(), "from the project".to_owned())];
    let run = TestRun { command, dir: dir.path(), log: &log, limits, env: &env, user: None, attendant: None };
    run_tests(run, &CancellationToken::new()).await.unwrap()
}

async fn run(command: &TestCommand) -> TestEvidence {
    run_in(&tempfile::tempdir().unwrap(), command, limits()).await
}

fn is_infra(evidence: &TestEvidence, words: &str) -> bool {
    matches!(&evidence.end, TestEnd::Infra { why } if why.contains(words))
}

/// The fault that only a person can mend, if it is one.
fn fault(evidence: &TestEvidence) -> Option<Fault> {
    if let TestEnd::Unfit { fault, .. } = &evidence.end { Some(*fault) } else { None }
}

/// A process that the test's folder names, once it has written its id there.
async fn pid_in(dir: &Path, name: &str) -> Pid {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let text = std::fs::read_to_string(dir.join(name)).unwrap_or_default();
        if let Some(pid) = text.strip_suffix('\n').and_then(|t| Pid::from_raw(t.parse().ok()?)) {
            return pid;
        }
        assert!(Instant::now() < deadline, "no process wrote {name}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Gone, or a zombie that only waits for its parent.
async fn assert_dead(pid: Pid) {
    let stat = || std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).unwrap_or_default();
    let deadline = Instant::now() + Duration::from_secs(30);
    while test_kill_process(pid).is_ok() && !stat().contains(") Z ") {
        assert!(Instant::now() < deadline, "it lives on: {}", stat());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn green_red_and_infra() {
    let argv = |words: &[&str]| TestCommand::Argv(words.iter().map(|w| (*w).to_owned()).collect());
    for (command, code) in [
        (sh("echo fine"), 0),
        (argv(&["sh", "-c", "exit 0"]), 0),
        (sh("echo bad; exit 3"), 3),
        (sh("kill -SEGV $$"), 139),
        (sh("sh -c 'kill -ABRT $$'; exit $?"), 134),
    ] {
        let evidence = run(&command).await;
        assert_eq!(evidence.end, TestEnd::Exited { code }, "{command}: {evidence:?}");
        assert_eq!(evidence.command, command.to_string());
    }
    for (command, words) in [
        (sh("kill -KILL $$"), "signal 9"),
        (sh("sh -c 'kill -KILL $$'; exit $?"), "137"),
        (sh("kill -TERM $$"), "signal 15"),
        (sh("echo 'cc: error writing: No space left on device'; exit 1"), "no space"),
    ] {
        let evidence = run(&command).await;
        assert!(is_infra(&evidence, words), "{command}: {evidence:?}");
    }
    for (command, wanted) in [
        (sh("no-such-tool --test"), Fault::NoProgram),
        (sh("/"), Fault::NotExecutable),
        (argv(&["no-such-tool"]), Fault::NoProgram),
        (argv(&["/etc/passwd"]), Fault::NotExecutable),
        (argv(&[]), Fault::NoTests),
    ] {
        let evidence = run(&command).await;
        assert_eq!(fault(&evidence), Some(wanted), "{command}: {evidence:?}");
    }
}

#[tokio::test]
async fn a_missing_folder_and_an_unwritable_log_are_infra() {
    let dir = tempfile::tempdir().unwrap();
    let command = sh("true");
    let cancel = CancellationToken::new();
    let (gone, log) = (dir.path().join("gone"), dir.path().join("no/log"));
    for (at, log, words) in [(gone.as_path(), dir.path().join("log"), "no folder"), (dir.path(), log, "log")] {
        let run =
            TestRun { command: &command, dir: at, log: &log, limits: limits(), env: &[], user: None, attendant: None };
        let evidence = run_tests(run, &cancel).await.unwrap();
        assert!(is_infra(&evidence, words), "{evidence:?}");
    }
}

#[tokio::test]
async fn it_sees_the_worktree_an_empty_input_and_a_chosen_environment() {
    let dir = tempfile::tempdir().unwrap();
    let evidence = run_in(&dir, &sh("pwd; cat; env; echo to stderr >&2"), limits()).await;
    let tail = &evidence.tail;
    assert!(tail.starts_with(&dir.path().canonicalize().unwrap().display().to_string()), "{tail}");
    for there in ["\nCI=true\n", "\nPROJECT_VAR=from the project\n", "\nORCH_TEST_RUN=", "\nPATH=", "to stderr\n"] {
        assert!(tail.contains(there), "{there:?} in {tail}");
    }
    // Cargo gives every test this one; it stands for all that is not on the list.
    assert!(std::env::var_os("CARGO_MANIFEST_DIR").is_none() || !tail.contains("CARGO_MANIFEST_DIR"), "{tail}");
    assert_eq!(std::fs::read_to_string(dir.path().join("log")).unwrap(), *tail);
}

#[tokio::test]
async fn daemons_that_the_tests_leave_are_swept() {
    let dir = tempfile::tempdir().unwrap();
    // One stays in the group, one moves to a session of its own, one also lets go of the output.
    let line = "sleep 1000 & echo $! > in-group
        setsid sh -c 'echo $$ > own-session; exec sleep 1000' &
        setsid sh -c 'echo $$ > silent; exec sleep 1000' >/dev/null 2>&1 &
        until test -s own-session && test -s silent; do sleep 0.01; done
        echo done; exit 1";
    let began = Instant::now();
    let evidence = run_in(&dir, &sh(line), limits()).await;
    assert_eq!((&evidence.end, evidence.tail.as_str()), (&TestEnd::Exited { code: 1 }, "done\n"));
    assert!(began.elapsed() < Duration::from_secs(50), "it did not wait for the daemons");
    for name in ["in-group", "own-session", "silent"] {
        assert_dead(pid_in(dir.path(), name).await).await;
    }
}

#[tokio::test]
async fn a_timeout_is_infra_and_even_one_that_ignores_term_ends() {
    for (line, polite) in [
        ("trap 'echo tidied up; exit 0' TERM; echo $$ > pid; while :; do sleep 0.02; done", true),
        ("trap '' TERM; echo $$ > pid; while :; do sleep 1000; done", false),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let grace = Duration::from_millis(if polite { 30_000 } else { 100 });
        let evidence = run_in(&dir, &sh(line), TestLimits { timeout: Duration::from_secs(1), grace, ..limits() }).await;
        assert!(is_infra(&evidence, "timeout after 1 s"), "{evidence:?}");
        assert_eq!(evidence.tail.contains("tidied up"), polite, "{evidence:?}");
        assert!(evidence.duration_ms >= 1000);
        assert_dead(pid_in(dir.path(), "pid").await).await;
    }
}

#[tokio::test]
async fn a_printer_of_100_mb_fills_neither_disk_nor_memory() {
    let dir = tempfile::tempdir().unwrap();
    let line = "echo the beginning; head -c 100000000 /dev/zero | tr '\\0' 'x'; echo; echo the end; exit 1";
    let evidence = run_in(&dir, &sh(line), TestLimits { log_cap: 1 << 20, ..limits() }).await;
    assert_eq!(evidence.end, TestEnd::Exited { code: 1 });
    assert!(evidence.tail.len() <= 8192 && evidence.tail.ends_with("x\nthe end\n"));
    let log = std::fs::read_to_string(dir.path().join("log")).unwrap();
    assert!(log.len() < (1 << 20) + 100, "{}", log.len());
    assert!(log.starts_with("the beginning\nx") && log.contains(" bytes cut ") && log.ends_with("the end\n"));
}

#[tokio::test]
async fn an_endless_printer_is_ended_by_the_timeout() {
    let limits = TestLimits { timeout: Duration::from_millis(500), log_cap: 1000, ..limits() };
    let evidence = run_in(&tempfile::tempdir().unwrap(), &sh("yes"), limits).await;
    assert!(is_infra(&evidence, "timeout") && evidence.tail.starts_with("y\ny\n"));
}

#[tokio::test]
async fn cancelling_and_dropping_leave_nothing_alive() {
    let line = "echo $$ > pid; setsid sh -c 'echo $$ > escaped; exec sleep 1000' & sleep 1000";
    for dropped in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let (command, log, cancel) = (sh(line), dir.path().join("log"), CancellationToken::new());
        let run = TestRun {
            command: &command,
            dir: dir.path(),
            log: &log,
            limits: limits(),
            env: &[],
            user: None,
            attendant: None,
        };
        let started = async {
            let both = (pid_in(dir.path(), "pid").await, pid_in(dir.path(), "escaped").await);
            if !dropped {
                cancel.cancel();
            }
            both
        };
        let tests = run_tests(run, &cancel);
        let (pid, escaped) = if dropped {
            tokio::select! { both = started => both, end = tests => panic!("{end:?}") }
        } else {
            let (end, both) = tokio::join!(tests, started);
            assert_eq!(end, Err(Cancelled));
            both
        };
        assert_dead(pid).await;
        assert_dead(escaped).await;
    }
    let cancel = CancellationToken::new();
    cancel.cancel();
    let dir = tempfile::tempdir().unwrap();
    let (command, log) = (sh("touch ran"), dir.path().join("log"));
    let run = TestRun {
        command: &command,
        dir: dir.path(),
        log: &log,
        limits: limits(),
        env: &[],
        user: None,
        attendant: None,
    };
    assert_eq!(run_tests(run, &cancel).await, Err(Cancelled));
    assert!(!dir.path().join("ran").exists());
}

#[tokio::test]
async fn what_a_killed_worker_left_in_the_folder_is_ended_before_the_next_run() {
    let dir = tempfile::tempdir().unwrap();
    // What a killed worker leaves: a marked process that nobody watches.
    let mut orphan = std::process::Command::new("sh");
    orphan.args(["-c", "echo $$ > orphan; exec sleep 1000"]).current_dir(dir.path());
    let mut orphan = orphan.env("ORCH_TEST_DIR", dir.path()).spawn().unwrap();
    let mut stranger = std::process::Command::new("sleep");
    let mut stranger = stranger.arg("1000").env("ORCH_TEST_DIR", dir.path().join("other")).spawn().unwrap();
    let pid = pid_in(dir.path(), "orphan").await;
    assert_eq!(run_in(&dir, &sh("true"), limits()).await.end, TestEnd::Exited { code: 0 });
    assert_dead(pid).await;
    orphan.wait().unwrap();
    let other = Pid::from_child(&stranger);
    assert!(stranger.try_wait().unwrap().is_none(), "another folder's run is left alone");
    kill_process(other, Signal::KILL).unwrap();
    stranger.wait().unwrap();
}
