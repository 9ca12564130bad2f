//! Deliveries and what they lead to. [`plane`] and [`gitea`] turn what is stored into normalized events (pure: no IO,
//! no clock; the wire's oddities end there), the rules turn those into a plan, [`handle`] commits it.

pub mod accounts;
mod body;
pub mod gitea;
mod gitea_rules;
mod handle;
mod observed;
mod once;
mod people;
mod plan;
pub mod plane;
mod plane_rules;
mod plane_words;
mod speakers;
mod told;

pub use gitea::{ActionJob, Ends, GiteaChange, GiteaEvent, ReviewKind};
pub use handle::handle;
pub(crate) use observed::{Observed, ObservedPayload};
pub(crate) use once::{Once, newest_move};
pub(crate) use people::names_in;
pub use plane::{NewItem, PlaneChange, PlaneEvent, SaidInPlane};
pub(crate) use plane_rules::{Kept, kept_text};
pub(crate) use speakers::{Speakers, Voice, people_and_teams};
pub(crate) use told::tells_of_statuses;

use orch_common::named_enum;

named_enum! {
    /// Who sent a delivery.
    pub enum Source ("event source") {
        Plane = "plane",
        Gitea = "gitea",
    }
}

/// A delivery as stored: its body is signed, its headers are not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawEvent<'a> {
    pub source: Source,
    /// `X-Plane-Event` or `X-Gitea-Event`.
    pub event: Option<String>,
    /// `X-Gitea-Event-Type`, which is unambiguous where `X-Gitea-Event` is not.
    pub event_type: Option<String>,
    /// The JSON text.
    pub body: &'a str,
}

/// A delivery, understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Parsed<E> {
    Event(E),
    /// Nothing that moves a task.
    Ignored {
        why: String,
    },
}

impl<E> Parsed<E> {
    fn ignored(why: impl Into<String>) -> Self {
        Parsed::Ignored { why: why.into() }
    }
}

/// An event of either source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    Plane(PlaneEvent),
    Gitea(GiteaEvent),
}

/// A delivery that is not what its sender sends. Trying again will not help.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadEvent {
    #[error("not a JSON object: {why}")]
    NotJson { why: String },
    #[error("the field '{field}' is missing")]
    Missing { field: String },
    #[error("the field '{field}' is not {expected}")]
    WrongType { field: String, expected: &'static str },
}

/// Reads a delivery by its source.
///
/// # Errors
/// [`BadEvent`] names the field that is missing or of another type.
pub fn parse(raw: &RawEvent<'_>) -> Result<Parsed<Event>, BadEvent> {
    Ok(match raw.source {
        Source::Plane => plane::parse(raw)?.map(Event::Plane),
        Source::Gitea => gitea::parse(raw)?.map(Event::Gitea),
    })
}

impl<E> Parsed<E> {
    fn map<T>(self, into: impl FnOnce(E) -> T) -> Parsed<T> {
        match self {
            Parsed::Event(event) => Parsed::Event(into(event)),
            Parsed::Ignored { why } => Parsed::Ignored { why },
        }
    }
}
