//! Who may speak: HMAC-SHA256 over the signed bytes, compared in constant time. Nothing here reads a body or
//! decides what a wrong signature is answered with.

use actix_web::http::header::HeaderMap;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::fmt;

/// A webhook's secret, ready to verify with; it never shows itself.
#[derive(Clone)]
pub struct SigningKey(Hmac<Sha256>);

/// A signature as a header states it.
pub type Claim = [u8; 32];

/// A header that may carry a signature, and what stands before the hex digits.
#[derive(Debug, Clone, Copy)]
pub struct SignatureHeader {
    /// Lower case.
    pub name: &'static str,
    pub prefix: &'static str,
}

impl SignatureHeader {
    /// A header with nothing but hex digits.
    pub const fn bare(name: &'static str) -> Self {
        SignatureHeader { name, prefix: "" }
    }
}

impl SigningKey {
    /// `None` for an empty secret: it would sign for everybody.
    pub fn new(secret: &str) -> Option<Self> {
        if secret.is_empty() {
            return None;
        }
        Hmac::new_from_slice(secret.as_bytes()).ok().map(SigningKey)
    }

    /// Whether one of the claims is the signature of `message`, which is hashed once.
    pub fn verify(&self, message: &[u8], claims: &[Claim]) -> bool {
        let signed = self.0.clone().chain_update(message);
        // Each comparison is constant in time; which of the sender's own claims it is, is no secret.
        claims.iter().any(|claim| signed.clone().verify_slice(claim).is_ok())
    }

    /// The signature of `message`.
    pub fn sign(&self, message: &[u8]) -> Claim {
        self.0.clone().chain_update(message).finalize().into_bytes().into()
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey(***)")
    }
}

/// The well-formed signatures a request states, each once: a sender's twin headers normally all say the same.
pub fn claims(headers: &HeaderMap, accepted: &[SignatureHeader]) -> Vec<Claim> {
    let mut found = Vec::with_capacity(1);
    for header in accepted {
        for value in headers.get_all(header.name) {
            if let Some(claim) = parse(value.as_bytes(), header.prefix)
                && !found.contains(&claim)
            {
                found.push(claim);
            }
        }
    }
    found
}

fn parse(value: &[u8], prefix: &str) -> Option<Claim> {
    let mut claim = [0; 32];
    hex::decode_to_slice(value.strip_prefix(prefix.as_bytes())?, &mut claim).ok()?;
    Some(claim)
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::http::header::{HeaderName, HeaderValue};

    // The example of GitHub's documentation; Gitea sends the same header.
    const SECRET: &str = "It's a Secret to Everybody";
    const BODY: &[u8] = b"Hello, World!";
    const HEX: &str = "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
    const ACCEPTED: &[SignatureHeader] = &[
        SignatureHeader::bare("x-gitea-signature"),
        SignatureHeader { name: "x-hub-signature-256", prefix: "sha256=" },
    ];

    fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in pairs {
            map.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_str(value).unwrap());
        }
        map
    }

    fn valid(pairs: &[(&str, &str)], body: &[u8]) -> bool {
        SigningKey::new(SECRET).unwrap().verify(body, &claims(&headers(pairs), ACCEPTED))
    }

    #[test]
    fn the_published_vector_holds() {
        assert_eq!(hex::encode(SigningKey::new(SECRET).unwrap().sign(BODY)), HEX);
    }

    #[test]
    fn signatures_by_header() {
        let prefixed = format!("sha256={HEX}");
        let upper = HEX.to_uppercase();
        let odd = &HEX[..63];
        let long = format!("{HEX}00");
        let wrong = HEX.replace('7', "8");
        let rows: &[(&[(&str, &str)], bool)] = &[
            (&[("x-gitea-signature", HEX)], true),
            (&[("X-Gitea-Signature", HEX)], true),
            (&[("x-gitea-signature", &upper)], true),
            (&[("x-hub-signature-256", &prefixed)], true),
            (&[("x-hub-signature-256", HEX)], false),
            (&[("x-gitea-signature", &prefixed)], false),
            (&[("x-gitea-signature", "")], false),
            (&[("x-hub-signature-256", "sha256=")], false),
            (&[("x-gitea-signature", odd)], false),
            (&[("x-gitea-signature", &long)], false),
            (&[("x-gitea-signature", &wrong)], false),
            (&[("x-gitea-signature", "zz")], false),
            (&[("x-hub-signature", HEX)], false),
            (&[], false),
            (&[("x-gitea-signature", ""), ("x-hub-signature-256", &prefixed)], true),
            (&[("x-gitea-signature", &wrong), ("x-gitea-signature", HEX)], true),
        ];
        for (pairs, expected) in rows {
            assert_eq!(valid(pairs, BODY), *expected, "{pairs:?}");
            assert!(!valid(pairs, b"Hello, World?"), "{pairs:?} signs one body only");
        }
    }

    #[test]
    fn twins_are_checked_once_and_no_secret_is_no_key() {
        let twins = headers(&[("x-gitea-signature", HEX), ("x-hub-signature-256", &format!("sha256={HEX}"))]);
        assert_eq!(claims(&twins, ACCEPTED).len(), 1);
        assert!(SigningKey::new("").is_none());
        assert_eq!(format!("{:?}", SigningKey::new(SECRET).unwrap()), "SigningKey(***)");
    }
}
