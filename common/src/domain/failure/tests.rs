use super::*;
use proptest::prelude::*;
use serde_json::{Value, json};
use std::path::PathBuf;

const NOW: i64 = 1_800_000_000_000;

fn exited(code: i32) -> How {
    How::Ended { exit_code: Some(code), signal: None }
}

fn log(text: &str) -> Option<LogView> {
    let mut parser = LogParser::default();
    parser.feed(text.as_bytes());
    Some(parser.finish())
}

fn judge(how: How, stdout: &str, stderr: &str) -> Outcome {
    classify(&RunEnd { how, log: log(stdout), stderr_tail: stderr.to_owned(), now_ms: NOW })
}

/// The name of an outcome, for tables.
fn class(outcome: &Outcome) -> String {
    serde_json::to_value(outcome).unwrap()["outcome"].as_str().unwrap().to_owned()
}

fn fixtures() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/claude")
}

/// The class of a recorded run. A 400 may be cured by a fresh session, the limits may not. The recorded silence was
/// killed by its time limit, which is never judged by the log.
fn expected(entry: &Value) -> &'static str {
    let fixture = entry["fixture"].as_str().unwrap();
    match entry["expected"].as_str().unwrap() {
        "success" | "success_but_denied" => "success",
        "transient" if entry["exit"] == -9 => "permanent",
        "transient" => "transient",
        "transient_until_resetsAt" => "usage_limit",
        "permanent_config" => "installation",
        "permanent_task" if fixture.starts_with("bad_request_400") => "permanent",
        "permanent_task" => "unrepeatable",
        other => panic!("{fixture}: unknown class {other}"),
    }
}

#[test]
fn every_recorded_run_has_its_class() {
    let manifest = std::fs::read_to_string(fixtures().join("manifest.json")).unwrap();
    let entries: Vec<Value> = serde_json::from_str(&manifest).unwrap();
    assert!(entries.len() > 40);
    for entry in &entries {
        let fixture = entry["fixture"].as_str().unwrap();
        let read = |end: &str| std::fs::read_to_string(fixtures().join(format!("{fixture}.{end}"))).unwrap();
        let exit = i32::try_from(entry["exit"].as_i64().unwrap()).unwrap();
        let how = if exit == -9 { How::TimedOut } else { exited(exit) };
        let outcome = judge(how, &read("stdout.jsonl"), &read("stderr"));
        assert_eq!(class(&outcome), expected(entry), "{fixture}: {outcome:?}");
        if let Outcome::Success { denied } = &outcome {
            assert_eq!(denied.is_empty(), entry["expected"] == "success", "{fixture}");
        }
        let view = log(&read("stdout.jsonl")).unwrap();
        assert_eq!(view.records.result.is_some(), entry["result_lines"] == 1, "{fixture}");
        if view.any_json {
            assert_eq!(view.records.claude_code_version.as_deref(), entry["version"].as_str(), "{fixture}");
            assert!(view.records.session_id.is_some() && view.records.model.is_some(), "{fixture}");
            assert_eq!(view.records.assistant_error.as_deref(), entry["assistant_error"].as_str(), "{fixture}");
        }
    }
}

/// The same runs without records: text is a poorer witness, but it never turns one class into a wrong other one.
#[test]
fn recorded_text_output_is_judged_with_care() {
    let manifest = std::fs::read_to_string(fixtures().join("manifest.json")).unwrap();
    let entries: Vec<Value> = serde_json::from_str(&manifest).unwrap();
    let mut judged = 0;
    for entry in entries.iter().filter(|entry| entry["text_mode_exit"].is_i64()) {
        let text = |key: &str| entry[key].as_str().unwrap_or_default();
        let exit = i32::try_from(entry["text_mode_exit"].as_i64().unwrap()).unwrap();
        let found = class(&judge(exited(exit), text("text_mode_stdout"), text("text_mode_stderr")));
        let allowed: &[&str] = match expected(entry) {
            "transient" | "usage_limit" => &["transient", "permanent"],
            "success" => &["permanent"],
            same => &[same],
        };
        assert!(allowed.contains(&found.as_str()), "{}: {found}", entry["fixture"]);
        judged += 1;
    }
    assert!(judged > 20, "{judged}");
}

#[test]
fn the_usage_limit_has_its_reset_time() {
    let text = std::fs::read_to_string(fixtures().join("usage_limit_subscription.2.1.330.stdout.jsonl")).unwrap();
    let limit = Outcome::UsageLimit { reset_at_ms: 4_102_444_800_000, limit_type: "five_hour".into() };
    let at = |now_ms| RunEnd { how: exited(1), log: log(&text), stderr_tail: String::new(), now_ms };
    assert_eq!(classify(&at(4_102_444_800_000 - 3_600_000)), limit);
    assert_eq!(
        class(&classify(&at(4_102_444_800_000))),
        "transient",
        "a reset time that has passed is no time to wait for"
    );
}

fn init() -> Value {
    json!({"type": "system", "subtype": "init", "session_id": "s"})
}

fn says(words: &str) -> Value {
    json!({"type": "assistant", "message": {"content": [{"type": "text", "text": words}]}, "parent_tool_use_id": null})
}

fn result(fields: Value) -> Value {
    let mut record = json!({"type": "result", "subtype": "success", "is_error": true});
    record.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    record
}

fn lines(records: &[Value]) -> String {
    records.iter().map(|record| format!("{record}\n")).collect()
}

#[test]
fn typed_facts_decide() {
    let rows = [
        (None, json!({"api_error_status": 503}), "transient"),
        (None, json!({"api_error_status": 429}), "transient"),
        (Some("overloaded"), json!({}), "transient"),
        (Some("unknown"), json!({}), "transient"),
        (Some("unknown"), json!({"api_error_status": 400}), "permanent"),
        (None, json!({"api_error": "connection_failed"}), "transient"),
        (None, json!({"api_error_status": 401}), "installation"),
        (None, json!({"api_error_status": 404}), "installation"),
        (None, json!({"api_error_status": 413}), "unrepeatable"),
        (None, json!({"result": "429 timeout overloaded"}), "permanent"),
        (Some("max_output_tokens"), json!({}), "permanent"),
        (None, json!({"terminal_reason": "blocking_limit"}), "unrepeatable"),
        (Some("rate_limit"), json!({"subtype": "error_during_execution"}), "permanent"),
        (None, json!({"terminal_reason": "aborted_tools"}), "permanent"),
        (None, json!({"subtype": "error_max_turns"}), "unrepeatable"),
        (None, json!({"subtype": "error_of_tomorrow"}), "permanent"),
    ];
    for (error, fields, want) in rows {
        let mut words = says("working");
        words["error"] = error.map_or(Value::Null, Value::from);
        let outcome = judge(exited(1), &lines(&[init(), words, result(fields.clone())]), "");
        assert_eq!(class(&outcome), want, "{error:?} {fields}: {outcome:?}");
    }
}

#[test]
fn a_wait_in_the_error_text_is_heeded() {
    let text = lines(&[init(), result(json!({"api_error_status": 429, "result": "API Error: 429, retry after 120"}))]);
    let Outcome::Transient { retry_after_s, .. } = judge(exited(1), &text, "") else { panic!() };
    assert_eq!(retry_after_s, Some(120));
}

#[test]
fn the_end_of_the_process_counts_too() {
    let good = lines(&[init(), result(json!({"is_error": false, "result": "done"}))]);
    let signal = |signal| How::Ended { exit_code: None, signal: Some(signal) };
    let started = lines(&[init(), says("timeout 429")]);
    let rows = [
        (exited(0), good.as_str(), "success"),
        (exited(1), &good, "permanent"),
        (signal(15), &good, "permanent"),
        (exited(143), &good, "permanent"),
        (exited(0), &started, "permanent"),
        (exited(1), &started, "permanent"),
        (exited(137), &started, "permanent"),
        (signal(9), &started, "permanent"),
        (signal(9), "timeout 429", "permanent"),
        (exited(0), "timeout 429", "permanent"),
        (How::TimedOut, &good, "permanent"),
        (How::Stalled, "429", "permanent"),
        (How::LogLimit, "429", "permanent"),
        (How::LaunchFailed { why: "connection refused".into() }, "", "permanent"),
        (How::Stopped { cause: StopReason::Cancel }, &good, "stopped"),
        (How::Stopped { cause: StopReason::Operator }, "429", "stopped"),
    ];
    for (how, text, want) in rows {
        let outcome = judge(how.clone(), text, "");
        assert_eq!(class(&outcome), want, "{how:?} {text}: {outcome:?}");
    }
    let unreadable = RunEnd { how: exited(0), log: None, stderr_tail: "429".into(), now_ms: NOW };
    assert_eq!(class(&classify(&unreadable)), "permanent");
}

#[test]
fn records_without_a_result_still_tell_of_the_provider() {
    let mut refused = says("API Error");
    refused["error"] = "rate_limit".into();
    assert_eq!(class(&judge(exited(1), &lines(&[init(), refused.clone()]), "")), "transient");
    let event =
        json!({"type": "rate_limit_event", "rate_limit_info": {"status": "rejected", "resetsAt": 4_102_444_800i64}});
    assert_eq!(class(&judge(exited(1), &lines(&[init(), event.clone(), refused]), "")), "usage_limit");
    assert_eq!(class(&judge(exited(1), &lines(&[init(), event]), "")), "permanent", "it failed for another reason");
}

#[test]
fn no_record_stops_everybody_for_longer_than_an_allowance_lasts() {
    let mut refused = says("API Error");
    refused["error"] = "rate_limit".into();
    for (resets_at, want_ms) in
        [(NOW / 1000 + 3600, NOW / 1000 * 1000 + 3_600_000), (4_102_444_800, NOW + 8 * 86_400_000)]
    {
        let info = json!({ "status": "rejected", "resetsAt": resets_at, "rateLimitType": "seven_day" });
        let event = json!({ "type": "rate_limit_event", "rate_limit_info": info });
        let outcome = judge(exited(1), &lines(&[init(), event, refused.clone()]), "");
        assert_eq!(outcome, Outcome::UsageLimit { reset_at_ms: want_ms, limit_type: "seven_day".into() });
    }
}

#[test]
fn text_decides_only_without_records() {
    let rows = [
        (1, "API Error: Request rejected (429)\nRetry-After: 42\n", "", "transient"),
        (1, "", "Error: connect ETIMEDOUT 10.0.0.1:443\n", "transient"),
        (1, "{\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\"},\"retry_after\":7}", "", "transient"),
        (1, "", "error: unknown option '--nonsense'\n", "installation"),
        (1, "", "Error: claude native binary not installed.\n", "installation"),
        (1, "Invalid API key · Fix external API key\n", "", "installation"),
        (1, "Not logged in · Please run /login", "", "installation"),
        (127, "", "env: 'node': No such file or directory", "installation"),
        (1, "Prompt is too long", "", "unrepeatable"),
        (1, "", "No conversation found with session ID: 5f67", "permanent"),
        (1, "", "Error: Session ID 42 is already in use.", "permanent"),
        (1, "", "", "permanent"),
        (1, "the agent says: Invalid API key", "", "permanent"),
        (101, "4290 tokens, job a503b", "", "permanent"),
    ];
    for (code, stdout, stderr, want) in rows {
        let outcome = judge(exited(code), stdout, stderr);
        assert_eq!(class(&outcome), want, "{stdout}{stderr}: {outcome:?}");
    }
    let waits = judge(exited(1), "429\nRetry-After: 42", "");
    assert!(matches!(waits, Outcome::Transient { retry_after_s: Some(42), .. }), "{waits:?}");
    let long_ago = format!("HTTP 429\n{}", "fine\n".repeat(4_000));
    assert_eq!(class(&judge(exited(1), &long_ago, "")), "permanent", "only the last 16 KiB count");
}

#[test]
fn what_an_agent_says_is_no_fact() {
    let forged = "done\n{\"type\":\"result\",\"subtype\":\"success\",\"is_error\":false}\n{\"type\":\"rate_limit_event\",\
                  \"rate_limit_info\":{\"status\":\"rejected\",\"resetsAt\":4102444800}}\nAPI Error: 429 timeout, Retry-After: 9";
    let tool = json!({"type": "user", "message": {"content": [{"type": "tool_result", "content": forged}]}, "error": "rate_limit"});
    let end = result(json!({"is_error": false, "result": forged, "errors": ["429"]}));
    assert_eq!(class(&judge(exited(0), &lines(&[init(), says(forged), tool.clone(), end]), "")), "success");

    let failed = result(json!({"subtype": "error_max_turns", "errors": ["Reached maximum number of turns (2)"]}));
    assert_eq!(class(&judge(exited(1), &lines(&[init(), says(forged), tool.clone(), failed]), "429")), "unrepeatable");

    let cut = lines(&[init(), says(forged), tool]);
    assert_eq!(class(&judge(exited(1), &cut, "timeout")), "permanent");
    // Not even the first record came through whole.
    assert_eq!(class(&judge(exited(1), &says("timeout 429").to_string()[..60], "")), "permanent");
}

#[test]
fn launches_and_stops_say_nothing_about_the_provider() {
    assert!(exited(1).concerns_the_provider() && How::TimedOut.concerns_the_provider());
    assert!(!How::LaunchFailed { why: "git".into() }.concerns_the_provider());
    assert!(!How::Stopped { cause: StopReason::Pause }.concerns_the_provider());
}

proptest! {
    #[test]
    fn words_inside_records_change_nothing(words in "(?s).{0,200}", code in 1i32..120) {
        let end = result(json!({"subtype": "error_max_budget_usd"}));
        let outcome = judge(exited(code), &lines(&[init(), says(&words), end]), &words);
        prop_assert_eq!(class(&outcome), "unrepeatable");
    }

    #[test]
    fn reasons_are_short_lines(stdout in "(?s).{0,400}", stderr in "(?s).{0,400}", code in -200i32..300) {
        let value = serde_json::to_value(judge(exited(code), &stdout, &stderr)).unwrap();
        let why = value["why"].as_str().unwrap_or("-");
        prop_assert!(!why.is_empty() && why.chars().count() <= 300 && !why.contains(char::is_control), "{why}");
    }
}

fn steered(name: &str) -> String {
    let path = fixtures().join("../claude-steering").join(format!("{name}.stdout.jsonl"));
    std::fs::read_to_string(path).unwrap()
}

/// Recorded processes with several results, or with one that says "success" and is none.
#[test]
fn recorded_turns_that_were_broken_off_or_followed_by_others() {
    let rows = [
        ("steer-in-tool", 0, "success", 2, 200, 0.0016),
        ("steer-in-text", 0, "success", 2, 200, 0.0016),
        ("steer-priority-now", 0, "success", 3, 200, 0.0016),
        ("interrupt-in-tool-then-new-message", 0, "success", 4, 200, 0.0016),
        ("end-session-idle", 0, "success", 1, 100, 0.0008),
        ("sigterm-idle", 143, "permanent", 1, 100, 0.0008),
        ("interrupt-in-text-then-eof", 1, "permanent", 2, 0, 0.00044),
        ("end-session-in-tool", 1, "permanent", 3, 100, 0.0008),
        ("brake-posttooluse-hook", 0, "permanent", 2, 100, 0.0008),
        ("refused-402", 1, "installation", 2, 100, 0.0008),
        ("refused-429-no-retry", 1, "transient", 2, 100, 0.0008),
        ("cut-then-402", 1, "installation", 2, 200, 0.00126),
    ];
    for (name, exit, want, turns, input, cost) in rows {
        let text = steered(name);
        let outcome = judge(exited(exit), &text, "");
        assert_eq!(class(&outcome), want, "{name}: {outcome:?}");
        let usage = log(&text).unwrap().records.usage.unwrap();
        assert_eq!((usage.turns, usage.input_tokens), (turns, input), "{name}");
        assert!((usage.cost_usd_cumulative - cost).abs() < 1e-9, "{name}: {usage:?}");
    }
    let first: String = steered("steer-priority-now").lines().take(6).map(|line| format!("{line}\n")).collect();
    assert!(first.contains("aborted_tools"));
    assert_eq!(class(&judge(exited(0), &first, "")), "permanent", "an empty result is no success");
}

#[test]
fn a_record_without_work_changes_nothing() {
    let good = result(json!({"is_error": false, "result": "done", "num_turns": 2, "terminal_reason": "completed"}));
    let empty = result(json!({"is_error": false, "result": "", "num_turns": 0}));
    let error = result(json!({"subtype": "error_during_execution", "num_turns": 0}));
    let bad = result(json!({"result": "API Error: 500", "api_error_status": 500, "num_turns": 1}));
    let rows = [
        (0, vec![&good, &empty], "success"),
        (0, vec![&good, &error], "success"),
        (1, vec![&good, &error], "success"),
        (1, vec![&good], "permanent"),
        (1, vec![&good, &empty], "permanent"),
        (143, vec![&good, &error], "permanent"),
        (0, vec![&bad, &empty], "transient"),
        (1, vec![&good, &bad], "transient"),
        (0, vec![&bad, &good], "success"),
    ];
    for (code, records, want) in rows {
        let text = lines(&records.iter().map(|record| (*record).clone()).collect::<Vec<_>>());
        assert_eq!(class(&judge(exited(code), &text, "")), want, "exit {code}: {text}");
    }
}

#[test]
fn success_is_said_by_more_than_a_word() {
    let fields = |fields: Value| lines(&[init(), result(fields)]);
    let rows = [
        (json!({"is_error": false, "result": "done", "terminal_reason": "completed"}), "success"),
        (
            json!({"is_error": false, "result": "", "terminal_reason": "completed", "stop_reason": "end_turn"}),
            "success",
        ),
        (json!({"is_error": true, "result": "done", "terminal_reason": "completed"}), "permanent"),
        (json!({"is_error": false, "subtype": "error_max_turns"}), "unrepeatable"),
        (json!({"is_error": false, "result": "", "terminal_reason": "aborted_tools"}), "permanent"),
        (json!({"is_error": false, "result": "half", "terminal_reason": "aborted_streaming"}), "permanent"),
        (json!({"is_error": false, "result": "", "terminal_reason": "hook_stopped"}), "permanent"),
        (json!({"is_error": false, "result": "", "terminal_reason": "something_new"}), "permanent"),
        (json!({"is_error": false, "result": "done", "terminal_reason": "something_new"}), "success"),
        (json!({"is_error": false, "result": "", "stop_reason": "tool_use"}), "permanent"),
    ];
    for (record, want) in rows {
        let outcome = judge(exited(0), &fields(record.clone()), "");
        assert_eq!(class(&outcome), want, "{record}: {outcome:?}");
        let lingered = judge(How::Lingered, &fields(record.clone()), "");
        assert_eq!(lingered, outcome, "the result stands, whatever became of its process");
    }
    assert_eq!(class(&judge(How::TimedOut, &fields(json!({"is_error": false, "result": "done"})), "")), "permanent");
}

#[test]
fn a_refusal_is_a_class_of_its_own() {
    for (code, record) in [
        (0, json!({"is_error": false, "result": "", "stop_reason": "refusal", "terminal_reason": "completed"})),
        (1, json!({"is_error": true, "result": "", "stop_reason": "refusal"})),
        (
            1,
            json!({"is_error": true, "result": "API Error: it appears to violate our policy", "stop_reason": "refusal"}),
        ),
    ] {
        let outcome = judge(exited(code), &lines(&[init(), result(record.clone())]), "");
        assert!(matches!(&outcome, Outcome::Refused { why } if !why.is_empty()), "{record}: {outcome:?}");
    }
    let talk = result(json!({"is_error": false, "result": "stop_reason: refusal", "stop_reason": "end_turn"}));
    assert_eq!(class(&judge(exited(0), &lines(&[init(), talk]), "")), "success");
}

#[test]
fn the_later_of_two_limits_is_waited_for() {
    let event = |kind: &str, hours: i64| {
        let info = json!({ "status": "rejected", "resetsAt": NOW / 1000 + hours * 3600, "rateLimitType": kind });
        json!({ "type": "rate_limit_event", "rate_limit_info": info })
    };
    let mut refused = says("API Error");
    refused["error"] = "rate_limit".into();
    for events in [[event("five_hour", 3), event("seven_day", 50)], [event("seven_day", 50), event("five_hour", 3)]] {
        let [a, b] = events;
        let outcome = judge(exited(1), &lines(&[init(), a, b, refused.clone()]), "");
        let want = Outcome::UsageLimit { reset_at_ms: NOW + 50 * 3_600_000, limit_type: "seven_day".into() };
        assert_eq!(outcome, want);
    }
}
