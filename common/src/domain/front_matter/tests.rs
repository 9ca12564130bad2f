use super::*;
use proptest::prelude::*;

const KEY: &str = "verdict";

fn said(text: &str) -> Option<String> {
    parse(text).ok()?.deciding(KEY).ok()
}

fn reason(text: &str) -> String {
    parse(text).unwrap().text("reason").unwrap_or_default()
}

/// What stands beside a verdict, whatever it is, does not touch it.
#[test]
fn everything_beside_the_line_is_text() {
    let reasons = [
        "reason: TypeError: x is undefined",
        "reason: see src/a.rs:14: the lock: missing",
        "reason: \"an open quote",
        "reason: it's 'half' a \"quote",
        "reason: [one, two",
        "reason: {a: b",
        "reason: *pointer is null",
        "reason: &mut is taken twice",
        "reason: !important wins",
        "reason: %d is printed",
        "reason: @Override is missing",
        "reason: `let x = 1;`",
        "reason: | is a pipe",
        "reason: > 3 failures",
        "reason: - first",
        "reason: ? maybe",
        "reason: # 1 is open",
        "reason: 100%",
        "reason: ---",
        "reason:\tafter a tab",
        "\treason: after a tab",
        "reason: |\n  several\n  lines: of it\n\n  and more",
        "reason: >-\n  folded\n  TypeError: x",
        "reason: first line\nsecond line: not indented\n- and: a list",
        "reason:\n- one: 1\n- two: 2",
        "reason:\n  - src/a.rs:1\n  - \"src/b.rs",
        "reason: one\nreason: two",
        "round: 1\nround: 2",
        "files: [a, b]\ncount: 3\nok: true\nnothing: null\nwhen: 2026-11-26",
        "? [a]\n: b",
        "<<: *x",
        "a: b: c: d",
        "key with words: x",
        "just a sentence",
        "reason: привет: мир 😀",
        "reason: \u{1b}[31mred\u{1b}[0m",
        "\u{0}",
        "```\nverdict: REQUEST_CHANGES\n```",
        "# verdict: REQUEST_CHANGES",
        "- verdict: REQUEST_CHANGES",
        "> verdict: REQUEST_CHANGES",
        "earlier:\n  verdict: REQUEST_CHANGES",
        "reason: |\n  verdict: REQUEST_CHANGES\n  ---",
        "reason: the old verdict: REQUEST_CHANGES",
        "my verdict: REQUEST_CHANGES",
        "verdicts: REQUEST_CHANGES",
        "verdict of the last round: REQUEST_CHANGES",
        "verdict: APPROVED",
    ];
    assert!(reasons.len() > 40);
    for reason in reasons {
        for block in [format!("verdict: APPROVED\n{reason}"), format!("{reason}\nverdict: APPROVED")] {
            // A list or a text that is not indented takes what follows it for its own only where it is indented.
            let text = format!("---\n{block}\n---\nprose\n");
            assert_eq!(said(&text).as_deref(), Some("APPROVED"), "{text}");
        }
    }
}

#[test]
fn the_ways_a_value_is_written() {
    let rows = [
        "verdict: APPROVED",
        "verdict:APPROVED",
        "verdict:   APPROVED   ",
        "verdict : APPROVED",
        "verdict\t:\tAPPROVED",
        "Verdict: APPROVED",
        "VERDICT: APPROVED",
        "verdict: \"APPROVED\"",
        "verdict: 'APPROVED'",
        "verdict: ' APPROVED '",
        "verdict: `APPROVED`",
        "verdict: \"`APPROVED`\"",
        "verdict: **APPROVED**",
        "verdict: *APPROVED*",
        "verdict: __APPROVED__",
        "verdict: **`APPROVED`**",
        "verdict: “APPROVED”",
        "verdict: «APPROVED»",
        "verdict: APPROVED.",
        "verdict: **APPROVED**.",
        "verdict: \"APPROVED",
        "verdict: APPROVED # all criteria are met",
        "verdict: \"APPROVED\" # fine",
        "\"verdict\": \"APPROVED\"",
        "'verdict': APPROVED",
        "`verdict`: APPROVED",
        "**verdict**: APPROVED",
        "**verdict:** APPROVED",
        "**Verdict:** **APPROVED**",
        "verdict：APPROVED",
        "verdict:\n  APPROVED",
        "verdict: |\n  APPROVED",
        "verdict: >-\n  APPROVED\n",
        "  verdict: APPROVED\n  round: 2",
        "verdict: APPROVED\nverdict: \"approved\"",
    ];
    for row in rows {
        let text = format!("---\n{row}\n---\n");
        assert!(said(&text).is_some_and(|value| same(&value, "APPROVED")), "{row:?}: {:?}", said(&text));
    }
    for written in ["REQUEST_CHANGES", "request_changes", "Request Changes", "request-changes", "REQUEST  CHANGES"] {
        assert!(same(written, "REQUEST_CHANGES"), "{written}");
    }
    assert!(!same("REQUEST", "REQUEST_CHANGES") && !same("APPROVED", "APPROVED_NOT") && !same("", "APPROVED"));
}

#[test]
fn values_that_say_something_else() {
    let rows = [
        "verdict: NOT APPROVED",
        "verdict: APPROVED?",
        "verdict: APPROVED!",
        "verdict: APPROVED | REQUEST_CHANGES",
        "verdict: APPROVED or REQUEST_CHANGES",
        "verdict: APPROVED, REQUEST_CHANGES",
        "verdict: APPROVED with changes",
        "verdict: APPROVED (after the fix)",
        "verdict: ~~APPROVED~~",
        "verdict: [APPROVED]",
        "verdict: {APPROVED}",
        "verdict: <APPROVED>",
        "verdict: > APPROVED",
        "verdict: - APPROVED",
        "verdict: *APPROVED",
        "verdict: !!str APPROVED",
        "verdict: # APPROVED",
        "verdict:",
        "verdict: |",
        "verdict:\nAPPROVED",
        "verdict:\n  - APPROVED",
        "verdict:\n  APPROVED\n  REQUEST_CHANGES",
        "verdict: true",
    ];
    for row in rows {
        let value = said(&format!("---\n{row}\n---\n")).unwrap();
        assert!(!same(&value, "APPROVED"), "{row:?}: {value:?}");
    }
}

#[test]
fn the_places_where_a_block_may_stand() {
    let block = "---\nverdict: APPROVED\n---\n";
    let rows = [
        block.to_owned(),
        format!("\u{feff}{block}"),
        format!("\u{feff}\n\n  \n{block}"),
        format!("\n{block}prose"),
        block.replace('\n', "\r\n"),
        block.replace('\n', "\r"),
        "---  \nverdict: APPROVED\n---\t".to_owned(),
        format!("# Review of ET-001\n{block}"),
        format!("# Review\n\n{block}\nprose"),
        format!("\n## Review\n\n{block}"),
        format!("```yaml\n{block}```\nprose"),
        format!("```\n{block}```"),
        format!("```yml\n{block}"),
        format!("~~~~yaml\n{block}~~~~\n"),
        format!("```markdown\n{block}\n# Review\n\nprose\n```\n"),
        format!("# Review\n\n```yaml\n{block}```\n\nprose"),
        "```yaml\nverdict: APPROVED\nreason: a: b\n```\nprose".to_owned(),
        "```YAML\n---\nverdict: APPROVED\n```\nprose".to_owned(),
        "# Review\n\n```yaml\nverdict: APPROVED\n```\n".to_owned(),
        format!("```yaml\n{block}```\n{block}"),
    ];
    for text in rows {
        assert_eq!(said(&text).as_deref(), Some("APPROVED"), "{text:?}");
    }
}

#[test]
fn what_is_no_front_matter() {
    let block = "---\nverdict: APPROVED\n---\n";
    let rows = [
        String::new(),
        "verdict: APPROVED".to_owned(),
        "# Review\n\nverdict: APPROVED\n".to_owned(),
        "**Verdict:** APPROVED\n".to_owned(),
        format!("prose\n{block}"),
        format!("Here is my review:\n\n{block}"),
        format!("# Review\n\nprose\n\n{block}"),
        format!("# Review\n\n## Of the last round\n\n{block}"),
        format!("> {block}"),
        "> ---\n> verdict: APPROVED\n> ---\n".to_owned(),
        "    ---\n    verdict: APPROVED\n    ---\n".to_owned(),
        format!("- {block}"),
        "----\nverdict: APPROVED\n----\n".to_owned(),
        "# Review\n\n---\n\nI read it all.\nverdict: APPROVED\n\n---\n".to_owned(),
        format!("prose\n\n```yaml\n{block}```\n"),
        "```\nverdict: APPROVED\n```\n".to_owned(),
        format!("```rust\n{block}```\n"),
        format!("````quote\n{block}````\n"),
        "#hashtag\n---\nverdict: APPROVED\n---\n".to_owned(),
        format!("<!-- {block} -->"),
    ];
    for text in rows {
        assert_eq!(parse(&text), Err(FrontMatterError::Missing), "{text:?}");
    }
    for text in
        ["---", "---\nverdict: APPROVED\n", "---\nverdict: APPROVED\n ---\n", "```yaml\n---\nverdict: APPROVED\n"]
    {
        assert_eq!(parse(text), Err(FrontMatterError::Unclosed), "{text:?}");
    }
}

#[test]
fn two_words_are_none() {
    let rows = [
        "---\nverdict: APPROVED\nverdict: REQUEST_CHANGES\n---\n",
        "---\nverdict: REQUEST_CHANGES\nreason: x\nVerdict: **APPROVED**\n---\n",
        "---\nverdict: APPROVED\nverdict:\n---\n",
        // The fence may have been the example from the instructions.
        "```yaml\n---\nverdict: APPROVED\n---\n```\n\n---\nverdict: REQUEST_CHANGES\n---\n",
        "```\n---\nverdict: APPROVED\n---\n```\n# Review\n---\nverdict: REQUEST_CHANGES\n---\n",
        "```yaml\nverdict: APPROVED\n```\n```yaml\nverdict: REQUEST_CHANGES\n```\n",
    ];
    for text in rows {
        let found = parse(text).unwrap().deciding(KEY);
        assert!(matches!(found, Err(FrontMatterError::Ambiguous { .. })), "{text:?}: {found:?}");
    }
    let none = parse("---\nreason: x\n---\nverdict: APPROVED").unwrap().deciding(KEY);
    assert_eq!(none, Err(FrontMatterError::NoLine { key: KEY }));
    let body = parse("---\nverdict: APPROVED\n---\n\n---\nverdict: REQUEST_CHANGES\n---\n").unwrap();
    assert_eq!(body.deciding(KEY).as_deref(), Ok("APPROVED"), "what is below is prose");
}

#[test]
fn a_reason_is_read_whole() {
    let rows = [
        ("reason: TypeError: x is undefined", "TypeError: x is undefined"),
        ("reason: \"looks good: \\\"yes\\\"\"", "looks good: \"yes\""),
        ("reason: 'it''s'", "it's"),
        ("reason: |\n  one\n    two\n\n  three", "one\n  two\n\nthree"),
        ("reason: >\n  one\n  two", "one\ntwo"),
        ("reason: one\ntwo\nTypeError: three", "one\ntwo\nTypeError: three"),
        ("reason:\n- one\n- two", "- one\n- two"),
        ("reason: one\nround: 2", "one"),
        ("reason: ''", ""),
        ("reason: # 1", "# 1"),
    ];
    for (block, want) in rows {
        assert_eq!(reason(&format!("---\n{block}\nverdict: APPROVED\n---\n")), want, "{block:?}");
    }
}

proptest! {
    #[test]
    fn never_panics(text in "(?s)(```yaml\n|# x\n)?(---\n)?[-a-z:&*\\[\\]{}!|>#'\"`%@ \n\t\\\\]{0,200}(\n---\n)?.{0,20}") {
        let front = parse(&text);
        let _ = front.map(|front| (front.deciding(KEY), front.text("reason"), front.body().len()));
    }

    #[test]
    fn no_line_beside_it_hides_the_verdict(before in "[ -~а-я😀]{0,80}", after in "[ -~а-я😀]{0,80}") {
        let text = format!("---\nreason: {before}\nverdict: REQUEST_CHANGES\nnote: {after}\n---\n");
        prop_assert_eq!(said(&text), Some("REQUEST_CHANGES".to_owned()));
    }

    #[test]
    fn a_quoted_value_comes_back(value in "[ -!#-\\[\\]-~а-яё]{0,60}") {
        prop_assert_eq!(reason(&format!("---\nreason: \"{value}\"\n---\n")), value.trim());
    }

    #[test]
    fn prose_before_the_block_is_the_end_of_it(prose in "[a-zA-Z][ a-zA-Z.,:]{0,80}") {
        prop_assert_eq!(said(&format!("{prose}\n---\nverdict: APPROVED\n---\n")), None);
        prop_assert_eq!(said(&format!("> {prose}\n\n```yaml\n---\nverdict: APPROVED\n---\n```\n")), None);
    }
}
