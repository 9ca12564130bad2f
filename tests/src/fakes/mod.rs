//! Plane, Gitea and Telegram as programs that answer on loopback: stateful, with the answers, limits and oddities
//! that were recorded from (or read in) the real ones. Each keeps a log of requests, and can be told to fail.
//! They are the outside world of the tests and may know nothing of Orch.

mod courier;
mod door;
mod gitea;
mod plane;
mod plane_faults;
mod plane_hooks;
mod plane_people;
mod plane_rest;
mod server;
mod telegram;

use orch_testkit::now_ms;

pub use courier::Delivery;
pub use door::Door;
pub use gitea::{
    BranchRule, CommentRow, FakeGitea, InlineRow, NewActionJob, Origin, PullRow, ReviewRow, Right, StatusRow,
};
pub use plane::{CommentView, FakePlane, ItemView, LinkView};
pub use server::{Fault, Reply, Request, Server};
pub use telegram::FakeTelegram;

use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// A file below `tests/fixtures`.
pub fn fixture(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(path)
}

/// A JSON file below `tests/fixtures`, read once: the fakes answer from them thousands of times.
pub fn fixture_json(path: &str) -> Value {
    static READ: Mutex<BTreeMap<String, Value>> = Mutex::new(BTreeMap::new());
    if let Some(known) = READ.lock().unwrap_or_else(PoisonError::into_inner).get(path) {
        return known.clone();
    }
    let text = std::fs::read(fixture(path)).unwrap_or_else(|e| panic!("{path}: {e}"));
    let json: Value = serde_json::from_slice(&text).unwrap_or_else(|e| panic!("{path}: {e}"));
    READ.lock().unwrap_or_else(PoisonError::into_inner).insert(path.to_owned(), json.clone());
    json
}

/// RFC 3339 in UTC with microseconds, `ms` after the epoch.
fn rfc3339(ms: i64) -> String {
    let (days, of_day) = (ms.div_euclid(86_400_000), ms.rem_euclid(86_400_000));
    // Civil date from days since 1970-03-01 shifted to the era of 400 years.
    let z = days + 719_468;
    let (era, doe) = (z.div_euclid(146_097), z.rem_euclid(146_097));
    let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let (day, month) = (doy - (153 * mp + 2) / 5 + 1, if mp < 10 { mp + 3 } else { mp - 9 });
    let year = yoe + era * 400 + i64::from(month <= 2);
    let (s, milli) = (of_day / 1000, of_day % 1000);
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{milli:03}000Z", s / 3600, s / 60 % 60, s % 60)
}

#[cfg(test)]
mod tests {
    use super::rfc3339;

    #[test]
    fn times_are_written_as_the_services_write_them() {
        assert_eq!(rfc3339(0), "1970-01-01T00:00:00.000000Z");
        assert_eq!(rfc3339(951_782_400_123), "2000-02-29T00:00:00.123000Z");
        assert_eq!(rfc3339(1_795_340_575_904), "2026-11-22T09:42:55.904000Z");
    }
}
