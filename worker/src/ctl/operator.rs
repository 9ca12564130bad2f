//! An operator's word to a task. It is decided by the engine that hears people's comments, in one transaction, and
//! leaves what every decision leaves: a job, a row in the audit trail, effects.

use super::desk::actor;
use super::error::CtlError;
use crate::engine::apply::Applied;
use crate::engine::submit::submit;
use crate::rules::Rules;
use orch_common::domain::decide::{Trigger, Via};
use orch_common::domain::job::{JobEnd, JobKind};
use orch_common::domain::words::Command;
use orch_common::store::jobs::{self, Job, NewJob};
use orch_common::store::tasks::{self, Task};
use orch_common::store::{Conn, Store, StoreError};

/// What a command came to.
pub struct Heard {
    pub note: String,
    /// The task as it stands now.
    pub task: Task,
}

/// Gives `command` to the task with this key.
///
/// # Errors
/// [`CtlError::Failed`] where the engine refuses or sees nothing to do: then nothing at all was written, the reason is
/// told here and not as a comment on the work item.
pub fn tell(store: &Store, rules: &Rules, key: &str, command: &Command, now: i64) -> Result<Heard, CtlError> {
    let mut refused = None;
    let heard = store.write_now(|conn| {
        let verdict = decide(conn, rules, key, command, now)?;
        verdict.map_err(|why| {
            refused = Some(why);
            // Only an error takes back what was written so far.
            StoreError::LostOwnership
        })
    });
    match (heard, refused) {
        (_, Some(why)) => Err(why),
        (Ok(heard), None) => Ok(heard),
        (Err(error), None) => Err(error.into()),
    }
}

/// The inner error is for the person, the outer one for the database.
fn decide(
    conn: &mut Conn,
    rules: &Rules,
    key: &str,
    command: &Command,
    now: i64,
) -> Result<Result<Heard, CtlError>, StoreError> {
    let Some(task) = by_key(conn, key)? else { return Ok(Err(unknown(key))) };
    let Some(project) = rules.config.projects.by_plane(&task.project) else {
        let why = format!("the project {} of {} is not in the configuration", task.project, task.key);
        return Ok(Err(CtlError::Failed(why)));
    };
    let actor = actor();
    let own = record(conn, &task, command, &actor, now)?;
    let trigger = Trigger::Command { command: command.clone(), actor, via: Via::Operator };
    let note = match submit(conn, rules, project, &task, &trigger, own.id, now)? {
        Applied::Yes(note) => note,
        Applied::TryAgain(why) => return Ok(Err(CtlError::Failed(why))),
        Applied::LostRace => return Ok(Err(CtlError::Failed("the task moved meanwhile; look and try again".into()))),
    };
    jobs::finish(conn, &own, &JobEnd::Done { note: Some(note.clone()) }, now)?;
    let after = tasks::get(conn, task.id)?.unwrap_or_else(|| task.clone());
    let moved = after.stage_version != task.stage_version;
    let queued = jobs::unfinished_of_task(conn, task.id)?.iter().any(|job| job.id > own.id);
    if !moved && !queued {
        return Ok(Err(CtlError::Failed(format!("{}: {note}", task.key))));
    }
    Ok(Ok(Heard { note, task: after }))
}

/// The word as a job of its own, claimed at once, so that no worker ever sees it queued. A real id keeps the keys that
/// are made of it unique for ever, and the audit trail points at a row that says who wanted what.
fn record(conn: &mut Conn, task: &Task, command: &Command, actor: &str, now: i64) -> Result<Job, StoreError> {
    let said = serde_json::json!({ "source": "operator", "event": command.word(), "actor": actor, "said": command });
    let new = NewJob {
        kind: JobKind::Event,
        role: None,
        repo: Some(task.repo.clone()),
        task_id: Some(task.id),
        payload: said.to_string(),
        dedupe_key: None,
        order_key: None,
        available_at: None,
    };
    let id = jobs::enqueue(conn, &new, now)?;
    let own = id.map(|id| jobs::claim_by_id(conn, id, actor, now)).transpose()?.flatten();
    own.ok_or_else(|| StoreError::Corrupt("the command's own job could not be written".into()))
}

/// The task of a key, however its letters are written.
pub fn by_key(conn: &mut Conn, key: &str) -> Result<Option<Task>, StoreError> {
    match tasks::by_key(conn, key)? {
        Some(task) => Ok(Some(task)),
        None => tasks::by_key(conn, &key.to_uppercase()),
    }
}

/// There is no such task.
pub fn unknown(key: &str) -> CtlError {
    CtlError::NotFound(format!("there is no task {key}; `orchctl tasks --all` lists them"))
}
