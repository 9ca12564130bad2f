//! Gates: IO collects [`Evidence`], [`judge`] turns it into a typed [`GateOutcome`].

mod judge;
mod summary;

pub use judge::{judge, written_verdict};

use super::checks::Unfinished;
use super::clash::Clash;
use super::fault::Fault;
use super::stage::{CommitId, Stage};
use crate::named_enum;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

named_enum! {
    /// A named check.
    pub enum Gate ("gate") {
        AnalysisComplete = "analysis_complete",
        AnalysisApproved = "analysis_approved",
        ArchitectureDone = "architecture_done",
        TestsLocal = "tests_local",
        CiGreen = "ci_green",
        ReviewerVerdict = "reviewer_verdict",
        ReviewApproved = "review_approved",
        TestsPassed = "tests_passed",
        PrMerged = "pr_merged",
    }
}

named_enum! {
    /// The kind of an outcome, as it is recorded.
    pub enum OutcomeKind ("outcome of a gate") {
        Pass = "pass",
        Fail = "fail",
        Infra = "infra",
        Waiting = "waiting",
    }
}

/// The outcome of one evaluation of a gate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", content = "reason", rename_all = "snake_case")]
pub enum GateOutcome {
    Pass,
    /// The work is not good enough; the reason is the author's business.
    Fail(FailReason),
    /// The check itself could not be made; says nothing about the work.
    Infra(String),
    /// Someone or something else must act first.
    Waiting(Waiting),
}

/// Why a gate failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum FailReason {
    /// Files that must exist and be non-empty.
    MissingFiles { files: Vec<String> },
    /// The architect reports a conflict with the requirements; `text` is the file's content (cut by the collector).
    Conflict { file: String, text: String },
    /// The project's tests are red; `tail` is the end of their output.
    TestsRed { exit_code: i32, tail: String },
    /// Checks of the head failed.
    CiFailed { checks: Vec<FailedCheck> },
    /// The reviewer wants changes.
    ChangesRequested { file: String, reason: String },
    /// The review or report file does not exist.
    NotFound { file: String },
    /// The file exists but its front matter holds no usable verdict.
    NoVerdict { file: String, detail: String },
    /// Neither an open pull request nor a review file.
    NoPullAndNoReview,
    /// The open pull request has no approving review yet, or a later rejection.
    /// `person`: at least one of those who reject is no program of ours.
    PullRejected { reviewer: String, reason: String, person: bool },
    /// The tester's report says other than PASS.
    TestsNotPassed { file: String, reason: String },
    /// What passed at `stage` was taken on another commit, and does not cover this one; `by`: whose commits did it, one text
    /// each.
    EvidenceGone { stage: Stage, gate: Gate, by: Vec<String> },
    /// The base has moved so that the branch cannot be merged any more: it conflicts in these files, or (none) it has to be
    /// up to date and the base was merged into it.
    BaseMoved { base: String, files: Vec<String> },
    /// What people pushed to the branch cannot be joined with what our roles committed.
    BranchClash { clash: Box<Clash> },
}

/// A check of CI that failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailedCheck {
    /// The context, e.g. `ci / test (push)`.
    pub name: String,
    /// What it says, in a few words.
    pub says: String,
    /// A whole address for people.
    pub link: Option<String>,
    /// The end of its output, as far as it could be had.
    pub log: Option<String>,
}

/// Whom or what a gate waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Waiting {
    Approval,
    /// For checks that have not ended, or that more may follow.
    Ci,
    /// For a first word of CI.
    CiNone,
    /// For a first word of CI, and it has been so for long.
    CiSilent,
    /// For checks that have not ended, and it has been so for long.
    CiLate,
    /// For checks that were cancelled to be run again.
    CiCancelled,
    Review,
    Merge,
    /// For the task's own pull request to be opened.
    PullMissing,
    /// For a closed pull request to be opened again.
    PullClosed,
    /// For a person: what was to be reviewed is merged already.
    PullMerged,
}

/// The names of the artifacts inside `docs/work-items/<ID>/`; configuration, these are the defaults.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ArtifactNames {
    /// What the analyst must write.
    pub analysis: Vec<String>,
    /// The analyst's questions to people.
    pub questions: String,
    /// The architect's decision record.
    pub architecture: String,
    /// The architect's report that the requirements contradict each other or the code.
    pub conflict: String,
    /// The reviewer's verdict, the first that exists counts.
    pub review: Vec<String>,
    /// The tester's report.
    pub test_report: String,
}

impl Default for ArtifactNames {
    fn default() -> Self {
        let own = |s: &str| s.to_owned();
        ArtifactNames {
            analysis: ["01-brd.md", "02-trz.md", "03-acceptance-criteria.md", "04-test-plan.md"].map(own).to_vec(),
            questions: own("01-questions.md"),
            architecture: own("06-adr.md"),
            conflict: own("10-conflict.md"),
            review: ["12-review.md", "09-review.md"].map(own).to_vec(),
            test_report: own("13-test-report.md"),
        }
    }
}

impl ArtifactNames {
    /// Every name a collector has to look for.
    pub fn all(&self) -> impl Iterator<Item = &str> {
        self.analysis
            .iter()
            .chain([&self.questions, &self.architecture, &self.conflict])
            .chain(&self.review)
            .chain([&self.test_report])
            .map(String::as_str)
    }
}

/// What the reviewer role wrote, with its words for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrittenVerdict {
    pub approved: bool,
    /// `reason` or `summary` of the front matter, else the beginning of the text below it; may be empty.
    pub reason: String,
}

/// What was found in the branch and at the forge at one moment, on one commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// The branch head that all of this belongs to.
    pub head: CommitId,
    /// Artifact file name -> content (UTF-8, lossy, cut to 64 KiB). Missing files have no entry.
    pub artifacts: BTreeMap<String, String>,
    /// The run of the project's test command, where the gate asked for it.
    pub tests: Option<TestEvidence>,
    /// What CI says of the head, where the gate asked for it.
    pub ci: Option<CiEvidence>,
    /// The task's own pull request, where the gate asked for it; `None` = there is none (yet).
    pub pull: Option<PullEvidence>,
    /// There is a forge, so that reviews are given there.
    pub forge: bool,
    /// A person approved since the analyst's last run began.
    pub approved: bool,
}

/// One run of a project's test command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TestEvidence {
    /// The command line as configured.
    pub command: String,
    pub duration_ms: u64,
    pub end: TestEnd,
    /// The end of the combined output, UTF-8 lossy, at most 8 KiB.
    pub tail: String,
    /// SHA-256 of the whole combined output, in hexadecimal; `None` = nothing was started.
    pub output_sha256: Option<String>,
}

/// How a test command ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum TestEnd {
    /// It ended by itself.
    Exited { code: i32 },
    /// It could not be judged: timeout, no space, killed from outside.
    Infra { why: String },
    /// It could not be run, and will not be before a person acts: a missing program (127), one that cannot be executed (126).
    Unfit { fault: Fault, why: String },
}

/// What CI says of the head.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum CiEvidence {
    Success,
    /// It cannot be judged yet.
    Waiting {
        on: Unfinished,
        /// The checks that are waited for, by their names or patterns.
        names: Vec<String>,
        /// It has been so for longer than is usual.
        overdue: bool,
        /// After this many ms it is worth asking again although nothing was told.
        again_in_ms: Option<i64>,
    },
    Failure {
        checks: Vec<FailedCheck>,
    },
    /// The forge could not be asked, or is not configured.
    Unavailable {
        why: String,
    },
}

/// The branch's pull request and what reviewers said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PullEvidence {
    pub number: i64,
    pub merged: bool,
    pub open: bool,
    /// It is merged, and what was judged is in the base.
    pub landed: bool,
    /// The newest verdict of each reviewer who may speak, unless it is dismissed.
    pub reviews: Vec<ReviewEvidence>,
}

/// One verdict of somebody who may give it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReviewEvidence {
    pub reviewer: String,
    pub approved: bool,
    pub body: String,
    /// The commit that was reviewed, as the forge has it.
    pub commit: String,
    /// That commit does not cover the head. The forge's own mark comes late, and is set for documents of ours as well.
    pub stale: bool,
    /// A rejection that the task has acted on.
    pub heard: bool,
    /// No program of ours.
    pub person: bool,
    /// Milliseconds since the epoch.
    pub submitted_at: i64,
}

#[cfg(test)]
mod tests;
