//! The gate table: what each gate makes of the evidence. Pure, and the only place that says pass or fail.

use super::{
    ArtifactNames, CiEvidence, Evidence, FailReason, Gate, GateOutcome, PullEvidence, ReviewEvidence, TestEnd, Waiting,
    WrittenVerdict,
};
use crate::domain::checks::Unfinished;
use crate::domain::front_matter;
use std::collections::BTreeMap;

/// Longest reason taken from a report or a review, in characters.
const REASON_MAX: usize = 1_000;
const APPROVED: &str = "APPROVED";
/// What a review may say.
const VERDICTS: [&str; 2] = [APPROVED, "REQUEST_CHANGES"];
const PASS: &str = "PASS";
/// What a test report may say.
const RESULTS: [&str; 2] = [PASS, "FAIL"];

/// The outcome of `gate` on this evidence. Evidence that the gate needs and nobody collected is an infra outcome.
pub fn judge(gate: Gate, names: &ArtifactNames, ev: &Evidence) -> GateOutcome {
    match gate {
        Gate::AnalysisComplete => analysis_complete(names, ev),
        Gate::AnalysisApproved => match analysis_complete(names, ev) {
            GateOutcome::Pass if ev.approved => GateOutcome::Pass,
            GateOutcome::Pass => GateOutcome::Waiting(Waiting::Approval),
            other @ (GateOutcome::Fail(_) | GateOutcome::Infra(_) | GateOutcome::Waiting(_)) => other,
        },
        Gate::ArchitectureDone => architecture_done(names, ev),
        Gate::TestsLocal => tests_local(ev),
        Gate::CiGreen => ci_green(ev),
        Gate::ReviewerVerdict => reviewer_verdict(names, ev),
        Gate::ReviewApproved => review_approved(names, ev),
        Gate::TestsPassed => tests_passed(names, ev),
        Gate::PrMerged => pr_merged(ev),
    }
}

/// Every file of the analysis exists and holds more than blanks.
fn analysis_complete(names: &ArtifactNames, ev: &Evidence) -> GateOutcome {
    let is_missing = |name: &&String| ev.artifacts.get(*name).is_none_or(|text| text.trim().is_empty());
    let files: Vec<String> = names.analysis.iter().filter(is_missing).cloned().collect();
    if files.is_empty() { GateOutcome::Pass } else { GateOutcome::Fail(FailReason::MissingFiles { files }) }
}

/// The decision record exists; a conflict file wins over it.
fn architecture_done(names: &ArtifactNames, ev: &Evidence) -> GateOutcome {
    if let Some(text) = ev.artifacts.get(&names.conflict) {
        return GateOutcome::Fail(FailReason::Conflict { file: names.conflict.clone(), text: text.clone() });
    }
    if ev.artifacts.contains_key(&names.architecture) {
        return GateOutcome::Pass;
    }
    GateOutcome::Fail(FailReason::MissingFiles { files: vec![names.architecture.clone()] })
}

fn tests_local(ev: &Evidence) -> GateOutcome {
    let Some(tests) = &ev.tests else {
        return GateOutcome::Infra("the project's tests were not run".to_owned());
    };
    match &tests.end {
        TestEnd::Exited { code: 0 } => GateOutcome::Pass,
        TestEnd::Exited { code } => {
            GateOutcome::Fail(FailReason::TestsRed { exit_code: *code, tail: tests.tail.clone() })
        }
        TestEnd::Infra { why } | TestEnd::Unfit { why, .. } => GateOutcome::Infra(why.clone()),
    }
}

fn ci_green(ev: &Evidence) -> GateOutcome {
    match &ev.ci {
        Some(CiEvidence::Success) => GateOutcome::Pass,
        Some(CiEvidence::Waiting { on, overdue, .. }) => GateOutcome::Waiting(match (on, overdue) {
            (Unfinished::Nothing, false) => Waiting::CiNone,
            (Unfinished::Nothing, true) => Waiting::CiSilent,
            (Unfinished::Running, true) => Waiting::CiLate,
            (Unfinished::Running, false) | (Unfinished::Settling, _) => Waiting::Ci,
            (Unfinished::Cancelled, _) => Waiting::CiCancelled,
        }),
        Some(CiEvidence::Failure { checks }) => GateOutcome::Fail(FailReason::CiFailed { checks: checks.clone() }),
        Some(CiEvidence::Unavailable { why }) => GateOutcome::Infra(why.clone()),
        None => GateOutcome::Infra("the forge's status was not asked for".to_owned()),
    }
}

/// The front matter of the first review file that exists.
fn reviewer_verdict(names: &ArtifactNames, ev: &Evidence) -> GateOutcome {
    let Some((file, text)) = names.review.iter().find_map(|name| ev.artifacts.get_key_value(name)) else {
        let file = names.review.first().cloned().unwrap_or_default();
        return GateOutcome::Fail(FailReason::NotFound { file });
    };
    let report = match Report::read(file, text, "verdict", &VERDICTS) {
        Ok(report) => report,
        Err(reason) => return GateOutcome::Fail(reason),
    };
    if report.value == APPROVED {
        return GateOutcome::Pass;
    }
    GateOutcome::Fail(FailReason::ChangesRequested { file: file.clone(), reason: report.reason })
}

/// The verdict in the first review file that exists; `None` = there is no usable one.
pub fn written_verdict(names: &ArtifactNames, artifacts: &BTreeMap<String, String>) -> Option<WrittenVerdict> {
    let (file, text) = names.review.iter().find_map(|name| artifacts.get_key_value(name))?;
    let report = Report::read(file, text, "verdict", &VERDICTS).ok()?;
    Some(WrittenVerdict { approved: report.value == APPROVED, reason: report.reason })
}

/// The reviews of the task's own pull request. Its file counts only where there is no forge at all: an agent wrote it.
fn review_approved(names: &ArtifactNames, ev: &Evidence) -> GateOutcome {
    match &ev.pull {
        Some(pull) if pull.open => pull_approved(pull),
        Some(pull) if pull.merged => GateOutcome::Waiting(Waiting::PullMerged),
        Some(_) => GateOutcome::Waiting(Waiting::PullClosed),
        None if ev.forge => GateOutcome::Waiting(Waiting::PullMissing),
        None if names.review.iter().any(|name| ev.artifacts.contains_key(name)) => reviewer_verdict(names, ev),
        None => GateOutcome::Fail(FailReason::NoPullAndNoReview),
    }
}

/// Only what was judged counts: a merge of anything else is waited for on.
fn pr_merged(ev: &Evidence) -> GateOutcome {
    match &ev.pull {
        Some(pull) if pull.merged && pull.landed => GateOutcome::Pass,
        Some(pull) if pull.open || pull.merged => GateOutcome::Waiting(Waiting::Merge),
        Some(_) => GateOutcome::Waiting(Waiting::PullClosed),
        None if ev.forge => GateOutcome::Waiting(Waiting::PullMissing),
        None => GateOutcome::Waiting(Waiting::Merge),
    }
}

/// An approval of the head, and no rejection of it. A rejection of older commits is no longer in the way: it was heard, or is
/// heard before this gate passes.
fn pull_approved(pull: &PullEvidence) -> GateOutcome {
    let mut at_head = pull.reviews.iter().filter(|review| !review.stale);
    let rejected = at_head.clone().filter(|review| !review.approved).max_by_key(|review| review.submitted_at);
    match rejected {
        Some(ReviewEvidence { heard: true, .. }) => GateOutcome::Waiting(Waiting::Review),
        Some(ReviewEvidence { reviewer, body, person, .. }) => {
            let (reviewer, reason, person) = (reviewer.clone(), cut(body.trim(), REASON_MAX), *person);
            GateOutcome::Fail(FailReason::PullRejected { reviewer, reason, person })
        }
        None if at_head.any(|review| review.approved) => GateOutcome::Pass,
        None => GateOutcome::Waiting(Waiting::Review),
    }
}

fn tests_passed(names: &ArtifactNames, ev: &Evidence) -> GateOutcome {
    let file = &names.test_report;
    let Some(text) = ev.artifacts.get(file) else {
        return GateOutcome::Fail(FailReason::NotFound { file: file.clone() });
    };
    match Report::read(file, text, "result", &RESULTS) {
        Ok(report) if report.value == PASS => GateOutcome::Pass,
        Ok(report) => {
            let reason = if report.reason.is_empty() { format!("result: {}", report.value) } else { report.reason };
            GateOutcome::Fail(FailReason::TestsNotPassed { file: file.clone(), reason })
        }
        Err(reason) => GateOutcome::Fail(reason),
    }
}

/// What an agent's report says in its front matter.
struct Report {
    /// One of the values that are allowed.
    value: &'static str,
    /// `reason` or `summary`, else the start of the text below; for people only.
    reason: String,
}

impl Report {
    fn read(file: &str, text: &str, key: &'static str, allowed: &[&'static str]) -> Result<Report, FailReason> {
        let no_verdict = |detail: String| FailReason::NoVerdict { file: file.to_owned(), detail };
        let front = front_matter::parse(text).map_err(|err| no_verdict(err.to_string()))?;
        let written = front.deciding(key).map_err(|err| no_verdict(err.to_string()))?;
        let value = allowed
            .iter()
            .find(|value| front_matter::same(value, &written))
            .ok_or_else(|| no_verdict(format!("{key} is '{}', allowed: {}", cut(&written, 80), allowed.join(", "))))?;
        let stated = ["reason", "summary"].into_iter().find_map(|key| front.text(key));
        let reason = cut(stated.as_deref().unwrap_or_else(|| front.body().trim()), REASON_MAX);
        Ok(Report { value, reason })
    }
}

/// At most `max` characters, with an ellipsis where something was cut off.
fn cut(text: &str, max: usize) -> String {
    match text.char_indices().nth(max) {
        Some((at, _)) => format!("{}…", text.get(..at).unwrap_or_default().trim_end()),
        None => text.to_owned(),
    }
}
