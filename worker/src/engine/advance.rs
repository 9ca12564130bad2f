//! An `advance` job: publish what the agent left, look at the gate of the stage, decide, move - the look outside of
//! any transaction, everything it leads to in one.

use super::apply::{Applied, Asked, apply, enqueue_look_at};
use super::budget;
use super::facts::{ended, facts, history};
use super::hold;
use super::look::{Looked, clashed, look};
use super::merge::MergeError;
use super::payload::AdvancePayload;
use super::publish::{PublishError, publish};
use super::seen::Seen;
use super::submit::submit_block;
use super::unlooked::{by_git, is_superseded};
use crate::clock::now_ms;
use crate::context::Context;
use crate::git::GitError;
use crate::give_up::see_attended;
use crate::job_end;
use crate::outage::{self, Trouble, blame, troubled};
use orch_common::config::Project;
use orch_common::domain::clash::Clash;
use orch_common::domain::decide::{Decision, Policy, Trigger, decide, needs_finding};
use orch_common::domain::gate::{Gate, GateOutcome, OutcomeKind, Waiting};
use orch_common::domain::job::{JobEnd, Spend};
use orch_common::domain::messages::Message;
use orch_common::domain::stage::{Stage, TaskState};
use orch_common::domain::task::History;
use orch_common::domain::words::Command;
use orch_common::failpoint::{self, Point};
use orch_common::store::gates::{NewGateResult, record};
use orch_common::store::jobs::{self, Job};
use orch_common::store::tasks::{self, Task};
use orch_common::store::{Conn, StoreError};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Protected files that are named to people.
const NAMED: usize = 20;

/// Why a look brought nothing.
#[derive(Debug, thiserror::Error)]
pub(super) enum LookError {
    #[error(transparent)]
    Git(GitError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("{0}")]
    Unusable(String),
    /// The agent touched what only people may: nothing is published, the task waits for one.
    #[error("protected files are changed")]
    Protected(Vec<PathBuf>),
    /// The same, and it is looked at until it is mended.
    #[error("{}", .0.name())]
    Held(Box<Message>),
    #[error("both sides of the branch clash")]
    Clash(Box<Clash>),
    /// Something that only a person can mend keeps the work from being published.
    #[error("{}", .0.name())]
    Stopped(Box<Message>),
    /// The gate could not be looked at, and something outside is away.
    #[error("{0}")]
    Away(String),
    /// Nothing is wrong and nobody has to act: the same look again, at this time (ms).
    #[error("{why}")]
    TooEarly { why: String, at: i64 },
    #[error("the worker stops")]
    Stopping,
}

impl From<GitError> for LookError {
    fn from(error: GitError) -> Self {
        PublishError::from(error).into()
    }
}

impl From<MergeError> for LookError {
    fn from(error: MergeError) -> Self {
        match error {
            MergeError::Git(error) => error.into(),
            MergeError::Store(error) => error.into(),
            MergeError::Away(error) => LookError::Git(GitError::Unavailable { tail: error.to_string() }),
        }
    }
}

impl From<PublishError> for LookError {
    fn from(error: PublishError) -> Self {
        match error {
            PublishError::Git(error) => LookError::Git(error),
            PublishError::Protected(paths) => LookError::Protected(paths),
            PublishError::Stopped(message) => LookError::Stopped(message),
            PublishError::Held(message) => LookError::Held(message),
            PublishError::Clash(clash) => LookError::Clash(clash),
        }
    }
}

/// Runs the job to its end.
pub async fn run(ctx: &Arc<Context>, job: Job) {
    match attempt(ctx, &job).await {
        Ok(note) => {
            failpoint::here(Point::AdvanceCommitted);
            tracing::info!(%note, "looked");
        }
        Err(LookError::Stopping | LookError::Git(GitError::Cancelled)) => job_end::put_back(ctx, &job).await,
        Err(LookError::TooEarly { why, at }) => job_end::too_early(ctx, &job, &why, at).await,
        Err(LookError::Unusable(why)) => job_end::failed(ctx, &job, &why, None).await,
        Err(LookError::Away(why)) => {
            let scopes = ctx.forge_scopes_of(&job);
            troubled(ctx, &job, &why, Trouble::Later { asked_s: None }, &scopes).await;
        }
        Err(LookError::Git(error)) => by_git(ctx, &job, &error).await,
        Err(error) => job_end::failed(ctx, &job, &error.to_string(), Some(None)).await,
    }
}

async fn attempt(ctx: &Arc<Context>, job: &Job) -> Result<String, LookError> {
    let payload: AdvancePayload = serde_json::from_str(&job.payload)
        .map_err(|e| LookError::Unusable(format!("the job's payload cannot be read: {e}")))?;
    let task_id = job.task_id.unwrap_or_default();
    let task = ctx.store.read(move |c| tasks::get(c, task_id)).await?;
    let task = task.ok_or_else(|| LookError::Unusable("the task is gone".into()))?;
    let project = ctx.config.projects.by_plane(&task.project).cloned();
    let project = project.ok_or_else(|| LookError::Unusable("the project is no longer registered".into()))?;
    let policy = ctx.policy(&project);
    if let Some(why) = in_vain(ctx, job, &task, &payload).await? {
        return end_without_a_look(ctx, job, why).await;
    }
    let asks = needs_finding(&facts(&task)?, &payload.trigger) && !is_outdated(&payload, &task);
    let looked = match asks && !is_superseded(ctx, job, &task, &payload.trigger).await? {
        true => match look(ctx, job, &task, &project, &policy, &payload).await {
            Err(LookError::Protected(paths)) => return refuse_protected(ctx, job, &task, &project, &paths).await,
            Err(LookError::Stopped(message)) => {
                if hold::may_be_the_forges(&message) && blame(ctx, &ctx.forge_scopes_of(job)).await.is_some() {
                    return Err(LookError::Away(message.name().to_owned()));
                }
                return stop(ctx, job, &task, &project, *message).await;
            }
            Err(LookError::Held(message)) if hold::is_the_repositorys(ctx, job, &message).await => {
                return Err(LookError::Away(message.name().to_owned()));
            }
            Err(LookError::Held(message)) => {
                return Ok(hold::put_off_look(ctx, job, (&project, &task), *message).await?);
            }
            Err(LookError::Clash(clash)) => Some(clashed(clash)?),
            looked => {
                let looked = looked?;
                if let GateOutcome::Infra(why) = &looked.finding.outcome
                    && blame(ctx, &ctx.forge_scopes_of(job)).await.is_some()
                {
                    return Err(LookError::Away(why.clone()));
                }
                Some(looked)
            }
        },
        false => match publish_unjudged(ctx, &task, &project, &payload.trigger).await {
            Err(LookError::Protected(paths)) => return refuse_protected(ctx, job, &task, &project, &paths).await,
            Err(LookError::Stopped(message)) => return stop(ctx, job, &task, &project, *message).await,
            // Whoever resumes the task looks, and finds it.
            Err(LookError::Clash(_) | LookError::Held(_)) => None,
            published => {
                published?;
                None
            }
        },
    };
    if ctx.stopping.is_cancelled() {
        return Err(LookError::Stopping);
    }
    failpoint::here(Point::AdvanceLooked);
    let (inner, job) = (Arc::clone(ctx), job.clone());
    let (seen, said_at, pull) = (task.stage_version, payload.stage, task.pull);
    Ok(ctx
        .store
        .write(move |c| {
            let case = Commit { ctx: &inner, job: &job, project: &project, policy: &policy, seen, said_at, pull };
            case.commit(c, &payload.trigger, looked.as_ref())
        })
        .await?)
}

/// Why news need no look any more: the task has left the stage that they were of, or somebody else's end looks.
async fn in_vain(
    ctx: &Arc<Context>,
    job: &Job,
    task: &Task,
    payload: &AdvancePayload,
) -> Result<Option<&'static str>, LookError> {
    if !matches!(payload.trigger, Trigger::Look | Trigger::Forge { .. }) {
        return Ok(None);
    }
    if matches!(payload.trigger, Trigger::Look) && payload.stage.is_some_and(|stage| stage != task.stage) {
        return Ok(Some("the task has left the stage that was to be looked at"));
    }
    let (inner, task, own) = (Arc::clone(ctx), task.clone(), job.id);
    let policy = inner.config.projects.by_plane(&task.project).map(|project| inner.policy(project));
    let ahead = ctx.store.read(move |c| match &policy {
        Some(policy) => Ok(history(c, &task, policy, own)?.end_ahead),
        None => Ok(false),
    });
    Ok(ahead.await?.then_some("a job of the task is under way; its end looks"))
}

async fn end_without_a_look(ctx: &Arc<Context>, job: &Job, why: &str) -> Result<String, LookError> {
    let (inner, job, note) = (Arc::clone(ctx), job.clone(), why.to_owned());
    Ok(ctx
        .store
        .write(move |c| {
            let (end, now) = (JobEnd::Done { note: Some(note.clone()) }, now_ms());
            if !jobs::finish(c, &job, &end, now)? {
                return Err(StoreError::LostOwnership);
            }
            see_attended(c, &inner, job.task_id.unwrap_or_default(), (job.id, &note), now)?;
            Ok(note.clone())
        })
        .await?)
}

/// What an agent left is on its branch also where nobody judges it now (a pause, a word that came before it): who goes on
/// finds it there.
async fn publish_unjudged(ctx: &Context, task: &Task, project: &Project, trigger: &Trigger) -> Result<(), LookError> {
    if let Trigger::AgentEnded { role, .. } = trigger
        && !task.state.is_terminal()
    {
        publish(&Seen::new(ctx, project, task), Some(*role)).await?;
    }
    Ok(())
}

/// An approval of a stage that the task has left: it will be refused, whatever the gate of the new one says.
fn is_outdated(payload: &AdvancePayload, task: &Task) -> bool {
    let approves = matches!(payload.trigger, Trigger::Command { command: Command::Approve, .. });
    approves && payload.stage.is_some_and(|stage| stage != task.stage)
}

/// Blocks the task, naming the files; ends the job with it.
async fn refuse_protected(
    ctx: &Arc<Context>,
    job: &Job,
    task: &Task,
    project: &Project,
    paths: &[PathBuf],
) -> Result<String, LookError> {
    let mut files: Vec<String> = paths.iter().take(NAMED).map(|path| on_one_line(path)).collect();
    files.extend((paths.len() > NAMED).then(|| format!("+{}", paths.len() - NAMED)));
    stop(ctx, job, task, project, Message::ProtectedPaths { files }).await
}

/// Blocks the task with this message; ends the job with it. Nothing was published.
async fn stop(
    ctx: &Arc<Context>,
    job: &Job,
    task: &Task,
    project: &Project,
    message: Message,
) -> Result<String, LookError> {
    let (inner, job, task, project) = (Arc::clone(ctx), job.clone(), task.clone(), project.clone());
    Ok(ctx
        .store
        .write(move |c| {
            let now = now_ms();
            submit_block(c, &inner, &project, &task, &message, job.id, now)?;
            let note = format!("{}: nothing was published", message.name());
            let end = JobEnd::Done { note: Some(note.clone()) };
            if jobs::finish(c, &job, &end, now)? { Ok(note) } else { Err(StoreError::LostOwnership) }
        })
        .await?)
}

/// A name of an agent's choice, as text for people.
fn on_one_line(path: &Path) -> String {
    path.to_string_lossy().chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

/// The record of a person's word that goes on without CI: it is bound to this commit as CI's own would be.
fn without_ci(
    looked: &Looked,
    trigger: &Trigger,
    decision: &Decision,
    stage: Stage,
    now: i64,
) -> Option<NewGateResult> {
    let Decision::Apply(change) = decision else { return None };
    let says_so = matches!(trigger, Trigger::Command { command: Command::Approve, .. }) && change.stage > stage;
    let row = looked
        .result
        .as_ref()
        .filter(|row| says_so && row.gate == Gate::CiGreen && row.outcome == OutcomeKind::Waiting)?;
    let reason = Some("a person went on without CI".to_owned());
    Some(NewGateResult { outcome: OutcomeKind::Pass, reason, at: now, ..row.clone() })
}

/// The transaction that ends the job.
struct Commit<'a> {
    ctx: &'a Context,
    job: &'a Job,
    project: &'a Project,
    policy: &'a Policy,
    /// The task's version when the gate was looked at.
    seen: i64,
    /// Where the task stood when the job was made.
    said_at: Option<Stage>,
    /// Its pull request when the gate was looked at.
    pull: Option<i64>,
}

impl Commit<'_> {
    fn commit(&self, conn: &mut Conn, trigger: &Trigger, looked: Option<&Looked>) -> Result<String, StoreError> {
        let now = now_ms();
        let Some(mut task) = tasks::get(conn, self.job.task_id.unwrap_or_default())? else {
            return Err(StoreError::Corrupt("the task is gone".into()));
        };
        if task.stage_version != self.seen {
            return self.again(conn, "the task moved while its gate was looked at", Spend::Nothing, now);
        }
        let missed = GateOutcome::Waiting(Waiting::PullMissing);
        if task.pull != self.pull && looked.is_some_and(|l| l.finding.outcome == missed) {
            return self.again(conn, "the pull request was opened while the gate was looked at", Spend::Nothing, now);
        }
        for once in looked.iter().flat_map(|l| &l.heard) {
            if once.was_taken(conn)? {
                return self.again(conn, "a review was acted on while the gate was looked at", Spend::Nothing, now);
            }
        }
        if let Some(looked) = looked {
            hold::is_over(conn, &mut task, now)?;
            tasks::note_head(conn, task.id, looked.head.as_str(), now)?;
            task.head = Some(looked.head.to_string());
            if let Some(result) = &looked.result {
                record(conn, result)?;
            }
        }
        if let Some(message) = looked.and_then(Looked::needs_a_person) {
            return self.stop(conn, &task, message, now);
        }
        let budget = budget::for_word(conn, self.ctx, self.project, &task, trigger, now)?;
        let (said_at, ended) = (self.said_at, ended(conn, trigger)?);
        let history = History { said_at, budget, ended, ..history(conn, &task, self.policy, self.job.id)? };
        let finding = looked.map(|l| &l.finding);
        let decision = decide(&facts(&task)?, trigger, finding, &history, self.policy);
        let asked = Asked { project: self.project, trigger, job_id: self.job.id, now };
        match apply(conn, self.ctx, &task, &decision, &asked)? {
            Applied::Yes(note) => {
                let acted = matches!(decision, Decision::Apply(_));
                for once in looked.iter().filter(|_| acted).flat_map(|l| &l.heard) {
                    once.take(conn, trigger.name(), now)?;
                }
                if let Some(row) = looked.and_then(|l| without_ci(l, trigger, &decision, task.stage, now)) {
                    record(conn, &row)?;
                }
                let end = JobEnd::Done { note: Some(note.clone()) };
                self.ours(jobs::finish(conn, self.job, &end, now)?)?;
                self.look_again(conn, &task, looked, now)?;
                see_attended(conn, self.ctx, task.id, (self.job.id, &note), now)?;
                Ok(note)
            }
            Applied::TryAgain(why) => {
                self.ours(outage::later(conn, self.ctx, self.job, &why, now)?)?;
                Ok(format!("the gate could not be looked at: {why}"))
            }
            Applied::LostRace => self.again(conn, "the task moved", Spend::Nothing, now),
        }
    }

    /// Where the task stayed, and no other job of it looks.
    fn look_again(&self, conn: &mut Conn, seen: &Task, looked: Option<&Looked>, now: i64) -> Result<(), StoreError> {
        let Some(at) = looked.and_then(|l| l.again_at) else { return Ok(()) };
        let may_move = |t: &Task| matches!(t.state, TaskState::Active | TaskState::WaitingApproval);
        let stays = tasks::get(conn, seen.id)?.filter(|t| t.stage == seen.stage && may_move(t));
        match stays {
            Some(task) if jobs::unfinished_of_task(conn, task.id)?.is_empty() => {
                enqueue_look_at(conn, &task, at, &format!("t{}:again:{}", task.id, self.job.id), now)
            }
            Some(_) | None => Ok(()),
        }
    }

    /// The gate cannot be looked at before a person has acted.
    fn stop(&self, conn: &mut Conn, task: &Task, message: &Message, now: i64) -> Result<String, StoreError> {
        submit_block(conn, self.ctx, self.project, task, message, self.job.id, now)?;
        let note = format!("{}: the gate could not be looked at", message.name());
        self.ours(jobs::finish(conn, self.job, &JobEnd::Done { note: Some(note.clone()) }, now)?)?;
        Ok(note)
    }

    fn again(&self, conn: &mut Conn, why: &str, spend: Spend, now: i64) -> Result<String, StoreError> {
        let end = JobEnd::Again { at: None, error: why.to_owned(), spend };
        self.ours(jobs::finish(conn, self.job, &end, now)?)?;
        Ok(why.to_owned())
    }

    /// Whoever lost the job changes nothing: the error rolls everything back.
    fn ours(&self, ended: bool) -> Result<(), StoreError> {
        if ended { Ok(()) } else { Err(StoreError::LostOwnership) }
    }
}
