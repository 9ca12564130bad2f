//! Intake: one delivery is one job, however often it comes.

use super::*;
use crate::domain::job::{JobEnd, JobStatus};
use crate::store::deliveries::{EventPayload, Intake, NewDelivery, Source, insert, known, last_about, last_received};
use serde_json::value::RawValue;
use std::sync::Barrier;

fn delivery(source: Source, key: &[u8]) -> NewDelivery {
    NewDelivery {
        source,
        key: key.to_vec(),
        order_key: Some("plane:w1".into()),
        repo: Some("acme/app".into()),
        payload: r#"{"source":"plane","body":{}}"#.into(),
    }
}

#[test]
fn a_delivery_seen_before_inserts_nothing() {
    let scratch = Scratch::new();
    let mut conn = scratch.store.connection().unwrap();
    let Intake::Queued(id) = insert(&mut conn, &delivery(Source::Plane, b"k"), NOW).unwrap() else { panic!("new") };
    let found = job(&mut conn, id);
    assert_eq!((found.kind, found.status, found.max_attempts), (JobKind::Event, JobStatus::Queued, 20));
    assert_eq!((found.order_key.as_deref(), found.repo.as_deref()), (Some("plane:w1"), Some("acme/app")));
    for _ in 0..3 {
        assert_eq!(insert(&mut conn, &delivery(Source::Plane, b"k"), NOW + 9).unwrap(), Intake::Duplicate(id));
    }
    let others = [(Source::Gitea, b"k".as_slice()), (Source::Plane, b"K"), (Source::Plane, b"")];
    for (source, key) in others {
        assert!(matches!(insert(&mut conn, &delivery(source, key), NOW).unwrap(), Intake::Queued(n) if n != id));
    }
    assert_eq!(number(&mut conn, "SELECT count(*) AS n FROM jobs"), 4);
    assert_eq!(known(&mut conn, Source::Plane, b"k").unwrap(), Some(id));
    assert_eq!(known(&mut conn, Source::Plane, b"none").unwrap(), None);
    assert_eq!(last_received(&mut conn, Source::Plane).unwrap(), Some(NOW));
    assert_eq!(last_about(&mut conn, "Acme/App").unwrap(), Some(NOW), "as the forge spells it");
    assert_eq!(last_about(&mut conn, "acme/other").unwrap(), None);
}

#[test]
fn the_key_outlives_the_body() {
    let scratch = Scratch::new();
    let mut conn = scratch.store.connection().unwrap();
    let first = insert(&mut conn, &delivery(Source::Gitea, b"k"), NOW).unwrap();
    diesel::sql_query("DELETE FROM jobs").execute(&mut *conn).unwrap();
    let Intake::Queued(id) = first else { panic!("{first:?}") };
    assert_eq!(insert(&mut conn, &delivery(Source::Gitea, b"k"), NOW).unwrap(), Intake::Duplicate(id));
    assert_eq!(number(&mut conn, "SELECT count(*) AS n FROM jobs"), 0);
}

#[test]
fn of_the_same_delivery_at_the_same_time_one_is_new() {
    let scratch = Scratch::new();
    let start = Barrier::new(4);
    let intakes: Vec<Intake> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    start.wait();
                    scratch.write(|c| insert(c, &delivery(Source::Gitea, b"same"), NOW))
                })
            })
            .collect();
        threads.into_iter().map(|t| t.join().unwrap()).collect()
    });
    let new: Vec<i64> =
        intakes.iter().filter_map(|i| if let Intake::Queued(id) = i { Some(*id) } else { None }).collect();
    assert_eq!(new.len(), 1, "{intakes:?}");
    assert!(intakes.iter().all(|i| matches!(i, Intake::Queued(id) | Intake::Duplicate(id) if *id == new[0])));
}

#[test]
fn a_payload_keeps_the_body_as_it_came() {
    let body = "{ \"b\": 1.50,\n  \"a\": \"\\u0041\" }";
    let payload = EventPayload {
        source: Source::Plane,
        event: Some("issue".into()),
        event_type: None,
        delivery: None,
        body: serde_json::from_str::<&RawValue>(body).unwrap(),
    };
    let text = serde_json::to_string(&payload).unwrap();
    let read: EventPayload = serde_json::from_str(&text).unwrap();
    assert_eq!(read.body.get(), body);
    assert!(!text.contains("event_type"));
}

fn deliver(key: &str, order: Option<&str>) -> NewDelivery {
    NewDelivery {
        source: Source::Gitea,
        key: key.into(),
        order_key: order.map(Into::into),
        repo: None,
        payload: "{}".into(),
    }
}

#[test]
fn deliveries_of_a_key_are_claimed_one_at_a_time_in_the_order_of_their_coming() {
    let scratch = Scratch::new();
    let all = [deliver("a", Some("k")), deliver("b", Some("k")), deliver("c", None), deliver("d", Some("other"))];
    scratch.write(|c| all.iter().try_for_each(|new| insert(c, new, NOW).map(drop)));
    let mut conn = scratch.store.connection().unwrap();
    let ready: Vec<bool> = (1..=4).map(|id| job(&mut conn, id).ready).collect();
    assert_eq!(ready, [true, false, true, true]);
    assert_eq!(jobs::counts(&mut conn).unwrap()[&JobKind::Event]["queued"], 4);
    assert_eq!(jobs::next_due(&mut conn, JobKind::Event, NOW).unwrap(), Some(NOW));
    assert_eq!(jobs::next_due(&mut conn, JobKind::Agent, NOW).unwrap(), None);
    // Events that are not deliveries have their place among them.
    let late = add(&mut conn, &keyed(JobKind::Event, "k"));
    scratch.write(|c| insert(c, &deliver("e", Some("k")), NOW));
    let claim = || scratch.write(|c| jobs::claim(c, JobKind::Event, "w", NOW));
    let taken: Vec<Job> = std::iter::from_fn(claim).collect();
    assert_eq!(taken.iter().map(|j| j.id).collect::<Vec<_>>(), [1, 3, 4]);
    assert_eq!(jobs::next_due(&mut conn, JobKind::Event, NOW).unwrap(), None, "the others wait for their key");
    let mut running = taken[0].clone();
    for expected in [2, late, late + 1] {
        assert!(jobs::finish(&mut conn, &running, &JobEnd::Done { note: None }, NOW).unwrap());
        running = claim().unwrap();
        assert_eq!(running.id, expected);
    }
    assert_eq!(jobs::counts(&mut conn).unwrap()[&JobKind::Event]["queued"], 0);
}

#[test]
fn a_delivery_that_is_cancelled_and_put_back_stands_among_the_others_again() {
    let scratch = Scratch::new();
    scratch.write(|c| insert(c, &deliver("a", Some("k")), NOW));
    scratch.write(|c| jobs::cancel(c, 1, "not wanted", NOW));
    assert_eq!(scratch.write(|c| jobs::claim(c, JobKind::Event, "w", NOW)), None);
    assert!(scratch.write(|c| jobs::retry(c, 1)));
    scratch.write(|c| insert(c, &deliver("b", Some("k")), NOW));
    let taken: Vec<_> = (0..2).map(|_| scratch.write(|c| jobs::claim(c, JobKind::Event, "w", NOW))).collect();
    assert_eq!(taken.iter().map(|job| job.as_ref().map(|j| j.id)).collect::<Vec<_>>(), [Some(1), None]);
}

/// The database keeps the promise, whatever the program does.
#[test]
fn the_same_delivery_twice_is_impossible_even_by_hand() {
    let scratch = Scratch::new();
    let first = scratch.write(|c| insert(c, &deliver("a", None), NOW));
    let mut conn = scratch.store.connection().unwrap();
    let again = "INSERT INTO deliveries (job_id, source, key, received_at) SELECT 99, source, key, 0 FROM deliveries";
    assert!(diesel::sql_query(again).execute(&mut *conn).is_err());
    assert_eq!(first, Intake::Queued(1));
}

#[test]
fn a_long_payload_is_stored_short_and_read_as_it_came() {
    let scratch = Scratch::new();
    let text =
        format!(r#"{{"source":"gitea","event":"push","delivery":"d","body":{{"x":"{}"}}}}"#, "häufig ".repeat(400));
    let new = NewDelivery { payload: text.as_str().into(), ..deliver("a", None) };
    assert_eq!(scratch.write(|c| insert(c, &new, NOW)), Intake::Queued(1));
    let mut conn = scratch.store.connection().unwrap();
    assert_eq!(job(&mut conn, 1).payload, text);
    assert!(number(&mut conn, "SELECT length(CAST(payload AS BLOB)) AS n FROM jobs") < 400);
    let events = jobs::newest_events(&mut conn, 5).unwrap();
    assert_eq!((events[0].event.as_deref(), events[0].source.as_deref()), (Some("push"), Some("gitea")));
    assert_eq!((events[0].delivery.as_deref(), events[0].bytes), (Some("d"), text.len() as i64));
    let claimed = scratch.write(|c| jobs::claim(c, JobKind::Event, "w", NOW)).unwrap();
    assert_eq!(claimed.payload, text);
    assert!(scratch.write(|c| jobs::finish(c, &claimed, &JobEnd::Done { note: None }, NOW)));
    assert_eq!(job(&mut conn, 1).payload, text, "an update leaves it as it is");
    diesel::sql_query("UPDATE jobs SET payload = x'0128b52ffd00'").execute(&mut *conn).unwrap();
    let damaged = jobs::get(&mut conn, 1).unwrap_err().to_string();
    assert!(damaged.contains("payload is damaged"), "{damaged}");
}

#[test]
fn what_a_failed_transaction_inserted_is_not_known() {
    let scratch = Scratch::new();
    let failed: Result<(), StoreError> = scratch.store.write_now(|c| {
        insert(c, &deliver("a", None), NOW)?;
        Err(StoreError::Corrupt("it failed".into()))
    });
    assert!(failed.is_err());
    assert_eq!(scratch.write(|c| insert(c, &deliver("a", None), NOW)), Intake::Queued(1));
}

#[test]
fn ids_are_kept_short_and_told_apart_all_the_same() {
    let scratch = Scratch::new();
    let uuid = "0190a6f0-5f3c-7c1e-9b7a-3d2f1e0c9b8a";
    let spellings = [uuid.to_owned(), uuid.to_uppercase(), uuid.replace('-', ""), format!("{{{uuid}}}")];
    for (n, key) in spellings.iter().enumerate() {
        let new = NewDelivery {
            source: Source::Gitea,
            key: key.clone().into_bytes(),
            order_key: None,
            repo: None,
            payload: "{}".into(),
        };
        let first = scratch.write(|c| insert(c, &new, NOW));
        assert!(matches!(first, Intake::Queued(id) if id == n as i64 + 1), "{key}: {first:?}");
        assert_eq!(scratch.write(|c| insert(c, &new, NOW)), Intake::Duplicate(n as i64 + 1), "{key}");
    }
    let shortest = number(&mut scratch.store.connection().unwrap(), "SELECT min(length(key)) AS n FROM deliveries");
    assert_eq!(shortest, 16);
}
