//! Who is claimed, and in which order.

use super::*;
use crate::domain::effect::Destination;
use crate::domain::job::{JobEnd, JobKind, JobStatus, Spend};
use crate::store::Conn;
use crate::store::jobs::{NewJob, claim, claim_by_id, claim_to, next_due, next_due_to};
use proptest::prelude::*;

fn take(conn: &mut Conn, kind: JobKind, now: i64) -> Option<i64> {
    claim(conn, kind, "w", now).unwrap().map(|j| j.id)
}

fn due_at(at: i64) -> NewJob {
    NewJob { available_at: Some(at), ..plain(JobKind::Event) }
}

#[test]
fn a_claim_counts_the_attempt_and_names_its_worker() {
    let scratch = Scratch::new();
    let mut conn = scratch.store.connection().unwrap();
    assert_eq!(claim(&mut conn, JobKind::Agent, "w", NOW).unwrap(), None);
    let id = add(&mut conn, &plain(JobKind::Agent));
    let before = job(&mut conn, id);
    assert_eq!((before.attempts, before.max_attempts, before.worker, before.started_at), (0, 2, None, None));
    let taken = claim(&mut conn, JobKind::Agent, "w", NOW + 1).unwrap().unwrap();
    assert_eq!((taken.id, taken.status, taken.attempts), (id, JobStatus::Running, 1));
    assert_eq!((taken.worker.as_deref(), taken.started_at), (Some("w"), Some(NOW + 1)));
    assert_eq!(taken, job(&mut conn, id), "what is answered is what is stored");
    assert_eq!(claim(&mut conn, JobKind::Agent, "w", NOW).unwrap(), None);
    assert_eq!(claim_by_id(&mut conn, id, "v", NOW).unwrap(), None);
}

#[test]
fn a_certain_job_is_claimed_in_the_middle_of_its_backoff_and_told_as_it_is_stored() {
    let scratch = Scratch::new();
    let mut conn = scratch.store.connection().unwrap();
    let id = add(&mut conn, &NewJob { order_key: Some("k".into()), ..due_at(NOW + 100) });
    let behind = add(&mut conn, &NewJob { order_key: Some("k".into()), ..plain(JobKind::Event) });
    assert_eq!(claim_by_id(&mut conn, behind, "w", NOW).unwrap(), None, "not the head of its key");
    let taken = claim_by_id(&mut conn, id, "w", NOW).unwrap().unwrap();
    assert_eq!((taken.status, taken.attempts, taken.available_at), (JobStatus::Running, 1, None));
    assert_eq!(taken, job(&mut conn, id));
}

#[test]
fn kinds_do_not_mix() {
    let scratch = Scratch::new();
    let mut conn = scratch.store.connection().unwrap();
    let ids: Vec<i64> = JobKind::ALL.iter().map(|kind| add(&mut conn, &plain(*kind))).collect();
    for (kind, id) in JobKind::ALL.iter().zip(ids).rev() {
        assert_eq!(take(&mut conn, *kind, NOW), Some(id));
        assert_eq!(take(&mut conn, *kind, NOW), None);
    }
}

/// However many wait for the chat, the forge's next one is found, and each destination knows when its own is due.
#[test]
fn effects_are_claimed_by_where_they_go() {
    let scratch = Scratch::new();
    let mut conn = scratch.store.connection().unwrap();
    let to = |key: &str| NewJob { order_key: Some(key.into()), ..plain(JobKind::Effect) };
    let chat: Vec<i64> = (0..3).map(|n| add(&mut conn, &to(&format!("all{n}:telegram")))).collect();
    let forge = add(&mut conn, &to("task:1:gitea"));
    let behind = add(&mut conn, &to("task:1:gitea"));
    let card = add(&mut conn, &NewJob { available_at: Some(NOW + 7), ..to("task:1:plane") });
    let due = |conn: &mut Conn, at| {
        [Destination::Plane, Destination::Gitea, Destination::Telegram].map(|to| next_due_to(conn, to, at).unwrap())
    };
    assert_eq!(due(&mut conn, NOW), [Some(NOW + 7), Some(NOW), Some(NOW)]);
    let take = |conn: &mut Conn, to, at| claim_to(conn, to, "w", at).unwrap();
    let first = take(&mut conn, Destination::Gitea, NOW).unwrap();
    assert_eq!(first.id, forge);
    assert_eq!(take(&mut conn, Destination::Gitea, NOW), None, "its key is busy");
    jobs::finish(&mut conn, &first, &JobEnd::Done { note: None }, NOW).unwrap();
    assert_eq!(take(&mut conn, Destination::Gitea, NOW).map(|j| j.id), Some(behind));
    assert_eq!(take(&mut conn, Destination::Plane, NOW), None);
    assert_eq!(take(&mut conn, Destination::Plane, NOW + 7).map(|j| j.id), Some(card));
    let told: Vec<i64> = std::iter::from_fn(|| take(&mut conn, Destination::Telegram, NOW).map(|j| j.id)).collect();
    assert_eq!(told, chat, "in their order");
    assert_eq!(due(&mut conn, NOW + 9), [None; 3]);
}

/// What was done for a job behind a running one is its end too; the next of the key has its turn afterwards.
#[test]
fn jobs_that_wait_behind_one_can_end_with_it() {
    let scratch = Scratch::new();
    let mut conn = scratch.store.connection().unwrap();
    let new = NewJob { order_key: Some("all:telegram".into()), ..plain(JobKind::Effect) };
    let ids: Vec<i64> = (0..4).map(|_| add(&mut conn, &new)).collect();
    let first = claim_to(&mut conn, Destination::Telegram, "w", NOW).unwrap().unwrap();
    let behind: Vec<i64> = jobs::waiting_behind(&mut conn, &first, 2).unwrap().into_iter().map(|j| j.id).collect();
    assert_eq!(behind, ids[1..3]);
    assert_eq!(jobs::finish_waiting(&mut conn, &behind, "sent together", NOW).unwrap(), 2);
    assert_eq!(claim_to(&mut conn, Destination::Telegram, "w", NOW).unwrap(), None, "the first still runs");
    jobs::finish(&mut conn, &first, &JobEnd::Done { note: None }, NOW).unwrap();
    assert_eq!(claim_to(&mut conn, Destination::Telegram, "w", NOW).unwrap().map(|j| j.id), Some(ids[3]));
    let ended = job(&mut conn, ids[1]);
    assert_eq!((ended.status, ended.attempts, ended.note.as_deref()), (JobStatus::Done, 0, Some("sent together")));
    let counts = jobs::counts(&mut conn).unwrap();
    assert_eq!((counts[&JobKind::Effect]["done"], counts[&JobKind::Effect]["running"]), (3, 1));
}

#[test]
fn the_oldest_of_those_that_are_due_goes_first_whether_it_waited_or_not() {
    let scratch = Scratch::new();
    let mut conn = scratch.store.connection().unwrap();
    let later = add(&mut conn, &due_at(NOW + 100));
    let soon = add(&mut conn, &due_at(NOW + 50));
    let at_once = add(&mut conn, &plain(JobKind::Event));
    assert_eq!(take(&mut conn, JobKind::Event, NOW + 49), Some(at_once));
    assert_eq!(take(&mut conn, JobKind::Event, NOW + 49), None, "nobody is early");
    let younger = add(&mut conn, &plain(JobKind::Event));
    assert_eq!(take(&mut conn, JobKind::Event, NOW + 50), Some(soon), "due to the millisecond, and older");
    assert_eq!(take(&mut conn, JobKind::Event, NOW + 100), Some(later));
    assert_eq!(take(&mut conn, JobKind::Event, NOW + 100), Some(younger));
}

#[test]
fn a_job_that_waited_out_its_backoff_is_promoted_to_its_age() {
    let scratch = Scratch::new();
    let mut conn = scratch.store.connection().unwrap();
    let first = add(&mut conn, &plain(JobKind::Effect));
    let taken = claim(&mut conn, JobKind::Effect, "w", NOW).unwrap().unwrap();
    let again = JobEnd::Again { at: Some(NOW + 10), error: "503".into(), spend: Spend::Attempt };
    assert!(jobs::finish(&mut conn, &taken, &again, NOW).unwrap());
    let second = add(&mut conn, &plain(JobKind::Effect));
    assert_eq!(take(&mut conn, JobKind::Effect, NOW + 10), Some(first), "its age counts, not its wait");
    let taken = job(&mut conn, first);
    assert_eq!((taken.attempts, taken.available_at), (2, None));
    assert_eq!(take(&mut conn, JobKind::Effect, NOW + 10), Some(second));
}

#[test]
fn a_flood_of_due_jobs_is_worked_off_whole() {
    let scratch = Scratch::new();
    scratch.write(|c| {
        for n in 0..200 {
            add(c, &due_at(NOW + n));
        }
        Ok(())
    });
    let mut conn = scratch.store.connection().unwrap();
    let mut seen = Vec::new();
    while let Some(id) = take(&mut conn, JobKind::Event, NOW + 1_000) {
        seen.push(id);
    }
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen.len(), 200);
}

#[test]
fn the_next_due_time_tells_a_worker_how_long_to_sleep() {
    let scratch = Scratch::new();
    let mut conn = scratch.store.connection().unwrap();
    let due = |c: &mut Conn, now| next_due(c, JobKind::Event, now).unwrap();
    assert_eq!(due(&mut conn, NOW), None);
    let late = add(&mut conn, &due_at(NOW + 100));
    add(&mut conn, &due_at(NOW + 300));
    assert_eq!(due(&mut conn, NOW), Some(NOW + 100));
    assert_eq!(due(&mut conn, NOW + 200), Some(NOW + 100), "past");
    assert_eq!(next_due(&mut conn, JobKind::Agent, NOW).unwrap(), None);
    let now = add(&mut conn, &plain(JobKind::Event));
    assert_eq!(due(&mut conn, NOW), Some(NOW));
    assert_eq!(take(&mut conn, JobKind::Event, NOW), Some(now));
    assert_eq!(take(&mut conn, JobKind::Event, NOW + 100), Some(late));
    assert_eq!(due(&mut conn, NOW + 100), Some(NOW + 300));
}

#[test]
fn a_job_that_waits_for_its_key_is_not_due_and_cannot_be_picked() {
    let scratch = Scratch::new();
    let mut conn = scratch.store.connection().unwrap();
    let head = add(&mut conn, &keyed(JobKind::Event, "k"));
    let next = add(&mut conn, &keyed(JobKind::Event, "k"));
    assert_eq!(claim_by_id(&mut conn, next, "w", NOW).unwrap(), None, "its turn has not come");
    assert_eq!(take(&mut conn, JobKind::Event, NOW), Some(head));
    assert_eq!(next_due(&mut conn, JobKind::Event, NOW).unwrap(), None);
    assert_eq!(claim_by_id(&mut conn, next, "w", NOW).unwrap(), None);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// Against the rule in words: of those that are due, the lowest id.
    #[test]
    fn any_mix_of_waits_is_claimed_oldest_first(waits in proptest::collection::vec(proptest::option::of(0i64..50), 1..40)) {
        let scratch = Scratch::new();
        let mut conn = scratch.store.connection().unwrap();
        let mut open: Vec<(i64, i64)> = waits
            .iter()
            .map(|wait| {
                let new = NewJob { available_at: wait.map(|w| NOW + w), ..plain(JobKind::Event) };
                (add(&mut conn, &new), wait.map_or(i64::MIN, |w| NOW + w))
            })
            .collect();
        for tick in 0..52 {
            let now = NOW + tick;
            let expected = open.iter().position(|(_, at)| *at <= now).map(|at| open.remove(at).0);
            prop_assert_eq!(take(&mut conn, JobKind::Event, now), expected);
        }
    }
}
