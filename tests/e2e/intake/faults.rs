//! A database that is locked, and a disk that takes no more.

use super::api::{Api, Setup, push, work_item};
use super::http::exchange;
use orch_common::domain::job::JobKind;
use orch_common::store::deliveries::{self, Source};
use orch_common::store::{Store, StoreOptions, jobs};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// A process whose every write to a file fails, until dropped.
pub struct FullDisk(u32);

impl FullDisk {
    pub fn of(api: &Api) -> Self {
        limit_files(api.pid(), "0:");
        FullDisk(api.pid())
    }
}

impl Drop for FullDisk {
    fn drop(&mut self) {
        limit_files(self.0, "unlimited:");
    }
}

fn limit_files(pid: u32, soft: &str) {
    let limit = format!("--fsize={soft}");
    let status = Command::new("prlimit").args(["--pid", &pid.to_string(), &limit]).status().unwrap();
    assert!(status.success(), "prlimit {limit}");
}

#[test]
fn a_full_disk_is_said_and_survived() {
    let api = Setup::new().start();
    assert_eq!(api.send(&push("before")).outcome().0, "queued");
    let full = FullDisk::of(&api);
    let answer = api.send(&push("during"));
    assert!(answer.assert_problem(503).header("retry-after").is_some(), "{answer:?}");
    assert_eq!(exchange(api.address, &work_item("during").bytes("close")).unwrap(), b"", "Plane is cut");
    assert_eq!(api.get("/health").status, 200);
    assert_eq!(api.get("/health/ready").status, 503);
    assert_eq!(api.get("/queue").status, 200, "views are still read");
    drop(full);
    assert_eq!(api.send(&push("during")).outcome().0, "queued", "nothing of it was saved before");
    assert_eq!(api.send(&work_item("during")).outcome().0, "queued");
    assert_eq!(api.get("/health/ready").status, 200);
    assert_eq!(api.queued_events(), 3);
}

#[test]
fn a_lock_makes_plane_wait_and_gitea_hear_in_time() {
    let api = Setup::new().start();
    let lock = api.lock();
    let waiting = std::thread::spawn({
        let address = api.address;
        move || work_item("x").send(address).unwrap()
    });
    let asked = Instant::now();
    let answer = api.send(&push("x"));
    assert!(answer.assert_problem(503).header("retry-after").is_some(), "{answer:?}");
    assert!(asked.elapsed() < Duration::from_secs(5), "the forge does not listen any longer: {:?}", asked.elapsed());
    assert!(!waiting.is_finished(), "Plane waits for its answer");
    assert_eq!(api.get("/queue").status, 200, "views do not wait for writers");
    drop(lock);
    assert_eq!(waiting.join().unwrap().outcome().0, "queued");
    // The forge never sends again, so what it was told to repeat is saved all the same.
    api.until("the late delivery is saved", |api| api.job_of(Source::Gitea, b"x").is_some());
    assert_eq!(api.send(&push("x")).outcome().0, "duplicate");
}

#[test]
fn a_short_lock_is_not_noticed() {
    let api = Setup::new().start();
    let lock = api.lock();
    let waiting: Vec<_> = (0..8)
        .map(|n| {
            let address = api.address;
            std::thread::spawn(move || push(&n.to_string()).send(address).unwrap())
        })
        .collect();
    api.until("the lock is met", |api| api.log().contains("write lock"));
    drop(lock);
    for waiting in waiting {
        assert_eq!(waiting.join().unwrap().outcome().0, "queued");
    }
}

#[test]
fn a_database_that_was_replaced_is_noticed_before_anything_is_lost_in_the_old_one() {
    let api = Setup::new().start();
    assert_eq!(api.send(&push("old")).outcome().0, "queued");
    let restored = api.replace_database();
    // The first one may still have gone to the old file: then it was not acknowledged.
    api.until("the new file is used", |api| push("new").send(api.address).is_ok_and(|answer| answer.status == 200));
    let counts = jobs::counts(&mut restored.connection().unwrap()).unwrap();
    assert_eq!(counts[&JobKind::Event]["queued"], 1, "it is in the new file");
    assert_eq!(api.get("/queue").json()["counts_by_kind"]["event"]["queued"], 1, "and the views show that one");
}

/// Under load, so that some are committed, and not yet answered, when the file goes.
#[test]
fn a_log_that_is_taken_away_ends_the_process_and_nothing_acknowledged_is_lost() {
    for ending in ["-wal", "-shm"] {
        let mut api = Setup::new().start();
        let (address, stop) = (api.address, Arc::new(AtomicBool::new(false)));
        let senders: Vec<_> = (0..4)
            .map(|sender| {
                let stop = Arc::clone(&stop);
                std::thread::spawn(move || {
                    let numbers = (0..).take_while(|_| !stop.load(Ordering::Relaxed)).map(|n| format!("{sender}-{n}"));
                    let taken = |body: &String| push(body).send(address).is_ok_and(|answer| answer.status == 200);
                    numbers.filter(taken).collect::<Vec<_>>()
                })
            })
            .collect();
        let taken = |api: &Api| jobs::counts(&mut api.store.connection().unwrap()).unwrap()[&JobKind::Event]["queued"];
        api.until("deliveries are taken", |api| taken(api) > 50);
        let file = api.folder().join(format!("orch.db{ending}"));
        std::fs::remove_file(&file).unwrap();
        let ended = api.wait();
        stop.store(true, Ordering::Relaxed);
        let acknowledged: Vec<String> = senders.into_iter().flat_map(|sender| sender.join().unwrap()).collect();
        assert_eq!(ended.code(), Some(1), "{ending}");
        assert!(api.log().contains("what was acknowledged is in the database"), "{}", api.log());
        assert!(!acknowledged.is_empty());
        // The database's file alone has all of them.
        let alone = api.folder().join("alone.db");
        std::fs::copy(api.folder().join("orch.db"), &alone).unwrap();
        let store = Store::open(&StoreOptions::new(alone)).unwrap();
        let mut conn = store.connection().unwrap();
        for delivery in &acknowledged {
            let known = deliveries::known(&mut conn, Source::Gitea, delivery.as_bytes()).unwrap();
            assert!(known.is_some(), "{ending}: {delivery} was acknowledged and is lost");
        }
    }
}
