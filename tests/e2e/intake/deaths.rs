//! Many senders at a time, and the process's end in the middle of it.

use super::api::{Setup, push, work_item};
use super::http::{connect, read_one};
use orch_common::store::deliveries::Source;
use std::collections::BTreeSet;
use std::io::Write;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

#[test]
fn fifty_senders_at_a_time() {
    let api = Setup::new().start();
    let address = api.address;
    let senders: Vec<_> = (0..50)
        .map(|sender| {
            std::thread::spawn(move || {
                let mut stream = connect(address).unwrap();
                let mut jobs = Vec::new();
                for n in 0..20 {
                    // Every second one is sent by all of them.
                    let delivery = if n % 2 == 0 { format!("all-{n}") } else { format!("{sender}-{n}") };
                    stream.write_all(&push(&delivery).bytes("keep-alive")).unwrap();
                    let (status, job) = read_one(&mut stream).unwrap().unwrap().outcome();
                    jobs.push((delivery, status, job.unwrap()));
                }
                jobs
            })
        })
        .collect();
    let answers: Vec<_> = senders.into_iter().flat_map(|sender| sender.join().unwrap()).collect();
    let queued = answers.iter().filter(|(_, status, _)| status == "queued").count();
    assert_eq!((answers.len(), queued), (1000, 510), "each delivery once");
    assert_eq!(api.queued_events(), 510);
    for (delivery, _, job) in answers {
        assert_eq!(api.job_of(Source::Gitea, delivery.as_bytes()), Some(job), "{delivery}");
    }
}

/// Sends until the connection ends; what was acknowledged is noted before the next is sent.
fn send_until_it_dies(address: SocketAddr, sender: usize, acked: &Mutex<Vec<(String, i64)>>, count: &AtomicUsize) {
    let Ok(mut stream) = connect(address) else { return };
    for n in 0.. {
        let delivery = format!("{sender}-{n}");
        if stream.write_all(&push(&delivery).bytes("keep-alive")).is_err() {
            return;
        }
        let Ok(Some(answer)) = read_one(&mut stream) else { return };
        acked.lock().unwrap().push((delivery, answer.outcome().1.unwrap()));
        count.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn what_was_acknowledged_survives_a_kill() {
    let mut api = Setup::new().start();
    let (acked, count) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicUsize::new(0)));
    let senders: Vec<_> = (0..8)
        .map(|sender| {
            let (address, acked, count) = (api.address, Arc::clone(&acked), Arc::clone(&count));
            std::thread::spawn(move || send_until_it_dies(address, sender, &acked, &count))
        })
        .collect();
    api.until("some hundred are acknowledged", |_| count.load(Ordering::Relaxed) >= 400);
    api.kill();
    api.wait();
    for sender in senders {
        sender.join().unwrap();
    }
    let acked = std::mem::take(&mut *acked.lock().unwrap());
    assert!(acked.len() >= 400);
    let jobs: BTreeSet<i64> = acked.iter().map(|(_, job)| *job).collect();
    assert_eq!(jobs.len(), acked.len(), "each its own job");
    for (delivery, job) in &acked {
        assert_eq!(api.job_of(Source::Gitea, delivery.as_bytes()), Some(*job), "{delivery} was acknowledged");
        assert!(api.payload(*job).contains(delivery.as_str()));
    }
    api.kill_and_restart();
    for (delivery, job) in acked.iter().rev().take(50) {
        assert_eq!(api.send(&push(delivery)).outcome(), ("duplicate".to_owned(), Some(*job)));
    }
}

#[test]
fn a_stop_answers_what_is_under_way() {
    let mut api = Setup::new().start();
    let lock = api.lock();
    let address = api.address;
    let waiting = std::thread::spawn(move || work_item("x").send(address).unwrap());
    api.until("the request waits for the lock", |api| api.log().contains("write lock"));
    api.terminate();
    api.until("it has heard", |api| api.log().contains("shutting down"));
    assert!(!waiting.is_finished());
    drop(lock);
    assert_eq!(waiting.join().unwrap().outcome().0, "queued");
    assert_eq!(api.wait().code(), Some(0), "{}", api.log());
    assert_eq!(api.queued_events(), 1);
    assert!(connect(address).is_err(), "nobody listens any more");
}
