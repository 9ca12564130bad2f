//! Disk, silence and the supervisor's own size.

use super::support::{Run, eventually};
use orch_worker::agent::ExitReason;
use orch_worker::agent::outcome::{head, read_log, tail};
use orch_worker::agent::record::KILLED;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant};

const MIB: u64 = 1 << 20;

fn on_disk(path: &Path) -> u64 {
    std::fs::metadata(path).unwrap().blocks() * 512
}

#[tokio::test]
async fn a_quick_printer_fills_no_disk() {
    let script = "echo first; yes 'a line that is repeated and repeated' | head -c 209715200; echo; echo last";
    let run = Run::of(script).with(|s| s.log_cap_bytes = 4 * MIB);
    let record = run.play().await;
    assert_eq!((record.reason, record.exit_code), (ExitReason::Exited, Some(0)));
    let log = run.dir().log();
    assert!(std::fs::metadata(&log).unwrap().len() > 200 * MIB);
    assert!(on_disk(&log) <= 4 * MIB, "{}", on_disk(&log));
    assert!(head(&log, 100).unwrap().starts_with(b"first\na line"));
    assert!(tail(&log, 100).unwrap().ends_with(b"repeated\nlast\n") || tail(&log, 100).unwrap().ends_with(b"\nlast\n"));
    let mut bytes = 0;
    let extent = read_log(&log, |piece| bytes += piece.len() as u64).unwrap();
    assert_eq!(extent.holes, 1);
    assert!(bytes > 2 * MIB && bytes <= 4 * MIB, "{bytes}");
}

#[tokio::test]
async fn disk_is_given_back_while_the_agent_still_prints() {
    let script = "trap 'exit 0' TERM; while :; do head -c 1000000 /dev/zero | tr '\\0' x >&2; done";
    let run = Run::of(script).with(|s| s.log_cap_bytes = 4 * MIB);
    run.launch().await;
    let stderr = run.dir().stderr();
    eventually("60 MiB of output on little disk", || {
        let size = std::fs::metadata(&stderr).map_or(0, |m| m.len());
        (size > 60 * MIB && on_disk(&stderr) < 16 * MIB).then_some(())
    })
    .await;
    assert!(!run.dir().has_exit());
    orch_worker::agent::request_stop(&run.path(), orch_worker::agent::StopReason::Cancel).unwrap();
    run.record().await;
    assert!(on_disk(&stderr) <= 4 * MIB);
}

#[tokio::test]
async fn output_without_end_is_ended() {
    let run = Run::of("yes").with(|s| (s.log_cap_bytes, s.log_hard_limit_bytes) = (MIB, 32 * MIB));
    let record = run.play().await;
    assert_eq!((record.reason, record.exit_code, record.signal), (ExitReason::LogLimit, Some(KILLED), Some(15)));
    assert!(on_disk(&run.dir().log()) <= MIB);
}

#[tokio::test]
async fn silence_is_a_stall_but_a_word_now_and_then_is_not() {
    let talker = "for n in 1 2 3 4 5; do echo $n >&2; sleep 0.5; done";
    let silent = Run::of(&format!("{talker}; sleep 60")).with(|s| s.stall_s = 2);
    let started = Instant::now();
    let record = silent.play().await;
    assert_eq!((record.reason, record.exit_code, record.signal), (ExitReason::Stalled, Some(KILLED), Some(15)));
    let took = started.elapsed();
    assert!(took >= Duration::from_millis(3900) && took < Duration::from_secs(20), "{took:?}");
    assert_eq!(std::fs::read_to_string(silent.dir().stderr()).unwrap(), "1\n2\n3\n4\n5\n");
}

/// Pages that only this process has. Two supervisors run, so that the program itself counts as shared.
#[tokio::test]
async fn a_supervisor_is_small() {
    let runs = [Run::of("echo up > $W/up; sleep 60"), Run::of("echo up > $W/up; sleep 60")];
    for run in &runs {
        run.launch().await;
        run.note("up").await;
    }
    let pid = runs[0].dir().read_supervisor().unwrap().unwrap().pid;
    let rollup = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap();
    let private: u64 = rollup
        .lines()
        .filter(|l| l.starts_with("Private_"))
        .map(|l| l.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap())
        .sum();
    println!("{rollup}");
    for run in &runs {
        orch_worker::agent::request_stop(&run.path(), orch_worker::agent::StopReason::Operator).unwrap();
        run.record().await;
    }
    // Without optimisation the program is several times as large, and so are the pages its loader writes to.
    let limit = if cfg!(debug_assertions) { 6144 } else { 3072 };
    assert!(private > 0 && private <= limit, "{private} KiB");
}
