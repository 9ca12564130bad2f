//! (being written)
use serde::{Deserialize, Serialize};
/// placeholder until the leaf modules land
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Breaker {}
