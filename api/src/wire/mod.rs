//! What is read of a webhook's body and headers, and what becomes of it: the few fields that say whether it is of
//! interest, how it is known again and in which order it belongs. Everything else in it is the worker's. Pure.

pub mod gitea;
pub mod plane;

use actix_web::http::header::HeaderMap;
use orch_common::store::deliveries::{EventPayload, NewDelivery, Source};
use orch_common::store::payload::Packed;
use serde::Deserialize;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

/// The longest header value that is kept.
const NAME_BYTES: usize = 200;

/// What becomes of a signed delivery.
#[derive(Debug, Clone)]
pub enum Verdict {
    /// Nobody would handle it, with the reason for the log.
    Ignored(String),
    /// It is about something that no project names, with the words for the log.
    Unknown(String),
    /// To be committed if a project's repository has this id at the forge, where it was renamed then; else it is unknown.
    /// `about` as in [`NewDelivery::of_repository`].
    EnqueueIfRenamed { id: i64, about: Option<String>, new: Box<NewDelivery>, unknown: String },
    /// To be committed.
    Enqueue(Box<NewDelivery>),
}

/// The signed text is no webhook.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    #[error("the body is not JSON: {0}")]
    NotJson(String),
    #[error("the body is not a JSON object")]
    NotAnObject,
    /// JSON, with something else in a place that is read here.
    #[error("the body has not the shape of a webhook: {0}")]
    Shape(String),
}

/// Reads the fields of `T` and thereby checks the syntax of all of `text`.
fn envelope<T: for<'a> Deserialize<'a>>(text: &str) -> Result<T, Malformed> {
    // A struct would be read from an array, too.
    if !text.trim_start().starts_with('{') {
        let json = serde_json::from_str::<serde::de::IgnoredAny>(text);
        return Err(json.map_or_else(not_json, |_| Malformed::NotAnObject));
    }
    serde_json::from_str(text).map_err(|error| match error.is_data() {
        true => Malformed::Shape(error.to_string()),
        false => not_json(error),
    })
}

fn not_json(error: serde_json::Error) -> Malformed {
    Malformed::NotJson(error.to_string())
}

/// The names of a delivery, for its payload.
struct Head {
    source: Source,
    event: Option<String>,
    event_type: Option<String>,
    delivery: Option<String>,
}

impl Head {
    /// The event job's payload: an [`EventPayload`] with the body's text as it came. `text` is one whole JSON value,
    /// by [`envelope`]; it is put in its place unparsed, because a second look at every byte is a good part of what
    /// a delivery costs.
    fn around(self, text: String) -> Result<Packed, Malformed> {
        let Head { source, event, event_type, delivery } = self;
        let head = EventPayload { source, event, event_type, delivery, body: RawValue::NULL };
        let mut json = serde_json::to_string(&head).map_err(not_json)?;
        json.truncate(json.len().saturating_sub("null}".len()));
        Ok(Packed::from([json.as_str(), text.trim(), "}"].concat()))
    }
}

/// The first of some headers that has a value, where it is plain ASCII of a sane length.
fn header(headers: &HeaderMap, names: &[&str]) -> Option<String> {
    let value = names.iter().find_map(|name| headers.get(*name).filter(|value| !value.is_empty()))?;
    let text = value.to_str().ok()?.trim();
    (!text.is_empty() && text.len() <= NAME_BYTES).then(|| text.to_owned())
}

fn sha256(text: &str) -> Vec<u8> {
    Sha256::digest(text.as_bytes()).to_vec()
}

#[cfg(test)]
mod tests;
