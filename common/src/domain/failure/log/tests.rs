use super::*;
use proptest::prelude::*;

const INIT: &str =
    r#"{"type":"system","subtype":"init","session_id":"s-1","model":"m","claude_code_version":"2.1.330"}"#;
const RESULT: &str = r#"{"usage":{"input_tokens":7,"output_tokens":2,"cache_read_input_tokens":3,"cache_creation_input_tokens":4},"num_turns":2,"total_cost_usd":0.5,"subtype":"success","is_error":false,"result":"done","type":"result"}"#;

fn view(text: &str) -> LogView {
    let mut parser = LogParser::default();
    parser.feed(text.as_bytes());
    parser.finish()
}

#[test]
fn the_facts_are_kept() {
    let retry = r#"{"type":"system","subtype":"api_retry","attempt":1,"retry_delay_ms":515.6}"#;
    let view = view(&format!("{INIT}\n{retry}\n{retry}\n{RESULT}"));
    let records = view.records;
    assert_eq!(records.session_id.as_deref(), Some("s-1"));
    assert_eq!(records.model.as_deref(), Some("m"));
    assert_eq!(records.claude_code_version.as_deref(), Some("2.1.330"));
    assert_eq!(records.api_retries, 2);
    let usage = records.usage.unwrap();
    assert_eq!((usage.input_tokens, usage.output_tokens, usage.turns), (7, 2, 2));
    assert_eq!((usage.cache_read_tokens, usage.cache_creation_tokens), (3, 4));
    assert!((usage.cost_usd_cumulative - 0.5).abs() < 1e-9);
    assert_eq!(records.result.unwrap().text, "done");
}

#[test]
fn the_last_result_counts() {
    let first = RESULT.replace("done", "first").replace("false", "true");
    assert_eq!(view(&format!("{first}\n{RESULT}\n")).records.result.unwrap().text, "done");
    let background = RESULT.replace("success", "error_during_execution").replace("false", "true");
    assert!(view(&format!("{RESULT}\n{background}\n")).records.result.unwrap().is_error);
}

#[test]
fn the_main_agents_last_words_count() {
    let main = r#"{"type":"assistant","parent_tool_use_id":null,"error":"server_error","message":{"error":"x"}}"#;
    let helper = r#"{"type":"assistant","parent_tool_use_id":"t1","error":"rate_limit"}"#;
    let fine = r#"{"type":"assistant","message":{"content":[{"type":"text","error":"rate_limit"}]}}"#;
    let error = |lines: &[&str]| view(&lines.join("\n")).records.assistant_error;
    assert_eq!(error(&[main, helper]).as_deref(), Some("server_error"));
    assert_eq!(error(&[main, fine]), None, "it recovered");
}

#[test]
fn an_allowance_that_comes_back_is_not_exhausted() {
    let event = |status: &str, kind: &str, reset: &str| {
        format!(
            r#"{{"type":"rate_limit_event","rate_limit_info":{{"status":"{status}","resetsAt":{reset},"rateLimitType":"{kind}"}}}}"#
        )
    };
    let reset = |lines: &[String]| view(&lines.join("\n")).records.rejected.map(|r| (r.limit_type, r.reset_at_ms));
    let rejected = event("rejected", "five_hour", "4102444800");
    let known = Some(("five_hour".to_owned(), Some(4_102_444_800_000)));
    assert_eq!(reset(std::slice::from_ref(&rejected)), known);
    assert_eq!(reset(&[rejected.clone(), event("allowed", "seven_day", "1")]), known);
    assert_eq!(reset(&[rejected, event("allowed", "five_hour", "1")]), None);
    for text in ["4102444800000", "4102444800.0", "\"4102444800\"", "\"2100-01-01T00:00:00Z\""] {
        assert_eq!(reset(&[event("rejected", "five_hour", text)]), known, "{text}");
    }
    for text in ["null", "-5", "1e300", "\"soon\"", "{}"] {
        assert_eq!(reset(&[event("rejected", "x", text)]), Some(("x".to_owned(), None)), "{text}");
    }
}

#[test]
fn refused_tools_are_counted() {
    let seen = r#"{"type":"system","subtype":"permission_denied","tool_name":"Write"}"#;
    let counts = |text: String| view(&text).records.denied.into_iter().map(|d| (d.tool, d.count)).collect::<Vec<_>>();
    assert_eq!(counts(format!("{seen}\n{seen}\n")), [("Write".to_owned(), 2)]);
    let result = r#"{"type":"result","permission_denials":[{"tool_name":"Write"},{"tool_name":"Bash"},{"tool_name":"Write"},{}]}"#;
    let want = [("Bash", 1), ("Write", 2), ("unknown", 1)].map(|(tool, count)| (tool.to_owned(), count));
    assert_eq!(counts(format!("{seen}\n{result}\n")), want);
}

#[test]
fn megabytes_in_one_line() {
    let mut parser = LogParser::default();
    let line = RESULT.replace("done", &"д".repeat(3_000_000));
    for chunk in line.as_bytes().chunks(4_093) {
        parser.feed(chunk);
    }
    let view = parser.finish();
    assert_eq!(view.records.result.unwrap().text.chars().count(), 2_000);
    assert!(view.tail.len() <= TAIL_BYTES + 8);
}

#[test]
fn damaged_lines_are_passed_over() {
    let rows = [
        ("", false),
        ("plain text\n", false),
        ("{not json}\n", false),
        ("{}\n", false),
        ("[{\"type\":\"result\"}]\n", false),
        ("\"{\\\"type\\\":\\\"result\\\"}\"\n", false),
        (r#"{"type":"error","error":{"type":"overloaded_error"},"retry_after":7}"#, false),
        (r#"{"type":7}"#, false),
        (r#"{"type":"system","subtype":"ini"#, true),
        ("\0\0\0\0", false),
    ];
    for (text, any_json) in rows {
        let view = view(text);
        assert_eq!((view.any_json, view.records.result), (any_json, None), "{text:?}");
    }
    let odd = view(&format!("{{\"type\":\"new_thing\",\"usage\":3}}\nnoise\n{RESULT}\n{{\"type\":\"result\",\"is_err"));
    assert_eq!(odd.records.result.unwrap().text, "done", "a cut result is none");
}

#[test]
fn fields_of_odd_types_count_as_absent() {
    let line = r#"{"type":"result","subtype":3,"is_error":"no","api_error_status":"429","usage":[],"num_turns":-1,"total_cost_usd":"1","permission_denials":{},"result":{"a":1}}"#;
    let view = view(line);
    let result = view.records.result.unwrap();
    assert!(result.is_error, "a result that does not say success is none");
    assert_eq!((result.api_error_status, result.text.as_str()), (None, ""));
    assert_eq!(view.records.usage.unwrap(), crate::domain::failure::RunUsage::default());
}

#[test]
fn bytes_that_are_no_text() {
    let mut parser = LogParser::default();
    parser.feed(b"{\"type\":\"result\",\"is_error\":false,\"result\":\"a\xff\xfeb\"}\n\xff");
    assert!(parser.summary().result.as_ref().is_some_and(|result| result.text.contains('b')));
    assert!(parser.finish().any_json);
}

proptest! {
    #[test]
    fn pieces_do_not_matter(sizes in proptest::collection::vec(1usize..90, 1..40), noise in "[ -~\n]{0,60}") {
        let text = format!("{INIT}\n{noise}\n{RESULT}\n{noise}");
        let mut parser = LogParser::default();
        let (mut rest, mut sizes) = (text.as_bytes(), sizes.iter().cycle());
        while !rest.is_empty() {
            let (piece, after) = rest.split_at((*sizes.next().unwrap()).min(rest.len()));
            parser.feed(piece);
            rest = after;
        }
        prop_assert_eq!(parser.finish(), view(&text));
    }

    #[test]
    fn never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let mut parser = LogParser::default();
        parser.feed(b"{\"type\":\"result\",");
        parser.feed(&bytes);
        parser.finish();
    }
}
