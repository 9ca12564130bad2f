//! A trigger meets its task: decided at once where no gate has to be looked at, else put into the queue as
//! an `advance` job. Everything in the caller's transaction.

use super::apply::{Applied, Asked, apply, enqueue_advance};
use super::facts::{facts, history};
use crate::rules::Rules;
use orch_common::config::Project;
use orch_common::domain::decide::{Decision, Trigger, block, decide, needs_finding};
use orch_common::domain::job::JobKind;
use orch_common::domain::messages::Message;
use orch_common::store::jobs;
use orch_common::store::tasks::Task;
use orch_common::store::{Conn, StoreError};

/// Handles `trigger` on behalf of job `job_id`.
pub fn submit(
    conn: &mut Conn,
    rules: &Rules,
    project: &Project,
    task: &Task,
    trigger: &Trigger,
    job_id: i64,
    now: i64,
) -> Result<Applied, StoreError> {
    let policy = rules.policy(project);
    let facts = facts(task)?;
    let history = history(conn, task, &policy, job_id)?;
    if needs_finding(&facts, trigger) {
        if history.busy && matches!(trigger, Trigger::Forge { .. } | Trigger::Look) {
            return Ok(Applied::Yes("recorded; the job under way looks at its end".into()));
        }
        // An approval while an agent works is refused at once; behind another look it takes its turn.
        if !agent_under_way(conn, task)? {
            enqueue_advance(conn, task, trigger, &format!("t{}:j{job_id}:advance", task.id), now)?;
            return Ok(Applied::Yes(format!("{} waits for the gate", trigger.name())));
        }
    }
    let decision = decide(&facts, trigger, None, &history, &policy);
    apply(conn, rules, task, &decision, &Asked { project, trigger, job_id, now })
}

fn agent_under_way(conn: &mut Conn, task: &Task) -> Result<bool, StoreError> {
    Ok(jobs::unfinished_of_task(conn, task.id)?.iter().any(|job| job.kind == JobKind::Agent))
}

/// Stops a task for a reason of money, repetition or a job that failed for good; people are told with `message`.
pub fn submit_block(
    conn: &mut Conn,
    rules: &Rules,
    project: &Project,
    task: &Task,
    message: &Message,
    job_id: i64,
    now: i64,
) -> Result<Applied, StoreError> {
    let reason = if let Message::Blocked { reason } = message {
        reason.clone()
    } else {
        rules.catalogue.render(message).lines().next().unwrap_or_default().to_owned()
    };
    let decision: Decision = block(&facts(task)?, &rules.policy(project), &reason, message.clone());
    apply(conn, rules, task, &decision, &Asked { project, trigger: &Trigger::Look, job_id, now })
}
