//! `migrate`, `backup`, `restore`, and what every command says without a database.

use super::support::World;
use orch_common::domain::job::JobKind;
use orch_common::domain::stage::{Stage, TaskState};
use orch_common::store::{Store, StoreOptions, jobs, tasks};
use std::sync::atomic::{AtomicBool, Ordering};

#[test]
fn without_a_database_nothing_is_found_and_none_is_made() {
    let world = World::bare();
    for arguments in [
        &["status"][..],
        &["jobs"],
        &["jobs", "show", "1"],
        &["tasks"],
        &["events"],
        &["runs"],
        &["agents"],
        &["backup", "copy.db"],
    ] {
        let error = world.ctl(arguments).fails(3);
        assert!(error.contains("orchctl migrate"), "{arguments:?}: {error}");
    }
    assert!(!world.path("data").exists());
}

#[test]
fn migrate_makes_it_and_then_has_nothing_to_do() {
    let world = World::bare();
    assert!(world.ctl(&["migrate"]).ok().contains("applied "));
    assert!(world.ctl(&["migrate"]).ok().contains("is current"));
    world.ctl(&["status"]).ok();
}

#[test]
fn an_old_schema_is_named_and_not_touched() {
    let world = World::bare();
    Store::open(&StoreOptions::new(world.path("data/orch.db"))).unwrap();
    assert!(world.ctl(&["jobs"]).fails(1).contains("orchctl migrate"));
}

/// Each write of the writer is one task and one job; a copy that tore one apart would have more of one than of the other.
#[test]
fn a_backup_is_whole_while_a_writer_writes() {
    let world = World::new();
    let (stop, store) = (AtomicBool::new(false), world.store());
    let copies: Vec<String> = (0..3).map(|n| world.at(&format!("copy-{n}.db"))).collect();
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let mut n = 0;
            while !stop.load(Ordering::Relaxed) {
                n += 1;
                store.write_now(|conn| write_pair(conn, n)).unwrap();
            }
            n
        });
        super::support::eventually("the writer writes", || (counts(&store).0 > 0).then_some(()));
        for copy in &copies {
            assert!(world.ctl(&["backup", copy]).ok().contains("is copied"));
        }
        stop.store(true, Ordering::Relaxed);
        assert!(writer.join().unwrap() > 0);
    });
    for copy in &copies {
        let (tasks, jobs) = counts(&Store::open(&StoreOptions::new(copy)).unwrap());
        assert!(tasks == jobs && tasks > 0, "{tasks} tasks and {jobs} jobs");
    }
    let left: Vec<_> = std::fs::read_dir(world.folder.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert!(!left.iter().any(|name| name.to_string_lossy().starts_with(".backup")), "{left:?}");
}

fn write_pair(conn: &mut orch_common::store::Conn, n: u32) -> Result<(), orch_common::store::StoreError> {
    let text = |what: &str| format!("{what}-{n}");
    let new = tasks::NewTask {
        project: "p".into(),
        work_item: text("w"),
        key: format!("ET-{n:03}"),
        title: text("t"),
        description: String::new(),
        repo: "r".into(),
        branch: text("b"),
        base: "main".into(),
    };
    let task = tasks::insert(conn, &new, 1)?.unwrap();
    let job = jobs::NewJob {
        kind: JobKind::Advance,
        role: None,
        repo: None,
        task_id: Some(task.id),
        payload: "{}".into(),
        dedupe_key: None,
        order_key: None,
        available_at: None,
    };
    jobs::enqueue(conn, &job, 1).map(drop)
}

/// Tasks and jobs.
fn counts(store: &Store) -> (usize, usize) {
    let mut conn = store.connection().unwrap();
    let tasks = tasks::newest(&mut conn, i64::MAX).unwrap().len();
    let jobs = jobs::newest(&mut conn, jobs::JobFilter::default(), i64::MAX).unwrap().len();
    (tasks, jobs)
}

#[test]
fn a_backup_overwrites_nothing() {
    let world = World::new();
    std::fs::write(world.path("copy.db"), "precious").unwrap();
    assert!(world.ctl(&["backup", &world.at("copy.db")]).fails(1).contains("never overwritten"));
    assert_eq!(std::fs::read(world.path("copy.db")).unwrap(), b"precious");
    assert_eq!(world.ctl(&["backup", &world.at("nowhere/copy.db")]).code, 1);
}

#[test]
fn restore_puts_back_and_never_overwrites() {
    let world = World::new();
    world.task("ET-001", Stage::Review, TaskState::Active);
    let copy = world.at("copy.db");
    world.ctl(&["backup", &copy]).ok();
    let error = world.ctl(&["restore", &copy]).fails(1);
    assert!(error.contains("never overwritten") && error.contains("orch.db-wal"), "{error}");
    std::fs::rename(world.path("data"), world.path("old")).unwrap();
    assert!(world.ctl(&["restore", &world.at("missing.db")]).fails(3).contains("missing.db"));
    assert!(world.ctl(&["restore", &copy]).ok().contains("schema is current"));
    assert!(world.ctl(&["tasks"]).ok().contains("ET-001"));
}

#[test]
fn a_wal_that_was_left_behind_counts_as_a_database_too() {
    let world = World::new();
    let copy = world.at("copy.db");
    world.ctl(&["backup", &copy]).ok();
    std::fs::rename(world.path("data"), world.path("old")).unwrap();
    std::fs::create_dir(world.path("data")).unwrap();
    std::fs::write(world.path("data/orch.db-wal"), "").unwrap();
    assert!(world.ctl(&["restore", &copy]).fails(1).contains("orch.db-wal exists"));
}

#[test]
fn what_is_no_database_is_not_restored() {
    let world = World::bare();
    std::fs::write(world.path("copy.db"), "not a database at all, but long enough to be read as one").unwrap();
    assert_eq!(world.ctl(&["restore", &world.at("copy.db")]).code, 1);
    assert!(!world.path("data/orch.db").exists());
}
