//! What the API acknowledged is in the database, whatever happens to it.

use orch_common::store::deliveries::{self, Source};
use orch_common::store::{Store, StoreOptions, jobs};
use orch_tests::fakes::{Delivery, FakePlane};
use orch_tests::stack::Stack;
use sha2::{Digest, Sha256};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::thread;

const SENDERS: usize = 4;
const EACH: usize = 150;

/// Posts them one after the other until the API is gone; gives those that were acknowledged.
fn post<'a>(deliveries: &'a [Delivery], url: &str, acknowledged: &AtomicUsize) -> Vec<&'a Delivery> {
    let mut taken = Vec::new();
    for delivery in deliveries {
        match delivery.post(url) {
            Some(200) => {
                acknowledged.fetch_add(1, Ordering::Relaxed);
                taken.push(delivery);
            }
            Some(other) => panic!("answered {other}"),
            None => {}
        }
    }
    taken
}

fn known(stack: &Stack, delivery: &Delivery) -> bool {
    let key = Sha256::digest(delivery.body.as_bytes()).to_vec();
    stack.read(move |c| {
        let Some(job) = deliveries::known(c, Source::Plane, &key)? else { return Ok(false) };
        Ok(jobs::get(c, job)?.is_some())
    })
}

#[test]
fn every_acknowledged_delivery_survives_a_kill_of_the_api_and_none_is_doubled() {
    let mut stack = Stack::builder().without_worker().start();
    // Another server with the same project and secret: its deliveries are sent by hand.
    let plane = FakePlane::start();
    let all: Vec<Delivery> = (0..SENDERS * EACH).map(|n| plane.create_item(&format!("Item {n}"), "", &[]).1).collect();
    let url = format!("{}/webhook/plane", stack.api_url().unwrap());
    let count = AtomicUsize::new(0);
    let acknowledged: Vec<&Delivery> = thread::scope(|scope| {
        let (url, count) = (&url, &count);
        let senders: Vec<_> = all.chunks(EACH).map(|part| scope.spawn(move || post(part, url, count))).collect();
        stack.wait("the load to be under way", || count.load(Ordering::Relaxed) >= SENDERS * EACH / 4);
        stack.kill_api();
        senders.into_iter().flat_map(|sender| sender.join().unwrap()).collect()
    });
    assert!(acknowledged.len() < all.len(), "it was killed in the middle");
    let lost = acknowledged.iter().filter(|d| !known(&stack, d)).count();
    assert_eq!(lost, 0, "of {} acknowledged", acknowledged.len());

    // The sender's own retries find each exactly once.
    stack.start_api();
    let url = format!("{}/webhook/plane", stack.api_url().unwrap());
    let again = post(&all, &url, &AtomicUsize::new(0));
    assert_eq!(again.len(), all.len());
    let queue = stack.get("/queue").unwrap();
    assert_eq!(queue["counts_by_kind"]["event"]["queued"], SENDERS * EACH, "{queue}");
}

/// Those who wait for a lock together are committed together, and each is a job when it is answered.
#[test]
fn what_was_committed_together_and_acknowledged_survives_a_kill_as_jobs() {
    const CROWD: usize = 48;
    let mut stack = Stack::builder().without_worker().start();
    let plane = FakePlane::start();
    let all: Vec<Delivery> = (0..CROWD).map(|n| plane.create_item(&format!("Item {n}"), "", &[]).1).collect();
    let url = format!("{}/webhook/plane", stack.api_url().unwrap());
    let other = Store::open(&StoreOptions { pool_size: 1, ..StoreOptions::new(&stack.scene.database) }).unwrap();
    let (held, is_held) = channel();
    let (release, released) = channel::<()>();
    thread::scope(|scope| {
        scope.spawn(move || {
            other.write_now(|_| {
                held.send(()).unwrap();
                released.recv().unwrap();
                Ok(())
            })
        });
        is_held.recv().unwrap();
        let senders: Vec<_> = all.iter().map(|delivery| scope.spawn(|| delivery.post(&url))).collect();
        stack.wait("the lock to be met", || stack.api_log().contains("write lock"));
        release.send(()).unwrap();
        for sender in senders {
            assert_eq!(sender.join().unwrap(), Some(200));
        }
        stack.kill_api();
    });
    let counted = stack.read(|c| Ok(jobs::counts(c)?[&orch_common::domain::job::JobKind::Event]["queued"]));
    assert_eq!(counted, CROWD as i64);
    assert!(all.iter().all(|delivery| known(&stack, delivery)), "each is a job of its own");

    stack.start_api();
    let url = format!("{}/webhook/plane", stack.api_url().unwrap());
    assert_eq!(post(&all, &url, &AtomicUsize::new(0)).len(), CROWD);
    let queue = stack.get("/queue").unwrap();
    assert_eq!(queue["counts_by_kind"]["event"]["queued"], CROWD, "{queue}");
}
