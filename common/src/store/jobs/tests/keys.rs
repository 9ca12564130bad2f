//! Order within a key, whatever happens to its jobs, and counters that are never off.

use super::*;
use crate::domain::job::{JobEnd, JobKind, JobStatus, Spend};
use crate::store::Conn;
use crate::store::jobs::{Job, NewJob, claim, effects_of_task, finish, get, step_aside};
use diesel::prelude::*;
use proptest::prelude::*;
use std::collections::BTreeMap;

fn take(conn: &mut Conn) -> Option<Job> {
    claim(conn, JobKind::Effect, "w", NOW).unwrap()
}

fn end(conn: &mut Conn, job: &Job, end: &JobEnd) {
    assert!(finish(conn, job, end, NOW).unwrap());
}

#[test]
fn jobs_of_one_key_run_one_at_a_time_in_order_and_others_beside_them() {
    let scratch = Scratch::new();
    let mut conn = scratch.store.connection().unwrap();
    let a: Vec<i64> = (0..3).map(|_| add(&mut conn, &keyed(JobKind::Effect, "a"))).collect();
    let b = add(&mut conn, &keyed(JobKind::Effect, "b"));
    let free = add(&mut conn, &plain(JobKind::Effect));
    let first = take(&mut conn).unwrap();
    let beside: Vec<i64> = std::iter::from_fn(|| take(&mut conn).map(|j| j.id)).collect();
    assert_eq!((first.id, beside), (a[0], vec![b, free]));
    end(&mut conn, &first, &JobEnd::Done { note: None });
    let second = take(&mut conn).unwrap();
    assert_eq!(second.id, a[1]);
    assert!(take(&mut conn).is_none());
    end(&mut conn, &second, &JobEnd::Failed { error: "x".into() });
    assert_eq!(take(&mut conn).map(|j| j.id), Some(a[2]), "a failed one does not hold up the next");
}

#[test]
fn a_job_that_waits_holds_its_place() {
    let scratch = Scratch::new();
    let mut conn = scratch.store.connection().unwrap();
    let ids: Vec<i64> = (0..2).map(|_| add(&mut conn, &keyed(JobKind::Effect, "a"))).collect();
    let first = take(&mut conn).unwrap();
    let later = JobEnd::Again { at: Some(NOW + 100), error: "503".into(), spend: Spend::Attempt };
    end(&mut conn, &first, &later);
    assert!(take(&mut conn).is_none(), "order before speed");
    assert_eq!(claim(&mut conn, JobKind::Effect, "w", NOW + 100).unwrap().map(|j| j.id), Some(ids[0]));
}

/// What fails again and again keeps trying by itself; those behind it go on, one at a time as ever.
#[test]
fn a_job_that_steps_aside_lets_the_next_of_its_key_go_on() {
    let scratch = Scratch::new();
    let mut conn = scratch.store.connection().unwrap();
    let key = "task:1:plane";
    let ids: Vec<i64> = (0..3).map(|_| add(&mut conn, &keyed(JobKind::Effect, key))).collect();
    let first = take(&mut conn).unwrap();
    assert!(take(&mut conn).is_none());
    assert!(step_aside(&mut conn, &first).unwrap());
    let aside = get(&mut conn, first.id).unwrap().unwrap();
    assert_eq!(aside.order_key.as_deref(), Some(format!("job:{}:plane", first.id).as_str()), "it goes where it went");
    assert!(!step_aside(&mut conn, &aside).unwrap(), "once");
    let later = JobEnd::Again { at: Some(NOW + 100), error: "500".into(), spend: Spend::Attempt };
    end(&mut conn, &first, &later);
    let second = take(&mut conn).unwrap();
    assert_eq!(second.id, ids[1]);
    assert!(take(&mut conn).is_none(), "the third waits for the second");
    let again = claim(&mut conn, JobKind::Effect, "w", NOW + 100).unwrap().unwrap();
    assert_eq!((again.id, again.attempts), (ids[0], 2), "by itself, beside the others");
    assert!(!step_aside(&mut conn, &again).unwrap());
    end(&mut conn, &again, &JobEnd::Done { note: None });
    assert!(take(&mut conn).is_none());
    end(&mut conn, &second, &JobEnd::Done { note: None });
    assert_eq!(take(&mut conn).map(|j| j.id), Some(ids[2]));
}

#[test]
fn only_its_owner_lets_a_job_step_aside() {
    let scratch = Scratch::new();
    let mut conn = scratch.store.connection().unwrap();
    for _ in 0..2 {
        add(&mut conn, &keyed(JobKind::Effect, "a"));
    }
    let first = take(&mut conn).unwrap();
    let stale = Job { started_at: Some(NOW - 1), ..first.clone() };
    let strange = Job { worker: Some("other".into()), ..first.clone() };
    assert!(!step_aside(&mut conn, &stale).unwrap() && !step_aside(&mut conn, &strange).unwrap());
    assert!(take(&mut conn).is_none());
    assert!(step_aside(&mut conn, &first).unwrap());
    assert_eq!(get(&mut conn, first.id).unwrap().unwrap().order_key, Some(format!("job:{}", first.id)));
}

#[test]
fn the_effects_of_a_task_are_told_by_their_name() {
    let scratch = Scratch::new();
    let mut conn = scratch.store.connection().unwrap();
    let state = |task| NewJob {
        task_id: task,
        payload: r#"{"effect":"plane_state","project":"p"}"#.into(),
        ..keyed(JobKind::Effect, "a")
    };
    let other = NewJob { payload: r#"{"effect":"plane_state_of_old"}"#.into(), ..state(None) };
    let ids = [state(None), other].map(|new| add(&mut conn, &new));
    assert!(effects_of_task(&mut conn, 1, "plane_state").unwrap().is_empty(), "of no task");
    diesel::sql_query("PRAGMA foreign_keys = OFF").execute(&mut *conn).unwrap();
    diesel::sql_query("UPDATE jobs SET task_id = 1").execute(&mut *conn).unwrap();
    let found = effects_of_task(&mut conn, 1, "plane_state").unwrap();
    assert_eq!(found.iter().map(|j| j.id).collect::<Vec<_>>(), [ids[0]]);
}

#[test]
fn keys_hold_across_kinds() {
    let scratch = Scratch::new();
    let mut conn = scratch.store.connection().unwrap();
    add(&mut conn, &keyed(JobKind::Agent, "task:1"));
    add(&mut conn, &keyed(JobKind::Advance, "task:1"));
    assert!(claim(&mut conn, JobKind::Advance, "w", NOW).unwrap().is_none());
    let agent = claim(&mut conn, JobKind::Agent, "w", NOW).unwrap().unwrap();
    end(&mut conn, &agent, &JobEnd::Done { note: None });
    assert!(claim(&mut conn, JobKind::Advance, "w", NOW).unwrap().is_some());
}

#[test]
fn a_waiting_job_that_is_cancelled_gives_nobody_a_turn() {
    let scratch = Scratch::new();
    let mut conn = scratch.store.connection().unwrap();
    let ids: Vec<i64> = (0..3).map(|_| add(&mut conn, &keyed(JobKind::Effect, "a"))).collect();
    let first = take(&mut conn).unwrap();
    end(&mut conn, &first, &JobEnd::Failed { error: "x".into() });
    assert!(jobs::retry(&mut conn, ids[0]).unwrap(), "the oldest again, but the second has its turn");
    jobs::cancel(&mut conn, ids[2], "x", NOW).unwrap();
    let second = take(&mut conn).unwrap();
    assert_eq!(second.id, ids[1]);
    assert!(take(&mut conn).is_none(), "one at a time");
    end(&mut conn, &second, &JobEnd::Done { note: None });
    assert_eq!(take(&mut conn).map(|j| j.id), Some(ids[0]));
}

#[test]
fn two_running_jobs_of_one_key_are_impossible_even_by_hand() {
    let scratch = Scratch::new();
    let mut conn = scratch.store.connection().unwrap();
    add(&mut conn, &keyed(JobKind::Effect, "a"));
    let second = add(&mut conn, &keyed(JobKind::Effect, "a"));
    take(&mut conn).unwrap();
    let by_hand = format!("UPDATE jobs SET status = 'running', worker = 'x', started_at = 1 WHERE id = {second}");
    assert!(diesel::sql_query(by_hand).execute(&mut *conn).is_err());
}

/// Rows that one statement ends hand the key on one after the other.
#[test]
fn all_jobs_of_a_key_can_be_cancelled_at_once() {
    let scratch = Scratch::new();
    let mut conn = scratch.store.connection().unwrap();
    let task = add_task(&mut conn, 1).id;
    let of_task = |kind| NewJob { task_id: Some(task), ..keyed(kind, "task:1") };
    for kind in [JobKind::Agent, JobKind::Advance, JobKind::Agent] {
        add(&mut conn, &of_task(kind));
    }
    let effect = add(&mut conn, &of_task(JobKind::Effect));
    assert_eq!(jobs::cancel_queued_of_task(&mut conn, task, "x", NOW).unwrap(), 3);
    assert_eq!(take(&mut conn).map(|j| j.id), Some(effect));
    assert_eq!(jobs::counts(&mut conn).unwrap()[&JobKind::Agent]["cancelled"], 2);
}

#[test]
fn two_ready_jobs_of_one_key_are_impossible_even_by_hand() {
    let scratch = Scratch::new();
    let mut conn = scratch.store.connection().unwrap();
    let ids = [0, 1].map(|_| add(&mut conn, &keyed(JobKind::Effect, "a")));
    let by_hand = format!("UPDATE jobs SET ready = 1 WHERE id = {}", ids[1]);
    assert!(diesel::sql_query(by_hand).execute(&mut *conn).is_err());
}

#[derive(Debug, Clone)]
enum Act {
    Enqueue { key: Option<u8>, wait: Option<i64> },
    Claim { later: i64 },
    Finish { which: prop::sample::Index, how: u8 },
    Cancel { which: prop::sample::Index },
    Retry { which: prop::sample::Index },
    Delete { which: prop::sample::Index },
    StepAside { which: prop::sample::Index },
}

fn acts() -> impl Strategy<Value = Act> {
    let which = any::<prop::sample::Index>;
    prop_oneof![
        4 => (proptest::option::weighted(0.8, 0u8..3), proptest::option::weighted(0.3, 0i64..100))
            .prop_map(|(key, wait)| Act::Enqueue { key, wait }),
        4 => (0i64..120).prop_map(|later| Act::Claim { later }),
        3 => (which(), 0u8..4).prop_map(|(which, how)| Act::Finish { which, how }),
        1 => which().prop_map(|which| Act::Cancel { which }),
        2 => which().prop_map(|which| Act::Retry { which }),
        1 => which().prop_map(|which| Act::Delete { which }),
        1 => which().prop_map(|which| Act::StepAside { which }),
    ]
}

/// Every job, by id.
fn all(conn: &mut Conn) -> Vec<Job> {
    crate::store::schema::jobs::table.order(crate::store::schema::jobs::id).select(Job::as_select()).load(conn).unwrap()
}

fn pick(conn: &mut Conn, which: &prop::sample::Index, status: &[JobStatus]) -> Option<Job> {
    let mut found: Vec<Job> = all(conn).into_iter().filter(|j| status.contains(&j.status)).collect();
    (!found.is_empty()).then(|| found.swap_remove(which.index(found.len())))
}

fn act(conn: &mut Conn, act: &Act) {
    match act {
        Act::Enqueue { key, wait } => {
            let mut new = plain(JobKind::Effect);
            new.order_key = key.map(|k| format!("k{k}"));
            new.available_at = wait.map(|w| NOW + w);
            add(conn, &new);
        }
        Act::Claim { later } => {
            claim(conn, JobKind::Effect, "w", NOW + later).unwrap();
        }
        Act::Finish { which, how } => {
            let Some(job) = pick(conn, which, &[JobStatus::Running]) else { return };
            let how = match how {
                0 => JobEnd::Done { note: None },
                1 => JobEnd::Failed { error: "x".into() },
                2 => JobEnd::Again { at: None, error: "x".into(), spend: Spend::Attempt },
                _ => JobEnd::Again { at: Some(NOW + 60), error: "x".into(), spend: Spend::Transient },
            };
            end(conn, &job, &how);
        }
        Act::Cancel { which } => {
            let Some(job) = pick(conn, which, &[JobStatus::Queued]) else { return };
            assert_eq!(jobs::cancel(conn, job.id, "x", NOW).unwrap(), jobs::CancelOutcome::Cancelled);
        }
        Act::Retry { which } => {
            let Some(job) = pick(conn, which, &[JobStatus::Failed, JobStatus::Cancelled]) else { return };
            assert!(jobs::retry(conn, job.id).unwrap());
        }
        Act::StepAside { which } => {
            let Some(job) = pick(conn, which, &[JobStatus::Running]) else { return };
            step_aside(conn, &job).unwrap();
        }
        Act::Delete { which } => {
            let Some(job) = pick(conn, which, JobStatus::ALL) else { return };
            diesel::delete(crate::store::schema::jobs::table.find(job.id)).execute(conn).unwrap();
        }
    }
}

fn holds(conn: &mut Conn) -> Result<(), TestCaseError> {
    let rows = all(conn);
    let mut heads: BTreeMap<&str, Vec<&Job>> = BTreeMap::new();
    for job in rows.iter().filter(|j| !j.status.is_finished()) {
        prop_assert!(job.ready || job.status == JobStatus::Queued, "only a ready job runs: {:?}", job);
        match &job.order_key {
            None => prop_assert!(job.ready, "a job without a key never waits: {:?}", job),
            Some(key) => heads.entry(key).or_default().push(job),
        }
    }
    for (key, jobs) in heads {
        let ready = jobs.iter().filter(|j| j.ready).count();
        prop_assert_eq!(ready, 1, "{} of {} unfinished jobs of {} are ready", ready, jobs.len(), key);
    }
    let mut recount: BTreeMap<(JobKind, &str), i64> = BTreeMap::new();
    for job in &rows {
        *recount.entry((job.kind, job.status.as_str())).or_default() += 1;
    }
    for (kind, counts) in jobs::counts(conn).unwrap() {
        for (status, n) in counts {
            prop_assert_eq!(n, recount.get(&(kind, status)).copied().unwrap_or(0), "{} {}", kind, status);
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(80))]

    #[test]
    fn exactly_one_unfinished_job_of_a_key_is_ready(sequence in proptest::collection::vec(acts(), 1..60)) {
        let scratch = Scratch::new();
        let mut conn = scratch.store.connection().unwrap();
        for step in &sequence {
            act(&mut conn, step);
            holds(&mut conn)?;
        }
        // Whatever happened, everything that is queued can be worked off.
        let mut left = 0;
        loop {
            let running: Vec<Job> = all(&mut conn).into_iter().filter(|j| j.status == JobStatus::Running).collect();
            for job in &running {
                end(&mut conn, job, &JobEnd::Done { note: None });
            }
            if claim(&mut conn, JobKind::Effect, "w", NOW + 1_000).unwrap().is_none() {
                break;
            }
            left += 1;
            prop_assert!(left <= sequence.len());
        }
        let open = all(&mut conn).into_iter().filter(|j| !j.status.is_finished()).count();
        prop_assert_eq!(open, 0);
    }
}
