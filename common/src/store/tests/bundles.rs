//! What comes in a crowd is stored in one piece, and nobody can tell afterwards.

use super::*;
use crate::domain::job::JobEnd;
use crate::store::deliveries::{Intake, NewDelivery, Recent, Source, any_bundled, insert, known, unbundle_oldest};
use crate::store::heard;

fn delivery(n: usize) -> NewDelivery {
    let source = if n.is_multiple_of(3) { Source::Plane } else { Source::Gitea };
    NewDelivery {
        source,
        key: format!("key-{n}").into_bytes(),
        order_key: (!n.is_multiple_of(5)).then(|| format!("k{}", n % 4)),
        repo: n.is_multiple_of(2).then(|| "acme/app".into()),
        payload: crate::store::payload::Packed::later(format!(r#"{{"source":"{source}","n":{n},"body":"#), "{}".into()),
    }
}

fn text(n: usize) -> String {
    delivery(n).payload.text().unwrap()
}

fn crowd(scratch: &Scratch, recent: &mut Recent, of: std::ops::Range<usize>) -> Vec<Intake> {
    let all: Vec<NewDelivery> = of.map(delivery).collect();
    let outcomes = scratch.write(|c| recent.insert_all(c, all.iter(), NOW));
    recent.committed();
    outcomes
}

fn rows(conn: &mut Conn, table: &str) -> i64 {
    number(conn, &format!("SELECT count(*) AS n FROM {table}"))
}

#[test]
fn a_crowd_is_one_row_until_it_is_taken_apart() {
    let scratch = Scratch::new();
    let mut recent = Recent::default();
    let outcomes = crowd(&scratch, &mut recent, 0..30);
    assert!(recent.has_bundled());
    assert!(outcomes.iter().zip(1..).all(|(outcome, id)| *outcome == Intake::Queued(id)), "{outcomes:?}");
    let mut conn = scratch.store.connection().unwrap();
    assert_eq!((rows(&mut conn, "bundles"), rows(&mut conn, "jobs"), rows(&mut conn, "deliveries")), (1, 1, 1));
    assert_eq!(jobs::counts(&mut conn).unwrap()[&JobKind::Event]["queued"], 30, "they count before that");
    assert_eq!(jobs::next_due(&mut conn, JobKind::Event, NOW).unwrap(), Some(NOW), "there is something to claim");
    assert_eq!(heard::of_repo(&mut conn, "acme/app").unwrap(), None, "and something that nobody has looked at");

    assert!(any_bundled(&mut conn).unwrap());
    assert_eq!(scratch.write(unbundle_oldest), 29);
    assert_eq!((rows(&mut conn, "bundles"), rows(&mut conn, "jobs"), rows(&mut conn, "deliveries")), (0, 30, 30));
    assert_eq!(jobs::counts(&mut conn).unwrap()[&JobKind::Event]["queued"], 30);
    for (n, id) in (0..30).zip(1..) {
        let found = job(&mut conn, id);
        let NewDelivery { order_key, repo, source, key, .. } = delivery(n);
        assert_eq!((found.order_key, found.repo, found.payload), (order_key, repo, text(n)));
        assert_eq!(
            (found.status.as_str(), found.max_attempts, found.placed, found.created_at),
            ("queued", 20, None, NOW)
        );
        assert_eq!(known(&mut conn, source, &key).unwrap(), Some(id));
    }
    assert_eq!(scratch.write(unbundle_oldest), 0);
    assert!(!any_bundled(&mut conn).unwrap());
}

#[test]
fn few_or_large_ones_are_rows_at_once() {
    let scratch = Scratch::new();
    let mut recent = Recent::default();
    crowd(&scratch, &mut recent, 0..11);
    assert!(!recent.has_bundled());
    let mut large: Vec<NewDelivery> = (100..120).map(delivery).collect();
    large[3].payload =
        crate::store::payload::Packed::later("{\"body\":".into(), format!("\"{}\"", "x".repeat(300_000)));
    scratch.write(|c| recent.insert_all(c, large.iter(), NOW));
    recent.committed();
    let mut conn = scratch.store.connection().unwrap();
    assert_eq!((rows(&mut conn, "bundles"), rows(&mut conn, "jobs")), (0, 31));
    assert_eq!(job(&mut conn, 15).payload.len(), 300_011);
}

/// Of other processes, after a restart, and before and after it is taken apart.
#[test]
fn what_is_in_a_bundle_is_known_to_everybody() {
    let scratch = Scratch::new();
    let mut other = Recent::default();
    crowd(&scratch, &mut other, 0..15);
    crowd(&scratch, &mut Recent::default(), 15..40);
    let again = |recent: &mut Recent| {
        let outcomes = crowd(&scratch, recent, 0..40);
        assert!(outcomes.iter().zip(1..).all(|(outcome, id)| *outcome == Intake::Duplicate(id)), "{outcomes:?}");
    };
    let mut conn = scratch.store.connection().unwrap();
    again(&mut other);
    again(&mut Recent::default());
    for n in 0..40 {
        let NewDelivery { source, key, .. } = delivery(n);
        assert_eq!(known(&mut conn, source, &key).unwrap(), Some(n as i64 + 1));
        assert_eq!(scratch.write(|c| insert(c, &delivery(n), NOW)), Intake::Duplicate(n as i64 + 1));
    }
    assert_eq!(rows(&mut conn, "bundles"), 2);
    while scratch.write(unbundle_oldest) > 0 {
        again(&mut other);
        again(&mut Recent::default());
    }
    assert_eq!(rows(&mut conn, "jobs"), 40);
}

/// A flood does not wait for the index, and the index does not stay behind.
#[test]
fn keys_of_a_flood_are_brought_in_when_it_is_quiet() {
    const FLOOD: usize = 60_000;
    let scratch = Scratch::new();
    let mut recent = Recent::default();
    let indexed = "SELECT count(*) AS n FROM delivery_keys";
    let mut conn = scratch.store.connection().unwrap();
    for start in (0..FLOOD).step_by(500) {
        crowd(&scratch, &mut recent, start..start + 500);
    }
    assert_eq!(number(&mut conn, indexed), 0);
    let mut other = Recent::default();
    for step in 0.. {
        let more = scratch.write(|c| recent.index_when_quiet(c));
        if step % 3 != 0 {
            recent.committed();
        }
        if !more {
            break;
        }
        assert!(step < 1000, "it comes to an end");
    }
    let known_now = number(&mut conn, indexed);
    assert!((40_000..=60_000).contains(&known_now), "{known_now}");
    assert!(number(&mut conn, "SELECT upto AS n FROM delivery_index") >= 40_000);
    for n in (0..FLOOD).step_by(997) {
        for recent in [&mut recent, &mut other, &mut Recent::default()] {
            assert_eq!(scratch.write(|c| recent.insert(c, &delivery(n), NOW)), Intake::Duplicate(n as i64 + 1));
        }
    }
}

/// Crowds, single ones and jobs of other kinds: nobody gets a number twice, and each key keeps its order.
#[test]
fn claims_go_by_the_order_of_coming() {
    let scratch = Scratch::new();
    let mut recent = Recent::default();
    let mut others = Vec::new();
    let mut conn = scratch.store.connection().unwrap();
    for start in (0..320).step_by(40) {
        crowd(&scratch, &mut recent, start..start + 36);
        others.push(add(&mut conn, &plain(JobKind::Effect)));
        crowd(&scratch, &mut recent, start + 36..start + 40);
    }
    let mut done: Vec<(i64, String)> = Vec::new();
    while let Some(next) = scratch.write(|c| jobs::claim(c, JobKind::Event, "w", NOW)) {
        assert!(scratch.write(|c| jobs::finish(c, &next, &JobEnd::Done { note: None }, NOW)));
        done.push((next.id, next.payload));
    }
    assert!(done.is_sorted(), "oldest first");
    let came: Vec<String> = (0..320).map(text).collect();
    assert_eq!(done.iter().map(|(_, payload)| payload.clone()).collect::<Vec<_>>(), came);
    assert!(others.iter().all(|id| done.iter().all(|(other, _)| other != id)));
    assert_eq!(jobs::counts(&mut conn).unwrap()[&JobKind::Event]["done"], 320);
    assert_eq!(rows(&mut conn, "bundles"), 0);
}

#[test]
fn an_event_that_comes_behind_a_bundle_waits_for_it() {
    let scratch = Scratch::new();
    crowd(&scratch, &mut Recent::default(), 0..20);
    scratch.write(|c| jobs::cancel(c, 20, "not wanted", NOW));
    let late = add(&mut scratch.store.connection().unwrap(), &keyed(JobKind::Event, "k1"));
    assert_eq!(job(&mut scratch.store.connection().unwrap(), late).placed, None);
    let mut taken = Vec::new();
    while let Some(next) = scratch.write(|c| jobs::claim(c, JobKind::Event, "w", NOW)) {
        assert!(scratch.write(|c| jobs::finish(c, &next, &JobEnd::Done { note: None }, NOW)));
        taken.push(next.id);
    }
    assert_eq!(taken, (1..20).chain([late]).collect::<Vec<i64>>());
}

/// What was accepted is never in the way of what comes after it, and not lost.
#[test]
fn what_cannot_be_stored_as_it_was_becomes_a_job_all_the_same() {
    let scratch = Scratch::new();
    let mut conn = scratch.store.connection().unwrap();
    crowd(&scratch, &mut Recent::default(), 0..15);
    diesel::sql_query("CREATE UNIQUE INDEX one_per_repo ON jobs (repo)").execute(&mut *conn).unwrap();
    assert_eq!(scratch.write(unbundle_oldest), 14);
    assert_eq!((rows(&mut conn, "jobs"), rows(&mut conn, "jobs WHERE repo IS NOT NULL")), (15, 1));
    assert_eq!(job(&mut conn, 3).payload, text(2));
    diesel::sql_query("DROP INDEX one_per_repo").execute(&mut *conn).unwrap();

    for (column, from) in [("contents", 15), ("keys", 30)] {
        crowd(&scratch, &mut Recent::default(), from..from + 15);
        diesel::sql_query(format!("UPDATE bundles SET {column} = substr({column}, 1, 13)"))
            .execute(&mut *conn)
            .unwrap();
        assert_eq!(scratch.write(unbundle_oldest), 14);
    }
    let damaged = number(&mut conn, "SELECT count(*) AS n FROM jobs WHERE payload LIKE '%is damaged%'");
    assert_eq!((rows(&mut conn, "jobs"), damaged, rows(&mut conn, "deliveries")), (45, 14, 31));
    let first = scratch.write(|c| jobs::claim(c, JobKind::Event, "w", NOW)).unwrap();
    assert_eq!(first.id, 1);
}

proptest::proptest! {
    #![proptest_config(proptest::test_runner::Config { cases: 32, ..Default::default() })]
    #[test]
    fn every_delivery_comes_out_as_it_went_in(
        texts in proptest::collection::vec(("\\PC{0,40}", proptest::option::of("\\PC{0,9}"), proptest::option::of("\\PC{0,9}")), 13..40)
    ) {
        let scratch = Scratch::new();
        let all: Vec<NewDelivery> = texts.iter().enumerate().map(|(n, (payload, order_key, repo))| NewDelivery {
            source: Source::Gitea,
            key: n.to_string().into_bytes(),
            order_key: order_key.clone(),
            repo: repo.clone(),
            payload: payload.as_str().into(),
        }).collect();
        scratch.write(|c| Recent::default().insert_all(c, all.iter(), NOW));
        proptest::prop_assert_eq!(scratch.write(unbundle_oldest), all.len() - 1);
        let mut conn = scratch.store.connection().unwrap();
        for (new, id) in texts.iter().zip(1..) {
            let found = job(&mut conn, id);
            proptest::prop_assert_eq!(&(found.payload, found.order_key, found.repo), new);
        }
    }
}
