//! A project's tests with an attendant.

use super::support::*;
use orch_common::domain::gate::{TestEnd, TestEvidence};
use orch_testkit::needs::{self, Need};
use orch_worker::gates::{Cancelled, TestCommand, TestLimits, TestRun, run_tests};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

fn limits(timeout: u64) -> TestLimits {
    let (timeout, grace) = (Duration::from_secs(timeout), Duration::from_millis(500));
    TestLimits { timeout, grace, ..TestLimits::default() }
}

async fn run(
    dir: &Path,
    line: &str,
    limits: TestLimits,
    user: Option<(u32, u32)>,
    cancel: &CancellationToken,
) -> Result<TestEvidence, Cancelled> {
    let (command, attendant) = (TestCommand::Shell(line.into()), attendant());
    let logs = tempfile::tempdir().unwrap();
    let log = logs.path().join("log");
    let run = TestRun { command: &command, dir, log: &log, limits, env: &[], user, attendant: Some(&attendant) };
    run_tests(run, cancel).await
}

async fn play(dir: &Path, line: &str, timeout: u64) -> TestEvidence {
    run(dir, line, limits(timeout), None, &CancellationToken::new()).await.unwrap()
}

fn is_infra(evidence: &TestEvidence, words: &str) -> bool {
    matches!(&evidence.end, TestEnd::Infra { why } if why.contains(words))
}

#[tokio::test]
async fn a_daemon_without_environment_and_session_ends_with_the_tests() {
    let dir = tempfile::tempdir().unwrap();
    for (line, end) in [("exit 0", TestEnd::Exited { code: 0 }), ("exit 3", TestEnd::Exited { code: 3 })] {
        std::fs::remove_file(dir.path().join("daemon")).ok();
        let evidence = play(dir.path(), &format!("{LEAVES_A_DAEMON}; echo done; {line}"), 60).await;
        assert_eq!((&evidence.end, evidence.tail.as_str()), (&end, "done\n"));
        assert_ended(number(dir.path(), "daemon"));
    }
    assert!(is_infra(&play(dir.path(), "kill -KILL $$", 60).await, "signal 9"));
    let missing = play(dir.path(), "no-such-tool", 60).await;
    assert!(matches!(&missing.end, TestEnd::Unfit { .. }), "nobody but a person can install it: {missing:?}");
}

#[tokio::test]
async fn a_timeout_asks_first_and_then_ends_the_daemons_too() {
    for (line, polite) in [
        ("trap 'echo tidied up; exit 0' TERM; while :; do sleep 0.02; done", true),
        ("trap '' TERM; while :; do sleep 1000; done", false),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let evidence = play(dir.path(), &format!("{LEAVES_A_DAEMON}; {line}"), 2).await;
        assert!(is_infra(&evidence, "timeout after 2 s"), "{evidence:?}");
        assert_eq!(evidence.tail.contains("tidied up"), polite, "{evidence:?}");
        assert_ended(number(dir.path(), "daemon"));
    }
}

#[tokio::test]
async fn cancelling_and_dropping_end_the_daemons_too() {
    for dropped in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let cancel = CancellationToken::new();
        let line = format!("{LEAVES_A_DAEMON}; sleep 1000");
        let folder = dir.path().to_owned();
        let seen = tokio::task::spawn_blocking(move || process(&folder, "daemon"));
        let tests = run(dir.path(), &line, limits(600), None, &cancel);
        let daemon = if dropped {
            tokio::select! { daemon = seen => daemon.unwrap(), end = tests => panic!("{end:?}") }
        } else {
            let stop = async {
                let daemon = seen.await.unwrap();
                cancel.cancel();
                daemon
            };
            let (end, daemon) = tokio::join!(tests, stop);
            assert_eq!(end, Err(Cancelled));
            daemon
        };
        assert_gone(&daemon);
    }
}

/// One of the same user can end the attendant: then the marker is left, and descent from who bears it.
#[tokio::test]
async fn tests_that_kill_their_attendant_are_found_by_their_marker() {
    for signal in ["KILL", "STOP"] {
        let dir = tempfile::tempdir().unwrap();
        let line = format!(
            "setsid sh -c 'echo $$ > marked; exec sleep 1000' & env -i sh -c 'echo $$ > child; exec sleep 1000' &
            until test -s marked && test -s child; do sleep 0.02; done; kill -{signal} $PPID; sleep 1000"
        );
        let evidence = play(dir.path(), &line, 3).await;
        let wanted = if signal == "KILL" { "signal 9" } else { "timeout" };
        assert!(is_infra(&evidence, wanted), "{evidence:?}");
        assert_ended(number(dir.path(), "marked"));
        assert_ended(number(dir.path(), "child"));
    }
}

#[tokio::test]
async fn tests_of_another_user_cannot_end_their_attendant() {
    if !needs::all(&[Need::Root]) {
        return;
    }
    // A number that nobody else's processes have: all of them are killed.
    let uid = 1_500_000_000 + std::process::id();
    let gid = uid;
    let dir = tempfile::tempdir().unwrap();
    chown(dir.path(), Some(uid), Some(gid)).unwrap();
    std::fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o700)).unwrap();
    let line = format!(
        "{LEAVES_A_DAEMON}; kill -9 $PPID && echo killed; kill -STOP $PPID && echo stopped; id -u; kill -9 -1; exit 5"
    );
    let evidence = run(dir.path(), &line, limits(60), Some((uid, gid)), &CancellationToken::new()).await.unwrap();
    // The shell that kills all is spared.
    assert_eq!(evidence.end, TestEnd::Exited { code: 5 }, "{evidence:?}");
    assert!(evidence.tail.contains(&uid.to_string()), "{evidence:?}");
    assert!(!evidence.tail.contains("killed\n") && !evidence.tail.contains("stopped\n"), "{evidence:?}");
    assert_ended(number(dir.path(), "daemon"));
}
