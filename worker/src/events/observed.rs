//! What was found by asking, in the words of a delivery: the payload of an event job that no webhook brought. From
//! here on the two are handled by the same rules.

use super::{Event, GiteaEvent, PlaneEvent};
use serde::{Deserialize, Serialize};

/// The payload. Intake never writes the key `observed`, so no signed body can pass for one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ObservedPayload {
    pub observed: Observed,
}

/// An event, seen with our own eyes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Observed {
    Plane(PlaneEvent),
    Gitea(GiteaEvent),
}

impl From<Observed> for Event {
    fn from(observed: Observed) -> Event {
        match observed {
            Observed::Plane(event) => Event::Plane(event),
            Observed::Gitea(event) => Event::Gitea(event),
        }
    }
}
