//! From rows to the facts a decision is made of.

use super::payload::{AdvancePayload, AgentPayload};
use orch_common::domain::decide::{Policy, Trigger};
use orch_common::domain::failure::Denial;
use orch_common::domain::gate::OutcomeKind;
use orch_common::domain::job::JobKind;
use orch_common::domain::names::BadName;
use orch_common::domain::task::{Brief, EndedRun, History, TaskFacts};
use orch_common::store::gates::{self, GateResult};
use orch_common::store::jobs::Job;
use orch_common::store::runs::Run;
use orch_common::store::tasks::Task;
use orch_common::store::{Conn, StoreError, jobs, runs};

/// The facts of a task.
pub fn facts(task: &Task) -> Result<TaskFacts, StoreError> {
    let corrupt = |e: BadName| StoreError::Corrupt(format!("task {}: {e}", task.id));
    Ok(TaskFacts {
        key: task.key.parse().map_err(corrupt)?,
        title: task.title.clone(),
        branch: task.branch.parse().map_err(corrupt)?,
        stage: task.stage,
        state: task.state,
        state_reason: task.state_reason.clone(),
        said: task.said.clone(),
        worked: task.worked,
    })
}

/// What happened to it before; `own_job` is the job that asks and does not count as busy.
pub fn history(conn: &mut Conn, task: &Task, policy: &Policy, own_job: i64) -> Result<History, StoreError> {
    let mut others = jobs::unfinished_of_task(conn, task.id)?;
    others.retain(|job| job.id != own_job);
    let mut history = History {
        busy: others.iter().any(|job| !is_a_mere_look(job)),
        end_ahead: others.iter().any(has_an_end),
        agent_ahead: others.iter().any(|job| job.kind == JobKind::Agent),
        agent_running: runs::any_open(conn, task.id)?,
        last_failure: last_failure(conn, task, policy)?,
        ..History::default()
    };
    for step in policy.pipeline.steps() {
        if let Some(role) = step.role {
            let n = runs::counted(conn, task.id, role, task.cap_since)?;
            history.runs.insert(role, u32::try_from(n).unwrap_or(u32::MAX));
        }
    }
    Ok(history)
}

/// What the gate of the task's stage said last, where it did not pass.
fn last_failure(conn: &mut Conn, task: &Task, policy: &Policy) -> Result<Option<String>, StoreError> {
    let Some(gate) = policy.pipeline.gate(task.stage) else { return Ok(None) };
    let last = gates::newest(conn, task.id, gate)?.filter(|last| last.outcome == OutcomeKind::Fail);
    let words = |last: GateResult| {
        let (commit, text) = (last.head.unwrap_or_default(), last.detail.or(last.reason).unwrap_or_default());
        format!("{gate}, of {}: {text}", commit.get(..10).unwrap_or(&commit))
    };
    Ok(last.map(words))
}

/// A look on nobody's word: it may find what it found before, and nobody has to wait for it.
fn is_a_mere_look(job: &Job) -> bool {
    matches!(trigger_of(job), Some(Trigger::Look | Trigger::Forge { .. }))
}

/// An agent's job, or the look at an agent's end.
pub(crate) fn has_an_end(job: &Job) -> bool {
    job.kind == JobKind::Agent || is_an_end(job)
}

/// The look at an agent's end.
pub(super) fn is_an_end(job: &Job) -> bool {
    matches!(trigger_of(job), Some(Trigger::AgentEnded { .. }))
}

/// A person's word that waits for a look, or has it.
pub(crate) fn carries_a_word(job: &Job) -> bool {
    matches!(trigger_of(job), Some(Trigger::Command { .. } | Trigger::Answer { .. }))
}

/// What an `advance` job carries.
pub(crate) fn trigger_of(job: &Job) -> Option<Trigger> {
    serde_json::from_str::<AdvancePayload>(&job.payload).ok().map(|payload| payload.trigger)
}

/// What matters of the run whose end this is, if it is one.
pub fn ended(conn: &mut Conn, trigger: &Trigger) -> Result<EndedRun, StoreError> {
    let Trigger::AgentEnded { log, .. } = trigger else { return Ok(EndedRun::default()) };
    let Some(run) = runs::get(conn, log)? else { return Ok(EndedRun::default()) };
    let asked = was_asked(conn, &run)?;
    Ok(EndedRun { asked, denied: denials(run.denied_tools.as_deref().unwrap_or_default()) })
}

/// Whether a run was asked for its verdict alone.
pub(crate) fn was_asked(conn: &mut Conn, run: &Run) -> Result<bool, StoreError> {
    let payload = jobs::get(conn, run.job_id)?.and_then(|job| serde_json::from_str::<AgentPayload>(&job.payload).ok());
    Ok(payload.is_some_and(|payload| matches!(payload.brief, Brief::VerdictAsked { .. })))
}

/// The refused tools as the run's row has them: `Bash (2), Write (1)`.
fn denials(text: &str) -> Vec<Denial> {
    let entry = |entry: &str| {
        let (tool, count) = entry.strip_suffix(')')?.rsplit_once(" (")?;
        Some(Denial { tool: tool.to_owned(), count: count.parse().ok()? })
    };
    text.split(", ").filter_map(entry).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refused_tools_come_back_from_their_text() {
        let denial = |tool: &str, count| Denial { tool: tool.to_owned(), count };
        assert_eq!(denials("Bash (2), mcp__a (b) (1)"), [denial("Bash", 2), denial("mcp__a (b)", 1)]);
        assert_eq!(denials(""), []);
    }
}
