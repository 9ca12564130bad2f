//! What is not as it should be with a task's own pull request, where no gate is waiting for it yet: said once in Plane, by
//! whoever sees it first, so that it does not come to light when the work is over. Nothing is decided here.

use crate::alerts;
use crate::clients::gitea::Pull;
use crate::context::{Context, pipeline_of};
use crate::engine::apply::enqueue_effect;
use orch_common::config::Project;
use orch_common::domain::effect::Effect;
use orch_common::domain::messages::Message;
use orch_common::domain::oddity::{self, Odd, Oddity, PullNow};
use orch_common::store::in_the_way::{self, Kind};
use orch_common::store::tasks::Task;
use orch_common::store::{Conn, StoreError};

fn message(odd: &Odd, task: &Task, number: i64) -> Message {
    let number = number.unsigned_abs();
    match odd {
        Odd::Closed => Message::PullClosed { number },
        Odd::Merged { by } => Message::PullMergedEarly { number, by: by.clone(), stage: task.stage },
        Odd::Retargeted { base } => Message::PullRetargeted { number, base: base.clone(), wanted: task.base.clone() },
    }
}

/// What is odd about the task's own pull request; of an ended task nothing is said any more.
pub(crate) fn oddity(project: &Project, task: &Task, pull: &Pull) -> Oddity {
    if task.state.is_terminal() {
        return Oddity::SaidElsewhere;
    }
    let now = PullNow {
        open: pull.is_open(),
        merged_by: pull.merged.then(|| pull.merger()),
        base: pull.base.label.clone(),
        lost_its_branch: pull.head.r#ref.starts_with("refs/pull/"),
    };
    oddity::oddity(&now, &task.base, task.stage, pipeline_of(project).gate(task.stage), project.merge)
}

/// Says it, unless people know; forgets it where it is mended.
pub(crate) fn tell(
    conn: &mut Conn,
    ctx: &Context,
    (task, number): (&Task, i64),
    found: &Oddity,
    now: i64,
) -> Result<Option<String>, StoreError> {
    let odd = match found {
        Oddity::Is(odd) => odd,
        Oddity::SaidElsewhere => return Ok(None),
        Oddity::None => {
            let mended = in_the_way::clear(conn, task.id, Kind::Pull)?;
            return Ok(mended.map(|_| "the pull request is as it should be again".to_owned()));
        }
    };
    if !in_the_way::note(conn, task.id, Kind::Pull, &odd.key(), now)? {
        return Ok(None);
    }
    let (message, key) = (message(odd, task, number), format!("t{}:pull:{}:{now}", task.id, odd.key()));
    let (project, work_item) = (task.project.clone(), task.work_item.clone());
    let comment = Effect::PlaneComment { project, work_item, key: key.clone(), text: ctx.catalogue.render(&message) };
    enqueue_effect(conn, Some(task.id), &comment, &key, now)?;
    alerts::raise(conn, ctx, Some(task.id), &message, &key, now)?;
    Ok(Some(format!("said of the pull request: {}", odd.key())))
}
