//! One look at the gate of a task's stage, or at the merge: publish, collect, judge.

use super::advance::LookError;
use super::evidence::{self, bound};
use super::gained::changed;
use super::merge::Merging;
use super::merge_wait::{self, Waited};
use super::objection::{Rejection, hears_reviews, unheard_rejection};
use super::payload::AdvancePayload;
use super::publish::{Published, publish};
use super::record::{Commits, row};
use crate::clock::now_ms;
use crate::context::Context;
use crate::events::Once;
use crate::gates::Look;
use orch_common::config::Project;
use orch_common::domain::clash::Clash;
use orch_common::domain::decide::{Changed, Finding, Policy, Trigger};
use orch_common::domain::evidence::Gone;
use orch_common::domain::gate::{
    CiEvidence, Evidence, FailReason, GateOutcome, TestEnd, TestEvidence, WrittenVerdict, judge, written_verdict,
};
use orch_common::domain::merge;
use orch_common::domain::messages::Message;
use orch_common::domain::stage::{CommitId, Role};
use orch_common::domain::words::Command;
use orch_common::failpoint::{self, Point};
use orch_common::store::gates::NewGateResult;
use orch_common::store::jobs::Job;
use orch_common::store::tasks::Task;

/// What a look at the gate brought.
pub(super) struct Looked {
    pub finding: Finding,
    /// As the forge has it.
    pub head: CommitId,
    pub result: Option<NewGateResult>,
    /// Reviews that this look acts on; none of them acts again.
    pub heard: Vec<Once>,
    /// Where the task stays, it is looked at again at this time (ms).
    pub again_at: Option<i64>,
    /// What people are told of what keeps the gate from being looked at, where only they can mend it.
    pub person: Option<Message>,
}

impl Looked {
    /// That, where it is what the look came to.
    pub(super) fn needs_a_person(&self) -> Option<&Message> {
        self.person.as_ref().filter(|_| matches!(self.finding.outcome, GateOutcome::Infra(_)))
    }
}

fn person_of(tests: Option<&TestEvidence>) -> Option<Message> {
    let TestEnd::Unfit { fault, why } = &tests?.end else { return None };
    let words = [&tests?.command, why, &tests?.tail].map(String::as_str).join("\n");
    Some(Message::NeedsAPerson { fault: *fault, words: words.trim().to_owned() })
}

/// Publishes what there is, and judges the gate of the stage, or the merge, on what the forge has then.
pub(super) async fn look(
    ctx: &Context,
    job: &Job,
    task: &Task,
    project: &Project,
    policy: &Policy,
    payload: &AdvancePayload,
) -> Result<Looked, LookError> {
    let trigger = &payload.trigger;
    let role = match trigger {
        Trigger::AgentEnded { role, .. } => Some(*role),
        Trigger::Appeared { .. }
        | Trigger::Command { .. }
        | Trigger::Answer { .. }
        | Trigger::Deleted { .. }
        | Trigger::Forge { .. }
        | Trigger::Look => None,
    };
    let Published { head, at_forge } = publish(ctx, project, task, role).await?;
    failpoint::here(Point::AdvancePublished);
    let changed = changed(ctx, task, policy, &head).await?;
    let gate = policy.pipeline.gate(task.stage);
    let rejection = match hears_reviews(task, trigger) {
        true => unheard_rejection(ctx, project, task).await?,
        false => None,
    };
    if rejection.is_none()
        && !merge_wait::is_merged(ctx, task, policy).await?
        && let Some(gone) = evidence::gone(ctx, task, &policy.pipeline, &head).await?
    {
        let tree = ctx.repos.tree_at(&task.repo, &head, &ctx.stopping).await?;
        return Ok(voided((job, task), gone, &head, tree, at_forge, changed));
    }
    let Some(gate) = gate else { return Ok(without_gate(at_forge, rejection, changed)) };
    let approves = matches!(trigger, Trigger::Command { command: Command::Approve, .. });
    let approved = approves || task.approved_at.is_some();
    let wanted = Look { ctx, project, task, head: &head, gate, approved };
    let evidence = wanted.collect().await?;
    let (mut outcome, mut heard) = (judge(gate, &policy.names, &evidence), Vec::new());
    let mut verdict = written(role, policy, &evidence);
    let good = verdict.as_ref().is_some_and(|v| v.approved);
    let bound = bound(ctx, (task, policy, gate), (&evidence, &outcome, good), &head).await?;
    let (mut gate, mut hold, mut again_at) = (gate, None, None);
    if let Some(rejection) = rejection {
        outcome = GateOutcome::Fail(rejection.reason);
        heard = rejection.heard;
    } else if let Some(gone) = bound.gone {
        (outcome, verdict) = (GateOutcome::Fail(gone.into()), None);
    } else if merge_wait::is_next(task.stage, policy.merge, gate, &outcome) {
        let said_at = payload.stage;
        let merging =
            Merging { ctx, job, task, project, policy, trigger, said_at, judged: &head, head: &at_forge, changed };
        gate = merge::GATE;
        match merge_wait::look(&merging).await? {
            Waited::Found { outcome: found, hold: why, again_at: at } => (outcome, hold, again_at) = (found, why, at),
            Waited::TooEarly { why, at } => return Err(LookError::TooEarly { why, at }),
        }
    }
    let tree = ctx.repos.tree_at(&task.repo, &head, &ctx.stopping).await?;
    let commits = Commits { head: &head, tree, evidence: &bound.commit };
    let result = row((task.id, job.id), (gate, &outcome, hold.as_ref()), &commits, evidence.tests.as_ref());
    let questions = matches!(outcome, GateOutcome::Fail(FailReason::MissingFiles { .. }))
        .then(|| evidence.artifacts.get(&policy.names.questions).cloned())
        .flatten();
    let fingerprint = merge_wait::fingerprint(&head, &outcome, hold.as_ref());
    // A merge that waits as it did is looked at often; the first look is the record.
    let known = hold.is_some() && task.said.as_ref() == Some(&fingerprint);
    let (checks, again_in_ms) = waited_for(evidence.ci);
    let again_at = again_at.or_else(|| again_in_ms.map(|ms| now_ms() + ms));
    let finding = Finding { gate: Some(gate), outcome, fingerprint, questions, verdict, changed, checks, hold };
    let person = person_of(evidence.tests.as_ref());
    Ok(Looked { finding, head: at_forge, result: (!known).then_some(result), heard, again_at, person })
}

/// The checks that are waited for, and after how many ms it is worth looking again although nothing is told.
fn waited_for(ci: Option<CiEvidence>) -> (Vec<String>, Option<i64>) {
    match ci {
        Some(CiEvidence::Waiting { names, again_in_ms, .. }) => (names, again_in_ms),
        Some(CiEvidence::Success | CiEvidence::Failure { .. } | CiEvidence::Unavailable { .. }) | None => {
            (Vec::new(), None)
        }
    }
}

/// What the reviewer role wrote, where its end is looked at.
fn written(role: Option<Role>, policy: &Policy, evidence: &Evidence) -> Option<WrittenVerdict> {
    role.filter(|role| *role == Role::Reviewer)?;
    written_verdict(&policy.names, &evidence.artifacts)
}

/// What was passed before does not cover this commit: nothing else is judged on it.
fn voided(
    (job, task): (&Job, &Task),
    gone: Gone,
    head: &CommitId,
    tree: CommitId,
    at_forge: CommitId,
    changed: Changed,
) -> Looked {
    let (gate, outcome) = (gone.gate, GateOutcome::Fail(gone.into()));
    let result = row((task.id, job.id), (gate, &outcome, None), &Commits { head, tree, evidence: head }, None);
    let fingerprint = merge_wait::fingerprint(head, &outcome, None);
    let (gate, checks) = (Some(gate), Vec::new());
    let finding = Finding { gate, outcome, fingerprint, questions: None, verdict: None, changed, checks, hold: None };
    Looked { finding, head: at_forge, result: Some(result), heard: Vec::new(), again_at: None, person: None }
}

/// Nothing could be published, so no gate is looked at: the two sides are joined first. What is judged is what the forge has.
pub(super) fn clashed(clash: Box<Clash>) -> Result<Looked, LookError> {
    let unusable = |e| LookError::Unusable(format!("the forge's head: {e}"));
    let head: CommitId = clash.theirs.parse().map_err(unusable)?;
    let outcome = GateOutcome::Fail(FailReason::BranchClash { clash });
    let (fingerprint, changed, checks) = (outcome.fingerprint(), Changed::Work, Vec::new());
    let finding =
        Finding { gate: None, outcome, fingerprint, questions: None, verdict: None, changed, checks, hold: None };
    Ok(Looked { finding, head, result: None, heard: Vec::new(), again_at: None, person: None })
}

/// A stage that has no gate is left by its agent's end, unless somebody asks for changes.
fn without_gate(head: CommitId, rejection: Option<Rejection>, changed: Changed) -> Looked {
    let (outcome, heard) = match rejection {
        Some(rejection) => (GateOutcome::Fail(rejection.reason), rejection.heard),
        None => (GateOutcome::Pass, Vec::new()),
    };
    let fingerprint = format!("{head}:no gate:{}", outcome.fingerprint());
    let checks = Vec::new();
    let finding =
        Finding { gate: None, outcome, fingerprint, questions: None, verdict: None, changed, checks, hold: None };
    Looked { finding, head, result: None, heard, again_at: None, person: None }
}
