//! Every answer that is not a success, as `application/problem+json` (RFC 9457). The detail is for the person who
//! set the sender up; it never carries a secret, a path or a database's message.

use actix_web::http::StatusCode;
use actix_web::http::header::{ALLOW, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use actix_web::{HttpResponse, ResponseError};
use serde::Serialize;
use std::borrow::Cow;
use std::fmt;

/// An error answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    status: StatusCode,
    detail: Cow<'static, str>,
    /// Seconds until it is worth trying again.
    retry_after: Option<u64>,
    /// The methods a route has, for 405.
    allow: Option<&'static str>,
    /// A bearer token is what is missing.
    challenge: bool,
}

/// The wire shape.
#[derive(Serialize)]
struct Body<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    title: &'a str,
    status: u16,
    detail: &'a str,
}

impl Problem {
    fn new(status: StatusCode, detail: impl Into<Cow<'static, str>>) -> Self {
        Problem { status, detail: detail.into(), retry_after: None, allow: None, challenge: false }
    }

    /// 400: what arrived cannot be read.
    pub fn bad_request(detail: impl Into<Cow<'static, str>>) -> Self {
        Problem::new(StatusCode::BAD_REQUEST, detail)
    }

    /// 401: no valid signature.
    pub fn unsigned() -> Self {
        Problem::new(StatusCode::UNAUTHORIZED, "the request has no valid signature")
    }

    /// 401: no valid bearer token.
    pub fn no_token() -> Self {
        Problem { challenge: true, ..Problem::new(StatusCode::UNAUTHORIZED, "this address needs a bearer token") }
    }

    /// 403: no credential would help; the detail says what would.
    pub fn forbidden(detail: impl Into<Cow<'static, str>>) -> Self {
        Problem::new(StatusCode::FORBIDDEN, detail)
    }

    /// 404.
    pub fn not_found() -> Self {
        Problem::new(StatusCode::NOT_FOUND, "there is nothing at this address")
    }

    /// 405, with the methods the route has.
    pub fn method_not_allowed(allow: &'static str) -> Self {
        let detail = format!("this address takes {allow} only");
        Problem { allow: Some(allow), ..Problem::new(StatusCode::METHOD_NOT_ALLOWED, detail) }
    }

    /// 408: the body did not arrive in time.
    pub fn too_slow() -> Self {
        Problem::new(StatusCode::REQUEST_TIMEOUT, "the body did not arrive in time")
    }

    /// 413.
    pub fn too_large(limit: usize) -> Self {
        Problem::new(StatusCode::PAYLOAD_TOO_LARGE, format!("a body may have {limit} bytes"))
    }

    /// 429: too many requests without a valid signature.
    pub fn too_many(retry_after: u64) -> Self {
        let detail = "too many requests without a valid signature";
        Problem { retry_after: Some(retry_after), ..Problem::new(StatusCode::TOO_MANY_REQUESTS, detail) }
    }

    /// 500: the request is at fault in a way that trying again does not change.
    pub fn rejected() -> Self {
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the queue did not accept this request; the log says why")
    }

    /// 503: it may work later.
    pub fn unavailable(detail: impl Into<Cow<'static, str>>, retry_after: u64) -> Self {
        Problem { retry_after: Some(retry_after), ..Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail) }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.status, self.detail)
    }
}

impl std::error::Error for Problem {}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        self.status
    }

    fn error_response(&self) -> HttpResponse {
        let mut response = HttpResponse::build(self.status);
        response.content_type("application/problem+json");
        if let Some(seconds) = self.retry_after {
            response.insert_header((RETRY_AFTER, seconds));
        }
        if let Some(methods) = self.allow {
            response.insert_header((ALLOW, HeaderValue::from_static(methods)));
        }
        if self.challenge {
            response.insert_header((WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"orch\"")));
        }
        let title = self.status.canonical_reason().unwrap_or("Error");
        let body = Body { kind: "about:blank", title, status: self.status.as_u16(), detail: &self.detail };
        response.body(serde_json::to_string(&body).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::body::to_bytes;

    #[actix_web::test]
    async fn a_problem_is_the_standard_shape_with_the_headers_of_its_status() {
        let rows = [
            (Problem::too_many(7), 429, Some(("retry-after", "7"))),
            (Problem::method_not_allowed("POST"), 405, Some(("allow", "POST"))),
            (Problem::unsigned(), 401, None),
            (Problem::no_token(), 401, Some(("www-authenticate", "Bearer realm=\"orch\""))),
            (Problem::unavailable("locked", 3), 503, Some(("retry-after", "3"))),
            (Problem::too_large(10), 413, None),
            (Problem::not_found(), 404, None),
        ];
        for (problem, status, header) in rows {
            let response = problem.error_response();
            assert_eq!(response.status(), status);
            assert_eq!(response.headers().get("content-type").unwrap(), "application/problem+json");
            if let Some((name, value)) = header {
                assert_eq!(response.headers().get(name).unwrap(), value);
            }
            let body: serde_json::Value =
                serde_json::from_slice(&to_bytes(response.into_body()).await.unwrap()).unwrap();
            assert_eq!(body["status"], status);
            assert_eq!(body["type"], "about:blank");
            assert!(body["title"].is_string() && body["detail"].is_string());
        }
    }
}
