//! What agents left beside their work: looked for when a run is over and before a folder goes, recorded in the transaction
//! that ends the job, and told to people once.

use crate::clock::now_ms;
use crate::context::Context;
use crate::engine::apply::enqueue_effect;
use crate::git::{Ended, GitError};
use orch_common::domain::effect::Effect;
use orch_common::domain::leftover::{LeftKind, Leftover};
use orch_common::domain::messages::{Catalogue, Message, leftover_in_words};
use orch_common::store::jobs::{self, Job};
use orch_common::store::leftovers::{self, Row};
use orch_common::store::tasks::{self, Task};
use orch_common::store::{Conn, StoreError};

/// Leftovers that a prompt names at most; the newest count.
const IN_PROMPT: usize = 20;

/// What becomes of the task's folder next: it says who has to hear of what lies there uncommitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// The work is committed and published.
    Published,
    /// The job runs again, and goes on with it.
    SameJob,
    /// Nobody, as far as is known.
    Nobody,
    /// It was only looked at.
    Unchanged,
}

/// What was found of a task.
#[derive(Debug, Clone)]
pub struct Accounted {
    task: Task,
    run: Option<String>,
    found: Vec<Leftover>,
    /// The repository's folder, for people.
    repo: String,
}

/// Looks at everything that a run of this job left, and keeps it. Only the holder of the job may look.
pub(super) async fn of_job(ctx: &Context, job: &Job, run: &str, well: bool) -> Option<Accounted> {
    let row = job.clone();
    let task = ctx.store.read(move |c| {
        let task = row.task_id.map(|id| tasks::get(c, id)).transpose()?.flatten();
        Ok(if jobs::is_held(c, &row)? { task } else { None })
    });
    let task = match task.await {
        Ok(task) => task?,
        Err(error) => {
            tracing::warn!(%error, "the task's row could not be read; what its agent left is looked for later");
            return None;
        }
    };
    match look(ctx, &task, well).await {
        Ok(found) => Some(Accounted { run: Some(run.to_owned()), ..Accounted::of(ctx, &task, found) }),
        // What is not looked at now is looked at when the job is taken up again.
        Err(GitError::Cancelled) => None,
        Err(error) => {
            tracing::error!(%error, key = task.key, "what the agent left could not be accounted for");
            Some(Accounted::of(ctx, &task, vec![Leftover::new(LeftKind::Unaccounted, &error.to_string())]))
        }
    }
}

async fn look(ctx: &Context, task: &Task, well: bool) -> Result<Vec<Leftover>, GitError> {
    let (repo, id) = (task.repo.clone(), task.id);
    let others = ctx.store.read(move |c| tasks::other_branches(c, &repo, id)).await;
    let others = others.map_err(|e| GitError::Other { tail: format!("the other tasks' branches: {e}") })?;
    let ended =
        Ended { repo: &task.repo, key: &task.key, branch: &task.branch, base: &task.base, others: &others, well };
    ctx.repos.account(&ended, ctx.tenant.as_ref(), &ctx.stopping).await
}

/// Looks at a task's folder that is about to go, or to be put back, and tells people of everything that it kept.
pub async fn before_removal(ctx: &Context, task: &Task) -> Result<(), GitError> {
    let found = look(ctx, task, false).await?;
    Accounted::of(ctx, task, found).told(ctx, Next::Nobody).await
}

/// Tells of what was kept by the way: by a folder that was rebuilt, or put back on its branch.
pub async fn after_look(ctx: &Context, task: &Task) -> Result<(), GitError> {
    let found = ctx.repos.kept(&task.repo, &task.key, &ctx.stopping).await?;
    if found.is_empty() {
        return Ok(());
    }
    Accounted::of(ctx, task, found).told(ctx, Next::Unchanged).await
}

impl Accounted {
    fn of(ctx: &Context, task: &Task, found: Vec<Leftover>) -> Accounted {
        Accounted { task: task.clone(), run: None, found, repo: ctx.repos.shown_path(&task.repo) }
    }

    /// [`Accounted::record`] in a transaction of its own, where there is anything new.
    async fn told(self, ctx: &Context, next: Next) -> Result<(), GitError> {
        let catalogue = ctx.catalogue.clone();
        let written = ctx.store.write(move |c| self.record(c, &catalogue, next, now_ms())).await;
        written.map_err(|e| GitError::Other { tail: format!("what was left could not be recorded: {e}") })
    }

    /// Records and tells, in the caller's transaction, what was found.
    pub(super) fn record(
        &self,
        conn: &mut Conn,
        catalogue: &Catalogue,
        next: Next,
        now: i64,
    ) -> Result<(), StoreError> {
        let waiting = |rows: &[Row]| -> Vec<i64> {
            rows.iter().filter(|row| row.kind.waits_for_the_next_run()).map(|row| row.id).collect()
        };
        let earlier = waiting(&leftovers::untold(conn, self.task.id)?);
        leftovers::add(conn, self.task.id, self.run.as_deref(), &self.found, now)?;
        let mut untold = leftovers::untold(conn, self.task.id)?;
        match next {
            Next::Published => {
                leftovers::mark_told(conn, &earlier)?;
                untold.retain(|row| !earlier.contains(&row.id));
            }
            Next::SameJob => {
                let later = waiting(&untold);
                untold.retain(|row| !later.contains(&row.id));
            }
            Next::Unchanged => untold.retain(|row| !earlier.contains(&row.id)),
            Next::Nobody => {}
        }
        self.tell(conn, catalogue, &untold, now)
    }

    fn tell(&self, conn: &mut Conn, catalogue: &Catalogue, untold: &[Row], now: i64) -> Result<(), StoreError> {
        let (Some(last), task) = (untold.last(), &self.task) else { return Ok(()) };
        let key = task.key.parse().map_err(|e| StoreError::Corrupt(format!("task {}: {e}", task.id)))?;
        let list = untold.iter().map(Row::leftover).collect();
        let message = Message::Leftovers { key, list, repo: self.repo.clone() };
        let stem = format!("t{}:left:{}", task.id, last.id);
        let comment = Effect::PlaneComment {
            project: task.project.clone(),
            work_item: task.work_item.clone(),
            key: stem.clone(),
            text: catalogue.render(&message),
        };
        enqueue_effect(conn, Some(task.id), &comment, &stem, now)?;
        leftovers::mark_told(conn, &untold.iter().map(|row| row.id).collect::<Vec<_>>())
    }
}

/// For the next agent: one line each.
pub(super) fn for_prompt(rows: &[Row]) -> Vec<String> {
    let newest = rows.iter().skip(rows.len().saturating_sub(IN_PROMPT));
    let line = |row: &Row| {
        let kept = row.kept.as_ref().map(|kept| format!(" Kept as `{kept}`.")).unwrap_or_default();
        format!("{}{kept}", leftover_in_words(row.kind, &row.name))
    };
    newest.map(line).collect()
}
