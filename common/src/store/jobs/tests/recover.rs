//! Whose rows may be taken, and how often a job may be lost.

use super::finish::ends;
use super::*;
use crate::domain::job::{JobEnd, JobKind, JobStatus};
use crate::domain::run::WorkerState;
use crate::store::Conn;
use crate::store::jobs::{Job, claim, orphans, owned_by, requeue_lost, take_over};
use crate::store::workers::{Worker, mark_stopped, register};

const DEAD_BEFORE: i64 = NOW - 30_000;

fn worker(name: &str, host: &str, heartbeat_at: i64) -> Worker {
    Worker {
        name: name.into(),
        host: host.into(),
        pid: 7,
        pid_start: 70,
        boot_id: "b".into(),
        version: "1".into(),
        state: WorkerState::Running,
        max_concurrency: 1,
        poll_interval: 2.0,
        preflight_ok: None,
        preflight_reason: "not checked".into(),
        started_at: 0,
        heartbeat_at,
    }
}

fn is_silent(worker: &Worker) -> bool {
    worker.heartbeat_at < DEAD_BEFORE
}

/// A running job of a worker.
fn running(conn: &mut Conn, owner: &str) -> Job {
    let id = add(conn, &plain(JobKind::Agent));
    jobs::claim_by_id(conn, id, owner, NOW).unwrap().unwrap()
}

#[test]
fn only_rows_of_the_dead_on_this_host_are_orphans() {
    let scratch = Scratch::new();
    let mut conn = scratch.store.connection().unwrap();
    let owners = [
        ("me", Some(worker("me", "here", 0)), false),
        ("living", Some(worker("living", "here", DEAD_BEFORE)), false),
        ("draining", Some(Worker { state: WorkerState::Draining, ..worker("draining", "here", NOW) }), false),
        ("silent", Some(worker("silent", "here", DEAD_BEFORE - 1)), true),
        ("stopped", Some(worker("stopped", "here", NOW)), true),
        ("silent-elsewhere", Some(worker("silent-elsewhere", "there", 0)), false),
        ("living-elsewhere", Some(worker("living-elsewhere", "there", NOW)), false),
        ("unknown", None, true),
    ];
    let mut expected = Vec::new();
    for (name, row, orphaned) in &owners {
        if let Some(row) = row {
            register(&mut conn, row).unwrap();
        }
        let taken = running(&mut conn, name);
        expected.extend(orphaned.then_some(taken.id));
    }
    mark_stopped(&mut conn, &worker("stopped", "here", NOW), NOW).unwrap();
    add(&mut conn, &plain(JobKind::Agent));
    let found: Vec<i64> = orphans(&mut conn, "me", "here", is_silent).unwrap().iter().map(|j| j.id).collect();
    assert_eq!(found, expected);
}

#[test]
fn without_any_worker_every_running_row_is_an_orphan() {
    let scratch = Scratch::new();
    let mut conn = scratch.store.connection().unwrap();
    let lost = running(&mut conn, "gone");
    assert_eq!(orphans(&mut conn, "me", "here", is_silent).unwrap(), vec![lost]);
}

#[test]
fn an_orphan_is_taken_by_one_and_by_nobody_once_it_ended() {
    let scratch = Scratch::new();
    let mut conn = scratch.store.connection().unwrap();
    let lost = running(&mut conn, "gone");
    let mine = take_over(&mut conn, &lost, "me").unwrap().unwrap();
    assert_eq!(mine, Job { worker: Some("me".into()), ..lost.clone() }, "nothing else changes");
    assert_eq!(take_over(&mut conn, &lost, "other").unwrap(), None);
    assert_eq!(owned_by(&mut conn, "me").unwrap(), vec![mine.clone()]);
    assert_eq!(owned_by(&mut conn, "gone").unwrap(), vec![]);
    jobs::finish(&mut conn, &mine, &JobEnd::Done { note: None }, NOW).unwrap();
    assert_eq!(take_over(&mut conn, &mine, "other").unwrap(), None);
}

#[test]
fn a_lost_job_goes_back_five_times_and_then_fails() {
    let scratch = Scratch::new();
    let mut conn = scratch.store.connection().unwrap();
    let id = add(&mut conn, &plain(JobKind::Agent));
    for recoveries in 1..=5 {
        let taken = claim(&mut conn, JobKind::Agent, "w", NOW).unwrap().unwrap();
        assert_eq!(taken.attempts, 1, "a recovery spends no attempt");
        let end = requeue_lost(&mut conn, &taken, "no trace of it", NOW).unwrap();
        assert!(matches!(end, Some(JobEnd::Again { at: None, .. })), "{end:?}");
        let found = job(&mut conn, id);
        assert_eq!((found.status, found.attempts, found.recoveries), (JobStatus::Queued, 0, recoveries));
    }
    let taken = claim(&mut conn, JobKind::Agent, "w", NOW).unwrap().unwrap();
    let end = requeue_lost(&mut conn, &taken, "no trace of it", NOW).unwrap();
    assert!(matches!(&end, Some(JobEnd::Failed { error }) if error.contains("no trace of it")), "{end:?}");
    assert_eq!(job(&mut conn, id).status, JobStatus::Failed);
    assert_eq!(requeue_lost(&mut conn, &taken, "x", NOW).unwrap(), None, "it is nobody's any more");
}

#[test]
fn a_worker_that_claims_again_what_it_lost_is_not_who_it_was() {
    for end in ends() {
        let scratch = Scratch::new();
        let mut conn = scratch.store.connection().unwrap();
        let before = running(&mut conn, "me");
        requeue_lost(&mut conn, &before, "lost", NOW).unwrap().unwrap();
        let after = jobs::claim_by_id(&mut conn, before.id, "me", NOW + 1).unwrap().unwrap();
        assert!(!jobs::is_held(&mut conn, &before).unwrap() && jobs::is_held(&mut conn, &after).unwrap());
        assert!(!jobs::finish(&mut conn, &before, &end, NOW + 2).unwrap(), "{end:?}");
        assert_eq!(job(&mut conn, after.id), after, "{end:?}");
        assert!(jobs::finish(&mut conn, &after, &end, NOW + 2).unwrap());
        assert!(!jobs::is_held(&mut conn, &after).unwrap());
    }
}
