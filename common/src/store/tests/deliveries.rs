//! Intake: one delivery is one job, however often it comes.

use super::*;
use crate::domain::job::JobStatus;
use crate::store::deliveries::{EventPayload, Intake, NewDelivery, Source, insert, known, last_received};
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

#[test]
fn a_delivery_behind_another_of_its_key_waits_from_the_start() {
    let scratch = Scratch::new();
    let deliver = |key: &str, order: Option<&str>| NewDelivery {
        source: Source::Gitea,
        key: key.into(),
        order_key: order.map(Into::into),
        repo: None,
        payload: "{}".into(),
    };
    let ids = scratch.write(|c| {
        let all = [deliver("a", Some("k")), deliver("b", Some("k")), deliver("c", None), deliver("d", Some("other"))];
        all.iter().map(|new| insert(c, new, NOW)).collect::<Result<Vec<_>, _>>()
    });
    let ready = ids.into_iter().map(|intake| match intake {
        Intake::Queued(id) => job(&mut scratch.store.connection().unwrap(), id).ready,
        Intake::Duplicate(_) => panic!("new deliveries"),
    });
    assert_eq!(ready.collect::<Vec<_>>(), [true, false, true, true]);
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
