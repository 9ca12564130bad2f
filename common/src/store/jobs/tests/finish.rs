//! How jobs end: by their owner, once, at the right cost.

use super::*;
use crate::domain::job::{JobEnd, JobKind, JobStatus, Spend};
use crate::store::jobs::{Job, NewJob, claim, enqueue, finish, finish_and_claim};

fn done() -> JobEnd {
    JobEnd::Done { note: Some("moved".into()) }
}

pub(super) fn ends() -> Vec<JobEnd> {
    vec![
        done(),
        JobEnd::Failed { error: "x".into() },
        JobEnd::Cancelled { why: "x".into() },
        JobEnd::Again { at: None, error: "x".into(), spend: Spend::Attempt },
    ]
}

#[test]
fn every_end_leaves_the_row_it_should() {
    let rows = [
        (done(), JobStatus::Done, None, Some("moved"), Some(NOW + 9)),
        (JobEnd::Failed { error: "bad".into() }, JobStatus::Failed, Some("bad"), None, Some(NOW + 9)),
        (JobEnd::Cancelled { why: "why".into() }, JobStatus::Cancelled, Some("why"), None, Some(NOW + 9)),
        (
            JobEnd::Again { at: None, error: "x".into(), spend: Spend::Attempt },
            JobStatus::Queued,
            Some("x"),
            None,
            None,
        ),
    ];
    for (end, status, error, note, finished_at) in rows {
        let scratch = Scratch::new();
        let mut conn = scratch.store.connection().unwrap();
        add(&mut conn, &plain(JobKind::Agent));
        let taken = claim(&mut conn, JobKind::Agent, "w", NOW).unwrap().unwrap();
        assert!(finish(&mut conn, &taken, &end, NOW + 9).unwrap());
        let found = job(&mut conn, taken.id);
        assert_eq!((found.status, found.error.as_deref(), found.finished_at), (status, error, finished_at), "{end:?}");
        assert_eq!(found.note.as_deref(), note);
        assert_eq!(found.worker.is_none(), status == JobStatus::Queued);
    }
}

#[test]
fn going_back_costs_what_it_says() {
    let rows = [
        (Spend::Attempt, (1, 0, 0)),
        (Spend::Transient, (0, 1, 0)),
        (Spend::Recovery, (0, 0, 1)),
        (Spend::Nothing, (0, 0, 0)),
    ];
    for (spend, want) in rows {
        let scratch = Scratch::new();
        let mut conn = scratch.store.connection().unwrap();
        let id = add(&mut conn, &plain(JobKind::Agent));
        let taken = claim(&mut conn, JobKind::Agent, "w", NOW).unwrap().unwrap();
        let end = JobEnd::Again { at: Some(NOW + 50), error: "x".into(), spend };
        assert!(finish(&mut conn, &taken, &end, NOW).unwrap());
        let found = job(&mut conn, id);
        assert_eq!((found.attempts, found.transient_attempts, found.recoveries), want, "{spend:?}");
        assert_eq!((found.available_at, found.started_at, found.finished_at), (Some(NOW + 50), None, None));
        assert_eq!(claim(&mut conn, JobKind::Agent, "w", NOW + 49).unwrap(), None);
        assert!(claim(&mut conn, JobKind::Agent, "w", NOW + 50).unwrap().is_some());
    }
}

#[test]
fn a_stale_owner_changes_nothing() {
    for end in ends() {
        let scratch = Scratch::new();
        let mut conn = scratch.store.connection().unwrap();
        add(&mut conn, &plain(JobKind::Agent));
        let mine = claim(&mut conn, JobKind::Agent, "old", NOW).unwrap().unwrap();
        assert!(jobs::take_over(&mut conn, &mine, "new").unwrap().is_some());
        let before = job(&mut conn, mine.id);
        assert!(!finish(&mut conn, &mine, &end, NOW + 1).unwrap(), "{end:?}");
        assert_eq!(job(&mut conn, mine.id), before, "{end:?}");
        let nobodys = Job { worker: None, ..mine.clone() };
        assert!(!finish(&mut conn, &nobodys, &end, NOW + 1).unwrap());
    }
}

#[test]
fn a_job_ends_once() {
    for first in ends() {
        for second in ends() {
            let scratch = Scratch::new();
            let mut conn = scratch.store.connection().unwrap();
            add(&mut conn, &plain(JobKind::Agent));
            let taken = claim(&mut conn, JobKind::Agent, "w", NOW).unwrap().unwrap();
            assert!(finish(&mut conn, &taken, &first, NOW + 1).unwrap());
            let before = job(&mut conn, taken.id);
            assert!(!finish(&mut conn, &taken, &second, NOW + 2).unwrap(), "{first:?}, {second:?}");
            assert_eq!(job(&mut conn, taken.id), before);
        }
    }
}

#[test]
fn a_long_error_is_cut_between_characters() {
    let scratch = Scratch::new();
    let mut conn = scratch.store.connection().unwrap();
    add(&mut conn, &plain(JobKind::Agent));
    let taken = claim(&mut conn, JobKind::Agent, "w", NOW).unwrap().unwrap();
    finish(&mut conn, &taken, &JobEnd::Failed { error: "ж".repeat(5_000) }, NOW).unwrap();
    assert_eq!(job(&mut conn, taken.id).error.unwrap().chars().count(), 4_000);
}

#[test]
fn the_same_dedupe_key_is_queued_once_for_as_long_as_it_is_known() {
    let scratch = Scratch::new();
    let mut conn = scratch.store.connection().unwrap();
    let new = NewJob { dedupe_key: Some("t1:v1:0".into()), ..plain(JobKind::Effect) };
    let id = enqueue(&mut conn, &new, NOW).unwrap();
    assert!(id.is_some());
    assert_eq!(enqueue(&mut conn, &new, NOW).unwrap(), None, "queued");
    let taken = claim(&mut conn, JobKind::Effect, "w", NOW).unwrap().unwrap();
    assert_eq!(enqueue(&mut conn, &new, NOW).unwrap(), None, "running");
    finish(&mut conn, &taken, &done(), NOW).unwrap();
    assert_eq!(enqueue(&mut conn, &new, NOW).unwrap(), None, "done");
    let other = NewJob { dedupe_key: Some("t1:v1:1".into()), ..new };
    assert!(enqueue(&mut conn, &other, NOW).unwrap().is_some());
    assert!(enqueue(&mut conn, &plain(JobKind::Effect), NOW).unwrap().is_some(), "no key, no question");
}

#[test]
fn an_end_and_the_next_claim_are_one_step() {
    let scratch = Scratch::new();
    let ids = scratch.write(|c| Ok([0; 3].map(|_| add(c, &plain(JobKind::Event)))));
    let effect = scratch.write(|c| Ok(add(c, &plain(JobKind::Effect))));
    let first = scratch.write(|c| claim(c, JobKind::Event, "w", NOW)).unwrap();
    let turn = scratch.write(|c| finish_and_claim(c, &first, &done(), JobKind::Event, "w", NOW + 1));
    let second = turn.next.unwrap();
    assert!(turn.ended);
    assert_eq!((second.id, second.status, second.attempts), (ids[1], JobStatus::Running, 1));
    let mut conn = scratch.store.connection().unwrap();
    assert_eq!(job(&mut conn, first.id).status, JobStatus::Done);

    let turn = scratch.write(|c| finish_and_claim(c, &second, &done(), JobKind::Effect, "w", NOW));
    assert_eq!(turn.next.map(|j| j.id), Some(effect), "another kind");

    let again = JobEnd::Again { at: None, error: "x".into(), spend: Spend::Attempt };
    let third = scratch.write(|c| claim(c, JobKind::Event, "w", NOW)).unwrap();
    let turn = scratch.write(|c| finish_and_claim(c, &third, &again, JobKind::Event, "w", NOW));
    assert_eq!(turn.next.map(|j| (j.id, j.attempts)), Some((ids[2], 2)), "what went back at once is due at once");
}

#[test]
fn the_next_of_a_key_is_claimed_in_the_step_that_ends_the_one_before() {
    let scratch = Scratch::new();
    let ids = scratch.write(|c| Ok([0; 2].map(|_| add(c, &keyed(JobKind::Effect, "k")))));
    let first = scratch.write(|c| claim(c, JobKind::Effect, "w", NOW)).unwrap();
    let turn = scratch.write(|c| finish_and_claim(c, &first, &done(), JobKind::Effect, "w", NOW));
    assert_eq!(turn.next.map(|j| j.id), Some(ids[1]));
}

#[test]
fn whoever_lost_its_job_gets_no_other_one() {
    let scratch = Scratch::new();
    scratch.write(|c| Ok([0; 2].map(|_| add(c, &plain(JobKind::Event)))));
    let mine = scratch.write(|c| claim(c, JobKind::Event, "old", NOW)).unwrap();
    scratch.write(|c| jobs::take_over(c, &mine, "new"));
    let turn = scratch.write(|c| finish_and_claim(c, &mine, &done(), JobKind::Event, "old", NOW));
    assert!(!turn.ended && turn.next.is_none());
    let mut conn = scratch.store.connection().unwrap();
    assert_eq!(jobs::owned_by(&mut conn, "old").unwrap(), vec![]);
    let counts = jobs::counts(&mut conn).unwrap();
    assert_eq!((counts[&JobKind::Event]["queued"], counts[&JobKind::Event]["running"]), (1, 1));
}
