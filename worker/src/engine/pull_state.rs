//! What is not as it should be with a task's own pull request, where no gate is waiting for it yet: said once in Plane, by
//! whoever sees it first, so that it does not come to light when the work is over. Nothing is decided here.

use crate::alerts;
use crate::clients::gitea::Pull;
use crate::context::{Context, pipeline_of};
use crate::engine::apply::enqueue_effect;
use orch_common::config::Project;
use orch_common::domain::decide::MergePolicy;
use orch_common::domain::effect::Effect;
use orch_common::domain::gate::Gate;
use orch_common::domain::messages::Message;
use orch_common::domain::stage::Stage;
use orch_common::store::in_the_way::{self, Kind};
use orch_common::store::tasks::Task;
use orch_common::store::{Conn, StoreError};

/// What is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Odd {
    Closed,
    Merged { by: String },
    Retargeted { base: String },
}

impl Odd {
    /// What tells it from others.
    pub fn key(&self) -> String {
        match self {
            Odd::Closed => "closed".to_owned(),
            Odd::Merged { .. } => "merged".to_owned(),
            Odd::Retargeted { base } => format!("to {base}"),
        }
    }

    fn message(&self, task: &Task, number: i64) -> Message {
        let number = number.unsigned_abs();
        match self {
            Odd::Closed => Message::PullClosed { number },
            Odd::Merged { by } => Message::PullMergedEarly { number, by: by.clone(), stage: task.stage },
            Odd::Retargeted { base } => {
                Message::PullRetargeted { number, base: base.clone(), wanted: task.base.clone() }
            }
        }
    }
}

/// What is odd about the task's own pull request. One that lost its branch is closed by that, and the branch is told of.
pub(crate) fn oddity(project: &Project, task: &Task, pull: &Pull) -> Option<Odd> {
    let gate = pipeline_of(project).gate(task.stage);
    let waited_for = matches!(gate, Some(Gate::ReviewApproved | Gate::PrMerged));
    let merges = gate == Some(Gate::PrMerged) && project.merge == MergePolicy::OnDeploy;
    let lost_its_branch = pull.head.r#ref.starts_with("refs/pull/");
    match () {
        () if task.state.is_terminal() => None,
        // At the end of the road a merge is what everybody waits for.
        () if pull.merged => (!waited_for && task.stage != Stage::Deploy).then(|| Odd::Merged { by: pull.merger() }),
        () if !pull.is_open() => (!waited_for && !lost_its_branch).then_some(Odd::Closed),
        () if pull.base.label != task.base => (!merges).then(|| Odd::Retargeted { base: pull.base.label.clone() }),
        () => None,
    }
}

/// Says it, unless people know; forgets it where it is mended.
pub(crate) fn tell(
    conn: &mut Conn,
    ctx: &Context,
    (task, number): (&Task, i64),
    odd: Option<&Odd>,
    now: i64,
) -> Result<Option<String>, StoreError> {
    let Some(odd) = odd else {
        let mended = in_the_way::clear(conn, task.id, Kind::Pull)?;
        return Ok(mended.map(|_| "the pull request is as it should be again".to_owned()));
    };
    if !in_the_way::note(conn, task.id, Kind::Pull, &odd.key(), now)? {
        return Ok(None);
    }
    let (message, key) = (odd.message(task, number), format!("t{}:pull:{}:{now}", task.id, odd.key()));
    let (project, work_item) = (task.project.clone(), task.work_item.clone());
    let comment = Effect::PlaneComment { project, work_item, key: key.clone(), text: ctx.catalogue.render(&message) };
    enqueue_effect(conn, Some(task.id), &comment, &key, now)?;
    alerts::raise(conn, ctx, Some(task.id), &message, &key, now)?;
    Ok(Some(format!("said of the pull request: {}", odd.key())))
}
