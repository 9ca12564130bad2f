//! An `advance` job: publish what the agent left, look at the gate of the stage, decide, move - the look outside of
//! any transaction, everything it leads to in one.

use super::apply::{Applied, Asked, apply, enqueue_look_at};
use super::budget;
use super::evidence::{self, bound};
use super::facts::{ended, facts, history};
use super::gained::changed;
use super::merge::{MergeError, Merging};
use super::merge_wait::{self, Waited};
use super::objection::{Rejection, hears_reviews, unheard_rejection};
use super::payload::AdvancePayload;
use super::publish::{PublishError, Published, publish};
use super::record::{Commits, row};
use super::submit::submit_block;
use crate::clock::now_ms;
use crate::context::Context;
use crate::events::Once;
use crate::gates::Look;
use crate::git::GitError;
use crate::job_end;
use orch_common::config::Project;
use orch_common::domain::decide::{Changed, Decision, Finding, Policy, Trigger, decide, needs_finding};
use orch_common::domain::evidence::Gone;
use orch_common::domain::gate::{Evidence, FailReason, GateOutcome, Waiting, WrittenVerdict, judge, written_verdict};
use orch_common::domain::job::{JobEnd, Spend};
use orch_common::domain::merge::{self, Hold};
use orch_common::domain::messages::Message;
use orch_common::domain::stage::{CommitId, Role, Stage, TaskState};
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
/// What a look at the gate brought.
struct Looked {
    finding: Finding,
    /// As the forge has it.
    head: CommitId,
    result: Option<NewGateResult>,
    /// Reviews that this look acts on; none of them acts again.
    heard: Vec<Once>,
    /// Where the task stays, it is looked at again at this time (ms).
    again_at: Option<i64>,
}

/// Why a look brought nothing.
#[derive(Debug, thiserror::Error)]
enum LookError {
    #[error(transparent)]
    Git(GitError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("{0}")]
    Unusable(String),
    /// The agent touched what only people may: nothing is published, the task waits for one.
    #[error("protected files are changed")]
    Protected(Vec<PathBuf>),
    /// Something that only a person can mend keeps the work from being published.
    #[error("{}", .0.name())]
    Stopped(Box<Message>),
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
    let looked = match needs_finding(&facts(&task)?, &payload.trigger) && !is_outdated(&payload, &task) {
        true => match look(ctx, job, &task, &project, &policy, &payload).await {
            Err(LookError::Protected(paths)) => return refuse_protected(ctx, job, &task, &project, &paths).await,
            Err(LookError::Stopped(message)) => return stop(ctx, job, &task, &project, *message).await,
            looked => Some(looked?),
        },
        false => match publish_unjudged(ctx, &task, &project, &payload.trigger).await {
            Err(LookError::Protected(paths)) => return refuse_protected(ctx, job, &task, &project, &paths).await,
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
    let (seen, said_at) = (task.stage_version, payload.stage);
    Ok(ctx
        .store
        .write(move |c| {
            let case = Commit { ctx: &inner, job: &job, project: &project, policy: &policy, seen, said_at };
            case.commit(c, &payload.trigger, looked.as_ref())
        })
        .await?)
}

/// What an agent left is on its branch also where nobody judges it now (a pause): who goes on finds it there.
async fn publish_unjudged(ctx: &Context, task: &Task, project: &Project, trigger: &Trigger) -> Result<(), LookError> {
    if let Trigger::AgentEnded { role, .. } = trigger
        && task.state == TaskState::Paused
    {
        publish(ctx, project, task, Some(*role)).await?;
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

async fn look(
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
    } else if merge_wait::is_next(task, policy, gate, &outcome) {
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
    let finding = Finding { gate: Some(gate), outcome, fingerprint, questions, verdict, changed, hold };
    Ok(Looked { finding, head: at_forge, result: (!known).then_some(result), heard, again_at })
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
    let finding =
        Finding { gate: Some(gate), outcome, fingerprint, questions: None, verdict: None, changed, hold: None };
    Looked { finding, head: at_forge, result: Some(result), heard: Vec::new(), again_at: None }
}

/// A stage that has no gate is left by its agent's end, unless somebody asks for changes.
fn without_gate(head: CommitId, rejection: Option<Rejection>, changed: Changed) -> Looked {
    let (outcome, heard) = match rejection {
        Some(rejection) => (GateOutcome::Fail(rejection.reason), rejection.heard),
        None => (GateOutcome::Pass, Vec::new()),
    };
    let fingerprint = format!("{head}:no gate:{}", outcome.fingerprint());
    let finding = Finding { gate: None, outcome, fingerprint, questions: None, verdict: None, changed, hold: None };
    Looked { finding, head, result: None, heard, again_at: None }
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
        if task.pull.is_some() && looked.is_some_and(|l| l.finding.outcome == missed) {
            return self.again(conn, "the pull request was opened while the gate was looked at", Spend::Nothing, now);
        }
        for once in looked.iter().flat_map(|l| &l.heard) {
            if once.was_taken(conn)? {
                return self.again(conn, "a review was acted on while the gate was looked at", Spend::Nothing, now);
            }
        }
        if let Some(looked) = looked {
            tasks::note_head(conn, task.id, looked.head.as_str(), now)?;
            task.head = Some(looked.head.to_string());
            if let Some(result) = &looked.result {
                record(conn, result)?;
            }
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
                let end = JobEnd::Done { note: Some(note.clone()) };
                self.ours(jobs::finish(conn, self.job, &end, now)?)?;
                self.look_again(conn, &task, looked, now)?;
                Ok(note)
            }
            Applied::TryAgain(why) => {
                self.ours(job_end::end(conn, self.ctx, self.job, &why, Some(None), now)?)?;
                Ok(format!("the gate could not be looked at: {why}"))
            }
            Applied::LostRace => self.again(conn, "the task moved", Spend::Nothing, now),
        }
    }

    /// Where the task stayed, and no other job of it looks.
    fn look_again(&self, conn: &mut Conn, seen: &Task, looked: Option<&Looked>, now: i64) -> Result<(), StoreError> {
        let Some(at) = looked.and_then(|l| l.again_at) else { return Ok(()) };
        let stays = tasks::get(conn, seen.id)?.filter(|t| t.stage == seen.stage && t.state == TaskState::Active);
        match stays {
            Some(task) if jobs::unfinished_of_task(conn, task.id)?.is_empty() => {
                enqueue_look_at(conn, &task, at, &format!("t{}:again:{}", task.id, self.job.id), now)
            }
            Some(_) | None => Ok(()),
        }
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
