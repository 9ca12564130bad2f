//! Words of people that no webhook brought, and work items that are gone. A thread is read where its item changed and
//! where a task waits for a person; the others take turns, so that a round stays cheap.

use super::findings::Findings;
use super::plane::Asking;
use super::{Reconciler, RoundError, doubles};
use crate::clients::plane::{Comment, EXTERNAL_SOURCE, Presence, WorkItem};
use crate::events::{Once, PlaneChange, SaidInPlane};
use crate::html;
use orch_common::domain::effect::{Destination, Effect};
use orch_common::domain::job::JobKind;
use orch_common::domain::stage::TaskState;
use orch_common::domain::words::parse_comment;
use orch_common::store::jobs;
use orch_common::store::tasks::{self, Task};

/// Tasks that are asked about in one round although nothing says that their item changed; two calls each.
const MOST_TASKS: usize = 8;
/// How long after its end a task's thread is still read for commands, in ms.
const LATE_MS: i64 = 30 * 24 * 60 * 60_000;
/// Words from shortly before the end may have been lost as well.
const LAST_WORDS_MS: i64 = 10 * 60_000;

/// Asks for the words, and for the being, of what waits for a person; then of some others.
pub(super) async fn ask_those_who_wait(
    asking: &Asking<'_>,
    memory: &mut Reconciler,
    read: &[&str],
    findings: &mut Findings,
) -> Result<(), RoundError> {
    let project = asking.project.plane_project.clone();
    let open = asking.ctx.store.read(tasks::open).await?;
    let of_project = open.into_iter().filter(|t| t.project == project && !read.contains(&t.work_item.as_str()));
    let (waiting, others): (Vec<Task>, Vec<Task>) = of_project.partition(|t| t.state != TaskState::Active);
    let room = MOST_TASKS.saturating_sub(waiting.len()).max(1);
    let chosen = memory.some_of(&waiting, MOST_TASKS).chain(memory.some_of(&others, room));
    let chosen: Vec<&Task> = chosen.collect();
    for task in chosen {
        let Some(item) = is_there(asking, task, findings).await? else { continue };
        // A comment touches its item.
        if !memory.knows(&item.id, item.updated_at) {
            ask_for_words(asking, task, findings).await?;
            memory.deal_with(&item.id, item.updated_at);
        }
    }
    Ok(())
}

/// An item that is deleted or archived says nothing; its task is ended.
async fn is_there(
    asking: &Asking<'_>,
    task: &Task,
    findings: &mut Findings,
) -> Result<Option<Box<WorkItem>>, RoundError> {
    let (name, end) = match asking.plane.presence(&task.project, &task.work_item).await? {
        Presence::There(item) => return Ok(Some(item)),
        Presence::Archived => ("archived", PlaneChange::ItemArchived),
        Presence::Gone => ("gone", PlaneChange::ItemDeleted),
    };
    let event = asking.event(&task.work_item, None, end);
    findings.push(format!("plane:{name}:{}", task.work_item), crate::clock::now_ms(), event);
    Ok(None)
}

/// Commands that people wrote about a task that has ended: one may open it again, the others are answered. Asked for where its
/// item was touched, which our own last words do as well.
pub(super) async fn ask_for_late_words(
    asking: &Asking<'_>,
    task: &Task,
    findings: &mut Findings,
) -> Result<(), RoundError> {
    let Some(ended) = task.finished_at else { return Ok(()) };
    if crate::clock::now_ms().saturating_sub(ended) > LATE_MS {
        return Ok(());
    }
    words_since(asking, task, ended.saturating_sub(LAST_WORDS_MS).max(task.created_at), findings).await
}

/// The words that people have written since the task began and that nobody has acted on: commands, and where
/// questions are open, what was said after them.
pub(super) async fn ask_for_words(asking: &Asking<'_>, task: &Task, findings: &mut Findings) -> Result<(), RoundError> {
    words_since(asking, task, task.created_at, findings).await
}

async fn words_since(asking: &Asking<'_>, task: &Task, since: i64, findings: &mut Findings) -> Result<(), RoundError> {
    let mut thread = asking.plane.comments(&task.project, &task.work_item).await?;
    thread.sort_by_key(|c| c.created_at);
    let place = (task.project.as_str(), task.work_item.as_str());
    if let Err(error) = doubles::of_thread(asking.ctx, asking.plane, place, &thread).await {
        tracing::warn!(%error, key = task.key, "our second comments could not be deleted");
    }
    let mut last_own = None;
    for comment in &thread {
        if is_own(asking, comment).await? {
            last_own = last_own.max(Some(comment.created_at));
        }
    }
    let answers_count = task.state == TaskState::NeedsInput && !speaks_soon(asking, task).await?;
    for comment in thread.iter().filter(|c| c.created_at >= since) {
        let Some(actor) = comment.actor.clone() else { continue };
        let text = html::words(&comment.comment_html, &html::nobody);
        let is_answer = answers_count && last_own.is_some_and(|own| comment.created_at > own);
        if parse_comment(&text).is_none() && !is_answer {
            continue;
        }
        if is_own(asking, comment).await? || was_heard(asking, comment).await? {
            continue;
        }
        let said = PlaneChange::Comment(SaidInPlane {
            comment_id: comment.id.clone(),
            text,
            external_source: comment.external_source.clone(),
            edited: false,
            own_words: comment.is_word_of(&actor),
        });
        let key = format!("plane:{}:{}", comment.id, comment.updated_at);
        findings.push(key, comment.created_at, asking.event(&task.work_item, Some(actor), said));
    }
    Ok(())
}

async fn is_own(asking: &Asking<'_>, comment: &Comment) -> Result<bool, RoundError> {
    if comment.external_source.as_deref() == Some(EXTERNAL_SOURCE) {
        return Ok(true);
    }
    match &comment.actor {
        Some(actor) => asking.is_own(actor).await,
        None => Ok(false),
    }
}

/// The comment has acted already.
async fn was_heard(asking: &Asking<'_>, comment: &Comment) -> Result<bool, RoundError> {
    let once = Once::comment(&comment.id);
    Ok(asking.ctx.store.read(move |c| once.was_taken(c)).await?)
}

/// Our own next comment (perhaps the questions) is still on its way: what people wrote before it is no answer.
async fn speaks_soon(asking: &Asking<'_>, task: &Task) -> Result<bool, RoundError> {
    let id = task.id;
    let jobs = asking.ctx.store.read(move |c| jobs::of_task(c, id)).await?;
    let to_plane = |payload: &str| {
        serde_json::from_str::<Effect>(payload).is_ok_and(|effect| effect.destination() == Destination::Plane)
    };
    Ok(jobs.iter().any(|j| j.kind == JobKind::Effect && !j.status.is_finished() && to_plane(&j.payload)))
}
