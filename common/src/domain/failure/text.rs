//! The last resort: the words of a run that left no record at all. Never applied to a log with records in it.

use regex::Regex;
use std::sync::LazyLock;

/// A provider or network failure; numbers only between non-word characters.
const TRANSIENT: &str = r"(?ix)
    \b(?:429|503|529)\b | rate[\ _-]limit | overloaded | too\ many\ requests | quota | retry-after
    | service\ unavailable | temporarily\ unavailable | timed\ out | timeout
    | connection\ (?:reset|refused|error|aborted) | ECONNRESET | ETIMEDOUT";

/// `Retry-After: 42`, `"retry_after": 7`, `retry after 30`; seconds.
const RETRY_AFTER: &str = r#"(?i)\bretry[-_ ]after"?\s*:?\s*"?(\d{1,9})\b"#;

/// What the CLI says, at the start of a line, when it cannot work at all on this machine or account.
const INSTALLATION: &str = r"(?imx)^\s*(?:
    error:\ (?:unknown\ (?:option|command)|option\ '|missing\ required\ argument|too\ many\ arguments)
    | Error:\ When\ using\ --print
    | Error:\ claude\ native\ binary\ not\ installed
    | --dangerously-skip-permissions\ cannot\ be\ used
    | Claude\ Code\ could\ not\ start
    | Not\ logged\ in | Invalid\ API\ key | Failed\ to\ authenticate | Credit\ balance\ is\ too\ low
    | There's\ an\ issue\ with\ the\ selected\ model )";

/// What the CLI says, at the start of a line, when this very prompt or limit cannot work.
const UNREPEATABLE: &str = r"(?imx)^\s*(?:
    Prompt\ is\ too\ long | Error:\ piped\ stdin\ input\ exceeds
    | Error:\ Reached\ max\ turns | Error:\ Exceeded\ USD\ budget )";

static PATTERNS: LazyLock<[Option<Regex>; 4]> =
    LazyLock::new(|| [TRANSIENT, RETRY_AFTER, INSTALLATION, UNREPEATABLE].map(|pattern| Regex::new(pattern).ok()));

/// The text names a provider or network failure.
pub(super) fn is_transient(text: &str) -> bool {
    let [pattern, ..] = &*PATTERNS;
    pattern.as_ref().is_some_and(|pattern| pattern.is_match(text))
}

/// The last wait that a server asked for, in seconds.
pub(super) fn retry_after_s(text: &str) -> Option<u64> {
    let [_, pattern, ..] = &*PATTERNS;
    let found = pattern.as_ref()?.captures_iter(text).last()?;
    found.get(1)?.as_str().parse().ok()
}

/// The text names a fault of the installation.
pub(super) fn is_installation(text: &str) -> bool {
    let [_, _, pattern, _] = &*PATTERNS;
    pattern.as_ref().is_some_and(|pattern| pattern.is_match(text))
}

/// The text names a limit that the same run would meet again.
pub(super) fn is_unrepeatable(text: &str) -> bool {
    let [_, _, _, pattern] = &*PATTERNS;
    pattern.as_ref().is_some_and(|pattern| pattern.is_match(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pattern_compiles() {
        assert!(PATTERNS.iter().all(Option::is_some));
    }

    #[test]
    fn transient_words() {
        let yes = [
            "HTTP 429",
            "status=429.",
            "429",
            "(529)",
            "error 503:",
            "Rate limit",
            "rate_limit_error",
            "rate-limit",
            "Overloaded",
            "overloaded_error",
            "Too Many Requests",
            "quota exceeded",
            "insufficient_quota",
            "Retry-After: 1",
            "Service Unavailable",
            "temporarily unavailable",
            "timed out",
            "Timeout",
            "connection reset by peer",
            "Connection refused",
            "connection error",
            "connection aborted",
            "read ECONNRESET",
            "ETIMEDOUT",
        ];
        for text in yes {
            assert!(is_transient(text), "{text}");
        }
        let no = [
            "",
            "4290 tokens",
            "id a429b",
            "x_503",
            "line 1529",
            "ratelimit",
            "ratio limits",
            "connection to db",
            "time out of mind",
            "segmentation fault",
            "error[E0429x]",
            "500 internal",
        ];
        for text in no {
            assert!(!is_transient(text), "{text}");
        }
    }

    #[test]
    fn waits_asked_for() {
        let rows = [
            ("Retry-After: 42", Some(42)),
            ("retry-after:7\n", Some(7)),
            (r#"{"retry_after": 7}"#, Some(7)),
            (r#"{"retry_after":"9"}"#, Some(9)),
            ("please retry after 30 seconds", Some(30)),
            ("retry after 1, retry after 2", Some(2)),
            ("Retry-After: Wed, 21 Oct 2026 07:28:00 GMT", None),
            ("retry-after: 99999999999", None),
            ("retry after 30ms", None),
            ("noretry after 3", None),
            ("retry later", None),
        ];
        for (text, want) in rows {
            assert_eq!(retry_after_s(text), want, "{text}");
        }
    }
}
