//! Tasks that sit still: one with no job that could move gets its gate looked at, by the same code that a webhook
//! would have started.

use super::findings::About;
use crate::clock::now_ms;
use crate::context::{Context, pipeline_of};
use crate::engine::submit::submit;
use crate::give_up::see_attended;
use orch_common::domain::decide::{MergePolicy, Trigger};
use orch_common::domain::gate::Gate;
use orch_common::domain::gate::OutcomeKind;
use orch_common::domain::stage::TaskState;
use orch_common::failpoint::{self, Point};
use orch_common::store::tasks::{self, Task};
use orch_common::store::{Conn, StoreError, gates, jobs};
use std::collections::HashSet;
use std::sync::Arc;

/// After this long a gate that depends on the forge is looked at again without any sign of a change, in ms. What
/// changes there is normally told by a webhook, or found by asking.
const LOOK_AGAIN_MS: i64 = 3_600_000;

/// Looks at what could move; the number of tasks looked at. `touched` are work items and branches that something was
/// found about: their own events look, and know why.
pub(super) async fn look_at_all(ctx: &Arc<Context>, touched: HashSet<About>) -> Result<usize, StoreError> {
    let inner = Arc::clone(ctx);
    failpoint::here(Point::Reconcile);
    let looked = ctx
        .store
        .write(move |conn| {
            let now = now_ms();
            let mut looked = 0;
            for task in tasks::open(conn)? {
                if touched.contains(&task.work_item) || touched.contains(&task.branch) {
                    continue;
                }
                looked += usize::from(look_at(conn, &inner, &task, now)?);
            }
            Ok(looked)
        })
        .await;
    failpoint::here(Point::Reconciled);
    looked
}

fn look_at(conn: &mut Conn, ctx: &Context, task: &Task, now: i64) -> Result<bool, StoreError> {
    let Some(project) = ctx.config.projects.by_plane(&task.project) else { return Ok(false) };
    if !matches!(task.state, TaskState::Active) || !jobs::unfinished_of_task(conn, task.id)?.is_empty() {
        return Ok(false);
    }
    // Whatever ends a job sees to that; an earlier version did not.
    if see_attended(conn, ctx, task.id, (own_job(now), "no job of it is left"), now)? {
        return Ok(true);
    }
    let pipeline = pipeline_of(project);
    // Nobody has worked there and no job is left that would: the look says so.
    let unworked = pipeline.works_in(task.stage).is_some() && !task.worked;
    let silence_ms = i64::try_from(ctx.config.worker.ci_silence_s).unwrap_or(i64::MAX / 1_000).saturating_mul(1_000);
    // What our merge waits for - a rule, a right, an archive - is told by nobody.
    let merges = project.merge == MergePolicy::OnDeploy && pipeline.gate(task.stage) == Some(Gate::PrMerged);
    if !unworked && !merges && nothing_new(conn, task, pipeline.gate(task.stage), (silence_ms, now))? {
        return Ok(false);
    }
    submit(conn, ctx, project, task, &Trigger::Look, own_job(now), now)?;
    Ok(true)
}

/// A job id that no job has: the look is nobody's, and one round's look is one job.
const fn own_job(now: i64) -> i64 {
    -(now / 1000)
}

/// There is no gate, or it was judged already.
fn nothing_new(
    conn: &mut Conn,
    task: &Task,
    gate: Option<Gate>,
    (silence_ms, now): (i64, i64),
) -> Result<bool, StoreError> {
    gate.map_or(Ok(true), |gate| judged_already(conn, task, gate, (silence_ms, now)))
}

/// That CI says nothing, or no more, is told by nobody.
const fn look_again_ms(gate: Gate, silence_ms: i64) -> i64 {
    if matches!(gate, Gate::CiGreen) && silence_ms < LOOK_AGAIN_MS { silence_ms } else { LOOK_AGAIN_MS }
}

/// What such a gate finds can change without a commit.
const fn depends_on_the_forge(gate: Gate) -> bool {
    match gate {
        Gate::CiGreen | Gate::ReviewApproved | Gate::PrMerged => true,
        Gate::AnalysisComplete
        | Gate::AnalysisApproved
        | Gate::ArchitectureDone
        | Gate::TestsLocal
        | Gate::ReviewerVerdict
        | Gate::TestsPassed => false,
    }
}

/// The gate was looked at on this very commit, the look said something about the work, and it still holds.
fn judged_already(conn: &mut Conn, task: &Task, gate: Gate, (silence_ms, now): (i64, i64)) -> Result<bool, StoreError> {
    let newest = gates::newest(conn, task.id, gate)?;
    let holds = |at: i64| !depends_on_the_forge(gate) || at > now - look_again_ms(gate, silence_ms);
    Ok(newest.is_some_and(|r| r.head == task.head && r.outcome != OutcomeKind::Infra && holds(r.at)))
}
