//! Gate outcomes as one line for the audit trail, and as the key under which an outcome is said only once.

use super::OutcomeKind;
use super::{FailReason, FailedCheck, GateOutcome, Waiting};
use std::fmt;

/// Longest piece of outside text in a line, in characters.
const PIECE_MAX: usize = 200;
/// Longest account of a failure with the output that shows it, in characters.
const DETAIL_MAX: usize = 16_000;

impl GateOutcome {
    /// One line for the audit trail.
    pub fn summary(&self) -> String {
        self.to_string()
    }

    /// The kind of outcome, as it is recorded.
    pub const fn kind(&self) -> OutcomeKind {
        match self {
            GateOutcome::Pass => OutcomeKind::Pass,
            GateOutcome::Fail(_) => OutcomeKind::Fail,
            GateOutcome::Infra(_) => OutcomeKind::Infra,
            GateOutcome::Waiting(_) => OutcomeKind::Waiting,
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

    /// All that is known of it, with the end of the output that shows it: for whoever tries again.
    pub fn detail(&self) -> String {
        let text = match self {
            FailReason::TestsRed { tail, .. } => format!("{self}\n\n{tail}"),
            FailReason::CiFailed { checks } => {
                let each = checks.iter().map(|c| match &c.log {
                    Some(log) => format!("{}\n\n{log}\n", c.shown()),
                    None => c.shown(),
                });
                format!("CI failed:\n{}", each.collect::<Vec<_>>().join("\n"))
            }
            FailReason::Conflict { text, .. } => format!("{self}\n\n{text}"),
            FailReason::ChangesRequested { file, reason } => format!("changes requested ({file}): {reason}"),
            FailReason::PullRejected { reviewer, reason, person: _ } => format!("rejected by {reviewer}: {reason}"),
            FailReason::TestsNotPassed { file, reason } => format!("tests not passed ({file}): {reason}"),
            FailReason::MissingFiles { .. }
            | FailReason::NotFound { .. }
            | FailReason::NoVerdict { .. }
            | FailReason::NoPullAndNoReview
            | FailReason::EvidenceGone { .. }
            | FailReason::BaseMoved { .. }
            | FailReason::BranchClash { .. } => self.to_string(),
        };
        let most = text.chars().count();
        // The end of an output says more than its beginning.
        if most <= DETAIL_MAX { text } else { text.chars().skip(most - DETAIL_MAX).collect() }
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
            FailReason::BranchClash { clash } => format!("branch_clash:{}:{}", clash.ours, clash.theirs),
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
            FailReason::CiFailed { checks } => {
                let each = checks.iter().map(|c| format!("{} ({})", line(&c.name), line(&c.says)));
                write!(f, "CI failed: {}", line(&each.collect::<Vec<_>>().join("; ")))
            }
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
            FailReason::BranchClash { clash } => {
                let (ours, theirs) = clash.short();
                match clash.rewritten {
                    true => {
                        write!(f, "the branch was rewritten to {theirs} while our commits up to {ours} were not on it")
                    }
                    false => {
                        let files = line(&clash.files.join(", "));
                        write!(f, "our commits up to {ours} and the forge's up to {theirs} conflict in {files}")
                    }
                }
            }
        }
    }
}

impl FailedCheck {
    /// One line for people: its name, its words, its address.
    pub fn shown(&self) -> String {
        let says = if self.says.is_empty() { String::new() } else { format!(": {}", line(&self.says)) };
        let link = self.link.as_ref().map(|link| format!(" {link}")).unwrap_or_default();
        format!("{}{says}{link}", line(&self.name))
    }
}

impl Waiting {
    /// The stored name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Waiting::Approval => "approval",
            Waiting::Ci => "ci",
            Waiting::CiNone => "ci_none",
            Waiting::CiSilent => "ci_silent",
            Waiting::CiLate => "ci_late",
            Waiting::CiCancelled => "ci_cancelled",
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

    fn red(name: &str) -> FailedCheck {
        FailedCheck { name: name.into(), says: "Failing after 3s".into(), link: Some("https://ci/1".into()), log: None }
    }

    #[test]
    fn a_failure_is_told_with_its_output_and_that_with_its_end() {
        let log = Some(format!("{}the end", "x".repeat(20_000)));
        let reason = FailReason::CiFailed { checks: vec![red("ci / lint"), FailedCheck { log, ..red("ci / test") }] };
        let detail = reason.detail();
        assert!(detail.trim_end().ends_with("xthe end") && detail.chars().count() == DETAIL_MAX, "{detail}");
        assert_eq!(red("ci / lint").shown(), "ci / lint: Failing after 3s https://ci/1");
        let tests = FailReason::TestsRed { exit_code: 1, tail: "a\nb".into() };
        assert_eq!(tests.detail(), "tests are red (exit 1): b\n\na\nb");
    }

    #[test]
    fn every_outcome_is_one_line() {
        let text = || format!("first\r\nsecond\u{1b}[31m {}", "x".repeat(5_000));
        let reasons = [
            FailReason::MissingFiles { files: vec!["01-brd.md".into(), "02-trz.md".into()] },
            FailReason::Conflict { file: "10-conflict.md".into(), text: text() },
            FailReason::TestsRed { exit_code: 101, tail: text() },
            FailReason::CiFailed { checks: vec![red(&text()), red("lint")] },
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
                Waiting::CiNone,
                Waiting::CiSilent,
                Waiting::CiLate,
                Waiting::CiCancelled,
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
