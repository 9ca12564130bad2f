//! What a round of work changed on the task's branch.

use crate::context::Context;
use crate::git::{GitError, Round};
use orch_common::domain::decide::{Changed, Policy};
use orch_common::domain::stage::CommitId;
use orch_common::store::tasks::Task;

/// What the branch gained in this round, as far as the role of the stage has to change anything.
pub(super) async fn changed(ctx: &Context, task: &Task, policy: &Policy, head: &CommitId) -> Result<Changed, GitError> {
    if task.recheck {
        // Others changed something; to find that good is work enough.
        return Ok(Changed::Work);
    }
    let demanded = policy.pipeline.works_in(task.stage).map(Changed::demanded_of);
    if demanded.is_none_or(|least| least == Changed::Nothing) {
        return Ok(Changed::Work);
    }
    let round = Round {
        base: &task.base,
        // What was written by an earlier version or by hand and is no commit is as good as unknown.
        began_at: task.round_head.as_deref().and_then(|id| id.parse().ok()),
        documents: format!("docs/work-items/{}", task.key),
    };
    ctx.repos.changed_in_round(&task.repo, &round, head, &ctx.stopping).await
}
