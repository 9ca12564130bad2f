//! `events`.

use super::support::{World, now};
use orch_common::domain::job::{JobEnd, JobKind, JobStatus};
use orch_common::store::deliveries::{self, Intake, NewDelivery, Source};
use orch_common::store::jobs;

const KEY: &[u8] = b"delivery-1";

fn delivery() -> NewDelivery {
    NewDelivery {
        source: Source::Gitea,
        key: KEY.into(),
        order_key: Some("gitea:team/shop".into()),
        repo: Some("team/shop".into()),
        payload: r#"{"source":"gitea","event":"push","delivery":"d-1","body":{"ref":"refs/heads/x\u009b2J"}}"#.into(),
    }
}

fn received(world: &World) -> i64 {
    match world.write(|conn| deliveries::insert(conn, &delivery(), now())) {
        Intake::Queued(id) => id,
        Intake::Duplicate(id) => panic!("a duplicate of {id}"),
    }
}

fn handled(world: &World) -> i64 {
    let id = received(world);
    let job = world.write(|conn| jobs::claim(conn, JobKind::Event, "w1", now())).unwrap();
    let end = JobEnd::Done { note: Some("ignored: nobody's branch".into()) };
    world.write(|conn| jobs::finish(conn, &job, &end, now()));
    id
}

#[test]
fn deliveries_are_listed_and_shown() {
    let world = World::new();
    assert!(world.ctl(&["events"]).ok().contains("no deliveries"));
    let id = handled(&world);
    let broken = world.job(JobKind::Event, None, "no json");
    let text = world.ctl(&["events"]).ok();
    assert!(text.contains("gitea   push   team/shop") && text.contains("nobody's branch"), "{text}");
    let json = world.ctl(&["events", "--json"]).json();
    assert_eq!((&json[0]["id"], &json[0]["source"]), (&broken.into(), &serde_json::Value::Null));
    assert_eq!((&json[1]["event"], &json[1]["delivery"]), (&"push".into(), &"d-1".into()));
    assert_eq!(world.ctl(&["events", "--limit", "1", "--json"]).json().as_array().unwrap().len(), 1);
    let shown = world.ctl(&["events", "show", &id.to_string()]).ok();
    assert!(shown.contains("delivery     d-1") && shown.contains("order key    gitea:team/shop"), "{shown}");
    assert!(shown.contains("\"ref\": \"refs/heads/x2J\"") && !shown.contains('\u{9b}'), "{shown}");
    assert!(world.ctl(&["events", "show", &broken.to_string()]).ok().contains("no json"));
}

#[test]
fn a_replay_is_a_new_job_and_the_delivery_stays_known() {
    let world = World::new();
    let id = handled(&world);
    assert!(world.ctl(&["events", "replay", &id.to_string()]).ok().contains("once more"));
    let (old, new) = (world.job_now(id), world.job_now(id + 1));
    assert_eq!((new.kind, new.status, new.attempts), (JobKind::Event, JobStatus::Queued, 0));
    assert_eq!((new.payload, new.order_key, new.repo), (old.payload, old.order_key, old.repo));
    assert_eq!((new.dedupe_key, old.status), (None, JobStatus::Done));
    let again = world.write(|conn| deliveries::insert(conn, &delivery(), now()));
    assert_eq!(again, Intake::Duplicate(id));
    assert!(world.ctl(&["events", "replay", &(id + 1).to_string()]).fails(1).contains("is queued"));
}

#[test]
fn only_deliveries_are_replayed() {
    let world = World::new();
    let effect = world.job(JobKind::Effect, None, "{}");
    assert!(world.ctl(&["events", "replay", &effect.to_string()]).fails(3).contains("jobs show"));
    assert!(world.ctl(&["events", "show", &effect.to_string()]).fails(3).contains("no event"));
    assert!(world.ctl(&["events", "replay", "77"]).fails(3).contains("no job 77"));
    let odd = world.job(JobKind::Event, None, "no json");
    world.fail(odd, "the job's payload cannot be read");
    assert!(world.ctl(&["events", "replay", &odd.to_string()]).fails(1).contains("carries no delivery"));
}
