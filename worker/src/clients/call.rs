//! One request and one answer of the HTTP client: what is asked, and whether asking twice can do harm.

use super::error::ApiError;
use reqwest::Method;
use reqwest::header::{DATE, HeaderMap, RETRY_AFTER};
use serde::de::DeserializeOwned;
use serde_json::Value;

/// One request, relative to the base URL.
#[derive(Debug, Clone)]
pub struct Call {
    pub(super) method: Method,
    pub(super) segments: Vec<String>,
    pub(super) query: Vec<(&'static str, String)>,
    pub(super) range: Option<String>,
    pub(super) body: Option<Value>,
    pub(super) repeatable: bool,
}

impl Call {
    /// A GET, PATCH, PUT or DELETE may be repeated after a failure in the middle; a POST may not.
    pub fn new(method: Method, segments: impl IntoIterator<Item = impl Into<String>>) -> Self {
        let repeatable = method != Method::POST;
        let segments = segments.into_iter().map(Into::into).collect();
        Call { method, segments, query: Vec::new(), range: None, body: None, repeatable }
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

    /// `X-Total-Count`, the number of items over all pages.
    pub fn total(&self) -> Option<usize> {
        self.headers.get("x-total-count")?.to_str().ok()?.trim().parse().ok()
    }

    /// The server's clock, in ms since the epoch (whole seconds).
    pub fn date_ms(&self) -> Option<i64> {
        let text = self.headers.get(DATE)?.to_str().ok()?;
        Some(jiff::fmt::rfc2822::parse(text).ok()?.timestamp().as_millisecond())
    }

    /// `Retry-After` in seconds; a date there is not understood.
    pub fn retry_after_s(&self) -> Option<u64> {
        self.headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()
    }
}
