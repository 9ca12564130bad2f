//! Names and words for how a run and its job ended.

use crate::agent::{ExitReason, ExitRecord};
use orch_common::domain::failure::{How, Outcome};
use orch_common::domain::job::JobEnd;
use orch_common::domain::run::RunOutcome;

pub(super) fn how(record: &ExitRecord) -> How {
    match &record.reason {
        ExitReason::Exited => How::Ended { exit_code: record.exit_code, signal: record.signal },
        ExitReason::Lingered => How::Lingered,
        ExitReason::TimedOut => How::TimedOut,
        ExitReason::Stalled => How::Stalled,
        ExitReason::LogLimit => How::LogLimit,
        ExitReason::Stopped { why } => How::Stopped { cause: *why },
        ExitReason::SpawnFailed { error } => How::LaunchFailed { why: error.clone() },
    }
}

pub(super) const fn outcome_kind(outcome: &Outcome) -> RunOutcome {
    match outcome {
        Outcome::Success { .. } => RunOutcome::Success,
        Outcome::Transient { .. } => RunOutcome::Transient,
        Outcome::UsageLimit { .. } => RunOutcome::UsageLimit,
        Outcome::Permanent { .. } => RunOutcome::Permanent,
        Outcome::Unrepeatable { .. } => RunOutcome::Unrepeatable,
        Outcome::Refused { .. } => RunOutcome::Refused,
        Outcome::Installation { .. } => RunOutcome::Installation,
        Outcome::Stopped { .. } => RunOutcome::Stopped,
    }
}

pub(super) fn outcome_words(outcome: &Outcome) -> Option<String> {
    match outcome {
        Outcome::Success { .. } => None,
        Outcome::Transient { why, .. }
        | Outcome::Permanent { why }
        | Outcome::Unrepeatable { why }
        | Outcome::Refused { why }
        | Outcome::Installation { why } => Some(why.clone()),
        Outcome::UsageLimit { limit_type, .. } => Some(format!("usage limit ({limit_type})")),
        Outcome::Stopped { cause } => Some(format!("stopped: {cause}")),
    }
}

pub(super) fn end_name(end: &JobEnd) -> &'static str {
    match end {
        JobEnd::Done { .. } => "the gate is looked at next",
        JobEnd::Failed { .. } => "the job failed for good",
        JobEnd::Cancelled { .. } => "the job is cancelled",
        JobEnd::Again { .. } => "the job runs again",
    }
}
