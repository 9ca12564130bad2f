//! The YAML front matter of an agent's report: the only part of it that a machine believes. The text is hostile
//! input, so the block is small, flat where it is read, and without anchors; the prose below is never searched.

use serde_json::Value;
use std::collections::BTreeMap;

/// Longest block between the two `---` lines, in bytes.
pub const MAX_BYTES: usize = 16 * 1024;

/// Why there are no values to read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FrontMatterError {
    #[error("the file does not begin with a '---' line")]
    Missing,
    #[error("the front matter is not closed by a second '---' line")]
    Unclosed,
    #[error("the front matter is longer than {MAX_BYTES} bytes")]
    TooLong,
    /// One line, cut to 200 characters.
    #[error("the front matter is no YAML mapping: {0}")]
    Unreadable(String),
}

/// The values of the top level, and the text below.
#[derive(Debug, Clone, PartialEq)]
pub struct FrontMatter {
    values: BTreeMap<String, Value>,
    body: String,
}

impl FrontMatter {
    /// The value of a top-level key where it is a string, trimmed.
    pub fn get_str(&self, key: &str) -> Option<&str> {
        self.values.get(key).and_then(Value::as_str).map(str::trim)
    }

    /// The top-level keys, sorted.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.values.keys().map(String::as_str)
    }

    /// What follows the closing line. For people; no decision may rest on it.
    pub fn body(&self) -> &str {
        &self.body
    }
}

/// Reads the block between a first line `---` and the next one (a byte order mark and CRLF are fine).
///
/// # Errors
/// There is no block, or it is not a mapping with unique string keys.
pub fn parse(text: &str) -> Result<FrontMatter, FrontMatterError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let (block, body) = split(text)?;
    if block.len() > MAX_BYTES {
        return Err(FrontMatterError::TooLong);
    }
    if block.trim().is_empty() {
        return Ok(FrontMatter { values: BTreeMap::new(), body: body.to_owned() });
    }
    let values = serde_saphyr::from_str_with_options(block, options()).map_err(|err| unreadable(&err.to_string()))?;
    Ok(FrontMatter { values, body: body.to_owned() })
}

fn split(text: &str) -> Result<(&str, &str), FrontMatterError> {
    let mut lines = text.split_inclusive('\n');
    let first = lines.next().filter(|line| line.trim_end() == "---").ok_or(FrontMatterError::Missing)?;
    let start = first.len();
    let mut end = start;
    for line in lines {
        if line.trim_end() == "---" {
            let parts = text.get(start..end).zip(text.get(end.saturating_add(line.len())..));
            return parts.ok_or(FrontMatterError::Unclosed);
        }
        end = end.saturating_add(line.len());
    }
    Err(FrontMatterError::Unclosed)
}

/// No anchors and no aliases: a report needs none, and a few lines of them can unfold to gigabytes.
fn options() -> serde_saphyr::Options {
    serde_saphyr::options! {
        with_snippet: false,
        budget: serde_saphyr::budget! {
            max_events: 4_000,
            max_nodes: 2_000,
            max_depth: 16,
            max_aliases: 0,
            max_anchors: 0,
        },
    }
}

fn unreadable(problem: &str) -> FrontMatterError {
    let line = problem.split_whitespace().collect::<Vec<_>>().join(" ");
    FrontMatterError::Unreadable(line.chars().take(200).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn values_are_read_from_the_block_alone() {
        let front =
            parse("---\nverdict: APPROVED\nreason: \"looks good: yes\"\nround: 2\n---\nverdict: NO\n---\n").unwrap();
        assert_eq!(front.get_str("verdict"), Some("APPROVED"));
        assert_eq!(front.get_str("reason"), Some("looks good: yes"));
        assert_eq!(front.get_str("round"), None, "a number is no string");
        assert_eq!(front.body(), "verdict: NO\n---\n");
        assert_eq!(front.keys().collect::<Vec<_>>(), ["reason", "round", "verdict"]);
    }

    #[test]
    fn odd_but_fine() {
        for text in [
            "\u{feff}---\nverdict: APPROVED\n---\n",
            "---\r\nverdict: APPROVED\r\n---\r\nprose",
            "---  \nverdict: 'APPROVED '\n--- \n",
            "---\n# note\nverdict: APPROVED # fine\n---",
            "---\nnested: {verdict: NO}\nverdict: APPROVED\n---\n",
        ] {
            assert_eq!(parse(text).unwrap().get_str("verdict"), Some("APPROVED"), "{text:?}");
        }
        assert_eq!(parse("---\n---\nx").unwrap().get_str("verdict"), None);
    }

    #[test]
    fn no_block_no_values() {
        use FrontMatterError::{Missing, Unclosed};
        for text in [
            "",
            "verdict: APPROVED",
            "\n---\nverdict: APPROVED\n---\n",
            "prose\n---\nverdict: APPROVED\n---\n",
            "----\na: b\n----\n",
        ] {
            assert_eq!(parse(text), Err(Missing), "{text:?}");
        }
        for text in
            ["---", "---\nverdict: APPROVED\n", "---\nverdict: APPROVED\n ---\n", "---\nverdict: APPROVED\n----\n"]
        {
            assert_eq!(parse(text), Err(Unclosed), "{text:?}");
        }
        let long = format!("---\na: {}\n---\n", "x".repeat(MAX_BYTES));
        assert_eq!(parse(&long), Err(FrontMatterError::TooLong));
    }

    #[test]
    fn hostile_yaml_is_an_error() {
        let mut bomb = "a: &a [x,x,x,x,x,x,x,x,x]\n".to_owned();
        for (this, last) in
            ["b", "c", "d", "e", "f", "g", "h", "i"].iter().zip(["a", "b", "c", "d", "e", "f", "g", "h"])
        {
            bomb +=
                &format!("{this}: &{this} [*{last},*{last},*{last},*{last},*{last},*{last},*{last},*{last},*{last}]\n");
        }
        let deep = format!("a: {}", "[".repeat(5_000));
        let wide = format!("a: [{}]", "x,".repeat(7_000));
        let rows = [
            bomb.as_str(),
            &deep,
            &wide,
            "verdict: APPROVED\nverdict: REQUEST_CHANGES",
            "- a\n- b",
            "just text",
            "a: b: c",
            "a: [",
            "? [a]\n: b",
            "<<: *x",
            "a: !!binary x\0",
            "verdict: *verdict",
        ];
        for block in rows {
            let result = parse(&format!("---\n{block}\n---\n"));
            assert!(
                matches!(result, Err(FrontMatterError::Unreadable(ref why)) if !why.contains('\n')),
                "{block:.60}: {result:?}"
            );
        }
    }

    proptest! {
        #[test]
        fn never_panics(text in "(?s)(---\n)?[-a-z:&*\\[\\]{}!|>#'\"%@ \n\t\\\\]{0,200}(\n---\n)?.{0,20}") {
            let _ = parse(&text);
        }

        #[test]
        fn a_quoted_value_comes_back(value in "[ -!#-\\[\\]-~а-яё]{0,60}") {
            let text = format!("---\nreason: \"{value}\"\n---\n");
            let front = parse(&text).unwrap();
            prop_assert_eq!(front.get_str("reason"), Some(value.trim()));
        }
    }
}
