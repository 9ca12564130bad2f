//! Forgetting: what ended long ago, a little at a time, never the newest id.

use super::*;
use crate::domain::job::JobEnd;
use crate::store::cursors;
use crate::store::deliveries::{Intake, NewDelivery, Source};
use crate::store::retention::{Pruned, STEP, prune_step};
use diesel::sql_query;

const OLD: i64 = NOW - 40 * 86_400_000;
const MONTH_AGO: i64 = NOW - 30 * 86_400_000;
const KEYS_BEFORE: i64 = NOW - 90 * 86_400_000;

/// `n` finished jobs that ended at `at`.
fn finished(conn: &mut Conn, n: usize, at: i64) {
    for _ in 0..n {
        let id = jobs::enqueue(conn, &plain(JobKind::Event), at).unwrap().unwrap();
        let taken = jobs::claim_by_id(conn, id, "w", at).unwrap().unwrap();
        assert!(jobs::finish(conn, &taken, &JobEnd::Done { note: None }, at).unwrap());
    }
}

fn left(conn: &mut Conn) -> i64 {
    number(conn, "SELECT count(*) AS n FROM jobs")
}

#[test]
fn a_step_is_bounded_and_steps_come_to_an_end() {
    let scratch = Scratch::new();
    let step = usize::try_from(STEP).unwrap();
    scratch.write(|c| {
        finished(c, step + 50, OLD);
        finished(c, 3, NOW);
        add(c, &plain(JobKind::Agent));
        Ok(())
    });
    let prune = |after| scratch.write(|c| prune_step(c, after, MONTH_AGO, KEYS_BEFORE));
    assert_eq!(prune(0), Pruned { jobs: step, looked_upto: Some(STEP), ..Pruned::default() });
    assert_eq!(prune(STEP), Pruned { jobs: 50, ..Pruned::default() });
    assert!(prune(i64::MAX).is_empty());
    assert!(prune(0).is_empty());
    let mut conn = scratch.store.connection().unwrap();
    assert_eq!(left(&mut conn), 4, "the young and the unfinished stay");
    let counts = jobs::counts(&mut conn).unwrap();
    assert_eq!((counts[&JobKind::Event]["done"], counts[&JobKind::Agent]["queued"]), (3, 1));
}

#[test]
fn old_jobs_that_have_not_ended_are_passed_by() {
    let scratch = Scratch::new();
    scratch.write(|c| {
        for _ in 0..2_500 {
            jobs::enqueue(c, &plain(JobKind::Effect), OLD)?;
        }
        finished(c, 30, OLD);
        finished(c, 1, NOW);
        Ok(())
    });
    let (mut after, mut removed, mut steps) = (0, 0, 0);
    loop {
        let pruned = scratch.write(|c| prune_step(c, after, MONTH_AGO, KEYS_BEFORE));
        removed += pruned.jobs;
        steps += 1;
        let Some(upto) = pruned.looked_upto else { break };
        assert!(upto > after);
        after = upto;
    }
    assert_eq!((removed, steps), (30, 3));
}

#[test]
fn the_newest_id_is_never_given_twice() {
    let scratch = Scratch::new();
    let mut conn = scratch.store.connection().unwrap();
    finished(&mut conn, 5, OLD);
    let newest = number(&mut conn, "SELECT max(id) AS n FROM jobs");
    while !scratch.write(|c| prune_step(c, 0, MONTH_AGO, KEYS_BEFORE)).is_empty() {}
    assert_eq!(left(&mut conn), 1);
    assert!(add(&mut conn, &plain(JobKind::Event)) > newest);
}

#[test]
fn what_is_unfinished_is_never_forgotten_however_old() {
    let scratch = Scratch::new();
    let mut conn = scratch.store.connection().unwrap();
    let waiting = jobs::enqueue(&mut conn, &plain(JobKind::Effect), 0).unwrap().unwrap();
    let running = jobs::enqueue(&mut conn, &plain(JobKind::Effect), 0).unwrap().unwrap();
    jobs::claim_by_id(&mut conn, running, "w", 0).unwrap().unwrap();
    finished(&mut conn, 1, NOW);
    assert!(scratch.write(|c| prune_step(c, 0, i64::MAX - 1, i64::MAX - 1)).is_empty());
    assert_eq!((job(&mut conn, waiting).id, job(&mut conn, running).id), (waiting, running));
}

#[test]
fn keys_of_deliveries_outlive_bodies_and_are_bounded_too() {
    let scratch = Scratch::new();
    let step = usize::try_from(STEP).unwrap();
    let deliver = |conn: &mut Conn, source, n: usize, at| {
        for i in 0..n {
            let key = format!("{at}:{i}").into_bytes();
            let new = NewDelivery { source, key, order_key: None, repo: None, payload: "{}".into() };
            assert!(matches!(crate::store::deliveries::insert(conn, &new, at).unwrap(), Intake::Queued(_)));
        }
    };
    scratch.write(|c| {
        deliver(c, Source::Plane, step + 5, KEYS_BEFORE - 1);
        deliver(c, Source::Gitea, 7, KEYS_BEFORE - 1);
        deliver(c, Source::Plane, 3, OLD);
        Ok(())
    });
    let prune = || scratch.write(|c| prune_step(c, 0, 0, KEYS_BEFORE)).deliveries;
    assert_eq!((prune(), prune(), prune()), (step, 12, 0));
    assert_eq!(number(&mut scratch.store.connection().unwrap(), "SELECT count(*) AS n FROM deliveries"), 3);
}

#[test]
fn a_deed_is_remembered_as_long_as_a_task_of_its_time_is_open() {
    let scratch = Scratch::new();
    let step = usize::try_from(STEP).unwrap();
    let task = scratch.write(|c| {
        for n in 0..step + 9 {
            cursors::put(c, &format!("comment:{n}"), "approve", KEYS_BEFORE - 5)?;
        }
        for name in ["review:acme/widgets:7", "moved:item:state", "plane:since:p", "telegram:chat:-1", "commentary"] {
            cursors::put(c, name, "1", KEYS_BEFORE - 5)?;
        }
        cursors::put(c, "comment:young", "approve", NOW)?;
        let task = add_task(c, 1);
        sql_query(format!("UPDATE tasks SET created_at = {}", KEYS_BEFORE - 9)).execute(c)?;
        Ok(task)
    });
    let prune = || scratch.write(|c| prune_step(c, 0, 0, KEYS_BEFORE)).deeds;
    assert_eq!(prune(), 0, "its thread may still be read");
    scratch.write(|c| Ok(sql_query(format!("UPDATE tasks SET state='done' WHERE id={}", task.id)).execute(c)?));
    assert_eq!((prune(), prune(), prune()), (step, 11, 0));
    let left = "SELECT count(*) AS n FROM cursors";
    assert_eq!(number(&mut scratch.store.connection().unwrap(), left), 4, "positions are no deeds");
}
