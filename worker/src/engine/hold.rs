//! Letting a job of a task wait for something that only a person can mend: said once, looked at again and again at no charge,
//! so that it goes on by itself soon after the mend. A person's word that starts an agent takes the job's place.

use super::apply::{Applied, Asked, apply, enqueue_effect};
use super::facts::facts;
use crate::clock::now_ms;
use crate::context::Context;
use crate::job_end;
use crate::outage::blame;
use crate::rules::Rules;
use orch_common::config::Project;
use orch_common::domain::decide::{Trigger, hold};
use orch_common::domain::effect::Effect;
use orch_common::domain::fault::Fault;
use orch_common::domain::job::{JobEnd, Spend};
use orch_common::domain::messages::Message;
use orch_common::domain::oddity::Odd;
use orch_common::store::in_the_way::{self, Kind};
use orch_common::store::jobs::Job;
use orch_common::store::tasks::{self, Task};
use orch_common::store::{Conn, StoreError};
use std::sync::Arc;

/// Between two looks at what a task waits for, in ms: a fetch each.
const PAUSE_MS: i64 = 30_000;

/// Puts the job off and tells people, in the caller's transaction; `false` = the job is no longer this worker's.
pub fn put_off(
    conn: &mut Conn,
    rules: &Rules,
    (project, task): (&Project, &Task),
    message: &Message,
    job: &Job,
    now: i64,
) -> Result<bool, StoreError> {
    say(conn, rules, (project, task.id), message, job.id, now)?;
    let reason = reason_of(rules, message);
    let end = JobEnd::Again { at: Some(now + pause_ms(rules)), error: reason, spend: Spend::Nothing };
    Ok(job_end::put_off(conn, job, end, now)?.1)
}

/// Tells people what a task waits for, unless they know.
pub fn say(
    conn: &mut Conn,
    rules: &Rules,
    (project, task): (&Project, i64),
    message: &Message,
    job_id: i64,
    now: i64,
) -> Result<(), StoreError> {
    let reason = reason_of(rules, message);
    // As it is now: what was read before a fetch may be old.
    let Some(task) = tasks::get(conn, task)? else { return Ok(()) };
    let new = in_the_way::note(conn, task.id, kind_of(message), &reason, now)?;
    // A person's word in between has taken the reason away.
    if new || task.state_reason.is_none() {
        let decision = hold(&facts(&task)?, &rules.policy(project), &reason, message.clone());
        let asked = Asked { project, trigger: &Trigger::Look, job_id, now };
        match apply(conn, rules, &task, &decision, &asked)? {
            Applied::Yes(_) | Applied::TryAgain(_) | Applied::LostRace => {}
        }
    }
    Ok(())
}

/// The same of a look, which ends with it.
pub(super) async fn put_off_look(
    ctx: &Arc<Context>,
    job: &Job,
    (project, task): (&Project, &Task),
    message: Message,
) -> Result<String, StoreError> {
    let (inner, job, task, project) = (Arc::clone(ctx), job.clone(), task.clone(), project.clone());
    ctx.store
        .write(move |c| {
            let held = put_off(c, &inner, (&project, &task), &message, &job, now_ms())?;
            if held { Ok(format!("{}: waits for the mend", message.name())) } else { Err(StoreError::LostOwnership) }
        })
        .await
}

/// Whether a refusal of git's is no matter of this task: the whole repository takes nothing, which is told of by itself, or it
/// was renamed and is called by its new name from now on.
pub async fn is_the_repositorys(ctx: &Arc<Context>, job: &Job, message: &Message) -> bool {
    if !matches!(message, Message::PushRefused { .. }) {
        return false;
    }
    let repo = job.repo.clone().unwrap_or_default();
    let name = || ctx.outside.gitea.as_ref().map(|gitea| gitea.names().now(&repo));
    let before = name();
    blame(ctx, &ctx.forge_scopes_of(job)).await.is_some() || name() != before
}

/// What is missing at a forge that is away is not missing: submodules, and the branch that the work begins on.
pub fn may_be_the_forges(message: &Message) -> bool {
    matches!(message, Message::SubmoduleMissing { .. } | Message::NeedsAPerson { fault: Fault::NoBase, .. })
}

/// What is in the way of a task that is held with this message.
const fn kind_of(message: &Message) -> Kind {
    if matches!(message, Message::BranchGone { .. }) { Kind::Branch } else { Kind::Push }
}

/// A look went through: nothing is in its way any more. The pull request that went with a lost branch is opened again.
pub(super) fn is_over(conn: &mut Conn, task: &mut Task, now: i64) -> Result<(), StoreError> {
    for kind in [Kind::Branch, Kind::Push] {
        let Some(reason) = in_the_way::clear(conn, task.id, kind)? else { continue };
        tasks::forget_reason(conn, task.id, &reason)?;
        task.state_reason.take_if(|now| *now == reason);
        // What a person had closed before stays closed.
        let closed = in_the_way::get(conn, task.id, Kind::Pull)? == Some(Odd::Closed.key());
        if kind == Kind::Branch && task.pull.is_some() && !closed && !task.state.is_terminal() {
            let reopen = Effect::GiteaReopen { repo: task.repo.clone(), branch: task.branch.clone() };
            enqueue_effect(conn, Some(task.id), &reopen, &format!("t{}:reopen:{now}", task.id), now)?;
        }
    }
    Ok(())
}

/// The same where an agent begins.
pub async fn is_over_for(ctx: &Context, task: &Task) -> Result<(), StoreError> {
    if task.state_reason.is_none() {
        return Ok(());
    }
    let task = task.clone();
    ctx.store.write(move |c| is_over(c, &mut task.clone(), now_ms())).await
}

/// What a held task is said to wait for.
pub fn reason_of(rules: &Rules, message: &Message) -> String {
    rules.catalogue.render(message).lines().next().unwrap_or_default().to_owned()
}

/// Never longer than a round of the reconciler.
fn pause_ms(rules: &Rules) -> i64 {
    let round = i64::try_from(rules.config.worker.reconcile_s).unwrap_or(i64::MAX / 1000).saturating_mul(1000);
    round.min(PAUSE_MS)
}
