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
    let reset = |lines: &[String]| {
        view(&lines.join("\n")).records.longest_limit().cloned().map(|r| (r.limit_type, r.reset_at_ms))
    };
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

#[test]
fn half_a_character_spoils_no_record() {
    for text in [r"done \ud82d", r"\ude00", r"\ud82d\ud82d", "a\u{1b}[0m\u{0}b"] {
        let line = RESULT.replace("done", text);
        let said =
            format!(r#"{{"type":"assistant","session_id":"s-1","message":{{"content":[{{"text":"{text}"}}]}}}}"#);
        let records = view(&format!("{INIT}\n{said}\n{line}\n")).records;
        assert!(records.result.is_some_and(|result| !result.is_error), "{text}");
        assert_eq!((records.said, records.usage.unwrap().turns), (1, 2), "{text}");
    }
}

#[test]
fn bytes_around_a_record_are_passed_over() {
    for before in ["\u{feff}", "\u{1b}[2K\r", "\u{1b}]0;claude\u{7}", "\0\0", "\t ", INIT, "\u{1b}[?25l"] {
        for end in ["\n", "\r\n", "\r", "\u{1b}[0m\r\n", ""] {
            let view = view(&format!("{before}{INIT}{end}{before}{RESULT}{end}"));
            assert_eq!(view.records.result.as_ref().map(|r| r.text.as_str()), Some("done"), "{before:?} {end:?}");
            assert_eq!(view.records.session_id.as_deref(), Some("s-1"));
        }
    }
}

/// Behind words on its line, a record must name the session: words can be anybody's.
#[test]
fn words_before_a_record_need_its_session() {
    let own = RESULT.replacen('{', r#"{"session_id":"s-1","#, 1);
    let result = |text: &str| view(text).records.result.map(|r| r.text);
    assert_eq!(result(&format!("{INIT}\n(node:7) Warning: x {own}\n")).as_deref(), Some("done"));
    assert_eq!(result(&format!("progress 50 %{INIT}\n{RESULT}\n")).as_deref(), Some("done"));
    for text in [
        format!("{INIT}\nthe agent says: {RESULT}\n"),
        format!("{INIT}\nthe agent says: {}\n", own.replace("s-1", "s-2")),
        format!("the agent says: {own}\n"),
        format!("{INIT}\n[{own}]x\n").replace("s-1\",\"u", "s-2\",\"u"),
    ] {
        assert_eq!(result(&text), None, "{text}");
    }
    let plain = view(&format!("Error: 429\nthe agent says: {own}\n"));
    assert!(!plain.any_json, "it is no output of a CLI with records");
}

#[test]
fn records_of_fifty_megabytes() {
    let long = format!("{}\\n", "x".repeat(998)).repeat(50_000);
    let said = format!(r#"{{"type":"assistant","session_id":"s-1","message":{{"content":[{{"text":"{long}"}}]}}}}"#);
    let found = view(&format!("{INIT}\n{said}\n{RESULT}\n")).records;
    assert_eq!((found.said, found.result.unwrap().text.as_str()), (1, "done"));
    let found = view(&format!("{INIT}\n{}\n", RESULT.replace("done", &long))).records;
    assert_eq!(found.usage.unwrap().input_tokens, 7, "fields on both sides of the text are read");
    assert!(!found.result.unwrap().is_error);
    let torn = view(&format!("{INIT}\n{}", &said[..said.len() - 9]));
    assert_eq!((torn.any_json, torn.records.said), (true, 0));
}

#[test]
fn shapes_that_nobody_knows() {
    let deep = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
    for value in ["7", "null", "[]", "{}", "\"x\"", "[[1]]", &deep] {
        let odd = format!(
            r#"{{"type":"assistant","message":{value},"error":{value}}}
{{"type":"rate_limit_event","rate_limit_info":{value}}}
{{"type":{value},"subtype":{value}}}
{{"type":"system","subtype":{value},"session_id":{value},"tool_name":{value}}}"#
        );
        let records = view(&format!("{INIT}\n{odd}\n{RESULT}\n")).records;
        assert_eq!(
            (records.result.unwrap().text.as_str(), records.session_id.as_deref()),
            ("done", Some("s-1")),
            "{value:.40}"
        );
    }
}

#[test]
fn the_last_result_that_ended_work_decides_and_all_are_summed() {
    let empty = r#"{"type":"result","subtype":"success","is_error":false,"result":"","num_turns":0,"total_cost_usd":0,"usage":{"input_tokens":0}}"#;
    let failed = empty.replace("success", "error_during_execution").replace("false", "true");
    let bare = r#"{"type":"result","subtype":"success","is_error":true}"#;
    for spurious in [empty, &failed, bare, r#"{"type":"result"}"#] {
        let records = view(&format!("{INIT}\n{RESULT}\n{spurious}\n")).records;
        let usage = records.usage.unwrap();
        assert_eq!(records.result.unwrap().text, "done", "{spurious}");
        assert_eq!((usage.turns, usage.input_tokens, usage.output_tokens), (2, 7, 2), "{spurious}");
        assert!((usage.cost_usd_cumulative - 0.5).abs() < 1e-9, "{spurious}");
    }
    let second = RESULT.replace("0.5", "0.8").replace("done", "more").replace("\"num_turns\":2", "\"num_turns\":3");
    let records = view(&format!("{RESULT}\n{second}\n")).records;
    let usage = records.usage.unwrap();
    assert_eq!((records.result.unwrap().text.as_str(), usage.turns, usage.input_tokens), ("more", 5, 14));
    assert_eq!((usage.cache_read_tokens, usage.cache_creation_tokens), (6, 8));
    assert!((usage.cost_usd_cumulative - 0.8).abs() < 1e-9, "the cost is the process's, not a sum");
    // A failed call costs nothing, but the model's line is there.
    let words = r#"{"type":"assistant","message":{"content":[]}}"#;
    let records = view(&format!("{RESULT}\n{words}\n{failed}\n")).records;
    assert!(records.result.unwrap().is_error, "a turn that failed has ended, too");
    assert!(view(&failed).records.result.unwrap().is_error, "the only one decides");
}

#[test]
fn of_several_limits_the_later_counts() {
    let event = |status: &str, kind: &str, reset: i64| {
        format!(
            r#"{{"type":"rate_limit_event","rate_limit_info":{{"status":"{status}","resetsAt":{reset},"rateLimitType":"{kind}"}}}}"#
        )
    };
    let limit = |lines: &[String]| {
        view(&lines.join("\n")).records.longest_limit().map(|r| (r.limit_type.clone(), r.reset_at_ms.unwrap()))
    };
    let (hours, week) = (event("rejected", "five_hour", 4_000_000_000), event("rejected", "seven_day", 4_100_000_000));
    let (late, early) = (Some(("seven_day".into(), 4_100_000_000_000)), Some(("five_hour".into(), 4_000_000_000_000)));
    assert_eq!(limit(&[hours.clone(), week.clone()]), late);
    assert_eq!(limit(&[week.clone(), hours.clone()]), late);
    assert_eq!(limit(&[week.clone(), event("allowed", "five_hour", 1)]), late);
    assert_eq!(limit(&[hours.clone(), week.clone(), event("allowed", "seven_day", 1)]), early);
    assert_eq!(limit(&[week, hours, event("allowed", "seven_day", 1), event("allowed_warning", "five_hour", 1)]), None);
    let many: Vec<String> = (0..10_000).map(|n| event("rejected", &format!("kind {n}"), n)).collect();
    assert!(view(&many.join("\n")).records.rejected.len() <= 16);
}

#[test]
fn refused_tools_are_bounded() {
    let seen: String = (0..5_000)
        .map(|n| {
            format!(
                "{{\"type\":\"system\",\"subtype\":\"permission_denied\",\"tool_name\":\"t{n}{}\"}}\n",
                "x".repeat(500)
            )
        })
        .collect();
    let denied = view(&seen).records.denied;
    assert_eq!((denied.len(), denied.iter().map(|d| d.count).sum::<u32>()), (21, 5_000));
    assert!(denied.iter().all(|d| d.tool.chars().count() <= 60));
    assert_eq!(denied.last().map(|d| (d.tool.as_str(), d.count)), Some(("others", 4_980)));
    let list: Vec<String> = (0..500).map(|n| format!("{{\"tool_name\":\"t{n}\\n\"}}")).collect();
    let denied = view(&format!("{{\"type\":\"result\",\"permission_denials\":[{}]}}", list.join(","))).records.denied;
    assert!(denied.len() == 21 && denied.iter().all(|d| !d.tool.contains('\n')));
}
