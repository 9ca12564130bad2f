//! The extractor that lets a webhook's handler see nothing but verified bytes.
//!
//! The order of its checks is the order of their cost: is there a secret; is the declared size in bounds; does a
//! header state a well-formed signature; only then is the body read (in bounds, in time, within the memory of all
//! bodies) and hashed, once. A peer that sent many invalid requests gets 429 in place of 401 at whichever check
//! fails, and nothing else: its body is hashed still, since behind a proxy it may be the forge's.

use super::webhook::{Sender, unavailable};
use crate::app::App;
use crate::limits::{BODY_BYTES, BODY_PACE, Held};
use crate::problem::Problem;
use crate::signature;
use actix_web::dev::Payload;
use actix_web::http::header::CONTENT_LENGTH;
use actix_web::{FromRequest, HttpRequest, web};
use futures_util::StreamExt;
use orch_common::store::refusals::Reason;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;

/// How much is set aside for a body before any of it has come.
const FIRST_BYTES: usize = 64 * 1024;

/// The signed text of a request.
pub struct Signed<S> {
    /// As it came; of a form, the decoded field.
    pub text: String,
    /// Its share of the memory.
    pub held: Held,
    sender: PhantomData<S>,
}

impl<S: Sender> FromRequest for Signed<S> {
    type Error = Problem;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Problem>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (request, payload) = (request.clone(), payload.take());
        Box::pin(async move { verified(&request, payload).await })
    }
}

async fn verified<S: Sender>(request: &HttpRequest, payload: Payload) -> Result<Signed<S>, Problem> {
    let Some(app) = request.app_data::<web::Data<App>>() else { return Err(Problem::not_found()) };
    let Some(key) = S::key(&app.settings) else {
        note::<S>(app, request, Reason::NoSecret);
        return Err(unavailable::<S>(request, "this webhook's secret is not set"));
    };
    let declared = declared_length(request);
    if declared > BODY_BYTES {
        note::<S>(app, request, Reason::TooLarge);
        return Err(Problem::too_large(BODY_BYTES));
    }
    let claims = signature::claims(request.headers(), S::SIGNATURES);
    if claims.is_empty() {
        note::<S>(app, request, Reason::Unsigned);
        return Err(unsigned::<S>(app, request));
    }
    let mut held = app.memory.hold();
    let body = match tokio::time::timeout(BODY_PACE, collect(payload, declared, &mut held)).await {
        Ok(Ok(body)) => body,
        Ok(Err(Unread::TooLarge)) => {
            note::<S>(app, request, Reason::TooLarge);
            return Err(Problem::too_large(BODY_BYTES));
        }
        Ok(Err(Unread::NoRoom)) => {
            note::<S>(app, request, Reason::Busy);
            return Err(unavailable::<S>(request, "too many large bodies at a time"));
        }
        Ok(Err(Unread::Broken)) => return Err(Problem::bad_request("the body ended early")),
        Err(_) => return Err(Problem::too_slow()),
    };
    let Some(part) = S::signed_part(request.headers(), &body).filter(|part| key.verify(part, &claims)) else {
        note::<S>(app, request, Reason::WrongSignature);
        return Err(unsigned::<S>(app, request));
    };
    let text = match part {
        std::borrow::Cow::Owned(decoded) => String::from_utf8(decoded),
        std::borrow::Cow::Borrowed(_) => String::from_utf8(body),
    };
    let text = text.map_err(|_| Problem::bad_request("the body is not UTF-8"))?;
    Ok(Signed { text, held, sender: PhantomData })
}

/// Why a body was not read.
#[derive(Debug, Clone, Copy)]
enum Unread {
    TooLarge,
    NoRoom,
    Broken,
}

async fn collect(mut payload: Payload, declared: usize, held: &mut Held) -> Result<Vec<u8>, Unread> {
    let mut body = Vec::with_capacity(declared.min(FIRST_BYTES));
    while let Some(chunk) = payload.next().await {
        let chunk = chunk.map_err(|_| Unread::Broken)?;
        // The declared length is a promise; a chunked body makes none.
        if body.len() + chunk.len() > BODY_BYTES {
            return Err(Unread::TooLarge);
        }
        if !held.grow(chunk.len()) {
            return Err(Unread::NoRoom);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

fn declared_length(request: &HttpRequest) -> usize {
    let length = request.headers().get(CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    length.and_then(|text| text.trim().parse().ok()).unwrap_or(0)
}

/// Counts a refusal of what the sender's program sent; strangers, who knock at every door, are not counted.
fn note<S: Sender>(app: &App, request: &HttpRequest, reason: Reason) {
    if S::MARKS.iter().any(|mark| request.headers().contains_key(*mark)) {
        app.intake.refused(S::SOURCE, reason);
    }
}

fn unsigned<S: Sender>(app: &App, request: &HttpRequest) -> Problem {
    let peer = request.peer_addr().map(|address| address.ip());
    match app.flood.note_invalid(peer) {
        None => {
            tracing::warn!(source = %S::SOURCE, ?peer, "webhook refused: invalid signature");
            Problem::unsigned()
        }
        Some(seconds) => Problem::too_many(seconds),
    }
}
