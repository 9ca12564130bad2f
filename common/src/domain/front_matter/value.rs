//! One line of a front matter: its key, and what its value says once quotes, emphasis and comments are gone.

/// What models put around a key or a value, in pairs.
const EMPHASIS: [char; 2] = ['*', '_'];
/// Quotes; one that was never closed changes nothing.
const QUOTES: [char; 9] = ['"', '\'', '`', '“', '”', '„', '«', '»', '’'];
const LONGEST_KEY: usize = 40;

/// The value of `line` where it begins with this key, in any case, bare, quoted or emphasised.
pub(super) fn of_key<'a>(line: &'a str, key: &str) -> Option<&'a str> {
    let bare = line.trim_start_matches(is_ornament);
    let ornaments = line.get(..line.len().saturating_sub(bare.len()))?;
    let (head, rest) = (bare.get(..key.len())?, bare.get(key.len()..)?);
    if !head.eq_ignore_ascii_case(key) {
        return None;
    }
    let rest = rest.trim_start_matches(is_ornament).trim_start();
    let value = rest.strip_prefix(':').or_else(|| rest.strip_prefix('：'))?;
    // `**verdict:** APPROVED`: what closes the key's emphasis is not the value's.
    let closing = ornaments.chars().rev().collect::<String>();
    Some(value.strip_prefix(closing.as_str()).filter(|_| !closing.is_empty()).unwrap_or(value))
}

/// The key of a line, where it looks like one of ours: a lower-case word, or one of those that are read.
pub(super) fn key_of(line: &str) -> Option<&str> {
    if ["verdict", "result", "reason", "summary"].iter().any(|key| of_key(line, key).is_some()) {
        return line.split(':').next();
    }
    let (key, value) = line.split_once(':')?;
    let key = key.trim_end();
    let is_word = key.starts_with(|c: char| c.is_ascii_lowercase())
        && key.len() <= LONGEST_KEY
        && key.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | '-'));
    (is_word && (value.is_empty() || value.starts_with(char::is_whitespace))).then_some(key)
}

/// What a line that decides says: its own value, or the only line below where the value stands there.
pub(super) fn deciding(value: &str, below: &[&str]) -> String {
    let value = value.trim();
    if !value.is_empty() && !is_block_indicator(value) {
        return plain(value);
    }
    let mut lines = below.iter().map(|line| line.trim()).filter(|line| !line.is_empty());
    match (lines.next(), lines.next()) {
        (Some(only), None) => plain(only),
        _ => String::new(),
    }
}

/// The whole text of a value, for people.
pub(super) fn text(value: &str, below: &[&str]) -> String {
    let value = value.trim();
    let first = if is_block_indicator(value) { "" } else { value };
    let shared = below.iter().filter(|line| !line.trim().is_empty()).map(|line| line.len() - line.trim_start().len());
    let shared = shared.min().unwrap_or(0);
    let below = below.iter().map(|line| line.get(shared..).unwrap_or_default().trim_end());
    let whole = std::iter::once(first).chain(below).collect::<Vec<_>>().join("\n");
    unquoted(whole.trim()).trim().to_owned()
}

/// Equal but for case and for what stands between the words.
pub(super) fn same(value: &str, other: &str) -> bool {
    let is_gap = |c: char| c.is_whitespace() || matches!(c, '_' | '-');
    let words = |text: &str| {
        let words = text.split(is_gap).filter(|word| !word.is_empty());
        words.map(str::to_uppercase).collect::<Vec<_>>()
    };
    !value.starts_with(is_gap) && !value.ends_with(is_gap) && words(value) == words(other)
}

/// Without a comment, a full stop, quotes or emphasis around it.
fn plain(value: &str) -> String {
    let mut value = without_comment(value).trim();
    loop {
        let before = value;
        value = value.strip_suffix('.').unwrap_or(value).trim_matches(|c: char| QUOTES.contains(&c)).trim();
        for mark in EMPHASIS {
            value = value.strip_prefix(mark).and_then(|v| v.strip_suffix(mark)).unwrap_or(value);
        }
        if value == before {
            return value.to_owned();
        }
    }
}

fn without_comment(value: &str) -> &str {
    let comment = value
        .match_indices('#')
        .find(|(at, _)| value.get(..*at).is_some_and(|before| before.ends_with(char::is_whitespace)));
    comment.and_then(|(at, _)| value.get(..at)).unwrap_or(value)
}

/// `|`, `>-` and the like: the text stands below.
fn is_block_indicator(value: &str) -> bool {
    let value = without_comment(value).trim();
    value.starts_with(['|', '>'])
        && value.chars().skip(1).all(|c| matches!(c, '+' | '-') || c.is_ascii_digit())
        && value.len() <= 3
}

/// A text in one pair of quotes, without them.
fn unquoted(text: &str) -> String {
    let inner = |mark| text.strip_prefix(mark).and_then(|rest: &str| rest.strip_suffix(mark));
    if let Some(inner) = inner('"').filter(|inner| !inner.ends_with('\\')) {
        return inner.replace("\\n", "\n").replace("\\\"", "\"").replace("\\\\", "\\");
    }
    inner('\'').map_or_else(|| text.to_owned(), |inner| inner.replace("''", "'"))
}

fn is_ornament(c: char) -> bool {
    EMPHASIS.contains(&c) || QUOTES.contains(&c)
}
