//! The shapes of the answers, made of the store's rows and of nothing else. A row's field that is not named here is
//! not shown: payloads are outside text.

pub mod health;
pub mod queue;
pub mod status;

use jiff::Timestamp;

/// A time as people and programs read it: RFC 3339, UTC.
fn time(ms: i64) -> Option<String> {
    Timestamp::from_millisecond(ms).ok().map(|at| at.to_string())
}

/// Seconds from `ms` until `now`, to a tenth; never negative.
fn age_s(ms: i64, now: i64) -> f64 {
    let tenths = now.saturating_sub(ms).max(0) / 100;
    tenths as f64 / 10.0
}
