//! A supervisor that is started before there is a run for it.

use super::support::{Run, WORKER, by_worker, eventually, is_alive, kill, session};
use orch_worker::agent::ExitReason;
use orch_worker::agent::launch::{Launched, Standby, launch_with};
use rustix::process::{Pid, Signal, kill_process};

fn stand_by() -> (Standby, i32) {
    let standby = by_worker(WORKER).stand_by();
    let pid = standby.pid().expect("a supervisor stands by").cast_signed();
    (standby, pid)
}

async fn launch_by(run: &Run, standby: Standby) -> Launched {
    launch_with(&run.path(), &run.spec, b"", &by_worker(WORKER), standby).await.unwrap()
}

async fn gone(pid: i32) {
    eventually("its end", || (!is_alive(pid)).then_some(())).await;
}

#[tokio::test]
async fn one_that_stands_by_takes_the_run() {
    let (standby, pid) = stand_by();
    let run = Run::of("echo up > $W/up");
    assert_eq!(launch_by(&run, standby).await.supervisor.pid, pid);
    assert_eq!(run.record().await.reason, ExitReason::Exited);
    assert!(run.noted("up").is_some());
}

#[tokio::test]
async fn one_that_nobody_needs_ends_by_itself() {
    let (standby, pid) = stand_by();
    assert!(is_alive(pid));
    drop(standby);
    gone(pid).await;
}

/// What the worker's terminal or group is told before there is a run is not meant for it.
#[tokio::test]
async fn a_hangup_meanwhile_ends_neither_it_nor_the_run() {
    let (standby, pid) = stand_by();
    eventually("a session of its own", || (session(pid) == pid).then_some(())).await;
    kill_process(Pid::from_raw(pid).unwrap(), Signal::HUP).unwrap();
    let run = Run::of("exit 3");
    assert_eq!(launch_by(&run, standby).await.supervisor.pid, pid);
    assert_eq!(run.record().await.exit_code, Some(3));
}

#[tokio::test]
async fn one_that_was_killed_meanwhile_is_replaced() {
    let (standby, pid) = stand_by();
    kill(pid);
    gone(pid).await;
    let run = Run::of("exit 4");
    assert_ne!(launch_by(&run, standby).await.supervisor.pid, pid);
    assert_eq!(run.record().await.exit_code, Some(4));
}
