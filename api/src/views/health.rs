//! `GET /health`.

use super::age_s;
use crate::intake::Phase;
use serde::Serialize;

/// Liveness, and apart from it readiness.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Health {
    /// Always `ok`: that there is an answer is the message.
    pub status: &'static str,
    pub version: &'static str,
    pub readiness: Readiness,
}

/// Whether webhooks are accepted now.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Readiness {
    pub ready: bool,
    /// `ok`, or what is wrong.
    pub database: &'static str,
    /// `ok`, or what is to be done.
    pub migrations: &'static str,
    /// Seconds since any worker's last sign of life; `null` = none is known. It does not count for `ready`: without
    /// a worker deliveries are saved all the same.
    pub worker_heartbeat_age_s: Option<f64>,
}

impl Health {
    /// `heartbeat`: the newest one in ms, if any; an error = it could not be read.
    pub fn of(phase: &Phase, heartbeat: Result<Option<i64>, ()>, now_ms: i64) -> Self {
        let (database, migrations) = match phase {
            Phase::Opening => ("opening", "unknown"),
            Phase::Unusable(_) => ("cannot be opened", "unknown"),
            Phase::Outdated(_) => ("ok", "not current: run orchctl migrate"),
            Phase::Newer(_) => ("ok", "of a newer version: install that"),
            Phase::Ready => ("ok", "ok"),
            Phase::Failing(_) => ("cannot be written", "ok"),
        };
        let database = if heartbeat.is_err() { "cannot be read" } else { database };
        let readiness = Readiness {
            ready: database == "ok" && migrations == "ok",
            database,
            migrations,
            worker_heartbeat_age_s: heartbeat.ok().flatten().map(|at| age_s(at, now_ms)),
        };
        Health { status: "ok", version: orch_common::VERSION, readiness }
    }

    /// Webhooks are accepted now.
    pub fn is_ready(&self) -> bool {
        self.readiness.ready
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readiness_by_phase() {
        let why = || "why".to_owned();
        let rows = [
            (Phase::Opening, Ok(None), false),
            (Phase::Unusable(why()), Ok(None), false),
            (Phase::Outdated(why()), Ok(None), false),
            (Phase::Newer(why()), Ok(None), false),
            (Phase::Failing(why()), Ok(Some(1_000)), false),
            (Phase::Ready, Ok(Some(1_000)), true),
            (Phase::Ready, Ok(None), true),
            (Phase::Ready, Err(()), false),
        ];
        for (phase, heartbeat, ready) in rows {
            let health = Health::of(&phase, heartbeat, 3_560);
            assert_eq!(health.is_ready(), ready, "{phase:?} {heartbeat:?}");
            assert_eq!(health.readiness.worker_heartbeat_age_s, heartbeat.ok().flatten().map(|_| 2.5));
        }
    }
}
