//! The row that an evaluation of a gate leaves.

use crate::clock::now_ms;
use orch_common::domain::gate::{Gate, GateOutcome, TestEnd, TestEvidence};
use orch_common::domain::merge::Hold;
use orch_common::domain::stage::CommitId;
use orch_common::store::gates::NewGateResult;

/// The commits of an evaluation: the judged one, its tree, and the one that its evidence was taken on.
pub(super) struct Commits<'a> {
    pub head: &'a CommitId,
    pub tree: CommitId,
    pub evidence: &'a CommitId,
}

/// The row; `tests` where the gate ran them, `hold` where a merge waits.
pub(super) fn row(
    (task_id, job_id): (i64, i64),
    (gate, outcome, hold): (Gate, &GateOutcome, Option<&Hold>),
    commits: &Commits<'_>,
    tests: Option<&TestEvidence>,
) -> NewGateResult {
    let reason = match outcome {
        GateOutcome::Pass => None,
        GateOutcome::Fail(reason) => Some(reason.to_string()),
        GateOutcome::Infra(why) => Some(why.clone()),
        GateOutcome::Waiting(on) => Some(hold.map_or_else(|| on.to_string(), ToString::to_string)),
    };
    NewGateResult {
        task_id,
        job_id: Some(job_id),
        gate,
        outcome: outcome.kind(),
        reason,
        head: commits.head.to_string(),
        tree: commits.tree.to_string(),
        command: tests.map(|t| t.command.clone()),
        exit_code: tests.and_then(|t| match t.end {
            TestEnd::Exited { code } => Some(code),
            TestEnd::Infra { .. } | TestEnd::Unfit { .. } => None,
        }),
        duration_ms: tests.map(|t| i64::try_from(t.duration_ms).unwrap_or(i64::MAX)),
        output_sha256: tests.and_then(|t| t.output_sha256.clone()),
        evidence: commits.evidence.to_string(),
        detail: match outcome {
            GateOutcome::Fail(reason) => Some(reason.detail()),
            GateOutcome::Pass | GateOutcome::Infra(_) | GateOutcome::Waiting(_) => None,
        },
        at: now_ms(),
    }
}
