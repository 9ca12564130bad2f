//! `POST /webhook/plane`.

use super::webhook::Sender;
use crate::settings::Settings;
use crate::signature::{SignatureHeader, SigningKey};
use crate::wire::{self, Malformed, Verdict};
use actix_web::http::header::HeaderMap;
use orch_common::store::deliveries::Source;
use std::borrow::Cow;
use std::time::Duration;

/// Plane waits 30 s and logs whatever it is answered as delivered.
pub struct Plane;

impl Sender for Plane {
    const SOURCE: Source = Source::Plane;
    const SIGNATURES: &'static [SignatureHeader] = &[SignatureHeader::bare("x-plane-signature")];
    const MARKS: &'static [&'static str] = &["x-plane-event"];
    const PATIENCE: Duration = Duration::from_secs(25);
    const SENDS_AGAIN_ONLY_IF_CUT: bool = true;

    fn key(settings: &Settings) -> Option<&SigningKey> {
        settings.plane_key.as_ref()
    }

    fn signed_part<'a>(_: &HeaderMap, body: &'a [u8]) -> Option<Cow<'a, [u8]>> {
        Some(Cow::Borrowed(body))
    }

    fn read(settings: &Settings, headers: &HeaderMap, text: String) -> Result<Verdict, Malformed> {
        wire::plane::read(&settings.known_projects, headers, text)
    }
}
