//! How a run ends, and what its record says.

use super::support::{Run, WORKER, by_worker, is_alive};
use orch_testkit::needs::{self, Need};
use orch_worker::agent::record::KILLED;
use orch_worker::agent::{ExitReason, StopReason, StopSent, launch, request_stop};
use std::time::{Duration, Instant};

#[tokio::test]
async fn a_run_that_ends_well() {
    let run = Run::of("cat; echo oops >&2; env | sort; ulimit -c; exit 0");
    let record = run.play().await;
    assert_eq!((record.reason, record.exit_code, record.signal), (ExitReason::Exited, Some(0), None));
    assert_eq!((record.swept, record.run_id.as_str()), (0, run.spec.run_id.as_str()));
    assert!(record.started_at_ms > 1_700_000_000_000 && record.finished_at_ms >= record.started_at_ms);
    assert!(record.max_rss_kb > 100);
    let log = run.log();
    let mut lines: Vec<&str> = log.lines().filter(|l| !l.starts_with("PWD=") && !l.starts_with("_=")).collect();
    assert_eq!(lines.pop(), Some("0"), "core dumps are off");
    let marker = format!("ORCH_RUN_ID={}", run.spec.run_id);
    let work = format!("W={}", run.spec.cwd.display());
    assert_eq!(lines, ["the prompt", marker.as_str(), "PATH=/usr/bin:/bin", work.as_str()]);
    assert_eq!(std::fs::read_to_string(run.dir().stderr()).unwrap(), "oops\n");
}

#[tokio::test]
async fn exit_codes_and_signals_are_the_agents_own() {
    let failed = Run::of("exit 3").play().await;
    assert_eq!((failed.reason, failed.exit_code, failed.signal), (ExitReason::Exited, Some(3), None));
    let killed = Run::of("kill -SEGV $$").play().await;
    assert_eq!((killed.reason, killed.exit_code, killed.signal), (ExitReason::Exited, None, Some(11)));
    let real_time = Run::of("kill -40 $$").play().await;
    assert_eq!((real_time.reason, real_time.exit_code, real_time.signal), (ExitReason::Exited, None, Some(40)));
}

#[tokio::test]
async fn the_agent_leads_a_group_in_a_session_of_the_run() {
    let run = Run::of("cut -d' ' -f5,6 /proc/$$/stat | sed \"s/^$$ /leads /\"");
    let launched = run.launch().await;
    run.record().await;
    assert_eq!(run.log(), format!("leads {}\n", launched.supervisor.pid));
}

#[tokio::test]
async fn a_timeout_is_minus_nine_however_the_agent_took_it() {
    let obedient = Run::of("sleep 60").with(|s| s.timeout_s = 1);
    let (started, record) = (Instant::now(), obedient.play().await);
    assert_eq!((record.reason, record.exit_code, record.signal), (ExitReason::TimedOut, Some(KILLED), Some(15)));
    assert!(started.elapsed() < Duration::from_secs(4), "the grace period is not waited out");
    let polite = Run::of("trap 'exit 0' TERM; sleep 60 & wait").with(|s| s.timeout_s = 1).play().await;
    assert_eq!((polite.reason, polite.exit_code, polite.signal), (ExitReason::TimedOut, Some(KILLED), None));
}

#[tokio::test]
async fn a_stopped_agent_still_hears_the_end() {
    let run = Run::of("trap 'echo bye; exit 0' TERM; kill -STOP $$; sleep 60 & wait").with(|s| s.timeout_s = 1);
    let record = run.play().await;
    assert_eq!((record.reason, record.signal), (ExitReason::TimedOut, None));
    assert_eq!(run.log(), "bye\n");
}

#[tokio::test]
async fn a_wish_to_stop_is_recorded_with_its_reason() {
    for why in StopReason::ALL.iter().copied() {
        let run = Run::of("trap 'exit 7' TERM; echo up > $W/up; sleep 60 & wait");
        let launched = run.launch().await;
        run.note("up").await;
        assert_eq!(request_stop(&run.path(), why).unwrap(), StopSent::Signalled);
        let record = run.record().await;
        assert_eq!((record.reason, record.exit_code), (ExitReason::Stopped { why }, Some(7)));
        assert!(!is_alive(launched.supervisor.pid));
        assert_eq!(request_stop(&run.path(), why).unwrap(), StopSent::Noted);
    }
}

#[tokio::test]
async fn a_bare_signal_is_the_systems_and_a_hangup_is_none() {
    let run = Run::of("echo up > $W/up; sleep 60");
    let supervisor = run.launch().await.supervisor;
    run.note("up").await;
    let send = |sig| orch_worker::agent::identity::signal(&supervisor, sig).unwrap();
    send(rustix::process::Signal::HUP);
    send(rustix::process::Signal::TERM);
    let record = run.record().await;
    assert_eq!(record.reason, ExitReason::Stopped { why: StopReason::System });
    assert_eq!(record.signal, Some(15));
}

#[tokio::test]
async fn an_agent_that_hears_of_the_shutdown_first_was_stopped_by_it_too() {
    for script in ["echo $$ > $W/up; exec sleep 60", "trap 'exit 143' TERM; echo $$ > $W/up; sleep 60 & wait"] {
        let run = Run::of(script);
        let supervisor = run.launch().await.supervisor;
        let agent: i32 = run.note("up").await.trim().parse().unwrap();
        let send = |to| rustix::process::kill_process(to, rustix::process::Signal::TERM).unwrap();
        send(rustix::process::Pid::from_raw(agent).unwrap());
        send(rustix::process::Pid::from_raw(supervisor.pid).unwrap());
        assert_eq!(run.record().await.reason, ExitReason::Stopped { why: StopReason::System });
    }
}

#[tokio::test]
async fn an_agent_that_somebody_else_ended_has_its_own_end() {
    let run = Run::of("kill -TERM $$; sleep 60");
    run.launch().await;
    let record = run.record().await;
    assert_eq!((record.reason, record.signal), (ExitReason::Exited, Some(15)));
}

#[tokio::test]
async fn a_wish_whose_signal_was_lost_is_found() {
    let run = Run::of("echo up > $W/up; sleep 60");
    run.launch().await;
    run.note("up").await;
    let wish = orch_worker::agent::record::StopRequest { reason: StopReason::Pause };
    run.dir().write_stop(&wish).unwrap();
    assert_eq!(run.record().await.reason, ExitReason::Stopped { why: StopReason::Pause });
}

#[tokio::test]
async fn a_wish_that_was_there_first_starts_nothing() {
    let run = Run::of("echo up > $W/up");
    run.prepare();
    assert_eq!(request_stop(&run.path(), StopReason::Cancel).unwrap(), StopSent::Noted);
    let record = run.play().await;
    assert_eq!((record.reason, record.exit_code), (ExitReason::Stopped { why: StopReason::Cancel }, None));
    assert_eq!(run.noted("up"), None);
}

#[tokio::test]
async fn what_can_not_be_started_says_so() {
    for (run, word) in [
        (Run::of("").with(|s| s.program = "/no/such/program".into()), "/no/such/program"),
        (Run::of("").with(|s| s.program = "/etc/passwd".into()), "/etc/passwd"),
        (Run::of("").with(|s| s.cwd = "/no/such/folder".into()), "working folder"),
        (Run::of("").with(|s| s.user = Some("no-such-user-here".into())), "no-such-user-here"),
    ] {
        let record = run.play().await;
        let ExitReason::SpawnFailed { error } = &record.reason else { panic!("{record:?}") };
        assert!(error.contains(word), "{error}");
        assert_eq!((record.exit_code, record.signal), (None, None));
    }
}

#[tokio::test]
async fn a_launch_that_can_not_work_fails_at_once() {
    let run = Run::of("echo up > $W/up").with(|s| s.run_id = "not-a-uuid".into());
    assert!(launch(&run.path(), &run.spec, b"", &by_worker(WORKER)).await.is_err());
    let run = Run::of("echo up > $W/up");
    for exe in ["/no/such/worker", "/bin/true"] {
        assert!(launch(&run.path(), &run.spec, b"", &by_worker(exe)).await.is_err(), "{exe}");
    }
    assert!(run.dir().is_fenced());
    assert!(launch(&run.path(), &run.spec, b"", &by_worker(WORKER)).await.is_err(), "a folder is used once");
    assert_eq!(run.noted("up"), None);
}

#[tokio::test]
async fn an_agent_can_be_another_user() {
    if !needs::all(&[Need::Root, Need::User("nobody")]) {
        return;
    }
    let run = Run::of("id -u; id -G; echo x > /dev/stderr; cat /proc/$PPID/environ; cat ../run/spec.json")
        .with(|s| (s.user, s.cwd) = (Some("nobody".into()), "/".into()));
    run.play().await;
    let nobody = nix::unistd::User::from_name("nobody").unwrap().unwrap();
    assert_eq!(run.log(), format!("{}\n{}\n", nobody.uid, nobody.gid));
    let errors = std::fs::read_to_string(run.dir().stderr()).unwrap();
    assert!(errors.starts_with("x\n"), "{errors}");
}
