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
