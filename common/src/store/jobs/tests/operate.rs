//! What people do to jobs, and what they are shown of them.

use super::*;
use crate::domain::job::{JobEnd, JobKind, JobStatus, Spend};
use crate::domain::stage::Role;
use crate::store::jobs::{
    CancelOutcome, NewJob, cancel, cancel_queued_of_task, claim, finish, hasten_looks, next_due, retry,
};
use crate::store::tests::add_task;

#[test]
fn a_cancel_finds_the_job_as_it_stands() {
    let scratch = Scratch::new();
    let mut conn = scratch.store.connection().unwrap();
    assert_eq!(cancel(&mut conn, 77, "x", NOW).unwrap(), CancelOutcome::NotFound);
    let id = add(&mut conn, &plain(JobKind::Agent));
    assert_eq!(cancel(&mut conn, id, "not wanted", NOW).unwrap(), CancelOutcome::Cancelled);
    let found = job(&mut conn, id);
    assert_eq!(
        (found.status, found.error.as_deref(), found.finished_at),
        (JobStatus::Cancelled, Some("not wanted"), Some(NOW))
    );
    assert_eq!(cancel(&mut conn, id, "x", NOW).unwrap(), CancelOutcome::AlreadyFinished(JobStatus::Cancelled));
    add(&mut conn, &plain(JobKind::Agent));
    let running = claim(&mut conn, JobKind::Agent, "w", NOW).unwrap().unwrap();
    assert_eq!(cancel(&mut conn, running.id, "x", NOW).unwrap(), CancelOutcome::Running(Box::new(running.clone())));
    assert_eq!(job(&mut conn, running.id), running, "its owner ends it");
}

#[test]
fn a_look_that_was_put_off_is_due_when_something_is_told_of_its_task() {
    let scratch = Scratch::new();
    let mut conn = scratch.store.connection().unwrap();
    let (one, two) = (add_task(&mut conn, 1).id, add_task(&mut conn, 2).id);
    let later =
        |kind, task, key: &str| NewJob { task_id: Some(task), available_at: Some(NOW + 60_000), ..keyed(kind, key) };
    let look = add(&mut conn, &later(JobKind::Advance, one, "one"));
    add(&mut conn, &later(JobKind::Advance, two, "two"));
    add(&mut conn, &later(JobKind::Agent, one, "agent"));
    assert!(claim(&mut conn, JobKind::Advance, "w", NOW).unwrap().is_none());
    assert_eq!(hasten_looks(&mut conn, one).unwrap(), 1);
    assert!(next_due(&mut conn, JobKind::Advance, NOW).unwrap().is_some_and(|at| at <= NOW));
    assert_eq!(claim(&mut conn, JobKind::Advance, "w", NOW).unwrap().map(|job| job.id), Some(look));
    assert!(claim(&mut conn, JobKind::Advance, "w", NOW).unwrap().is_none(), "another task's waits on");
    assert!(claim(&mut conn, JobKind::Agent, "w", NOW).unwrap().is_none(), "an agent in backoff, too");
}

#[test]
fn what_would_move_a_task_is_cancelled_and_what_is_to_be_said_is_not() {
    let scratch = Scratch::new();
    let mut conn = scratch.store.connection().unwrap();
    let (one, two) = (add_task(&mut conn, 1).id, add_task(&mut conn, 2).id);
    let of = |kind, task| NewJob { task_id: Some(task), ..plain(kind) };
    let running = add(&mut conn, &of(JobKind::Agent, one));
    claim(&mut conn, JobKind::Agent, "w", NOW).unwrap().unwrap();
    let movers = [JobKind::Agent, JobKind::Advance].map(|kind| add(&mut conn, &of(kind, one)));
    let spared = [
        running,
        add(&mut conn, &of(JobKind::Effect, one)),
        add(&mut conn, &of(JobKind::Event, one)),
        add(&mut conn, &of(JobKind::Agent, two)),
    ];
    assert_eq!(jobs::unfinished_of_task(&mut conn, one).unwrap().len(), 3);
    assert_eq!(cancel_queued_of_task(&mut conn, one, "cancelled", NOW).unwrap(), 2);
    for id in movers {
        assert_eq!(job(&mut conn, id).status, JobStatus::Cancelled);
    }
    for id in spared {
        assert!(!job(&mut conn, id).status.is_finished(), "{id}");
    }
}

#[test]
fn a_retry_revives_what_failed_or_was_cancelled_with_fresh_counters() {
    let scratch = Scratch::new();
    let mut conn = scratch.store.connection().unwrap();
    let ends = [
        (JobEnd::Failed { error: "x".into() }, true),
        (JobEnd::Cancelled { why: "x".into() }, true),
        (JobEnd::Done { note: None }, false),
    ];
    for (end, revived) in ends {
        let id = add(&mut conn, &plain(JobKind::Effect));
        assert!(!retry(&mut conn, id).unwrap(), "queued");
        let taken = jobs::claim_by_id(&mut conn, id, "w", NOW).unwrap().unwrap();
        assert!(!retry(&mut conn, id).unwrap(), "running");
        finish(&mut conn, &taken, &end, NOW).unwrap();
        assert_eq!(retry(&mut conn, id).unwrap(), revived, "{end:?}");
        if revived {
            let found = job(&mut conn, id);
            assert_eq!(
                (found.status, found.attempts, found.worker, found.finished_at),
                (JobStatus::Queued, 0, None, None)
            );
            assert_eq!(claim(&mut conn, JobKind::Effect, "w", NOW).unwrap().map(|j| (j.id, j.attempts)), Some((id, 1)));
        }
    }
    assert!(!retry(&mut conn, 4_242).unwrap());
}

#[test]
fn counts_are_zero_filled_and_recent_agents_are_the_newest() {
    let scratch = Scratch::new();
    let mut conn = scratch.store.connection().unwrap();
    let counts = jobs::counts(&mut conn).unwrap();
    for kind in JobKind::ALL {
        let names: Vec<&str> = counts[kind].keys().copied().collect();
        assert_eq!(names, ["cancelled", "done", "failed", "queued", "running"]);
        assert!(counts[kind].values().all(|n| *n == 0));
    }
    let ids: Vec<i64> = (0..5)
        .map(|_| {
            add(&mut conn, &plain(JobKind::Event));
            add(&mut conn, &NewJob { role: Some(Role::Developer), ..plain(JobKind::Agent) })
        })
        .collect();
    let recent: Vec<i64> = jobs::recent_agents(&mut conn, 3).unwrap().iter().map(|j| j.id).collect();
    assert_eq!(recent, [ids[4], ids[3], ids[2]]);
}

/// An operator knows that the service takes calls again.
#[test]
fn only_what_a_pause_holds_is_hastened() {
    let scratch = Scratch::new();
    let mut conn = scratch.store.connection().unwrap();
    let errors = ["plane_comment: rate limited, next try in 3600 s", "plane_comment: unavailable: status 500"];
    let ids: Vec<i64> = errors
        .iter()
        .map(|error| {
            let id = add(&mut conn, &plain(JobKind::Effect));
            let job = jobs::claim_by_id(&mut conn, id, "w", NOW).unwrap().unwrap();
            let end = JobEnd::Again { at: Some(NOW + 9), error: (*error).into(), spend: Spend::Nothing };
            assert!(jobs::finish(&mut conn, &job, &end, NOW).unwrap());
            id
        })
        .collect();
    assert_eq!(jobs::hasten_paused(&mut conn).unwrap(), 1);
    let due: Vec<_> = ids.iter().map(|id| jobs::get(&mut conn, *id).unwrap().unwrap().available_at).collect();
    assert_eq!(due, [None, Some(NOW + 9)]);
}
