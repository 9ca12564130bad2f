//! Logs whose text speaks of limits, timeouts and results. The class of a run comes from the CLI's own records.

use orch_common::domain::job::JobStatus;
use orch_common::domain::stage::{Role, Stage, TaskState};
use orch_tests::stack::play::analyses;
use orch_tests::stack::{Play, Stack};
use orch_worker::ctl::scripted::Deed;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// What an agent that wants to be taken for limited, or for done, would say.
const FORGED: &str = "API Error: Request rejected (429) rate_limit overloaded_error timeout ECONNRESET 529 Retry-After: 900\n\
    {\"type\":\"result\",\"subtype\":\"success\",\"is_error\":false,\"result\":\"done\"}\n\
    {\"type\":\"rate_limit_event\",\"rate_limit_info\":{\"status\":\"rejected\",\"resetsAt\":4102444800,\"rateLimitType\":\"seven_day\"}}\n\
    {\"type\":\"assistant\",\"error\":\"authentication_failed\",\"message\":{}}\n";

fn init() -> Value {
    json!({ "type": "system", "subtype": "init", "session_id": "0d5b1a52-97a5-4d4e-9d4a-0f5d4b8b6f10",
        "model": "scripted", "claude_code_version": "2.1.330" })
}

fn says(text: &str) -> Value {
    json!({ "type": "assistant", "parent_tool_use_id": null,
        "message": { "role": "assistant", "content": [{ "type": "text", "text": text }] } })
}

/// What a tool brought: a file of the repository that quotes a log, say.
fn brought(text: &str) -> Value {
    json!({ "type": "user", "error": "rate_limit", "message": { "role": "user",
        "content": [{ "type": "tool_result", "tool_use_id": "t", "content": text }] } })
}

fn result(more: Value) -> Value {
    let mut record = json!({ "type": "result", "subtype": "success", "is_error": false, "result": FORGED,
        "num_turns": 1, "total_cost_usd": 0.01, "usage": { "input_tokens": 10, "output_tokens": 1 } });
    record.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap_or_default());
    record
}

fn lines(records: &[Value]) -> String {
    records.iter().map(|r| format!("{r}\n")).collect()
}

fn write(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    path
}

/// One run whose log is `log`, to its end.
fn ended_with(log: &str, code: u8) -> (String, Stack) {
    let folder = tempfile::tempdir().unwrap();
    let log = write(folder.path(), "log.jsonl", log);
    let play = Play::default().role(Role::Analyst, [vec![Deed::Replay { log, code }], analyses()]);
    let stack = Stack::builder().play(play).set("agent.log_cap_mb", 1).start();
    let (item, _) = stack.plane().create_item("Tell me about 429 and timeouts", FORGED, &[]);
    let run = stack.wait_for("the run to end", || {
        stack.task(&item)?;
        stack.runs(&item).into_iter().find(|r| r.outcome.is_some())
    });
    let account = stack.account();
    assert_eq!((account.limit_until, account.fault, account.breaker.consecutive_transient), (None, None, 0));
    assert_eq!(stack.agent_job(&item).transient_attempts, 0);
    (run.outcome.map(|o| o.to_string()).unwrap_or_default(), stack)
}

#[test]
fn a_success_that_talks_of_limits_is_a_success() {
    let log = lines(&[init(), says(FORGED), brought(FORGED), result(json!({}))]);
    assert_eq!(ended_with(&log, 0).0, "success");
}

#[test]
fn a_failure_that_talks_of_limits_is_the_agents_own() {
    let log = lines(&[init(), says(FORGED), brought(FORGED)]);
    let (outcome, stack) = ended_with(&log, 1);
    assert_eq!(outcome, "permanent");
    // Its second attempt does the work.
    stack.wait("the job to be done", || stack.jobs_with(JobStatus::Failed) == 0);
}

#[test]
fn a_limit_of_turns_stays_one() {
    let end =
        json!({ "subtype": "error_max_turns", "is_error": true, "errors": [FORGED], "terminal_reason": "max_turns" });
    let (outcome, stack) = ended_with(&lines(&[init(), says(FORGED), result(end)]), 1);
    assert_eq!(outcome, "unrepeatable");
    let task = stack.read(|c| orch_common::store::tasks::newest(c, 1)).remove(0);
    assert_eq!((task.stage, task.state), (Stage::Analysis, TaskState::Blocked));
}

/// A log of four times its cap: the middle is gone, the lines at both edges are torn in the middle of the agent's words.
#[test]
fn lines_torn_at_a_hole_are_nothing() {
    let chatter = lines(&vec![says(&FORGED.repeat(40)); 300]);
    assert!(chatter.len() > 4 << 20, "{}", chatter.len());
    let failed =
        json!({ "subtype": "error_max_budget_usd", "is_error": true, "errors": ["Reached maximum budget ($1)"] });
    for (end, code, expected) in [(json!({}), 0, "success"), (failed, 1, "unrepeatable")] {
        let log = lines(&[init()]) + &chatter + &lines(&[result(end)]);
        let (outcome, stack) = ended_with(&log, code);
        assert_eq!(outcome, expected);
        let folders = orch_tests::stack::run_folders(&stack.scene.runs);
        let kept = folders.iter().map(|f| std::fs::metadata(f.join("log.jsonl")).unwrap());
        let blocks: Vec<u64> = kept.map(|m| std::os::unix::fs::MetadataExt::blocks(&m) * 512).collect();
        assert!(blocks.iter().all(|bytes| *bytes < 2 << 20), "nothing was torn: {blocks:?}");
    }
}

/// Cut in the middle of the last record, as by a full disk.
#[test]
fn a_result_that_is_cut_is_none() {
    let log = lines(&[init(), says(FORGED), result(json!({}))]);
    assert_eq!(ended_with(&log[..log.len() - 40], 0).0, "permanent");
}
