//! A process that stays after its result, and results that are larger than a log may be.

use super::support::Run;
use orch_common::domain::failure::{How, LogParser, Outcome, RunEnd, classify};
use orch_worker::agent::outcome::read_log;
use orch_worker::agent::record::KILLED;
use orch_worker::agent::{ExitReason, ExitRecord};
use std::time::{Duration, Instant};

const BEGIN: &str = r#"echo '{"type":"system","subtype":"init","session_id":"s"}';"#;
const RESULT: &str = r#"echo '{"type":"result","subtype":"success","is_error":false,"result":"done","num_turns":2,"total_cost_usd":0.5}';"#;
const ERROR: &str = r#"echo '{"type":"result","subtype":"success","is_error":true,"api_error_status":429,"result":"API Error","num_turns":1}';"#;

/// What follows from the end of a run, read as the worker reads it.
fn judged(run: &Run, record: &ExitRecord) -> Outcome {
    let mut parser = LogParser::default();
    read_log(&run.dir().log(), |bytes| parser.feed(bytes)).unwrap();
    let how = if record.reason == ExitReason::Lingered { How::Lingered } else { How::TimedOut };
    classify(&RunEnd { how, log: Some(parser.finish()), stderr_tail: String::new(), now_ms: 0 })
}

#[tokio::test]
async fn a_process_that_stays_after_its_result_is_ended_and_the_result_stands() {
    for (script, success) in [(RESULT, true), (ERROR, false)] {
        let run = Run::of(&format!("{BEGIN} {script} trap '' TERM; sleep 60 & sleep 60; sleep 60"));
        let run = run.with(|s| (s.result_linger_s, s.grace_s) = (1, 1));
        let (started, record) = (Instant::now(), run.play().await);
        assert_eq!((&record.reason, record.exit_code), (&ExitReason::Lingered, Some(KILLED)));
        assert!(started.elapsed() < Duration::from_secs(25), "{:?}", started.elapsed());
        let outcome = judged(&run, &record);
        assert_eq!(matches!(outcome, Outcome::Success { .. }), success, "{outcome:?}");
        assert_eq!(matches!(outcome, Outcome::Transient { .. }), !success, "{outcome:?}");
        assert_eq!(run.marked(), Vec::<i32>::new(), "nothing of it lives");
    }
}

#[tokio::test]
async fn one_that_ends_by_itself_or_goes_on_working_is_left_alone() {
    let prompt = Run::of(&format!("{BEGIN} {RESULT} sleep 0.5; exit 3")).with(|s| s.result_linger_s = 20);
    let record = prompt.play().await;
    assert_eq!((record.reason, record.exit_code), (ExitReason::Exited, Some(3)));
    let say = r#"echo '{"type":"assistant","message":{}}';"#;
    let working = format!("{BEGIN} {RESULT} sleep 0.3; {BEGIN} {say} sleep 4; {RESULT} exit 0");
    let record = Run::of(&working).with(|s| s.result_linger_s = 2).play().await;
    assert_eq!((record.reason, record.exit_code), (ExitReason::Exited, Some(0)));
    let off = Run::of(&format!("{BEGIN} {RESULT} sleep 3; exit 0")).with(|s| s.result_linger_s = 0).play().await;
    assert_eq!((off.reason, off.exit_code), (ExitReason::Exited, Some(0)));
}

#[tokio::test]
async fn the_time_limit_is_the_time_limit_and_silence_after_the_result_is_none() {
    let late = Run::of(&format!("{BEGIN} {RESULT} sleep 60")).with(|s| (s.timeout_s, s.result_linger_s) = (2, 50));
    let record = late.play().await;
    assert_eq!(record.reason, ExitReason::TimedOut);
    assert!(matches!(judged(&late, &record), Outcome::Permanent { .. }), "a timeout is not judged by its log");
    let quiet = Run::of(&format!("{BEGIN} {RESULT} sleep 60")).with(|s| (s.stall_s, s.result_linger_s) = (1, 3));
    assert_eq!(quiet.play().await.reason, ExitReason::Lingered);
    let before = Run::of(&format!("{BEGIN} sleep 60")).with(|s| (s.stall_s, s.result_linger_s) = (1, 3));
    assert_eq!(before.play().await.reason, ExitReason::Stalled);
}

#[tokio::test]
async fn a_result_larger_than_the_log_may_be_is_judged_all_the_same() {
    // 3 MB of talk, a result of 3 MB whose deciding fields stand at both its ends, and a log of 1 MiB.
    let talk = r#"yes '{"type":"assistant","message":{"content":[]}}' | head -n 65000;"#;
    let script = format!(
        r#"{BEGIN} {talk} printf '{{"type":"result","num_turns":7,"result":"'; head -c 3000000 /dev/zero | tr '\0' x;
        printf '","subtype":"success","is_error":false,"total_cost_usd":0.25}}\n'; {BEGIN}"#
    );
    let run = Run::of(&script).with(|s| (s.log_cap_bytes, s.result_linger_s) = (1 << 20, 60));
    let record = run.play().await;
    assert_eq!((record.reason, record.exit_code), (ExitReason::Exited, Some(0)));
    let mut parser = LogParser::default();
    let mut text = Vec::new();
    let extent = read_log(&run.dir().log(), |bytes| {
        parser.feed(bytes);
        text.extend_from_slice(bytes);
    })
    .unwrap();
    assert!(extent.holes == 1 && extent.read < 4_000_000, "{extent:?}");
    let view = parser.finish();
    let usage = view.records.usage.unwrap();
    assert_eq!((view.records.session_id.as_deref(), usage.turns), (Some("s"), 7));
    assert!(view.records.result.is_some_and(|r| !r.is_error));
    // Whole lines, but for the mark.
    for line in String::from_utf8(text).unwrap().lines().filter(|line| !line.is_empty()) {
        assert!(serde_json::from_str::<serde_json::Value>(line).is_ok(), "{line:.80}");
    }
}
