//! Tasks: one row per work item, moved only by compare-and-swap on stage and version.

use super::connection::Conn;
use super::error::StoreError;
use super::schema::tasks;
use crate::domain::stage::{Stage, TaskState};
use diesel::prelude::*;
use std::collections::BTreeMap;

/// One task; times in ms since the epoch.
#[derive(Debug, Clone, PartialEq, Queryable, Selectable)]
#[diesel(table_name = tasks, check_for_backend(diesel::sqlite::Sqlite))]
pub struct Task {
    pub id: i64,
    pub project: String,
    pub work_item: String,
    pub key: String,
    pub title: String,
    pub description: String,
    pub repo: String,
    pub branch: String,
    pub base: String,
    pub stage: Stage,
    pub stage_version: i64,
    pub state: TaskState,
    pub state_reason: Option<String>,
    pub cap_since: i64,
    pub approved_at: Option<i64>,
    pub said: Option<String>,
    pub head: Option<String>,
    pub progress_at: i64,
    pub created_at: i64,
    pub updated_at: i64,
    pub finished_at: Option<i64>,
    /// A run of the stage's role ended well since the round began.
    pub worked: bool,
    /// The branch's head when the round began; `None` = it was not seen before.
    pub round_head: Option<String>,
    /// The number of its own pull request, once there is one.
    pub pull: Option<i64>,
    /// The round began because evidence was gone: its role may find that nothing is to be changed.
    pub recheck: bool,
}

/// A task to be made.
#[derive(Debug, Clone)]
pub struct NewTask {
    pub project: String,
    pub work_item: String,
    pub key: String,
    pub title: String,
    pub description: String,
    pub repo: String,
    pub branch: String,
    pub base: String,
}

/// Inserts a task at `created`; `None` where the work item, the key or the branch has one already.
pub fn insert(conn: &mut Conn, new: &NewTask, now: i64) -> Result<Option<Task>, StoreError> {
    let NewTask { project, work_item, key, title, description, repo, branch, base } = new;
    Ok(diesel::insert_or_ignore_into(tasks::table)
        .values((
            tasks::project.eq(project),
            tasks::work_item.eq(work_item),
            tasks::key.eq(key),
            tasks::title.eq(title),
            tasks::description.eq(description),
            tasks::repo.eq(repo),
            tasks::branch.eq(branch),
            tasks::base.eq(base),
            tasks::stage.eq(Stage::Created),
            tasks::state.eq(TaskState::Active),
            tasks::cap_since.eq(now),
            tasks::progress_at.eq(now),
            tasks::created_at.eq(now),
            tasks::updated_at.eq(now),
        ))
        .returning(Task::as_returning())
        .get_result(conn)
        .optional()?)
}

/// One task.
pub fn get(conn: &mut Conn, id: i64) -> Result<Option<Task>, StoreError> {
    Ok(tasks::table.find(id).select(Task::as_select()).first(conn).optional()?)
}

/// The reason why a task stands where it stands no longer holds; one that was given since then stays.
pub fn forget_reason(conn: &mut Conn, id: i64, reason: &str) -> Result<(), StoreError> {
    diesel::update(tasks::table.find(id).filter(tasks::state_reason.eq(reason)))
        .set(tasks::state_reason.eq(None::<String>))
        .execute(conn)?;
    Ok(())
}

/// The task of a work item.
pub fn by_work_item(conn: &mut Conn, project: &str, work_item: &str) -> Result<Option<Task>, StoreError> {
    Ok(tasks::table
        .filter(tasks::project.eq(project))
        .filter(tasks::work_item.eq(work_item))
        .select(Task::as_select())
        .first(conn)
        .optional()?)
}

/// The newest task of a work item, where the project is not known (Plane's ids are unique everywhere).
pub fn by_work_item_alone(conn: &mut Conn, work_item: &str) -> Result<Option<Task>, StoreError> {
    Ok(tasks::table
        .filter(tasks::work_item.eq(work_item))
        .order(tasks::id.desc())
        .select(Task::as_select())
        .first(conn)
        .optional()?)
}

/// The task of a branch.
pub fn by_branch(conn: &mut Conn, repo: &str, branch: &str) -> Result<Option<Task>, StoreError> {
    Ok(tasks::table
        .filter(tasks::repo.eq(repo))
        .filter(tasks::branch.eq(branch))
        .select(Task::as_select())
        .first(conn)
        .optional()?)
}

/// The task whose own pull request this is.
pub fn by_pull(conn: &mut Conn, repo: &str, number: i64) -> Result<Option<Task>, StoreError> {
    Ok(tasks::table
        .filter(tasks::repo.eq(repo))
        .filter(tasks::pull.eq(number))
        .select(Task::as_select())
        .first(conn)
        .optional()?)
}

/// The task with a key like `ET-001` (the newest, where several projects share a prefix).
pub fn by_key(conn: &mut Conn, key: &str) -> Result<Option<Task>, StoreError> {
    Ok(tasks::table
        .filter(tasks::key.eq(key))
        .order(tasks::id.desc())
        .select(Task::as_select())
        .first(conn)
        .optional()?)
}

/// Tasks of a repository whose last seen head is this commit (statuses carry no branch).
pub fn by_head(conn: &mut Conn, repo: &str, head: &str) -> Result<Vec<Task>, StoreError> {
    Ok(tasks::table.filter(tasks::repo.eq(repo)).filter(tasks::head.eq(head)).select(Task::as_select()).load(conn)?)
}

/// Tasks that are neither done nor cancelled, oldest first.
pub fn open(conn: &mut Conn) -> Result<Vec<Task>, StoreError> {
    Ok(tasks::table
        .filter(diesel::dsl::sql::<diesel::sql_types::Bool>("state NOT IN ('cancelled','done')"))
        .order(tasks::id)
        .select(Task::as_select())
        .load(conn)?)
}

/// All tasks, newest first.
pub fn newest(conn: &mut Conn, limit: i64) -> Result<Vec<Task>, StoreError> {
    Ok(tasks::table.order(tasks::id.desc()).limit(limit).select(Task::as_select()).load(conn)?)
}

/// The keys of tasks by their ids.
pub fn keys_of(conn: &mut Conn, ids: &[i64]) -> Result<BTreeMap<i64, String>, StoreError> {
    let rows: Vec<(i64, String)> =
        tasks::table.filter(tasks::id.eq_any(ids)).select((tasks::id, tasks::key)).load(conn)?;
    Ok(rows.into_iter().collect())
}

/// What a decision writes into its task.
#[derive(Debug, Clone, PartialEq)]
pub struct Move {
    pub stage: Stage,
    pub state: TaskState,
    pub state_reason: Option<String>,
    /// A human word: runs before now no longer count for the caps.
    pub reset_cap: bool,
    /// A person approved at analysis.
    pub approved: bool,
    /// An approval no longer holds (the analyst works again).
    pub unapproved: bool,
    /// The new fingerprint of what was said last; `None` leaves it.
    pub said: Option<String>,
    /// The role of the stage begins a new round; where the stage changes, it always does.
    pub new_round: bool,
    /// That round is a look at what others changed; it may change nothing.
    pub recheck: bool,
}

impl Move {
    /// One that changes nothing else.
    pub const fn to(stage: Stage, state: TaskState) -> Move {
        Move {
            stage,
            state,
            state_reason: None,
            reset_cap: false,
            approved: false,
            unapproved: false,
            said: None,
            new_round: false,
            recheck: false,
        }
    }
}

/// Applies a move if the task still stands where the decision saw it; `false` = it lost the race, and
/// nothing is changed.
pub fn compare_and_move(conn: &mut Conn, seen: &Task, to: &Move, now: i64) -> Result<bool, StoreError> {
    let Move { stage, state, state_reason, reset_cap, approved, unapproved, said, new_round, recheck } = to;
    let begins = *new_round || *stage != seen.stage;
    // Opened again, it will have a worktree again.
    let reopens = seen.state.is_terminal() && !state.is_terminal();
    let approved_at = match (approved, unapproved) {
        (true, _) => Some(now),
        (false, true) => None,
        (false, false) => seen.approved_at,
    };
    let changed = diesel::update(
        tasks::table
            .find(seen.id)
            .filter(tasks::stage.eq(seen.stage))
            .filter(tasks::stage_version.eq(seen.stage_version)),
    )
    .set((
        tasks::stage.eq(stage),
        tasks::stage_version.eq(seen.stage_version + 1),
        tasks::state.eq(state),
        tasks::state_reason.eq(state_reason.as_deref()),
        tasks::cap_since.eq(if *reset_cap { now } else { seen.cap_since }),
        tasks::approved_at.eq(approved_at),
        tasks::said.eq(said.as_ref().or(seen.said.as_ref())),
        tasks::progress_at.eq(if *stage == seen.stage { seen.progress_at } else { now }),
        tasks::updated_at.eq(now),
        tasks::finished_at.eq(if state.is_terminal() { Some(now) } else { None }),
        reopens.then(|| tasks::tidied.eq(false)),
        begins.then(|| {
            (tasks::worked.eq(false), tasks::round_head.eq(seen.head.as_deref()), tasks::recheck.eq(*recheck))
        }),
    ))
    .execute(conn)?;
    Ok(changed == 1)
}

/// The branches of a repository's other tasks, whatever became of them.
pub fn other_branches(conn: &mut Conn, repo: &str, task: i64) -> Result<Vec<String>, StoreError> {
    Ok(tasks::table.filter(tasks::repo.eq(repo).and(tasks::id.ne(task))).select(tasks::branch).load(conn)?)
}

/// Tasks that ended before a time (ms) and whose worktree may still be there, oldest first.
pub fn finished_before(conn: &mut Conn, before: i64, limit: i64) -> Result<Vec<Task>, StoreError> {
    Ok(tasks::table
        .filter(tasks::finished_at.is_not_null().and(tasks::finished_at.lt(before)).assume_not_null())
        .filter(tasks::tidied.eq(false))
        .order(tasks::finished_at)
        .limit(limit)
        .select(Task::as_select())
        .load(conn)?)
}

/// The task's worktree is gone.
pub fn mark_tidied(conn: &mut Conn, id: i64, now: i64) -> Result<(), StoreError> {
    diesel::update(tasks::table.find(id)).set((tasks::tidied.eq(true), tasks::updated_at.eq(now))).execute(conn)?;
    Ok(())
}

/// Remembers the branch's head; a new one is progress. No version: evidence, not a decision.
pub fn note_head(conn: &mut Conn, id: i64, head: &str, now: i64) -> Result<(), StoreError> {
    diesel::update(tasks::table.find(id).filter(tasks::head.is_null().or(tasks::head.ne(head)).assume_not_null()))
        .set((tasks::head.eq(head), tasks::progress_at.eq(now), tasks::updated_at.eq(now)))
        .execute(conn)?;
    Ok(())
}

/// A run of the role that works at `stage` ended well, and the task still stands there. No version: evidence, not a
/// decision.
pub fn note_worked(conn: &mut Conn, id: i64, stage: Stage) -> Result<(), StoreError> {
    diesel::update(tasks::table.find(id).filter(tasks::stage.eq(stage))).set(tasks::worked.eq(true)).execute(conn)?;
    Ok(())
}

/// Remembers the task's own pull request. No version: a fact, not a decision.
pub fn note_pull(conn: &mut Conn, id: i64, number: i64, now: i64) -> Result<(), StoreError> {
    diesel::update(tasks::table.find(id)).set((tasks::pull.eq(number), tasks::updated_at.eq(now))).execute(conn)?;
    Ok(())
}

/// The work item's text changed at its source.
pub fn set_text(conn: &mut Conn, id: i64, title: &str, description: &str, now: i64) -> Result<(), StoreError> {
    diesel::update(tasks::table.find(id))
        .set((tasks::title.eq(title), tasks::description.eq(description), tasks::updated_at.eq(now)))
        .execute(conn)?;
    Ok(())
}
