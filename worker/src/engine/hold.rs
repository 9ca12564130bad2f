//! Letting a job of a task wait for something that only a person can mend: said once, looked at again and again at no charge,
//! so that it goes on by itself soon after the mend. A person's word that starts an agent takes the job's place.

use super::apply::{Applied, Asked, apply, enqueue_effect};
use super::facts::facts;
use crate::rules::Rules;
use orch_common::config::Project;
use orch_common::domain::decide::{Trigger, hold};
use orch_common::domain::effect::Effect;
use orch_common::domain::job::{JobEnd, Spend};
use orch_common::domain::messages::Message;
use orch_common::store::in_the_way::{self, Kind};
use orch_common::store::jobs::{self, Job};
use orch_common::store::tasks::{self, Task};
use orch_common::store::{Conn, StoreError};

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
    let reason = reason_of(rules, message);
    // As it is now: what was read before a fetch may be old.
    if let Some(task) = tasks::get(conn, task.id)? {
        if let Message::BranchGone { branch, .. } = message {
            in_the_way::note(conn, task.id, Kind::Branch, branch.as_str(), now)?;
        }
        let decision = hold(&facts(&task)?, &rules.policy(project), &reason, message.clone());
        let asked = Asked { project, trigger: &Trigger::Look, job_id: job.id, now };
        match apply(conn, rules, &task, &decision, &asked)? {
            Applied::Yes(_) | Applied::TryAgain(_) | Applied::LostRace => {}
        }
    }
    let end = JobEnd::Again { at: Some(now + pause_ms(rules)), error: reason, spend: Spend::Nothing };
    Ok(jobs::finish_or_give_way(conn, job, end, now)?.1)
}

/// A look went through: the branch is there. What its loss had closed is opened again.
pub(super) fn branch_is_back(conn: &mut Conn, task: &Task, now: i64) -> Result<(), StoreError> {
    if !in_the_way::clear(conn, task.id, Kind::Branch)? || task.pull.is_none() || task.state.is_terminal() {
        return Ok(());
    }
    let reopen = Effect::GiteaReopen { repo: task.repo.clone(), branch: task.branch.clone() };
    enqueue_effect(conn, Some(task.id), &reopen, &format!("t{}:reopen:{now}", task.id), now)
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
