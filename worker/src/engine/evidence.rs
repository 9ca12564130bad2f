//! What the evidence of a task is bound to, and whether it still holds for a later commit of its branch. It collects; what
//! covers what is `orch_common::domain::evidence`'s.

use super::facts::was_asked;
use crate::context::Context;
use crate::git::{GitError, Refreshed, Span};
use orch_common::domain::decide::Policy;
use orch_common::domain::evidence::{Drift, Gone, bound_stages, first_gone};
use orch_common::domain::gate::{Evidence, Gate, GateOutcome};
use orch_common::domain::pipeline::Pipeline;
use orch_common::domain::run::RunOutcome;
use orch_common::domain::stage::{CommitId, Role, Stage};
use orch_common::store::gates::{self, GateResult};
use orch_common::store::tasks::Task;
use orch_common::store::{Conn, StoreError, published, runs};

/// The first stage that the task has passed whose evidence does not cover `head`; `None` = `head` is what was judged.
pub(crate) async fn gone(
    ctx: &Context,
    task: &Task,
    pipeline: &Pipeline,
    head: &CommitId,
) -> Result<Option<Gone>, GitError> {
    let passed = passed(ctx, task, pipeline).await?;
    // The last stage was passed on a commit that the evidence of all before it covered.
    let Some((_, _, last)) = passed.last() else { return Ok(None) };
    if drift(ctx, task, last, head).await?.voided_by().is_none() {
        return Ok(None);
    }
    let mut all = Vec::new();
    for (stage, gate, commit) in passed {
        let drift = drift(ctx, task, &commit, head).await?;
        all.push((stage, gate, drift));
    }
    Ok(first_gone(&all))
}

/// The commit that was judged last: the one on which the stage before was left. `None` = nothing was bound to a commit.
pub(crate) async fn judged_last(ctx: &Context, task: &Task, pipeline: &Pipeline) -> Result<Option<CommitId>, GitError> {
    Ok(passed(ctx, task, pipeline).await?.pop().map(|(_, _, commit)| commit))
}

/// The stages that the task has passed, each with the commit it was passed on.
async fn passed(ctx: &Context, task: &Task, pipeline: &Pipeline) -> Result<Vec<(Stage, Gate, CommitId)>, GitError> {
    let stages = bound_stages(pipeline, task.stage);
    let id = task.id;
    let read = ctx.store.read(move |c| {
        let passed = stages.into_iter().map(|(stage, gate)| Ok((stage, gate, gates::last_pass(c, id, gate)?)));
        passed.collect::<Result<Vec<_>, StoreError>>()
    });
    let rows = read.await.map_err(unread)?.into_iter();
    Ok(rows.filter_map(|(stage, gate, row)| Some((stage, gate, judged_at(&row?)?))).collect())
}

/// The commit on which a gate was passed. An earlier version bound it to nothing, and what was not bound is not held to it.
fn judged_at(row: &GateResult) -> Option<CommitId> {
    row.evidence.as_ref()?;
    row.head.as_deref()?.parse().ok()
}

/// Whether what was said of `commit` (as the forge has it) covers `head`.
pub(crate) async fn covers(ctx: &Context, task: &Task, commit: &str, head: &CommitId) -> Result<bool, GitError> {
    let Ok(commit) = commit.parse::<CommitId>() else { return Ok(false) };
    Ok(drift(ctx, task, &commit, head).await?.voided_by().is_none())
}

async fn drift(ctx: &Context, task: &Task, from: &CommitId, to: &CommitId) -> Result<Drift, GitError> {
    if from == to {
        return Ok(Drift::default());
    }
    let id = task.id;
    let ours = ctx.store.read(move |c| published::of_task(c, id)).await.map_err(unread)?;
    let documents = format!("docs/work-items/{}", task.key);
    let span = Span { repo: &task.repo, base: &task.base, documents: &documents, from, to };
    ctx.repos.drift(span, &ours, &ctx.stopping).await
}

/// What the gate of the task's own stage was judged on.
pub(super) struct Bound {
    /// The commit that the evidence was taken on.
    pub commit: CommitId,
    /// That commit does not cover the judged one.
    pub gone: Option<Gone>,
}

/// The commit that the evidence of the stage's own gate was taken on: the one that its role's run began on where the role's
/// file decides, the one that a review names, else the judged one. `verdict`: the role's file approves, whatever the gate.
pub(super) async fn bound(
    ctx: &Context,
    (task, policy, gate): (&Task, &Policy, Gate),
    (evidence, outcome, verdict): (&Evidence, &GateOutcome, bool),
    head: &CommitId,
) -> Result<Bound, GitError> {
    let passes = *outcome == GateOutcome::Pass;
    let by_file = match gate {
        Gate::ReviewerVerdict | Gate::TestsPassed => true,
        Gate::ReviewApproved => evidence.pull.is_none() || !passes,
        Gate::AnalysisComplete
        | Gate::AnalysisApproved
        | Gate::ArchitectureDone
        | Gate::TestsLocal
        | Gate::CiGreen
        | Gate::PrMerged => false,
    };
    let reviewed = evidence.pull.iter().flat_map(|pull| &pull.reviews).find(|r| r.approved && !r.stale);
    let commit = match (by_file, gate, reviewed) {
        (true, _, _) => began_on(ctx, task, policy).await?,
        (false, Gate::ReviewApproved, Some(review)) => review.commit.parse().ok(),
        (false, _, _) => None,
    };
    let commit = commit.unwrap_or_else(|| head.clone());
    if !passes && !verdict {
        return Ok(Bound { commit, gone: None });
    }
    let by = drift(ctx, task, &commit, head).await?.voided_by();
    Ok(Bound { commit, gone: by.map(|by| Gone { stage: task.stage, gate, by }) })
}

/// What the role of the stage looked at, if it has worked there in this round. A person who approves without has looked at the
/// head.
async fn began_on(ctx: &Context, task: &Task, policy: &Policy) -> Result<Option<CommitId>, GitError> {
    let Some(role) = policy.pipeline.works_in(task.stage).filter(|_| task.worked) else { return Ok(None) };
    let (id, stage) = (task.id, task.stage);
    let began = ctx.store.read(move |c| first_sight(c, id, stage, role)).await.map_err(unread)?;
    Ok(began.and_then(|commit| commit.parse().ok()))
}

/// Where the session began that gave the role's last verdict.
fn first_sight(conn: &mut Conn, task: i64, stage: Stage, role: Role) -> Result<Option<String>, StoreError> {
    let all = runs::of_task(conn, task)?.into_iter().filter(|run| run.role == role && run.stage == stage);
    let sights = all.map(|run| {
        let (asked, well) = (was_asked(conn, &run)?, run.outcome == Some(RunOutcome::Success));
        Ok(Sight { session: run.session_id, well, asked, began: run.head_before })
    });
    Ok(judged_on(&sights.collect::<Result<Vec<_>, StoreError>>()?))
}

/// A run of the role that judges.
struct Sight {
    session: Option<String>,
    /// It ended well.
    well: bool,
    /// It was asked for its verdict alone.
    asked: bool,
    /// The commit that it began on.
    began: Option<String>,
}

/// What was looked at for the last verdict; `all` oldest first. Who was interrupted and goes on, or is asked for a verdict that
/// cannot be read, does not look again.
fn judged_on(all: &[Sight]) -> Option<String> {
    let judged = all.iter().rfind(|run| run.well && !run.asked)?;
    let same = all.iter().find(|run| run.session.is_some() && run.session == judged.session);
    same.unwrap_or(judged).began.clone()
}

/// Remembers that these commits are our roles' work. To be called before they are pushed: afterwards they cannot be told from
/// what came from elsewhere.
pub(crate) async fn note_ours(ctx: &Context, task: &Task, commits: Vec<String>) -> Result<(), GitError> {
    if commits.is_empty() {
        return Ok(());
    }
    let id = task.id;
    ctx.store.write(move |c| published::add(c, id, &commits)).await.map_err(unread)
}

/// Takes back what was noted for a push that was refused: some of it may be what others pushed.
pub(super) async fn forget_ours(ctx: &Context, task: &Task, commits: Vec<String>) -> Result<(), GitError> {
    let id = task.id;
    ctx.store.write(move |c| published::remove(c, id, &commits)).await.map_err(unread)
}

/// A push that changed no file in the end changes nobody's authorship either.
pub(crate) async fn note_joined(ctx: &Context, task: &Task, joined: &Refreshed) -> Result<(), GitError> {
    let same = ctx.repos.joined_for_nothing(&task.repo, joined, &ctx.stopping).await?;
    note_ours(ctx, task, same).await
}

pub(super) fn unread(error: StoreError) -> GitError {
    GitError::Unavailable { tail: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verdict_is_of_where_its_session_began() {
        let run = |began: &str, session: &str, well, asked| Sight {
            session: Some(session.to_owned()).filter(|s| !s.is_empty()),
            well,
            asked,
            began: Some(began.to_owned()),
        };
        let first = || run("h1", "s1", true, false);
        let broken = || run("h2", "s2", false, false);
        let went_on = || run("h3", "s2", true, false);
        let rows = [
            ("nobody judged", vec![broken()], None),
            ("only what ended well judges", vec![first(), broken()], Some("h1")),
            ("it went on", vec![first(), broken(), went_on()], Some("h2")),
            ("it was asked then", vec![first(), broken(), went_on(), run("h4", "s2", true, true)], Some("h2")),
            ("asked in a session of its own", vec![first(), run("h4", "s3", true, true)], Some("h1")),
            ("looked again", vec![first(), broken(), went_on(), run("h5", "s4", true, false)], Some("h5")),
            ("without sessions", vec![run("h6", "", true, false), run("h7", "", true, false)], Some("h7")),
        ];
        for (name, runs, want) in rows {
            assert_eq!(judged_on(&runs).as_deref(), want, "{name}");
        }
    }
}
