use super::*;
use crate::domain::failure::LogParser;
use proptest::prelude::*;
use serde_json::json;
use std::path::PathBuf;

fn meter(lines: &[Value]) -> Meter {
    let mut parser = LogParser::default();
    lines.iter().for_each(|line| parser.feed(format!("{line}\n").as_bytes()));
    parser.finish().records.meter
}

fn tally(lines: &[Value]) -> Tally {
    meter(lines).tally(&PriceTable::default())
}

fn init() -> Value {
    json!({ "type": "system", "subtype": "init", "model": "claude-opus-5-5" })
}

fn usage(input: u64, read: u64, written: u64, output: u64) -> Value {
    json!({ "input_tokens": input, "cache_read_input_tokens": read, "cache_creation_input_tokens": written, "output_tokens": output })
}

fn answer(id: &str, usage: Value, text: &str) -> Value {
    let content = json!([{ "type": "text", "text": text }]);
    let message = json!({ "id": id, "model": "claude-opus-5-5", "usage": usage, "content": content });
    json!({ "type": "assistant", "message": message, "parent_tool_use_id": null })
}

fn result(usd: Value, usage: Value) -> Value {
    json!({ "type": "result", "subtype": "success", "is_error": false, "total_cost_usd": usd, "usage": usage })
}

fn event(parent: Value, event: Value) -> Value {
    json!({ "type": "stream_event", "event": event, "parent_tool_use_id": parent })
}

#[track_caller]
fn costs(tally: &Tally, usd: f64) {
    assert!((tally.open_usd - usd).abs() < 1e-9, "{tally:?}");
}

#[test]
fn an_answer_counts_once_however_many_records_it_has() {
    let text = "x".repeat(40);
    let lines = [
        init(),
        answer("a", usage(1, 0, 0, 1), &text),
        answer("b", usage(500, 0, 0, 1), &text),
        answer("a", usage(1_000, 20_000, 3_000, 1), &text),
        answer("a", usage(900, 20_000, 3_000, 1), ""),
    ];
    let tally = tally(&lines);
    let wanted = Tokens { input: 1_400, output: 30, cache_read: 20_000, cache_write: 3_000, cache_write_1h: 0 };
    assert_eq!(tally.tokens, wanted, "the last record of an id says what it is");
    costs(&tally, (1_400.0 * 4.0 + 30.0 * 20.0 + 20_000.0 * 0.2 + 3_000.0 * 5.0) / 1e6);
    assert!(tally.estimated && !tally.unpriced && tally.told_usd.is_none());
}

#[test]
fn what_an_hours_cache_takes_has_its_own_price() {
    let mut told = usage(0, 0, 3_000, 0);
    told["cache_creation"] = json!({ "ephemeral_1h_input_tokens": 1_000, "ephemeral_5m_input_tokens": 2_000 });
    let tally = tally(&[answer("a", told, "")]);
    assert_eq!((tally.tokens.cache_write, tally.tokens.cache_write_1h), (2_000, 1_000));
    costs(&tally, (2_000.0 * 5.0 + 1_000.0 * 8.0) / 1e6);
}

#[test]
fn output_is_estimated_from_the_text_and_never_below_what_was_told() {
    let tool = json!([{ "type": "tool_use", "id": "toolu_0123456789", "name": "Write",
        "input": { "file_path": "abcd", "content": "0123456789abcdef" } }]);
    let rows = [
        (json!([{ "type": "text", "text": "" }]), 7, 7),
        (json!([{ "type": "text", "text": "0123456789" }]), 1, 3),
        (json!([{ "type": "thinking", "thinking": "01234567", "signature": "x".repeat(999) }]), 1, 2),
        (tool, 1, 5),
        (json!("plain text 12"), 1, 4),
        (json!(null), 2, 2),
    ];
    for (content, told, wanted) in rows {
        let message =
            json!({ "id": "a", "model": "claude-opus-5-5", "usage": usage(10, 0, 0, told), "content": content });
        let tally = tally(&[json!({ "type": "assistant", "message": message })]);
        assert_eq!(tally.tokens.output, wanted, "{content}");
    }
}

#[test]
fn sub_agents_answers_cost_as_well_each_at_its_models_price() {
    let mut helper = answer("h", usage(1_000_000, 0, 0, 1), "");
    helper["parent_tool_use_id"] = json!("toolu_1");
    helper["message"]["model"] = json!("claude-haiku-4-5-20251001");
    let lines = [init(), answer("a", usage(1_000_000, 0, 0, 1), ""), helper.clone()];
    costs(&tally(&lines), 4.0 + 1.0 + (20.0 + 5.0) / 1e6);
    // The result's own count is of the main agent; what the helper read is on the books all the same.
    let with_result = [&lines[..], &[result(json!(5.5), usage(1_000_000, 0, 0, 40))]].concat();
    let done = tally(&with_result);
    assert_eq!((done.told_usd, done.estimated, done.tokens.input), (Some(5.5), false, 2_000_000));
}

#[test]
fn partial_messages_tell_the_output_and_an_answer_that_was_cut_off() {
    let start = |id: &str| json!({ "type": "message_start", "message": { "id": id, "model": "claude-opus-5-5", "usage": usage(100, 0, 0, 1) } });
    let text = |text: &str| json!({ "type": "content_block_delta", "index": 0, "delta": { "type": "text_delta", "text": text } });
    let end = |output: u64| json!({ "type": "message_delta", "delta": {}, "usage": { "output_tokens": output } });
    let (main, helper) = (json!(null), json!("toolu_1"));
    let lines = [
        init(),
        event(main.clone(), start("a")),
        event(helper.clone(), start("h")),
        event(main.clone(), text("0123456789abcdef")),
        answer("a", usage(100, 0, 0, 1), "0123456789abcdef"),
        event(helper, end(7)),
        event(main.clone(), end(345)),
        event(main.clone(), start("b")),
        event(main, text("01234567")),
    ];
    let outputs = |n: usize| tally(&lines[..n]).tokens;
    assert_eq!((outputs(2).input, outputs(2).output), (100, 1), "what is read is owed before anything is said");
    assert_eq!(outputs(5).output, 4 + 1, "not once for each way it is told");
    assert_eq!(outputs(7).output, 345 + 7);
    assert_eq!((outputs(9).input, outputs(9).output), (300, 345 + 7 + 2), "the last was never ended");
}

#[test]
fn a_result_replaces_what_was_counted_and_the_count_goes_on_behind_it() {
    let first =
        [init(), answer("a", usage(1_000, 0, 0, 1), &"x".repeat(4_000)), result(json!(0.02), usage(1_000, 0, 0, 300))];
    let done = tally(&first);
    assert_eq!((done.tokens.input, done.tokens.output, done.told_usd), (1_000, 300, Some(0.02)));
    assert!(!done.estimated);
    assert!((done.closed_usd.unwrap() - (4_000.0 + 6_000.0) / 1e6).abs() < 1e-9);
    // A late record of an answer that the result told of is no new one.
    let late = [&first[..], &[answer("a", usage(1_000, 0, 0, 1), "late")]].concat();
    assert_eq!(tally(&late), done);
    let on = [&first[..], &[answer("b", usage(2_000, 0, 0, 1), "")]].concat();
    let more = tally(&on);
    assert_eq!((more.tokens.input, more.told_usd, more.estimated), (3_000, Some(0.02), true));
    costs(&more, (2_000.0 * 4.0 + 20.0) / 1e6);
    // Several results: tokens are each one's own, the cost is of all.
    let again = tally(&[&on[..], &[result(json!(0.05), usage(2_000, 0, 0, 10))]].concat());
    assert_eq!((again.tokens.input, again.tokens.output, again.told_usd), (3_000, 310, Some(0.05)));
}

#[test]
fn what_only_the_result_tells_of_has_the_price_of_the_answers_model() {
    let other = json!({ "type": "system", "subtype": "init", "model": "a-name-of-the-gateway" });
    let done = tally(&[other, answer("a", usage(1_000, 0, 0, 1), ""), result(json!(1), usage(1_000, 0, 0, 100))]);
    assert!((done.closed_usd.unwrap() - (4_000.0 + 2_000.0) / 1e6).abs() < 1e-9, "{done:?}");
}

#[test]
fn a_spurious_result_takes_nothing_back() {
    let lines = [init(), answer("a", usage(1_000, 0, 0, 1), ""), result(json!(0.5), usage(1_000, 0, 0, 9))];
    let done = tally(&lines);
    for spurious in [result(json!(0), usage(0, 0, 0, 0)), result(json!(null), json!(null)), json!({ "type": "result" })]
    {
        assert_eq!(tally(&[&lines[..], &[spurious]].concat()), done);
    }
    let costless = tally(&[init(), answer("a", usage(1_000, 0, 0, 1), ""), json!({ "type": "result" })]);
    assert!(costless.estimated && costless.told_usd.is_none(), "a result that tells no cost leaves the estimate");
    costs(&costless, (4_000.0 + 20.0) / 1e6);
}

#[test]
fn tokens_without_a_price_are_counted_and_said() {
    let mut line = answer("a", usage(1_000, 0, 0, 5), "");
    line["message"]["model"] = json!("scripted");
    let unpriced = tally(&[line.clone()]);
    assert_eq!((unpriced.unpriced, unpriced.tokens.total(), unpriced.open_usd), (true, 1_005, 0.0));
    let told = tally(&[line, result(json!(0.1), usage(1_000, 0, 0, 5))]);
    assert_eq!((told.unpriced, told.told_usd, told.closed_usd), (false, Some(0.1), None), "its result has a price");
}

#[test]
fn the_clis_own_words_cost_nothing() {
    let mut lines = vec![init(), answer("a", usage(0, 0, 0, 0), "API Error: 429")];
    lines.push(json!({ "type": "assistant", "message": { "content": "no usage" } }));
    lines.push(json!({ "type": "assistant", "message": "text" }));
    lines.push(json!({ "type": "assistant" }));
    lines.push(json!({ "type": "stream_event", "event": 7 }));
    assert_eq!(tally(&lines), Tally { closed_usd: Some(0.0), ..Tally::default() });
}

#[test]
fn a_text_that_is_no_valid_unicode_hides_no_tokens() {
    let line = answer("a", usage(1_000, 0, 0, 1), "SPLIT").to_string().replace("SPLIT", "\\ud83d broken");
    let mut parser = LogParser::default();
    parser.feed(line.as_bytes());
    parser.feed(b"\n");
    let tally = parser.summary().meter.tally(&PriceTable::default());
    assert_eq!(tally.tokens.input, 1_000);
    assert!(tally.tokens.output >= 3, "{tally:?}");
}

#[test]
fn any_number_of_answers_is_counted_in_bounded_memory() {
    let mut lines = vec![init()];
    lines.extend((0..5_000).map(|n| {
        let mut line = answer(&format!("m{n}"), usage(1_000, 0, 0, 1), "");
        line["message"]["model"] = json!(format!("model-{}", n % 200));
        line
    }));
    let meter = meter(&lines);
    assert_eq!(meter.tally(&PriceTable::default()).tokens.input, 5_000_000);
    assert!(meter.answers.len() <= REMEMBERED && meter.older.len() <= NAMES_MAX + 1);
    let huge = tally(&[answer("a", usage(u64::MAX, u64::MAX, u64::MAX, u64::MAX), "")]);
    assert!(huge.open_usd.is_finite() && i64::try_from(huge.tokens.total()).is_ok());
}

/// Recorded streams: up to their results the count is what the results tell, but for the output's estimate.
#[test]
fn recorded_streams_count_as_their_results_tell() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/claude-steering");
    let mut seen = 0;
    for name in ["end-session-in-tool", "sigterm-idle", "steer-in-tool", "steer-in-text", "interrupt-in-text-then-eof"]
    {
        let text = std::fs::read_to_string(folder.join(format!("{name}.stdout.jsonl"))).unwrap();
        let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let whole = tally(&lines);
        assert!(whole.told_usd.is_some() && !whole.estimated, "{name}: {whole:?}");
        let unended: Vec<Value> = lines.into_iter().filter(|line| line["type"] != "result").collect();
        let counted = tally(&unended);
        assert!(counted.estimated && counted.told_usd.is_none(), "{name}");
        assert_eq!(counted.tokens.input, whole.tokens.input, "{name}");
        let told = whole.told_usd.unwrap();
        assert!((counted.open_usd - told).abs() < 0.6 * told, "{name}: {counted:?} for {told}");
        seen += 1;
    }
    assert_eq!(seen, 5);
}

proptest! {
    #[test]
    fn more_records_never_make_a_run_cheaper(inputs in proptest::collection::vec((0u8..6, 1u64..9_000, 0u64..9_000), 1..40)) {
        let mut lines = vec![init()];
        let mut last = 0.0;
        for (id, input, output) in inputs {
            lines.push(answer(&format!("{id}-{input}"), usage(input, 0, 0, output), ""));
            let usd = tally(&lines).open_usd;
            prop_assert!(usd >= last);
            last = usd;
        }
    }
}
