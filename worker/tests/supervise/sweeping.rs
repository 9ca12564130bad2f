//! Nothing of a run outlives it.

use super::support::{Run, eventually};
use orch_testkit::needs::{self, Need};
use orch_worker::agent::ExitReason;
use orch_worker::agent::record::KILLED;
use std::os::unix::fs::MetadataExt;
use std::time::Duration;

/// What a test of a fork bomb needs: a limit that only root can set on another user, so that the bomb hurts nobody.
const BOMB: &[Need] = &[Need::Root, Need::User("nobody"), Need::Program("prlimit"), Need::Program("bash")];

/// Six ways to stay: in the group, with a session, behind a double fork, as a grandchild, without the
/// environment, without both.
const STUBBORN: &str = r#"
trap '' TERM
keep='trap "" TERM; echo $$ >> $W/pids; while :; do sleep 1; done'
export keep
sh -c "$keep" &
setsid sh -c "$keep" &
(setsid sh -c "$keep" &)
sh -c 'sh -c "$keep" & wait' &
env -i W=$W PATH=$PATH sh -c "$keep" &
(env -i W=$W PATH=$PATH setsid sh -c "$keep" &)
while [ $(wc -l < $W/pids 2>/dev/null || echo 0) -lt 6 ]; do sleep 0.02; done
echo up > $W/up
"#;

fn pids(run: &Run) -> Vec<i32> {
    run.noted("pids").unwrap().lines().map(|l| l.parse().unwrap()).collect()
}

fn nothing_lives(run: &Run) {
    assert_eq!(run.marked(), Vec::<i32>::new());
    let living: Vec<i32> = pids(run).into_iter().filter(|p| super::support::is_alive(*p)).collect();
    assert_eq!(living, Vec::<i32>::new());
}

#[tokio::test]
async fn a_whole_tree_that_ignores_sigterm_dies_with_a_timeout() {
    let run = Run::of(&format!("{STUBBORN} while :; do sleep 1; done")).with(|s| (s.timeout_s, s.grace_s) = (3, 1));
    let record = run.play().await;
    let took = record.finished_at_ms - record.started_at_ms;
    assert_eq!((record.reason, record.exit_code, record.signal), (ExitReason::TimedOut, Some(KILLED), Some(9)));
    assert!((4_000..5_000).contains(&took), "{took} ms");
    assert_eq!(pids(&run).len(), 6);
    assert!(record.swept >= 6, "{}", record.swept);
    nothing_lives(&run);
}

#[tokio::test]
async fn what_a_good_agent_leaves_behind_dies_too() {
    let run = Run::of(&format!("{STUBBORN} exit 0"));
    let record = run.play().await;
    assert_eq!((record.reason, record.exit_code, record.signal), (ExitReason::Exited, Some(0), None));
    assert!(record.swept >= 6, "{}", record.swept);
    nothing_lives(&run);
}

/// Each process lives only long enough to start the next, in a session of its own: by the time one is found it is
/// another already.
#[tokio::test]
async fn a_chain_of_forks_is_caught() {
    let hop = r#"echo $$ >> $W/hops; setsid sh -c "$hop" &"#;
    let run = Run::of("for n in 1 2 3; do setsid sh -c \"$hop\" & done; sleep 0.3; exit 0")
        .with(|s| s.env.push(("hop".into(), hop.into())));
    let record = run.play().await;
    assert_eq!((record.reason, record.exit_code), (ExitReason::Exited, Some(0)));
    let hops = || std::fs::metadata(run.spec.cwd.join("hops")).unwrap().len();
    let last = hops();
    assert!(last > 100, "the chain never ran: {last}");
    assert_eq!(run.marked(), Vec::<i32>::new());
    // Were one left, it would go on writing.
    for _ in 0..20 {
        tokio::time::sleep(Duration::from_millis(10)).await;
        assert_eq!(hops(), last);
    }
}

/// A tree that grows again where it is cut, every branch in a session of its own: no group holds two of them.
#[tokio::test]
async fn a_tree_that_grows_again_is_felled() {
    let node = r#"trap '' TERM; while :; do
        if [ $1 -gt 0 ]; then for n in 1 2; do setsid sh -c "$node" x $(($1-1)) & done; wait; else sleep 0.05; exit; fi
        done"#;
    let run = Run::of("sh -c \"$node\" x 4 & sleep 60").with(|s| {
        s.env.push(("node".into(), node.into()));
        (s.timeout_s, s.grace_s) = (1, 0);
    });
    let record = run.play().await;
    assert_eq!((record.reason, record.exit_code), (ExitReason::TimedOut, Some(KILLED)));
    assert!(record.swept > 10, "{}", record.swept);
    assert_eq!(run.marked(), Vec::<i32>::new());
}

#[tokio::test]
async fn a_fork_bomb_is_put_out() {
    if !needs::all(BOMB) {
        return;
    }
    let bomb = r#"trap "" TERM; f() { f | f & }; f; sleep 60"#;
    let run = Run::of("prlimit --pid $$ --nproc=120 && exec bash -c \"$bomb\"")
        .with(|s| (s.user, s.cwd) = (Some("nobody".into()), "/".into()))
        .with(|s| s.env.push(("bomb".into(), bomb.into())))
        .with(|s| (s.timeout_s, s.grace_s) = (1, 0));
    let record = run.play().await;
    assert_eq!((record.reason, record.exit_code), (ExitReason::TimedOut, Some(KILLED)));
    assert!(record.swept > 10, "{}", record.swept);
    assert_eq!(run.marked(), Vec::<i32>::new());
}

/// All of it at a time: forks without end, sessions of their own, deaf to SIGTERM, ten gigabytes of output.
#[tokio::test]
#[ignore = "wants the machine for itself; `make test-long` runs it"]
async fn the_worst_agent_is_over_in_time_and_the_next_one_works() {
    if !needs::all(BOMB) {
        return;
    }
    let bomb = r#"trap "" TERM; f() { f | f & }; yes "all work and no play" | head -c 10000000000 &
        for n in 1 2 3 4; do setsid sh -c "trap '' TERM; while :; do sleep 1; done" & done; f; sleep 600"#;
    let run = Run::of("prlimit --pid $$ --nproc=120 && exec bash -c \"$bomb\"")
        .with(|s| (s.user, s.cwd) = (Some("nobody".into()), "/".into()))
        .with(|s| s.env.push(("bomb".into(), bomb.into())))
        .with(|s| (s.timeout_s, s.grace_s, s.log_cap_bytes) = (15, 2, 4 << 20));
    let supervisor = run.launch().await.supervisor;
    let (mut disk, mut memory) = (0, 0);
    while !run.dir().has_exit() {
        disk = disk.max(std::fs::metadata(run.dir().log()).map_or(0, |log| log.blocks() * 512));
        memory = memory.max(resident_kib(supervisor.pid));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let record = run.record().await;
    let (took, printed) =
        (record.finished_at_ms - record.started_at_ms, std::fs::metadata(run.dir().log()).unwrap().len());
    println!("{took} ms, {printed} bytes printed, {} swept, disk {disk} bytes, memory {memory} KiB", record.swept);
    assert_eq!((record.reason, record.exit_code), (ExitReason::TimedOut, Some(KILLED)));
    assert!((15_000..=20_000).contains(&took), "{took} ms");
    assert!(printed > 1 << 30, "it printed only {printed} bytes");
    assert!(disk < 1 << 30 && memory < 32 << 10, "{disk} bytes of disk, {memory} KiB of memory");
    assert_eq!(run.marked(), Vec::<i32>::new());
    assert_eq!(Run::of("exit 0").play().await.exit_code, Some(0));
}

fn resident_kib(pid: i32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|l| l.split_whitespace().next()?.parse().ok()).unwrap_or_default()
}

#[tokio::test]
async fn dead_orphans_are_collected_while_the_agent_works() {
    let run = Run::of(
        "for n in 1 2 3 4 5; do (sh -c 'exit 0' &) ; done; echo up > $W/up; while ! [ -e $W/go ]; do sleep 0.02; done",
    );
    let supervisor = run.launch().await.supervisor.pid;
    run.note("up").await;
    eventually("only the agent is left", || {
        let list = std::fs::read_to_string(format!("/proc/{supervisor}/task/{supervisor}/children")).unwrap();
        (list.split_whitespace().count() == 1).then_some(())
    })
    .await;
    std::fs::write(run.spec.cwd.join("go"), "").unwrap();
    let record = run.record().await;
    assert_eq!((record.reason, record.swept), (ExitReason::Exited, 0));
}
