//! Eight processes with eight threads each empty one queue of 20,000 jobs: every job is handed out once, and no
//! claimer ever hears that the database is locked. The processes are this test's own program, started again.
#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

use orch_common::domain::job::{JobEnd, JobKind};
use orch_common::store::jobs::{self, NewJob};
use orch_common::store::{Durability, Store, StoreOptions};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const PROCESSES: usize = 8;
const THREADS: usize = 8;
const JOBS: usize = 20_000;
const ROLE: &str = "ORCH_TEST_CLAIM_RACE";
const NOW: i64 = 1_800_000_000_000;

fn open(path: &Path) -> Store {
    let options = StoreOptions {
        pool_size: u32::try_from(THREADS).unwrap(),
        // The race is about locks, not about disks.
        durability: Durability::Normal,
        patience: Duration::from_secs(120),
        ..StoreOptions::new(path)
    };
    Store::open(&options).unwrap()
}

fn fill(store: &Store) {
    let new = NewJob {
        kind: JobKind::Effect,
        role: None,
        repo: None,
        task_id: None,
        payload: "{}".into(),
        dedupe_key: None,
        order_key: None,
        available_at: None,
    };
    let queued = store.write_now(|c| (0..JOBS).map(|_| jobs::enqueue(c, &new, NOW)).collect::<Result<Vec<_>, _>>());
    assert_eq!(queued.unwrap().len(), JOBS);
}

/// Claims and ends jobs until none is left; the ids in the order of their claims. Every other claimer ends a job and
/// claims the next in one step.
fn work(store: &Store, worker: &str, fused: bool) -> Vec<i64> {
    let claim = || store.write_now(|c| jobs::claim(c, JobKind::Effect, worker, NOW)).unwrap();
    let done = JobEnd::Done { note: None };
    let mut ids = Vec::new();
    let mut next = claim();
    while let Some(job) = next {
        assert_eq!((job.worker.as_deref(), job.attempts), (Some(worker), 1));
        ids.push(job.id);
        next = if fused {
            let turn =
                store.write_now(|c| jobs::finish_and_claim(c, &job, &done, JobKind::Effect, worker, NOW)).unwrap();
            assert!(turn.ended);
            turn.next
        } else {
            assert!(store.write_now(|c| jobs::finish(c, &job, &done, NOW)).unwrap());
            claim()
        };
    }
    ids
}

/// One process of the race: its claims go to a file named after it.
fn race(place: &Path) {
    let store = open(&place.join("orch.db"));
    let me = std::process::id();
    let claimed: Vec<Vec<i64>> = std::thread::scope(|scope| {
        let store = &store;
        let threads: Vec<_> =
            (0..THREADS).map(|n| scope.spawn(move || work(store, &format!("{me}-{n}"), n % 2 == 1))).collect();
        threads.into_iter().map(|t| t.join().unwrap()).collect()
    });
    for ids in &claimed {
        assert!(ids.is_sorted(), "oldest first, for each of them");
    }
    let lines: Vec<String> = claimed.iter().flatten().map(ToString::to_string).collect();
    std::fs::write(place.join(format!("{me}.claims")), lines.join("\n")).unwrap();
}

fn start(place: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "each_of_20000_jobs_is_handed_out_once", "--nocapture"])
        .env(ROLE, place)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// How often each job was claimed, by the files of the processes.
fn handed_out(place: &Path) -> BTreeMap<i64, usize> {
    let mut all: BTreeMap<i64, usize> = BTreeMap::new();
    let mut files = 0;
    for entry in std::fs::read_dir(place).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|e| e == "claims") {
            files += 1;
            for line in std::fs::read_to_string(&path).unwrap().lines() {
                *all.entry(line.parse().unwrap()).or_default() += 1;
            }
        }
    }
    assert_eq!(files, PROCESSES);
    all
}

#[test]
fn each_of_20000_jobs_is_handed_out_once() {
    if let Some(place) = std::env::var_os(ROLE) {
        return race(Path::new(&place));
    }
    let folder = tempfile::tempdir().unwrap();
    let options = StoreOptions::new(folder.path().join("orch.db"));
    let store = Store::open_and_migrate(&options).unwrap();
    fill(&store);
    let began = Instant::now();
    let children: Vec<Child> = (0..PROCESSES).map(|_| start(folder.path())).collect();
    for child in children {
        let pid = child.id();
        let output = child.wait_with_output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{pid}: {errors}");
        assert!(!errors.contains("locked"), "{pid}: {errors}");
    }
    println!("{JOBS} jobs in {:?}", began.elapsed());

    let claims = handed_out(folder.path());
    assert_eq!(claims.len(), JOBS, "every job");
    assert!(claims.values().all(|n| *n == 1), "once");
    let counts = jobs::counts(&mut store.connection().unwrap()).unwrap();
    assert_eq!(counts[&JobKind::Effect]["done"], i64::try_from(JOBS).unwrap());
    assert_eq!(counts[&JobKind::Effect]["queued"] + counts[&JobKind::Effect]["running"], 0);
}
