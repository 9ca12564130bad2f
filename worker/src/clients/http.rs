//! The one HTTP client: TLS, timeouts, bounded bodies, a short retry, and errors without secrets. The only
//! place where the crate `backoff` is used; retrying over minutes and hours is the queue's business.

pub use super::call::{Answer, Call};
use super::error::{ApiError, EXCERPT_CHARS};
use super::gate::Gate;
use super::network::Network;
use backoff::backoff::Backoff;
use backoff::{ExponentialBackoff, ExponentialBackoffBuilder};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue, RANGE};
use reqwest::redirect;
use serde_json::Value;
use std::fmt;
use std::time::Duration;
use url::Url;

/// No answer of these services is anywhere near; a larger one is a mistake or an attack.
const LARGEST_BODY: usize = 16 * 1024 * 1024;
/// Tries of one call, the first included.
const TRIES: usize = 3;
/// A `Retry-After` beyond this is left to the queue.
const PATIENCE_S: u64 = 2;
/// What the text of a redirect begins with, before its address.
pub(super) const REDIRECTED: &str = "redirected to";
/// Used where a 429 names no time.
const DEFAULT_RETRY_AFTER_S: u64 = 10;
/// A longer link is not passed on, in bytes.
const LONGEST_LINK: usize = 500;

/// The time limits of a client.
#[derive(Debug, Clone, Copy)]
pub struct Timing {
    /// To open a connection.
    pub connect: Duration,
    /// For one try, from the first byte out to the last byte in.
    pub total: Duration,
    /// Before the second try; doubled (with jitter) before the third.
    pub first_pause: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Timing {
            connect: Duration::from_secs(5),
            total: Duration::from_secs(30),
            first_pause: Duration::from_millis(500),
        }
    }
}

/// A failed try, and whether trying again can do harm.
struct Failed {
    error: ApiError,
    again: Again,
}

enum Again {
    /// The service has not seen the request.
    Always,
    /// It may have.
    IfRepeatable,
    Never,
}

/// A client of one service.
pub struct Http {
    client: reqwest::Client,
    pub(super) base: Url,
    /// Of every request; the token is in them.
    headers: HeaderMap,
    /// What no text may show.
    secret: String,
    trailing_slash: bool,
    pub(super) timing: Timing,
    pub(super) network: Network,
    gate: Gate,
}

impl fmt::Debug for Http {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Http").field("base", &self.base.as_str()).finish_non_exhaustive()
    }
}

impl Http {
    /// `base` may have a path; `auth` goes with every request.
    ///
    /// # Errors
    /// [`ApiError::Refused`] with status 0 where the URL or the token cannot be used at all.
    pub fn new(
        base: &str,
        auth: Option<(&'static str, String)>,
        secret: &str,
        timing: Timing,
    ) -> Result<Self, ApiError> {
        let unusable = |body: &str| ApiError::Refused { status: 0, body: body.to_owned() };
        let base = Url::parse(base).map_err(|e| unusable(&format!("the URL is not usable: {e}")))?;
        if !matches!(base.scheme(), "http" | "https") || base.cannot_be_a_base() {
            return Err(unusable("the URL must start with http:// or https://"));
        }
        let mut headers = HeaderMap::new();
        if let Some((name, value)) = auth {
            let mut value = HeaderValue::from_str(&value).map_err(|_| unusable("the token has unusable characters"))?;
            value.set_sensitive(true);
            headers.insert(HeaderName::from_static(name), value);
        }
        let client = build_client(&base, headers.clone(), timing, &Network::default())?;
        Ok(Http {
            client,
            base,
            headers,
            secret: secret.to_owned(),
            trailing_slash: false,
            timing,
            network: Network::default(),
            gate: Gate::default(),
        })
    }

    /// Reached as the installation says.
    ///
    /// # Errors
    /// [`ApiError::Unavailable`] where no client can be made so.
    pub fn through(self, network: &Network) -> Result<Self, ApiError> {
        if network.is_plain() {
            return Ok(self);
        }
        let client = build_client(&self.base, self.headers.clone(), self.timing, network)?;
        Ok(Http { client, network: network.clone(), ..self })
    }

    /// Every path ends in a slash (Django redirects the others, and a redirect loses the body).
    pub fn with_trailing_slash(mut self) -> Self {
        self.trailing_slash = true;
        self
    }

    /// Where it is said that the service is away.
    pub fn gate(&self) -> &Gate {
        &self.gate
    }

    /// The same gate as another client's of the same service.
    pub fn behind(mut self, gate: &Gate) -> Self {
        self.gate = gate.clone();
        self
    }

    /// Sends and takes only a whole 2xx.
    pub async fn send(&self, call: &Call) -> Result<Answer, ApiError> {
        self.take(self.exchange(call).await?)
    }

    /// A whole 2xx passes, everything else becomes its error.
    pub fn take(&self, answer: Answer) -> Result<Answer, ApiError> {
        let answer = self.check(answer)?;
        if answer.is_whole() {
            return Ok(answer);
        }
        let why = format!("status {}, and no whole answer: '{}'", answer.status, self.excerpt(&answer.body));
        Err(ApiError::Malformed { why })
    }

    /// Sends and gives back the answer of any status; a short outage is waited out.
    pub async fn exchange(&self, call: &Call) -> Result<Answer, ApiError> {
        if let Some(why) = self.gate.words().filter(|_| !call.probe) {
            return Err(ApiError::Unavailable { why });
        }
        let url = self.url(call)?;
        let mut pauses = self.pauses();
        for _ in 1..TRIES {
            let failed = match self.once(call, url.clone()).await {
                Ok(answer) => return Ok(answer),
                Err(failed) => failed,
            };
            let again = match failed.again {
                Again::Always => true,
                Again::IfRepeatable => call.repeatable,
                Again::Never => false,
            };
            match pauses.next_backoff().filter(|_| again) {
                Some(pause) => tokio::time::sleep(pause).await,
                None => return Err(failed.error),
            }
        }
        self.once(call, url).await.map_err(|failed| failed.error)
    }

    /// A 2xx passes, every other status becomes its error.
    pub fn check(&self, answer: Answer) -> Result<Answer, ApiError> {
        let status = answer.status;
        let body = self.excerpt(&answer.body);
        if answer.is_page() && !matches!(status, 300..=399 | 429 | 500..) {
            return Err(ApiError::Malformed { why: format!("status {status} with a page: {body}") });
        }
        Err(match status {
            200..=299 => return Ok(answer),
            401 | 403 => ApiError::Unauthorized(body),
            404 => ApiError::NotFound,
            409 => ApiError::Conflict { existing_id: existing_id(&answer), body },
            429 => {
                ApiError::RateLimited { retry_after_s: answer.retry_after_s().unwrap_or(DEFAULT_RETRY_AFTER_S).max(1) }
            }
            300..=399 => {
                ApiError::Refused { status, body: format!("{REDIRECTED} {}", self.excerpt(answer.location())) }
            }
            // Of the connection or the moment, not of what was asked for.
            408 | 421 | 425 => ApiError::Unavailable { why: format!("status {status}: {body}") },
            400..=499 => ApiError::Refused { status, body },
            _ => ApiError::Unavailable { why: format!("status {status}: {body}") },
        })
    }

    /// The beginning of a body, fit for an error text.
    pub fn excerpt(&self, body: &[u8]) -> String {
        let head = body.get(..body.len().min(8 * EXCERPT_CHARS)).unwrap_or_default();
        self.scrub(&String::from_utf8_lossy(head)).trim().chars().take(EXCERPT_CHARS).collect()
    }

    async fn once(&self, call: &Call, url: Url) -> Result<Answer, Failed> {
        let mut request = self.client.request(call.method.clone(), url);
        if let Some(body) = &call.body {
            request = request.json(body);
        }
        if let Some(range) = &call.range {
            request = request.header(RANGE, range);
        }
        let response = request.send().await.map_err(|e| self.network(e))?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let answer = Answer { status, headers, body: self.read(response).await? };
        let soon = answer.retry_after_s().is_none_or(|s| s <= PATIENCE_S);
        if matches!(status, 502..=504) && soon {
            let error = ApiError::Unavailable { why: format!("status {status}: {}", self.excerpt(&answer.body)) };
            return Err(Failed { error, again: Again::IfRepeatable });
        }
        Ok(answer)
    }

    async fn read(&self, mut response: reqwest::Response) -> Result<Vec<u8>, Failed> {
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|e| self.network(e))? {
            if body.len() + chunk.len() > LARGEST_BODY {
                let why = format!("larger than {} MiB", LARGEST_BODY >> 20);
                return Err(Failed { error: ApiError::Malformed { why }, again: Again::Never });
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }

    fn network(&self, error: reqwest::Error) -> Failed {
        let again = match () {
            () if error.is_connect() => Again::Always,
            () if error.is_timeout() => Again::Never,
            () => Again::IfRepeatable,
        };
        let error = error.without_url();
        let mut why = error.to_string();
        let mut source = std::error::Error::source(&error);
        while let Some(cause) = source {
            why = format!("{why}: {cause}");
            source = cause.source();
        }
        Failed { error: ApiError::Unavailable { why: self.scrub(&why) }, again }
    }

    /// The whole address of a link of this service, which may be a path without the host; `None` = it leads nowhere on the web.
    pub fn absolute(&self, link: &str) -> Option<String> {
        let is_path = link.starts_with('/') && !link.starts_with("//");
        let url = if is_path { self.base.join(link).ok()? } else { Url::parse(link).ok()? };
        let plain = url.username().is_empty() && url.password().is_none();
        (matches!(url.scheme(), "http" | "https") && plain && url.as_str().len() <= LONGEST_LINK).then(|| url.into())
    }

    /// The text without our secret.
    pub(super) fn scrub(&self, text: &str) -> String {
        if self.secret.is_empty() { text.to_owned() } else { text.replace(&self.secret, "***") }
    }

    fn url(&self, call: &Call) -> Result<Url, ApiError> {
        let unusable = |part: &str| ApiError::Refused { status: 0, body: format!("'{part}' cannot be part of a path") };
        let mut url = self.base.clone();
        if let Some(bad) = call.segments.iter().find(|s| matches!(s.as_str(), "" | "." | "..")) {
            return Err(unusable(bad));
        }
        {
            let mut path = url.path_segments_mut().map_err(|()| unusable("the base URL"))?;
            path.pop_if_empty().extend(&call.segments);
            if self.trailing_slash {
                path.push("");
            }
        }
        if !call.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&call.query);
        }
        Ok(url)
    }

    fn pauses(&self) -> ExponentialBackoff {
        ExponentialBackoffBuilder::new()
            .with_initial_interval(self.timing.first_pause)
            .with_multiplier(2.0)
            .with_randomization_factor(0.3)
            .with_max_elapsed_time(Some(Duration::from_secs(10)))
            .build()
    }
}

/// A client without address or token, for our own API on loopback.
pub fn plain_client() -> reqwest::Result<reqwest::Client> {
    // A second provider is refused, and the first is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().redirect(redirect::Policy::none()).no_proxy().tls_certs_only([]).build()
}

pub(super) fn build_client(
    base: &Url,
    headers: HeaderMap,
    timing: Timing,
    network: &Network,
) -> Result<reqwest::Client, ApiError> {
    // An error says that a provider is there already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let builder = || {
        let plain = reqwest::Client::builder()
            .user_agent(concat!("orch/", env!("CARGO_PKG_VERSION")))
            .default_headers(headers.clone())
            .redirect(redirect::Policy::none())
            .connect_timeout(timing.connect)
            .timeout(timing.total);
        match network.proxy() {
            // A proxy cannot reach our loopback, whoever names it.
            _ if is_loopback(base) => plain.no_proxy(),
            Some(proxy) => plain.proxy(proxy),
            None => plain,
        }
    };
    let trusting = || match network.authorities() {
        none if none.is_empty() => builder(),
        own => builder().tls_certs_merge(own),
    };
    // Without any system certificate the platform's verifier refuses to exist; plain HTTP must work all the same.
    trusting()
        .build()
        .or_else(|_| builder().tls_certs_only(network.authorities()).build())
        .map_err(|e| ApiError::Unavailable { why: format!("no HTTP client: {e}") })
}

fn is_loopback(base: &Url) -> bool {
    match base.host() {
        Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
        Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
        Some(url::Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

fn existing_id(answer: &Answer) -> Option<String> {
    let body: Value = serde_json::from_slice(&answer.body).ok()?;
    match body.get("id")? {
        Value::String(id) => Some(id.clone()),
        Value::Number(id) => Some(id.to_string()),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use reqwest::header::RETRY_AFTER;

    fn http(base: &str) -> Http {
        Http::new(base, None, "s3cret", Timing::default()).unwrap()
    }

    #[test]
    fn paths_are_built_from_parts_that_cannot_escape() {
        let slash = http("http://h.example/sub/").with_trailing_slash();
        let call = Call::get(["api", "a b", "x/../y?z"]).query("q", "1&2");
        assert_eq!(slash.url(&call).unwrap().as_str(), "http://h.example/sub/api/a%20b/x%2F..%2Fy%3Fz/?q=1%262");
        assert_eq!(http("http://h.example").url(&Call::get(["v"])).unwrap().as_str(), "http://h.example/v");
        for bad in ["..", ".", ""] {
            assert!(matches!(slash.url(&Call::get(["api", bad])), Err(ApiError::Refused { status: 0, .. })), "{bad}");
        }
    }

    #[test]
    fn only_http_urls_and_usable_tokens_are_taken() {
        for bad in ["", "h.example", "file:///etc", "mailto:a@b"] {
            assert!(Http::new(bad, None, "", Timing::default()).is_err(), "{bad}");
        }
        let bad_token = Some(("x-api-key", "a\nb".to_owned()));
        assert!(Http::new("http://h.example", bad_token, "", Timing::default()).is_err());
    }

    #[test]
    fn no_text_shows_the_token() {
        let http = http("https://h.example");
        assert_eq!(http.excerpt(b" bad token s3cret \xff"), "bad token *** \u{fffd}");
        assert_eq!(http.excerpt(&[b'x'; 9000]).len(), EXCERPT_CHARS);
        assert!(!format!("{http:?}").contains("s3cret"));
    }

    #[test]
    fn every_status_has_its_error() {
        let http = http("https://h.example");
        let answer = |status, body: &str| {
            let mut headers = HeaderMap::new();
            if status == 429 {
                headers.insert(RETRY_AFTER, HeaderValue::from_static("57"));
            }
            http.check(Answer { status, headers, body: body.as_bytes().to_vec() }).map(|a| a.status)
        };
        assert_eq!(answer(201, ""), Ok(201));
        assert_eq!(answer(401, "t"), Err(ApiError::Unauthorized("t".into())));
        assert_eq!(answer(403, "t"), Err(ApiError::Unauthorized("t".into())));
        assert_eq!(answer(404, "t"), Err(ApiError::NotFound));
        assert_eq!(answer(429, ""), Err(ApiError::RateLimited { retry_after_s: 57 }));
        assert!(matches!(answer(301, ""), Err(ApiError::Refused { status: 301, .. })));
        assert_eq!(answer(422, "no"), Err(ApiError::Refused { status: 422, body: "no".into() }));
        assert!([408, 421, 425, 500].iter().all(|s| matches!(answer(*s, "no"), Err(ApiError::Unavailable { .. }))));
        let body = r#"{"error":"x","id":"abc"}"#;
        assert_eq!(answer(409, body), Err(ApiError::Conflict { existing_id: Some("abc".into()), body: body.into() }));
    }
}
