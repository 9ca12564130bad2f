//! The lane of `effect` jobs: send, and record what came of it.

use super::chat;
use super::doubts;
use super::pulls::{AskedOf, Known, Unasked};
use super::send::{SendError, Sent};
use super::shared;
use crate::alerts;
use crate::clients::For;
use crate::clock::now_ms;
use crate::context::Context;
use crate::engine::apply::{enqueue_advance, enqueue_effect};
use crate::job_end;
use crate::outage::{Scope, troubled};
use orch_common::domain::decide::Trigger;
use orch_common::domain::effect::{Destination, Effect, PlaneTarget};
use orch_common::domain::gate::{GateOutcome, Waiting};
use orch_common::domain::job::{JobEnd, JobStatus};
use orch_common::domain::merge;
use orch_common::domain::messages::Message;
use orch_common::domain::stage::TaskState;
use orch_common::failpoint::{self, Point};
use orch_common::store::jobs::{self, Job, JobHead};
use orch_common::store::{Conn, StoreError, outages, tasks};
use std::sync::Arc;
use tracing::Instrument as _;

/// Handles one effect job to its end.
pub async fn handle(ctx: Arc<Context>, job: Job) {
    let span = tracing::info_span!("effect", job = job.id, task = job.task_id);
    async {
        let effect: Effect = match serde_json::from_str(&job.payload) {
            Ok(effect) => effect,
            Err(error) => {
                let why = format!("the job's payload cannot be read: {error}");
                return job_end::failed(&ctx, &job, &why, None).await;
            }
        };
        failpoint::here(Point::EffectCheck);
        match still_ours(&ctx, &job).await {
            Ok(true) => {
                shared::recall(&ctx).await;
                send(&ctx, &job, &effect).await;
                shared::remember(&ctx).await;
            }
            Ok(false) => tracing::warn!("the job is no longer this worker's; nothing was sent"),
            Err(error) => job_end::failed(&ctx, &job, &error.to_string(), Some(None)).await,
        }
    }
    .instrument(span)
    .await;
}

/// Asked just before the send: a worker that was stopped for long must not send what another has sent.
async fn still_ours(ctx: &Context, job: &Job) -> Result<bool, StoreError> {
    let job = job.clone();
    ctx.store.read(move |c| jobs::is_held(c, &job)).await
}

/// What is known before an effect is sent.
#[derive(Debug, Default)]
struct Before {
    known: Known,
    /// Why it is wanted no longer.
    stale: Option<String>,
    /// The pull request that it is about is still to be opened.
    pull_to_come: bool,
}

fn before(conn: &mut Conn, job: &Job, effect: &Effect) -> Result<Before, StoreError> {
    // An answer was lost, or a worker; who lost the job meanwhile is not the first either.
    let tried = job.recoveries > 0 || job.attempts > 1 || outages::is_in_doubt(conn, job.id)?;
    let untried = !tried && jobs::is_held(conn, job)?;
    let mut before = Before { known: Known { untried, ..Known::default() }, ..Before::default() };
    let Some(id) = job.task_id else { return Ok(before) };
    let mut ended = false;
    if let Some(task) = tasks::get(conn, id)? {
        ended = task.state.is_terminal();
        (before.known.pull, before.known.base) = (task.pull, Some(task.base));
    }
    let (task, pull) = (id, before.known.pull);
    match effect {
        Effect::PlaneState { .. } => {
            let wishes = jobs::effects_of_task(conn, task, effect.name())?;
            let counts = |wish: &&JobHead| wish.id > job.id && wish.status != JobStatus::Cancelled;
            let newer = wishes.iter().rev().find(counts);
            before.stale = newer.map(|wish| format!("job {} wishes a newer state", wish.id));
        }
        // What stepped aside may be tried long after.
        Effect::GiteaStatus { head, context, .. } => {
            let newer = jobs::newer_effects(conn, task, job.id, effect.name())?;
            let same = |payload: &String| {
                matches!(serde_json::from_str(payload), Ok(Effect::GiteaStatus { head: h, context: c, .. })
                    if (&h, &c) == (head, context))
            };
            before.stale = newer.iter().any(same).then(|| "a newer one says how the commit stands".to_owned());
        }
        Effect::GiteaGiveUp { .. } if !ended => before.stale = Some("the task was opened again".to_owned()),
        Effect::GiteaReopen { .. } if ended => before.stale = Some("the task has ended".to_owned()),
        Effect::GiteaComment { .. }
        | Effect::GiteaReview { .. }
        | Effect::GiteaAsk { .. }
        | Effect::GiteaGiveUp { .. }
            if pull.is_none() =>
        {
            let pulls = jobs::effects_of_task(conn, task, "gitea_pull")?;
            before.pull_to_come = pulls.iter().any(|open| open.id < job.id && !open.status.is_finished());
        }
        Effect::GiteaComment { .. }
        | Effect::GiteaReview { .. }
        | Effect::GiteaAsk { .. }
        | Effect::PlaneComment { .. }
        | Effect::PlaneLink { .. }
        | Effect::GiteaBranch { .. }
        | Effect::GiteaPull { .. }
        | Effect::GiteaMerge { .. }
        | Effect::GiteaGiveUp { .. }
        | Effect::GiteaReopen { .. }
        | Effect::Telegram { .. } => {}
    }
    Ok(before)
}

async fn send_own(ctx: &Context, effect: &Effect, before: &Before) -> Result<Sent, SendError> {
    if let Some(why) = &before.stale {
        return Ok(Sent::Skipped { why: why.clone() });
    }
    let whom = if matches!(effect, Effect::PlaneState { .. }) { For::People } else { For::Work };
    let sent = whom.calls_of(ctx.outside.send_for(effect, &before.known)).await?;
    if let Sent::Skipped { why } = &sent
        && before.pull_to_come
    {
        return Err(SendError::Transient { why: why.clone(), retry_after_s: None });
    }
    Ok(sent)
}

/// Whether a second one of what was sent may come to be: what was sent first may be slow to appear.
const fn may_be_doubled(effect: &Effect) -> bool {
    match effect {
        Effect::PlaneComment { .. }
        | Effect::PlaneLink { .. }
        | Effect::GiteaPull { .. }
        | Effect::GiteaComment { .. }
        | Effect::GiteaReview { .. }
        | Effect::GiteaGiveUp { .. } => true,
        Effect::PlaneState { .. }
        | Effect::GiteaBranch { .. }
        | Effect::GiteaAsk { .. }
        | Effect::GiteaStatus { .. }
        | Effect::GiteaMerge { .. }
        | Effect::GiteaReopen { .. }
        | Effect::Telegram { .. } => false,
    }
}

/// What an effect depends on.
fn scopes(job: &Job, effect: &Effect) -> Vec<Scope> {
    match effect.destination() {
        Destination::Plane => [Scope::Plane].into_iter().chain(plane_project(effect).map(Scope::Project)).collect(),
        Destination::Telegram => vec![Scope::Telegram],
        Destination::Gitea => {
            let second = matches!(effect, Effect::GiteaReview { .. }).then_some(Scope::Reviewer);
            let repo = repo_of(effect).or(job.repo.as_deref()).map(|repo| Scope::Repo(repo.to_owned()));
            [Scope::Gitea].into_iter().chain(repo).chain(second).collect()
        }
    }
}

fn plane_project(effect: &Effect) -> Option<String> {
    match effect {
        Effect::PlaneComment { project, .. }
        | Effect::PlaneState { project, .. }
        | Effect::PlaneLink { project, .. } => Some(project.clone()),
        Effect::GiteaBranch { .. }
        | Effect::GiteaPull { .. }
        | Effect::GiteaComment { .. }
        | Effect::GiteaReview { .. }
        | Effect::GiteaAsk { .. }
        | Effect::GiteaStatus { .. }
        | Effect::GiteaMerge { .. }
        | Effect::GiteaGiveUp { .. }
        | Effect::GiteaReopen { .. }
        | Effect::Telegram { .. } => None,
    }
}

fn repo_of(effect: &Effect) -> Option<&str> {
    match effect {
        Effect::GiteaBranch { repo, .. }
        | Effect::GiteaPull { repo, .. }
        | Effect::GiteaComment { repo, .. }
        | Effect::GiteaGiveUp { repo, .. }
        | Effect::GiteaReopen { repo, .. }
        | Effect::GiteaReview { repo, .. }
        | Effect::GiteaAsk { repo, .. }
        | Effect::GiteaStatus { repo, .. }
        | Effect::GiteaMerge { repo, .. } => Some(repo),
        Effect::PlaneComment { .. }
        | Effect::PlaneState { .. }
        | Effect::PlaneLink { .. }
        | Effect::Telegram { .. } => None,
    }
}

/// Queues the link from the work item to its pull request; the same again queues nothing.
fn link(conn: &mut Conn, job: &Job, effect: &Effect, number: i64, url: &str, now: i64) -> Result<(), StoreError> {
    let Effect::GiteaPull { link: Some(PlaneTarget { project, work_item }), .. } = effect else { return Ok(()) };
    if url.is_empty() {
        return Ok(());
    }
    let (project, work_item, title) = (project.clone(), work_item.clone(), format!("PR #{number}"));
    let key = format!("link:{work_item}:{url}");
    let link = Effect::PlaneLink { project, work_item, url: url.to_owned(), title };
    enqueue_effect(conn, job.task_id, &link, &key, now)
}

/// Notes the task's own pull request. A task that waits for it to be there is looked at.
fn note_pull(conn: &mut Conn, job: &Job, number: i64, now: i64) -> Result<(), StoreError> {
    let Some(task) = job.task_id.map(|id| tasks::get(conn, id)).transpose()?.flatten() else { return Ok(()) };
    if task.pull == Some(number) {
        return Ok(());
    }
    tasks::note_pull(conn, task.id, number, now)?;
    // Only one that was told to wait for it: of another nobody has looked at the gate yet, or what it waits for is queued.
    let told = format!(":{}", GateOutcome::Waiting(Waiting::PullMissing).fingerprint());
    let waits = task.state == TaskState::Active && task.said.as_ref().is_some_and(|said| said.ends_with(&told));
    if waits && jobs::unfinished_of_task(conn, task.id)?.is_empty() {
        enqueue_advance(conn, &task, &Trigger::Look, &format!("t{}:pull:{number}", task.id), now)?;
    }
    Ok(())
}

/// A merge that was queued as an effect, by an earlier version. A task that waits for it is looked at; of one that was done
/// before it was merged people are told.
fn merge_of_old(conn: &mut Conn, ctx: &Context, job: &Job, now: i64) -> Result<(), StoreError> {
    let Some(task) = job.task_id.map(|id| tasks::get(conn, id)).transpose()?.flatten() else { return Ok(()) };
    if task.state.is_terminal() {
        let message = Message::Waiting { gate: merge::GATE };
        return alerts::raise(conn, ctx, Some(task.id), &message, &format!("t{}:unmerged", task.id), now);
    }
    enqueue_advance(conn, &task, &Trigger::Look, &format!("t{}:j{}:merge", task.id, job.id), now)
}

/// Tells people once of each who cannot be asked for a review.
fn tell_unasked(conn: &mut Conn, ctx: &Context, job: &Job, of: &AskedOf, now: i64) -> Result<(), StoreError> {
    let task = job.task_id.map(|id| tasks::get(conn, id)).transpose()?.flatten();
    for Unasked { who, words } in &of.unasked {
        let number = of.number.unsigned_abs();
        let message = Message::ReviewerUnasked { who: who.clone(), number, words: words.clone() };
        let Some(task) = &task else { continue };
        alerts::raise(conn, ctx, Some(task.id), &message, &format!("unasked:{}:{who}", task.repo), now)?;
        let key = format!("t{}:unasked:{who}", task.id);
        let (project, work_item) = (task.project.clone(), task.work_item.clone());
        let text = ctx.catalogue.render(&message);
        let comment = Effect::PlaneComment { project, work_item, key: key.clone(), text };
        enqueue_effect(conn, Some(task.id), &comment, &key, now)?;
    }
    Ok(())
}

async fn note_doubt(ctx: &Context, job: &Job) {
    let id = job.id;
    if let Err(error) = ctx.store.write(move |c| outages::note_doubt(c, id)).await {
        tracing::warn!(%error, "that this may have been sent could not be noted");
    }
}

async fn send(ctx: &Arc<Context>, job: &Job, effect: &Effect) {
    failpoint::here(Point::EffectSend);
    let (row, asked) = (job.clone(), effect.clone());
    let before = match ctx.store.read(move |c| before(c, &row, &asked)).await {
        Ok(before) => before,
        Err(error) => return job_end::failed(ctx, job, &error.to_string(), Some(None)).await,
    };
    let sent = if let Effect::Telegram { text } = effect {
        chat::send(ctx, job, text).await
    } else {
        send_own(ctx, effect, &before).await.map(|sent| (sent, Vec::new()))
    };
    failpoint::here(Point::EffectSent);
    let (sent, with_it) = match sent {
        Ok((sent, with_it)) => (Ok(sent), with_it),
        Err(error) => (Err(error), Vec::new()),
    };
    let (mut own, mut unasked) = (None, None);
    let note = match sent {
        Ok(Sent::Asked(of)) => {
            let note = format!("sent: {} asked to review #{}, {} cannot be", of.asked, of.number, of.unasked.len());
            unasked = Some(of);
            note
        }
        Ok(Sent::Pull { number, existed, url }) => {
            own = Some((number, url));
            format!("{}: pull request #{number}", if existed { "already there" } else { "sent" })
        }
        Ok(Sent::Done { detail }) => format!("sent: {detail}"),
        Ok(Sent::AlreadyThere { detail }) => format!("already there: {detail}"),
        Ok(Sent::Skipped { why }) => format!("skipped: {why}"),
        Err(error) => {
            let why = format!("{}: {error}", effect.name());
            if error.is_in_doubt() {
                note_doubt(ctx, job).await;
            }
            return troubled(ctx, job, &why, error.trouble(), &scopes(job, effect)).await;
        }
    };
    let (inner, row, sent) = (Arc::clone(ctx), job.clone(), effect.clone());
    let end = JobEnd::Done { note: Some(note.clone()) };
    let of_old = matches!(effect, Effect::GiteaMerge { .. });
    let doubted = !before.known.untried && may_be_doubled(effect);
    let finish = move |c: &mut Conn| {
        let now = now_ms();
        if of_old {
            merge_of_old(c, &inner, &row, now)?;
        }
        if let Some((number, url)) = &own {
            note_pull(c, &row, *number, now)?;
            link(c, &row, &sent, *number, url, now)?;
        }
        if let Some(of) = &unasked {
            tell_unasked(c, &inner, &row, of, now)?;
        }
        if doubted {
            doubts::note(c, row.id, now)?;
        }
        chat::finish(c, &row, &with_it, now)?;
        jobs::finish(c, &row, &end, now)
    };
    match ctx.store.write(finish).await {
        Ok(true) => {
            failpoint::here(Point::EffectRecorded);
            tracing::info!(effect = effect.name(), %note, "effect done");
        }
        Ok(false) => tracing::warn!("the job is no longer this worker's; its end is left to its owner"),
        Err(error) => job_end::failed(ctx, job, &error.to_string(), Some(None)).await,
    }
}
