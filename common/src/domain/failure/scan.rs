//! Cuts a log into records with bounded memory. A record begins at `{"` and ends with its closing brace or, torn, with
//! its line. What is handed on is JSON that a strict parser takes: halves of surrogate pairs are replaced, raw control
//! characters are left out, long strings are cut, and what is nested too deep or grows too large becomes `null`. So a
//! record of any size keeps the short fields that decide.

/// Bytes of one string that are kept.
const STRING_MAX: usize = 256 * 1024;
/// Bytes of one record that are kept, before its innermost open value is given up.
const RECORD_MAX: usize = 2 * 1024 * 1024;
/// Bytes that stay allocated between two records.
const LEFT_MAX: usize = 64 * 1024;
/// Deeper values are given up; the parser's own limit is 128.
const DEPTH_MAX: usize = 64;

/// What was found.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found<'a> {
    /// A whole record, condensed. `after_text`: something other than control characters stood before it on its line.
    Record { json: &'a [u8], after_text: bool },
    /// The beginning of a record that never ended.
    Torn,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Between records.
    #[default]
    Outside,
    /// An opening brace; a record only if a quote follows.
    Brace,
    /// Inside a record, outside of its strings.
    Inside,
    /// Inside a string.
    Text,
    /// After a backslash in a string.
    Escape,
    /// Inside `\uXXXX`: digits so far and their value.
    Unicode(u8, u32),
}

/// What stands before a record on its line.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Before {
    #[default]
    Nothing,
    /// An escape sequence of a terminal has begun; it ends with a letter or `~`.
    Escape,
    /// One that sets a title has begun; it ends with a bell or a backslash.
    Title,
    Text,
}

/// Takes the log in pieces of any size.
#[derive(Debug, Default)]
pub(super) struct Scanner {
    state: State,
    before: Before,
    /// The record so far, condensed.
    record: Vec<u8>,
    /// Where the open values of the record begin in it, outermost first.
    open: Vec<usize>,
    /// Brackets that are open inside a value that was given up.
    dropped: usize,
    /// Where the current string begins in the record.
    string: usize,
    /// The first half of a surrogate pair that waits for its second.
    half: Option<u32>,
}

impl Scanner {
    /// The next bytes; what is found in them goes to `sink`.
    pub fn feed(&mut self, bytes: &[u8], mut sink: impl FnMut(Found<'_>)) {
        let mut rest = bytes;
        while let Some((&byte, after)) = rest.split_first() {
            let skipped = self.skip(rest);
            if skipped > 0 {
                rest = rest.get(skipped..).unwrap_or_default();
                continue;
            }
            rest = after;
            self.byte(byte, &mut sink);
        }
    }

    /// The log is over, or a part of it is missing here.
    pub fn break_off(&mut self, mut sink: impl FnMut(Found<'_>)) {
        self.line_ends(&mut sink);
        self.before = Before::Nothing;
    }

    /// A part of a line is missing: what follows on it is not at its beginning.
    pub fn lose(&mut self, sink: impl FnMut(Found<'_>)) {
        self.break_off(sink);
        self.before = Before::Text;
    }

    /// How many bytes say nothing new: the inside of a string that is cut, or of a line without records.
    fn skip(&self, bytes: &[u8]) -> usize {
        let is_telling: fn(&u8) -> bool = if self.state == State::Text && self.half.is_none() && self.is_cut() {
            |b| matches!(b, b'"' | b'\\' | b'\n')
        } else if self.state == State::Outside && self.before == Before::Text {
            |b| matches!(b, b'{' | b'\n')
        } else {
            return 0;
        };
        bytes.iter().position(is_telling).unwrap_or(bytes.len())
    }

    fn byte(&mut self, byte: u8, sink: &mut impl FnMut(Found<'_>)) {
        if byte == b'\n' {
            return self.line_ends(sink);
        }
        match self.state {
            State::Outside => self.outside(byte),
            State::Brace => self.brace(byte),
            State::Inside => self.inside(byte, sink),
            State::Text => self.text(byte),
            State::Escape => self.escape(byte),
            State::Unicode(digits, value) => self.unicode(byte, digits, value),
        }
    }

    fn line_ends(&mut self, sink: &mut impl FnMut(Found<'_>)) {
        if !matches!(self.state, State::Outside | State::Brace) {
            sink(Found::Torn);
        }
        self.clear();
        self.before = Before::Nothing;
    }

    fn clear(&mut self) {
        self.state = State::Outside;
        self.record.clear();
        self.record.shrink_to(LEFT_MAX);
        self.open.clear();
        (self.dropped, self.string, self.half) = (0, 0, None);
    }

    fn outside(&mut self, byte: u8) {
        if byte == b'{' {
            self.state = State::Brace;
            return;
        }
        self.before = match (self.before, byte) {
            (Before::Text, _) => Before::Text,
            (Before::Title, 0x07 | b'\\') => Before::Nothing,
            (Before::Title, _) => Before::Title,
            (Before::Nothing | Before::Escape, 0x1b) => Before::Escape,
            (Before::Escape, b']') => Before::Title,
            (Before::Escape, b'a'..=b'z' | b'A'..=b'Z' | b'~') => Before::Nothing,
            (Before::Escape, _) => Before::Escape,
            // Control characters and the byte order mark.
            (Before::Nothing, 0..=b' ' | 0x7f | 0xef | 0xbb | 0xbf) => Before::Nothing,
            (Before::Nothing, _) => Before::Text,
        };
    }

    fn brace(&mut self, byte: u8) {
        match byte {
            b'"' => {
                self.record.extend_from_slice(b"{");
                self.open.push(0);
                self.begin_string();
            }
            b' ' | b'\t' | b'\r' => {}
            _ => {
                self.clear();
                self.before = Before::Text;
                self.outside(byte);
            }
        }
    }

    fn inside(&mut self, byte: u8, sink: &mut impl FnMut(Found<'_>)) {
        match byte {
            b'"' => self.begin_string(),
            b'{' | b'[' => self.open(byte),
            b'}' | b']' => self.close(byte, sink),
            0..=b' ' => {}
            _ => self.keep(&[byte]),
        }
    }

    fn open(&mut self, byte: u8) {
        if self.dropped > 0 {
            self.dropped = self.dropped.saturating_add(1);
        } else if self.open.len() >= DEPTH_MAX {
            self.keep(b"null");
            self.dropped = self.dropped.saturating_add(1);
        } else {
            self.open.push(self.record.len());
            self.keep(&[byte]);
        }
    }

    fn close(&mut self, byte: u8, sink: &mut impl FnMut(Found<'_>)) {
        if self.dropped > 0 {
            self.dropped = self.dropped.saturating_sub(1);
        } else {
            self.open.pop();
            self.record.push(byte);
        }
        if self.open.is_empty() && self.dropped == 0 {
            sink(Found::Record { json: &self.record, after_text: self.before != Before::Nothing });
            self.clear();
            self.before = Before::Nothing;
        }
    }

    fn begin_string(&mut self) {
        self.keep(b"\"");
        self.string = self.record.len();
        self.state = State::Text;
    }

    fn text(&mut self, byte: u8) {
        match byte {
            b'\\' => self.state = State::Escape,
            b'"' => {
                self.lone_half();
                self.state = State::Inside;
                if self.dropped == 0 {
                    self.record.push(b'"');
                }
            }
            0..=0x1f => {}
            _ => {
                self.lone_half();
                self.say(&[byte]);
            }
        }
    }

    fn escape(&mut self, byte: u8) {
        self.state = State::Text;
        match byte {
            b'u' => self.state = State::Unicode(0, 0),
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => {
                self.lone_half();
                self.say(&[b'\\', byte]);
            }
            _ => {
                self.lone_half();
                self.say(REPLACEMENT);
            }
        }
    }

    fn unicode(&mut self, byte: u8, digits: u8, value: u32) {
        let Some(digit) = char::from(byte).to_digit(16) else {
            self.lone_half();
            self.say(REPLACEMENT);
            self.state = State::Text;
            return self.text(byte);
        };
        let value = value << 4 | digit;
        if digits < 3 {
            self.state = State::Unicode(digits.saturating_add(1), value);
            return;
        }
        self.state = State::Text;
        match (self.half.take(), value) {
            (Some(high), 0xdc00..=0xdfff) => self.say(format!("\\u{high:04x}\\u{value:04x}").as_bytes()),
            (None, 0xd800..=0xdbff) => self.half = Some(value),
            (Some(_), 0xd800..=0xdbff) => {
                self.say(REPLACEMENT);
                self.half = Some(value);
            }
            (half, _) => {
                if half.is_some() {
                    self.say(REPLACEMENT);
                }
                let whole = format!("\\u{value:04x}");
                self.say(if (0xdc00..=0xdfff).contains(&value) { REPLACEMENT } else { whole.as_bytes() });
            }
        }
    }

    /// A half whose other half did not follow.
    fn lone_half(&mut self) {
        if self.half.take().is_some() {
            self.say(REPLACEMENT);
        }
    }

    /// A piece of a string that must stay whole.
    fn say(&mut self, piece: &[u8]) {
        if !self.is_cut() {
            self.keep(piece);
        }
    }

    /// Nothing of the current string is kept any more. A character that the cut divides is replaced by the reader.
    fn is_cut(&self) -> bool {
        self.dropped > 0 || self.record.len().saturating_sub(self.string) >= STRING_MAX
    }

    fn keep(&mut self, piece: &[u8]) {
        if self.dropped > 0 {
            return;
        }
        self.record.extend_from_slice(piece);
        if self.record.len() > RECORD_MAX {
            self.give_up_innermost();
        }
    }

    /// The innermost open value becomes `null`; of the record itself, nothing is left to decide.
    fn give_up_innermost(&mut self) {
        let Some(start) = self.open.pop() else { return };
        self.record.truncate(start);
        self.record.extend_from_slice(b"null");
        self.dropped = 1;
    }
}

/// What stands for half a character.
const REPLACEMENT: &[u8] = b"\\ufffd";

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    fn scan(bytes: &[u8], piece: usize) -> (Vec<(Option<Value>, bool)>, usize) {
        let (mut scanner, mut found, mut torn) = (Scanner::default(), Vec::new(), 0);
        let mut sink = |f: Found<'_>| match f {
            Found::Record { json, after_text } => {
                let text = String::from_utf8_lossy(json).into_owned();
                found.push((serde_json::from_str(&text).ok(), after_text));
            }
            Found::Torn => torn += 1,
        };
        for chunk in bytes.chunks(piece.max(1)) {
            scanner.feed(chunk, &mut sink);
        }
        scanner.break_off(&mut sink);
        assert!(scanner.record.capacity() < 3 * RECORD_MAX);
        (found, torn)
    }

    fn one(text: &str) -> Value {
        let (found, torn) = scan(text.as_bytes(), 7);
        assert_eq!((found.len(), torn), (1, 0), "{text:.200}");
        found[0].0.clone().unwrap()
    }

    #[test]
    fn halves_of_pairs_are_replaced_and_pairs_kept() {
        let rows = [
            (r#"\ud83d\ude00"#, "😀"),
            (r#"\ud82d"#, "\u{fffd}"),
            (r#"a\ud82d b"#, "a\u{fffd} b"),
            (r#"\ud82d\n"#, "\u{fffd}\n"),
            (r#"\ude00"#, "\u{fffd}"),
            (r#"\ud82d\ud83d\ude00"#, "\u{fffd}😀"),
            (r#"\ud82d\u0041"#, "\u{fffd}A"),
            (r#"\uD82D"#, "\u{fffd}"),
            (r#"\u00zz"#, "\u{fffd}zz"),
            (r#"\x41"#, "\u{fffd}41"),
            (r#"\\ud82d"#, "\\ud82d"),
            ("a\u{1}\u{1b}\tb", "ab"),
        ];
        for (written, want) in rows {
            assert_eq!(one(&format!("{{\"a\":\"{written}\"}}")), json!({ "a": want }), "{written}");
        }
    }

    #[test]
    fn large_values_are_cut_and_the_rest_is_kept() {
        let long = "x".repeat(5_000_000);
        let value = one(&format!("{{\"a\":\"{long}\",\"b\":1}}"));
        assert_eq!((value["a"].as_str().unwrap().len(), &value["b"]), (STRING_MAX, &json!(1)));
        let wide = "1,".repeat(2_000_000);
        assert_eq!(one(&format!("{{\"a\":[{wide}1],\"b\":1}}")), json!({ "a": null, "b": 1 }));
        let many = format!("{{\"t\":\"{}\"}},", "x".repeat(1_000)).repeat(5_000);
        assert_eq!(
            one(&format!("{{\"m\":{{\"c\":[{many}1],\"u\":2}},\"b\":1}}")),
            json!({ "m": { "c": null, "u": 2 }, "b": 1 })
        );
        let keys: String = (0..200_000).map(|n| format!("\"key number {n}\":1,")).collect();
        assert_eq!(one(&format!("{{{keys}\"b\":1}}")), Value::Null, "a record that is all keys is none");
        for bomb in ["[".repeat(1_000_000), "{\"a\":".repeat(1_000_000)] {
            let closed = bomb.replace("{\"a\":", "}").replace('[', "]");
            let open = if bomb.starts_with('[') { bomb } else { format!("{bomb}1") };
            assert_eq!(one(&format!("{{\"a\":{open}{closed},\"b\":1}}"))["b"], 1);
        }
    }

    #[test]
    fn what_stands_around_a_record() {
        let record = r#"{"a":{"b":"}"}}"#;
        for (before, after_text) in [
            ("", false),
            ("\u{feff}", false),
            ("\0\0\0", false),
            ("\r", false),
            ("\u{1b}[2K\u{1b}[1;31m", false),
            ("\u{1b}]0;title\u{7}", false),
            ("{\"x\":1}", false),
            ("[", true),
            ("the agent says: ", true),
            ("{", true),
            ("{} ", true),
        ] {
            for end in ["", "\n", "\r\n", "\u{1b}[0m\n", "\0\n"] {
                let (found, torn) = scan(format!("{before}{record}{end}").as_bytes(), 3);
                assert_eq!(
                    (found.last(), torn),
                    (Some(&(Some(json!({"a": {"b": "}"}})), after_text)), 0),
                    "{before:?}"
                );
            }
        }
        let (found, torn) = scan(b"{\"type\":\"a\n{\"type\":\"b\"}\n{\"type\":\"c", 5);
        assert_eq!((found, torn), (vec![(Some(json!({"type": "b"})), false)], 2));
    }

    proptest! {
        #[test]
        fn whatever_a_writer_writes_comes_back(text in "(?s).{0,200}", number in any::<i64>(), piece in 1usize..40) {
            let value = json!({ "text": text, "list": [number, null, { "deep": [text] }] });
            let (found, torn) = scan(value.to_string().as_bytes(), piece);
            let without: String = text.chars().filter(|c| !c.is_control()).collect();
            prop_assert_eq!((found.len(), torn), (1, 0));
            if without == text {
                prop_assert_eq!(found[0].0.as_ref(), Some(&value));
            }
        }

        #[test]
        fn never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..300), piece in 1usize..40) {
            scan(&[b"{\"a\":".as_slice(), &bytes].concat(), piece);
        }
    }
}
