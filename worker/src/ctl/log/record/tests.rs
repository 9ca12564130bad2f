use super::*;
use std::path::PathBuf;

fn shown(line: &str) -> Vec<String> {
    lines_of(line.as_bytes())
}

#[test]
fn what_an_agent_says_and_does() {
    for (record, lines) in [
        (
            r#"{"type":"system","subtype":"init","session_id":"s","model":"m","claude_code_version":"2"}"#,
            vec!["== session s, model m, claude 2"],
        ),
        (r#"{"type":"assistant","message":{"content":[{"type":"text","text":"a\nb"}]}}"#, vec!["a", "b"]),
        (
            r#"{"type":"assistant","message":{"content":[{"type":"tool_use","name":"Bash","input":{"command":"ls"}}]}}"#,
            vec!["-> Bash: ls"],
        ),
        (
            r#"{"type":"assistant","message":{"content":[{"type":"tool_use","name":"X","input":{"n":1}}]},"parent_tool_use_id":"t"}"#,
            vec![r#"   | -> X: {"n":1}"#],
        ),
        (
            r#"{"type":"user","message":{"content":[{"type":"tool_result","content":[{"type":"text","text":"out"},{"type":"image"}]}]}}"#,
            vec!["<- out", "<- (image)"],
        ),
        (
            r#"{"type":"user","message":{"content":[{"type":"tool_result","content":"no","is_error":true}]}}"#,
            vec!["<! no"],
        ),
        (
            r#"{"type":"system","subtype":"api_retry","attempt":1,"max_retries":2,"retry_delay_ms":1121.5,"error_status":429,"error":"rate_limit"}"#,
            vec!["!! retry 1 of 2 in 1.1 s: rate_limit (429)"],
        ),
        (
            r#"{"type":"rate_limit_event","rate_limit_info":{"status":"rejected","resetsAt":4102444800,"rateLimitType":"five_hour"}}"#,
            vec!["!! allowance five_hour: rejected, resets 2100-01-01T00:00:00Z"],
        ),
        (
            r#"{"type":"result","subtype":"error_max_turns","is_error":true,"errors":["Reached"],"num_turns":3,"duration_ms":1500,"total_cost_usd":0.5,"permission_denials":[{"tool_name":"Write"}]}"#,
            vec!["== result: failed (error_max_turns), 3 turns, 1.5 s, $0.5000", "!! Reached", "!! denied: Write"],
        ),
        (r#"{"type":"novelty"}"#, vec!["(novelty)"]),
        (r#"{"torn":"#, vec![r#"{"torn":"#]),
        ("error: unknown option", vec!["error: unknown option"]),
        (r#"{"type":7}"#, vec![r#"{"type":7}"#]),
    ] {
        assert_eq!(shown(record), lines, "{record}");
    }
}

#[test]
fn long_results_are_cut() {
    let text = (0..20).map(|n| n.to_string()).collect::<Vec<_>>().join("\\n");
    let lines =
        shown(&format!(r#"{{"type":"user","message":{{"content":[{{"type":"tool_result","content":"{text}"}}]}}}}"#));
    assert_eq!((lines.len(), lines[8].as_str()), (9, "<- ... 12 more lines"));
    let long = shown(&"x".repeat(5_000));
    assert_eq!(long[0].chars().count(), SHOWN_CHARS + 1);
}

/// Every recorded log of the CLI is shown, and ends in a result where it has one.
#[test]
fn recorded_logs_are_understood() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/claude");
    let mut seen = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|end| end != "jsonl") {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let lines: Vec<String> = text.lines().flat_map(shown).collect();
        assert!(!lines.iter().any(|line| line.contains("(system )") || line == "()"), "{}: {lines:?}", path.display());
        let results = lines.iter().filter(|line| line.starts_with("== result: ")).count();
        assert_eq!(results > 0, text.contains(r#""type":"result""#), "{}", path.display());
        seen += results;
    }
    assert!(seen > 20, "only {seen} results");
}
