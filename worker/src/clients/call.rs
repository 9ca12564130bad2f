//! One request and one answer of the HTTP client: what is asked, and whether asking twice can do harm.

use super::error::ApiError;
use reqwest::Method;
use reqwest::header::{CONTENT_TYPE, DATE, HeaderMap, LOCATION, RETRY_AFTER};
use serde::de::DeserializeOwned;
use serde_json::Value;

/// The longest `Retry-After` that is heeded, in seconds.
pub(super) const RETRY_AFTER_MAX_S: u64 = 3600;

/// One request, relative to the base URL.
#[derive(Debug, Clone)]
pub struct Call {
    pub(super) method: Method,
    pub(super) segments: Vec<String>,
    pub(super) query: Vec<(&'static str, String)>,
    pub(super) range: Option<String>,
    pub(super) body: Option<Value>,
    pub(super) repeatable: bool,
    /// Sent also to a service that is known to be away: it is asked whether it answers again.
    pub(super) probe: bool,
}

impl Call {
    /// A GET, PATCH, PUT or DELETE may be repeated after a failure in the middle; a POST may not.
    pub fn new(method: Method, segments: impl IntoIterator<Item = impl Into<String>>) -> Self {
        let repeatable = method != Method::POST;
        let segments = segments.into_iter().map(Into::into).collect();
        Call { method, segments, query: Vec::new(), range: None, body: None, repeatable, probe: false }
    }

    pub fn get(segments: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self::new(Method::GET, segments)
    }

    pub fn post(segments: impl IntoIterator<Item = impl Into<String>>, body: Value) -> Self {
        Self::new(Method::POST, segments).json(body)
    }

    pub fn json(mut self, body: Value) -> Self {
        self.body = Some(body);
        self
    }

    pub fn query(mut self, key: &'static str, value: impl ToString) -> Self {
        self.query.push((key, value.to_string()));
        self
    }

    /// Only the last so many bytes.
    pub fn end(mut self, bytes: usize) -> Self {
        self.range = Some(format!("bytes=-{bytes}"));
        self
    }

    /// Asks a service that is known to be away.
    pub fn probing(mut self) -> Self {
        self.probe = true;
        self
    }

    /// Of a call about something in a forge's repository: the call that asks for the repository itself.
    pub(super) fn of_repository(&self) -> Option<Call> {
        let is_inside = self.segments.len() > 5 && self.segments.get(2).is_some_and(|part| part == "repos");
        is_inside.then(|| Call::get(self.segments.iter().take(5).cloned()))
    }

    /// Whether it is about pull requests of a repository.
    pub(super) fn is_about_pulls(&self) -> bool {
        self.segments.get(5).is_some_and(|part| part == "pulls")
    }

    /// A POST that the service itself makes once of two (an external id).
    pub fn repeatable(mut self) -> Self {
        self.repeatable = true;
        self
    }
}

/// A complete answer, of whatever status.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Answer {
    /// The body as `T`.
    ///
    /// # Errors
    /// [`ApiError::Malformed`] with the place where it differs.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, ApiError> {
        serde_json::from_slice(&self.body).map_err(|e| ApiError::Malformed { why: e.to_string() })
    }

    /// Whether this answers a call that deletes something: nothing is left to be said.
    ///
    /// # Errors
    /// [`ApiError::Malformed`] where it says something.
    pub fn deleted(&self) -> Result<(), ApiError> {
        says(self.status == 204, "that nothing is there any more")
    }

    /// `X-Total-Count`, the number of items over all pages.
    pub fn total(&self) -> Option<usize> {
        self.headers.get("x-total-count")?.to_str().ok()?.trim().parse().ok()
    }

    /// `X-RateLimit-Remaining`, the calls that are left in the service's window after this one.
    pub(super) fn calls_left(&self) -> Option<usize> {
        self.headers.get("x-ratelimit-remaining")?.to_str().ok()?.trim().parse().ok()
    }

    /// Where a redirect leads; empty where it does not say.
    pub fn location(&self) -> &[u8] {
        self.headers.get(LOCATION).map(|value| value.as_bytes()).unwrap_or_default()
    }

    /// The server's clock, in ms since the epoch (whole seconds).
    pub fn date_ms(&self) -> Option<i64> {
        let text = self.headers.get(DATE)?.to_str().ok()?;
        Some(jiff::fmt::rfc2822::parse(text).ok()?.timestamp().as_millisecond())
    }

    /// `Retry-After` in seconds, given so or as a date by the server's own clock; an hour at most.
    pub fn retry_after_s(&self) -> Option<u64> {
        let text = self.headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
        let asked = text.parse().ok().or_else(|| {
            let at = jiff::fmt::rfc2822::parse(text).ok()?.timestamp().as_millisecond();
            u64::try_from(at.saturating_sub(self.date_ms()?).max(0)).ok().map(|ms| ms.div_ceil(1000))
        });
        asked.map(|seconds: u64| seconds.min(RETRY_AFTER_MAX_S))
    }

    /// A log of CI, whatever stands in it.
    fn is_text(&self) -> bool {
        self.headers.get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"text/plain"))
    }

    /// Whether this is a page for people, as proxies and error handlers give them; none of the services answers so.
    pub(super) fn is_page(&self) -> bool {
        !self.is_text() && self.body.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'<')
    }

    /// Whether the body is what a service answers that has done what it was asked for.
    pub(super) fn is_whole(&self) -> bool {
        self.status == 204 || self.is_text() || serde_json::from_slice::<serde::de::IgnoredAny>(&self.body).is_ok()
    }
}

/// An answer to a write shows in its own fields what was done; a page, an empty object or another service's answer does not.
///
/// # Errors
/// [`ApiError::Malformed`] where it does not show `what`.
pub fn says(it_does: bool, what: &str) -> Result<(), ApiError> {
    match it_does {
        true => Ok(()),
        false => Err(ApiError::Malformed { why: format!("the answer does not show {what}") }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, headers: &[(&'static str, &str)], body: &str) -> Answer {
        let pairs = headers
            .iter()
            .map(|(name, value)| (reqwest::header::HeaderName::from_static(name), value.parse().unwrap()));
        Answer { status, headers: pairs.collect(), body: body.as_bytes().to_vec() }
    }

    #[test]
    fn a_wait_is_given_in_seconds_or_as_a_date_and_is_an_hour_at_most() {
        let date = ("date", "Thu, 26 Nov 2026 20:00:00 GMT");
        let table = [
            (vec![], None),
            (vec![("retry-after", "7")], Some(7)),
            (vec![("retry-after", " 86400 ")], Some(3600)),
            (vec![("retry-after", "Thu, 26 Nov 2026 20:01:30 GMT"), date], Some(90)),
            (vec![("retry-after", "Thu, 26 Nov 2026 19:00:00 GMT"), date], Some(0)),
            (vec![("retry-after", "Thu, 26 Nov 2026 20:01:30 GMT")], None),
            (vec![("retry-after", "soon")], None),
        ];
        for (headers, expected) in table {
            assert_eq!(answer(429, &headers, "").retry_after_s(), expected, "{headers:?}");
        }
    }

    #[test]
    fn pages_and_pieces_are_no_answers() {
        let table = [
            (200, vec![], r#"{"id": 7}"#, true),
            (200, vec![], r#"{"id": 7, "na"#, false),
            (201, vec![], "", false),
            (204, vec![], "", true),
            (200, vec![], "<html>Sign in</html>", false),
            (200, vec![("content-type", "text/plain; charset=utf-8")], "##[group]Run make", true),
            (200, vec![], "null", true),
        ];
        for (status, headers, body, whole) in table {
            assert_eq!(answer(status, &headers, body).is_whole(), whole, "{status} {body}");
        }
        assert!(answer(502, &[], " \n<!DOCTYPE html>").is_page());
        assert!(!answer(404, &[], r#"{"message": "<b>"}"#).is_page());
        assert!(!answer(404, &[], "").is_page());
        assert!(!answer(200, &[("content-type", "text/plain")], "<- a log").is_page());
    }
}
