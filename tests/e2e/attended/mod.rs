//! What the worker runs ends with it, and what agents leave in the places that they share stops nobody.

mod ending;
mod shared;
