//! When the merge is looked at, and how long a merge that is not ready is waited for: what passes by itself is looked at again
//! soon, and people are told when it has lasted.

use super::facts::facts;
use super::merge::{LONGEST_PAUSE_MS, MergeError, Merging, Step};
use super::seen::Seen;
use crate::clock::now_ms;
use orch_common::domain::decide::{MergePolicy, Policy, waits_for_a_merge};
use orch_common::domain::gate::{Gate, GateOutcome, Waiting};
use orch_common::domain::merge::{self, Hold};
use orch_common::domain::stage::{CommitId, Stage};

/// Between two looks for which the forge is not ready, in ms; it grows with the time that it takes.
const SHORTEST_PAUSE_MS: i64 = 400;
/// After this time people are told that the forge is not ready, in ms.
const SAID_AFTER_MS: i64 = 180_000;

/// What came of it.
pub(super) enum Waited {
    Found {
        outcome: GateOutcome,
        hold: Option<Hold>,
        /// To be looked at again then, in ms, if the task stays.
        again_at: Option<i64>,
    },
    /// Nothing to tell anybody: the same look again, at this time in ms.
    TooEarly { why: String, at: i64 },
}

/// The last gate of the stage is the merge, and it has not passed; or another has, and the project merges.
pub(super) fn is_next(stage: Stage, policy: MergePolicy, gate: Gate, outcome: &GateOutcome) -> bool {
    let merges = stage == Stage::Deploy && policy == MergePolicy::OnDeploy;
    let passed = *outcome == GateOutcome::Pass;
    if gate == merge::GATE { !passed } else { passed && merges }
}

/// What tells one finding from another.
pub(super) fn fingerprint(head: &CommitId, outcome: &GateOutcome, hold: Option<&Hold>) -> String {
    let held = hold.map(|hold| format!(":{}", hold.key())).unwrap_or_default();
    format!("{head}:{}{held}", outcome.fingerprint())
}

/// What the task waits for has happened: it cannot go back to be judged anew, whatever was merged. The look at the merge says
/// what that was.
pub(super) async fn is_merged(seen: &Seen<'_>, policy: &Policy) -> Result<bool, MergeError> {
    let waited_for = policy.pipeline.gate(seen.task.stage) == Some(merge::GATE);
    Ok(waited_for && seen.pull().await?.is_some_and(|pull| pull.merged))
}

/// Looks at the merge.
pub(super) async fn look(merging: &Merging<'_>) -> Result<Waited, MergeError> {
    let step = match merging.look().await {
        // However long the forge is away, a merge does not fail for good.
        Err(MergeError::Away(error)) => Step::Later { why: error.to_string(), within_ms: LONGEST_PAUSE_MS },
        step => step?,
    };
    let (now, made) = (now_ms(), merging.job.created_at);
    let since = if waits_for_a_merge(&facts(merging.seen.task)?) { merging.seen.task.updated_at } else { made };
    Ok(match step {
        Step::Found { outcome, hold } => {
            let soon = hold.as_ref().is_some_and(Hold::passes_by_itself);
            let again_at = soon.then(|| now + pause_ms(now - since, LONGEST_PAUSE_MS));
            Waited::Found { outcome, hold, again_at }
        }
        Step::Later { why, within_ms } if now - made < SAID_AFTER_MS => {
            Waited::TooEarly { why, at: now + pause_ms(now - made, within_ms) }
        }
        Step::Later { why, within_ms } => Waited::Found {
            outcome: GateOutcome::Waiting(Waiting::Merge),
            hold: Some(Hold::Forge { why }),
            again_at: Some(now + pause_ms(now - since, within_ms)),
        },
    })
}

/// A quarter of the time that it has taken so far.
fn pause_ms(so_far: i64, within_ms: i64) -> i64 {
    (so_far / 4).clamp(SHORTEST_PAUSE_MS, within_ms)
}

#[cfg(test)]
mod tests {
    use super::*;
    use orch_common::domain::gate::FailReason;

    #[test]
    fn the_project_merges_before_its_deploy_stage_is_left_whatever_that_stages_gate_is() {
        let red = GateOutcome::Fail(FailReason::MissingFiles { files: Vec::new() });
        let (own, never) = (MergePolicy::OnDeploy, MergePolicy::Never);
        let table = [
            (Stage::Deploy, own, Gate::CiGreen, GateOutcome::Pass, true),
            (Stage::Deploy, own, Gate::TestsPassed, GateOutcome::Pass, true),
            (Stage::Deploy, own, Gate::CiGreen, red.clone(), false),
            (Stage::Deploy, never, Gate::CiGreen, GateOutcome::Pass, false),
            (Stage::Testing, own, Gate::CiGreen, GateOutcome::Pass, false),
            (Stage::Deploy, own, merge::GATE, GateOutcome::Waiting(Waiting::Merge), true),
            (Stage::Deploy, never, merge::GATE, red, true),
            (Stage::Deploy, own, merge::GATE, GateOutcome::Pass, false),
        ];
        for (stage, policy, gate, outcome, expected) in table {
            assert_eq!(is_next(stage, policy, gate, &outcome), expected, "{stage} {policy:?} {gate:?} {outcome:?}");
        }
    }

    #[test]
    fn pauses_grow_from_a_moment_to_a_minute() {
        let table = [(0, 400), (-5, 400), (4_000, 1_000), (60_000, 15_000), (3_600_000, 60_000)];
        for (so_far, pause) in table {
            assert_eq!(pause_ms(so_far, LONGEST_PAUSE_MS), pause, "{so_far}");
        }
        assert_eq!(pause_ms(3_600_000, 1_000), 1_000);
    }
}
