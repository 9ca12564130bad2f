//! Who may read. On loopback everybody who is on this machine; elsewhere, and for a request that a proxy on this
//! machine passed on for somebody else, whoever has the token.

use crate::app::App;
use crate::problem::Problem;
use crate::signature::{Claim, SigningKey};
use actix_web::dev::Payload;
use actix_web::http::header::{AUTHORIZATION, HeaderMap};
use actix_web::{FromRequest, HttpRequest, web};
use std::fmt;
use std::future::{Ready, ready};

/// Headers that say a request came from elsewhere.
const FORWARDED: [&str; 3] = ["forwarded", "x-forwarded-for", "x-real-ip"];

/// The token that opens the read routes, kept as its keyed hash.
#[derive(Clone)]
pub struct ReadToken {
    key: SigningKey,
    hash: Claim,
}

impl ReadToken {
    /// `None` for an empty token.
    pub fn new(token: &str) -> Option<Self> {
        let key = SigningKey::new("bearer token of the read routes")?;
        (!token.is_empty()).then(|| ReadToken { hash: key.sign(token.as_bytes()), key })
    }

    /// Compares the hashes in constant time; not even the length shows.
    pub fn is(&self, given: &[u8]) -> bool {
        self.key.verify(given, &[self.hash])
    }
}

impl fmt::Debug for ReadToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ReadToken(***)")
    }
}

/// Proof that the sender may read; a read route takes one.
pub struct Reader;

impl FromRequest for Reader {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let Some(app) = request.app_data::<web::Data<App>>() else {
            return ready(Err(Problem::forbidden("this address is not served")));
        };
        ready(admit(app.on_loopback, app.settings.read_token.as_ref(), request.headers()))
    }
}

fn admit(on_loopback: bool, token: Option<&ReadToken>, headers: &HeaderMap) -> Result<Reader, Problem> {
    if on_loopback && !FORWARDED.iter().any(|name| headers.contains_key(*name)) {
        return Ok(Reader);
    }
    let Some(token) = token else {
        return Err(Problem::forbidden(
            "reading from elsewhere than this machine needs a token: set ORCH_API_READ_TOKEN (api.read_token)",
        ));
    };
    match bearer(headers).is_some_and(|given| token.is(given)) {
        true => Ok(Reader),
        false => Err(Problem::no_token()),
    }
}

fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let value = headers.get(AUTHORIZATION)?.as_bytes();
    let (scheme, token) = value.split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"bearer ").then(|| token.trim_ascii())
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::ResponseError;
    use actix_web::http::header::{HeaderName, HeaderValue};

    #[test]
    fn views_are_open_on_loopback_and_elsewhere_to_the_token_alone() {
        let token = ReadToken::new("t0ken").unwrap();
        type Row = (bool, bool, &'static [(&'static str, &'static str)], u16);
        let rows: &[Row] = &[
            (true, false, &[], 200),
            (true, true, &[], 200),
            (true, true, &[("x-forwarded-for", "203.0.113.9")], 401),
            (true, true, &[("x-forwarded-for", "203.0.113.9"), ("authorization", "Bearer t0ken")], 200),
            (true, false, &[("forwarded", "for=203.0.113.9")], 403),
            (false, false, &[], 403),
            (false, false, &[("authorization", "Bearer t0ken")], 403),
            (false, true, &[], 401),
            (false, true, &[("authorization", "Bearer t0ken")], 200),
            (false, true, &[("authorization", "bearer  t0ken")], 200),
            (false, true, &[("authorization", "Bearer t0ken2")], 401),
            (false, true, &[("authorization", "Bearer ")], 401),
            (false, true, &[("authorization", "Basic t0ken")], 401),
            (false, true, &[("authorization", "B")], 401),
        ];
        for (on_loopback, has_token, pairs, status) in rows {
            let mut headers = HeaderMap::new();
            for (name, value) in *pairs {
                headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
            }
            let found = match admit(*on_loopback, has_token.then_some(&token), &headers) {
                Ok(Reader) => 200,
                Err(problem) => problem.status_code().as_u16(),
            };
            assert_eq!(found, *status, "{on_loopback} {has_token} {pairs:?}");
        }
        assert!(ReadToken::new("").is_none());
        assert_eq!(format!("{token:?}"), "ReadToken(***)");
    }
}
