//! `POST /webhook/gitea`.

use super::webhook::Sender;
use crate::settings::Settings;
use crate::signature::{SignatureHeader, SigningKey};
use crate::wire::{self, Malformed, Verdict};
use actix_web::http::header::{CONTENT_TYPE, HeaderMap};
use orch_common::store::deliveries::Source;
use std::borrow::Cow;
use std::time::Duration;

const FORM: &[u8] = b"application/x-www-form-urlencoded";

/// The forge waits 5 s and never sends again.
pub struct Gitea;

impl Sender for Gitea {
    const SOURCE: Source = Source::Gitea;
    const SIGNATURES: &'static [SignatureHeader] = &[
        SignatureHeader::bare("x-gitea-signature"),
        SignatureHeader { name: "x-hub-signature-256", prefix: "sha256=" },
        SignatureHeader::bare("x-forgejo-signature"),
        SignatureHeader::bare("x-gogs-signature"),
    ];
    const MARKS: &'static [&'static str] = &["x-gitea-event", "x-forgejo-event", "x-gogs-event"];
    const PATIENCE: Duration = Duration::from_secs(4);
    const SENDS_AGAIN_ONLY_IF_CUT: bool = false;

    fn key(settings: &Settings) -> Option<&SigningKey> {
        settings.gitea_key.as_ref()
    }

    /// Of a form the forge signs the decoded field, not the body.
    fn signed_part<'a>(headers: &HeaderMap, body: &'a [u8]) -> Option<Cow<'a, [u8]>> {
        if !is_form(headers) {
            return Some(Cow::Borrowed(body));
        }
        let field = url::form_urlencoded::parse(body).find(|(name, _)| name == "payload");
        field.map(|(_, value)| Cow::Owned(value.into_owned().into_bytes()))
    }

    fn read(settings: &Settings, headers: &HeaderMap, text: String) -> Result<Verdict, Malformed> {
        wire::gitea::read(&settings.known_repos, headers, text)
    }
}

fn is_form(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).map(|value| value.as_bytes()).unwrap_or_default();
    kind.get(..FORM.len()).is_some_and(|start| start.eq_ignore_ascii_case(FORM))
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::http::header::HeaderValue;

    fn part(kind: &'static str, body: &str) -> Option<String> {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        Gitea::signed_part(&headers, body.as_bytes()).map(|part| String::from_utf8(part.into_owned()).unwrap())
    }

    #[test]
    fn what_is_signed_of_each_encoding() {
        let form = "application/x-www-form-urlencoded";
        let rows = [
            ("application/json", r#"{"a":1}"#, Some(r#"{"a":1}"#)),
            ("application/json", "payload=%7B%7D", Some("payload=%7B%7D")),
            (form, "payload=%7B%22a%22%3A+%22%C3%A9%22%7D", Some(r#"{"a": "é"}"#)),
            ("Application/X-WWW-form-urlencoded; charset=utf-8", "x=1&payload=%7B%7D", Some("{}")),
            (form, "other=%7B%7D", None),
            (form, "", None),
        ];
        for (kind, body, expected) in rows {
            assert_eq!(part(kind, body).as_deref(), expected, "{kind} {body}");
        }
    }
}
