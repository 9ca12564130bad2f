//! A trigger meets its task: decided at once where no gate has to be looked at, else put into the queue as
//! an `advance` job. Everything in the caller's transaction.

use super::apply::{Applied, Asked, apply, enqueue_advance};
use super::budget;
use super::facts::{carries_a_word, facts, history};
use crate::rules::Rules;
use orch_common::config::Project;
use orch_common::domain::decide::{Decision, Trigger, block, decide, needs_finding};
use orch_common::domain::job::{JobKind, JobStatus};
use orch_common::domain::messages::{Message, fault_in_words};
use orch_common::domain::task::History;
use orch_common::store::jobs::{self, Job};
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
        let is_news = matches!(trigger, Trigger::Forge { .. } | Trigger::Look);
        if is_news && look_to_come(&jobs::unfinished_of_task(conn, task.id)?) {
            return Ok(Applied::Yes("recorded; the job under way looks at its end".into()));
        }
        // A word while an agent works, or while another word waits, is decided on at once; behind a mere look it
        // takes its turn. News take theirs behind a word: that may be refused.
        if is_news || !work_or_word_under_way(conn, task)? {
            if !is_news {
                // A word does not wait for the end of a look's pause.
                jobs::hasten_looks(conn, task.id)?;
            }
            enqueue_advance(conn, task, trigger, &format!("t{}:j{job_id}:advance", task.id), now)?;
            return Ok(Applied::Yes(format!("{} waits for the gate", trigger.name())));
        }
    }
    let history = History { budget: budget::for_word(conn, rules, project, task, trigger, now)?, ..history };
    let decision = decide(&facts, trigger, None, &history, &policy);
    apply(conn, rules, task, &decision, &Asked { project, trigger, job_id, now })
}

fn work_or_word_under_way(conn: &mut Conn, task: &Task) -> Result<bool, StoreError> {
    Ok(jobs::unfinished_of_task(conn, task.id)?.iter().any(|job| job.kind == JobKind::Agent || carries_a_word(job)))
}

/// Whether one of a task's jobs is going to look at the gate on nobody's word: at an agent's end, or at news. A look that has
/// begun is none: it may have asked already. A word may be refused without one.
pub fn look_to_come(unfinished: &[Job]) -> bool {
    let begins = |job: &Job| job.kind == JobKind::Agent || (job.status == JobStatus::Queued && !carries_a_word(job));
    unfinished.iter().any(begins)
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
    } else if let Message::AgentFailed { role, error } = message {
        format!("the {role} has failed for good: {error}")
    } else if let Message::NeedsAPerson { fault, words } = message {
        format!("{} {}", fault_in_words(*fault), words.lines().next().unwrap_or_default())
    } else {
        rules.catalogue.render(message).lines().next().unwrap_or_default().to_owned()
    };
    let decision: Decision = block(&facts(task)?, &rules.policy(project), &reason, message.clone());
    apply(conn, rules, task, &decision, &Asked { project, trigger: &Trigger::Look, job_id, now })
}
