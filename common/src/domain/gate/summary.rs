//! Gate outcomes as one line for the audit trail, and as the key under which an outcome is said only once.

use super::{FailReason, GateOutcome, Waiting};
use std::fmt;

/// Longest piece of outside text in a line, in characters.
const PIECE_MAX: usize = 200;

impl GateOutcome {
    /// One line for the audit trail.
    pub fn summary(&self) -> String {
        self.to_string()
    }

    /// The kind of outcome, as it is recorded.
    pub const fn name(&self) -> &'static str {
        match self {
            GateOutcome::Pass => "pass",
            GateOutcome::Fail(_) => "fail",
            GateOutcome::Infra(_) => "infra",
            GateOutcome::Waiting(_) => "waiting",
        }
    }

    /// The same text for the same reason on the same commit, whatever a second run's output looks like: with the
    /// commit, the key under which a person is told once.
    pub fn fingerprint(&self) -> String {
        match self {
            GateOutcome::Pass => "pass".to_owned(),
            GateOutcome::Fail(reason) => format!("fail:{}", reason.fingerprint()),
            GateOutcome::Infra(_) => "infra".to_owned(),
            GateOutcome::Waiting(what) => format!("waiting:{what}"),
        }
    }
}

impl FailReason {
    /// One line for the audit trail.
    pub fn summary(&self) -> String {
        self.to_string()
    }

    /// The kind and what it is about, without output that changes from run to run.
    pub fn fingerprint(&self) -> String {
        match self {
            FailReason::MissingFiles { files } => format!("missing_files:{}", files.join(",")),
            FailReason::Conflict { file, .. } => format!("conflict:{file}"),
            FailReason::TestsRed { .. } => "tests_red".to_owned(),
            FailReason::CiFailed { .. } => "ci_failed".to_owned(),
            FailReason::ChangesRequested { file, .. } => format!("changes_requested:{file}"),
            FailReason::NotFound { file } => format!("not_found:{file}"),
            FailReason::NoVerdict { file, .. } => format!("no_verdict:{file}"),
            FailReason::NoPullAndNoReview => "no_pull_and_no_review".to_owned(),
            FailReason::PullRejected { reviewer, reason, person: _ } => {
                format!("pull_rejected:{}:{}", line(reviewer), line(reason))
            }
            FailReason::TestsNotPassed { file, .. } => format!("tests_not_passed:{file}"),
            FailReason::EvidenceGone { gate, .. } => format!("evidence_gone:{gate}"),
            FailReason::BaseMoved { base, files } => format!("base_moved:{base}:{}", files.join(",")),
        }
    }
}

impl fmt::Display for GateOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            GateOutcome::Pass => f.write_str("pass"),
            GateOutcome::Fail(reason) => write!(f, "fail: {reason}"),
            GateOutcome::Infra(why) => write!(f, "infra: {}", line(why)),
            GateOutcome::Waiting(what) => write!(f, "waiting: {what}"),
        }
    }
}

impl fmt::Display for FailReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FailReason::MissingFiles { files } => write!(f, "missing or empty: {}", files.join(", ")),
            FailReason::Conflict { file, text } => write!(f, "conflict ({file}): {}", line(text)),
            FailReason::TestsRed { exit_code, tail } => {
                write!(f, "tests are red (exit {exit_code}): {}", line(last_line(tail)))
            }
            FailReason::CiFailed { detail } => write!(f, "CI failed: {}", line(detail)),
            FailReason::ChangesRequested { file, reason } => write!(f, "changes requested ({file}): {}", line(reason)),
            FailReason::NotFound { file } => write!(f, "{file} not found"),
            FailReason::NoVerdict { file, detail } => write!(f, "no verdict in {file}: {}", line(detail)),
            FailReason::NoPullAndNoReview => f.write_str("no open PR and no review file"),
            FailReason::PullRejected { reviewer, reason, person: _ } => {
                write!(f, "rejected by {}: {}", line(reviewer), line(reason))
            }
            FailReason::TestsNotPassed { file, reason } => write!(f, "tests not passed ({file}): {}", line(reason)),
            FailReason::EvidenceGone { gate, by, .. } if by.is_empty() => {
                write!(f, "what {gate} was passed on no longer holds: the branch was rewritten")
            }
            FailReason::EvidenceGone { gate, by, .. } => {
                write!(f, "what {gate} was passed on no longer holds: {}", line(&by.join("; ")))
            }
            FailReason::BaseMoved { base, files } if files.is_empty() => {
                write!(f, "{base} has moved and was merged into the branch")
            }
            FailReason::BaseMoved { base, files } => {
                write!(f, "it conflicts with {base} in: {}", line(&files.join(", ")))
            }
        }
    }
}

impl Waiting {
    /// The stored name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Waiting::Approval => "approval",
            Waiting::Ci => "ci",
            Waiting::Review => "review",
            Waiting::Merge => "merge",
            Waiting::PullMissing => "pull_missing",
            Waiting::PullClosed => "pull_closed",
            Waiting::PullMerged => "pull_merged",
        }
    }
}

impl fmt::Display for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// The text on one line, cut.
fn line(text: &str) -> String {
    let joined = text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty());
    let joined = joined.collect::<Vec<_>>().join(" ");
    match joined.char_indices().nth(PIECE_MAX) {
        Some((at, _)) => format!("{}…", joined.get(..at).unwrap_or_default()),
        None => joined,
    }
}

fn last_line(text: &str) -> &str {
    text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::gate::Gate;
    use crate::domain::stage::Stage;

    #[test]
    fn every_outcome_is_one_line() {
        let text = || format!("first\r\nsecond\u{1b}[31m {}", "x".repeat(5_000));
        let reasons = [
            FailReason::MissingFiles { files: vec!["01-brd.md".into(), "02-trz.md".into()] },
            FailReason::Conflict { file: "10-conflict.md".into(), text: text() },
            FailReason::TestsRed { exit_code: 101, tail: text() },
            FailReason::CiFailed { detail: text() },
            FailReason::ChangesRequested { file: "12-review.md".into(), reason: text() },
            FailReason::NotFound { file: "12-review.md".into() },
            FailReason::NoVerdict { file: "12-review.md".into(), detail: text() },
            FailReason::NoPullAndNoReview,
            FailReason::PullRejected { reviewer: text(), reason: text(), person: true },
            FailReason::TestsNotPassed { file: "13-test-report.md".into(), reason: text() },
            FailReason::EvidenceGone { stage: Stage::Review, gate: Gate::ReviewerVerdict, by: vec![text(), text()] },
            FailReason::BaseMoved { base: "main".into(), files: vec![text()] },
            FailReason::BaseMoved { base: "main".into(), files: vec![] },
        ];
        let mut prints: Vec<String> = Vec::new();
        for reason in reasons {
            let summary = reason.summary();
            assert!(!summary.contains(char::is_control) && summary.chars().count() < 500, "{summary}");
            assert_eq!(GateOutcome::Fail(reason.clone()).summary(), format!("fail: {summary}"));
            prints.push(GateOutcome::Fail(reason).fingerprint());
        }
        prints.extend(
            [
                Waiting::Approval,
                Waiting::Ci,
                Waiting::Review,
                Waiting::Merge,
                Waiting::PullMissing,
                Waiting::PullClosed,
                Waiting::PullMerged,
            ]
            .map(|w| GateOutcome::Waiting(w).fingerprint()),
        );
        let count = prints.len();
        prints.sort();
        prints.dedup();
        assert_eq!(prints.len(), count, "different reasons have different fingerprints");
    }

    #[test]
    fn a_fingerprint_ignores_what_changes_from_run_to_run() {
        let red =
            |tail: &str| GateOutcome::Fail(FailReason::TestsRed { exit_code: 1, tail: tail.into() }).fingerprint();
        assert_eq!(red("failed in 1.2 s"), red("failed in 1.3 s"));
    }
}
