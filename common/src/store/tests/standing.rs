//! An active task has a job, or it is named what it waits for.

use super::*;
use crate::domain::job::{JobEnd, Spend};
use crate::domain::stage::TaskState;
use crate::store::standing;
use crate::store::tasks::{self, Move};

fn left(scratch: &Scratch) -> Vec<String> {
    scratch.write(|c| Ok(standing::unattended(c)?.into_iter().map(|task| task.key).collect()))
}

fn put(scratch: &Scratch, id: i64, state: TaskState, reason: Option<&str>) {
    let moved = scratch.write(|c| {
        let seen = tasks::get(c, id)?.unwrap();
        let to = Move { state_reason: reason.map(str::to_owned), ..Move::to(seen.stage, state) };
        tasks::compare_and_move(c, &seen, &to, NOW)
    });
    assert!(moved);
}

#[test]
fn an_active_task_has_a_job_or_says_what_it_waits_for() {
    let scratch = Scratch::new();
    let task = scratch.write(|c| Ok(add_task(c, 1))).id;
    assert_eq!(left(&scratch), ["ET-001"], "nobody and nothing");

    for kind in [JobKind::Agent, JobKind::Advance] {
        let id = scratch.write(|c| Ok(add(c, &NewJob { task_id: Some(task), ..plain(kind) })));
        assert_eq!(left(&scratch), [""; 0], "{kind} is queued");
        let job = scratch.write(|c| jobs::claim(c, kind, "w", NOW)).unwrap();
        assert_eq!((job.id, left(&scratch)), (id, vec![]), "{kind} is at work");
        let again = JobEnd::Again { at: Some(NOW + 9), error: "x".into(), spend: Spend::Nothing };
        assert!(scratch.write(|c| jobs::finish(c, &job, &again, NOW)));
        assert_eq!(left(&scratch), [""; 0], "{kind} comes again");
        let job = scratch.write(|c| jobs::claim(c, kind, "w", NOW + 9)).unwrap();
        assert!(scratch.write(|c| jobs::finish(c, &job, &JobEnd::Failed { error: "x".into() }, NOW)));
        assert_eq!(left(&scratch), ["ET-001"], "{kind} has ended");
    }
    // What is said outside moves nothing, and neither does another task's work.
    let other = scratch.write(|c| Ok(add_task(c, 2))).id;
    scratch.write(|c| {
        add(c, &NewJob { task_id: Some(task), ..plain(JobKind::Effect) });
        add(c, &NewJob { task_id: Some(other), ..plain(JobKind::Agent) });
        Ok(())
    });
    assert_eq!(left(&scratch), ["ET-001"]);

    put(&scratch, task, TaskState::Active, Some("waiting for a review"));
    assert_eq!(left(&scratch), [""; 0]);
    put(&scratch, task, TaskState::Active, Some(""));
    assert_eq!(left(&scratch), ["ET-001"], "no reason is none");
    for state in TaskState::ALL.iter().filter(|state| **state != TaskState::Active) {
        put(&scratch, task, *state, None);
        assert_eq!(left(&scratch), [""; 0], "{state} says itself for whom it waits");
    }
}
