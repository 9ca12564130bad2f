//! Opening, durability and waiting for one's turn.

use super::*;
use diesel::connection::SimpleConnection;
use std::sync::mpsc;
use std::time::Instant;

#[test]
fn every_connection_of_the_pool_keeps_the_promise() {
    for (durability, level) in [(Durability::Full, 2), (Durability::Normal, 1)] {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&StoreOptions { durability, pool_size: 3, ..options(&folder) }).unwrap();
        let mut all: Vec<_> = (0..3).map(|_| store.connection().unwrap()).collect();
        for conn in &mut all {
            assert_eq!(number(conn, "SELECT synchronous AS n FROM pragma_synchronous"), level);
            assert_eq!(number(conn, "SELECT foreign_keys AS n FROM pragma_foreign_keys"), 1);
            assert_eq!(number(conn, "SELECT journal_mode = 'wal' AS n FROM pragma_journal_mode"), 1);
        }
    }
}

#[test]
fn a_file_that_cannot_be_opened_is_named() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("file"), "x").unwrap();
    for path in [folder.path().join("file/orch.db"), folder.path().to_path_buf()] {
        let quick = StoreOptions::new(&path);
        match Store::open(&quick) {
            Err(StoreError::Open { path: named, .. }) => assert_eq!(named, path.display().to_string()),
            other => panic!("{:?}", other.map(|s| s.path().to_path_buf())),
        }
    }
}

#[test]
fn a_database_without_wal_is_refused() {
    // In memory there is no write-ahead log, whatever is asked for.
    let options = StoreOptions { pool_size: 1, ..StoreOptions::new(":memory:") };
    match Store::open(&options) {
        Err(StoreError::Durability(why)) => assert!(why.contains("journal_mode is memory"), "{why}"),
        other => panic!("{:?}", other.map(|s| s.path().to_path_buf())),
    }
}

#[test]
fn a_locked_database_is_busy_once_patience_ends_and_the_closure_never_ran() {
    let scratch = Scratch::new();
    let store =
        Store::open(&StoreOptions { patience: Duration::from_millis(150), ..options(&scratch.folder) }).unwrap();
    let mut holder = scratch.store.connection().unwrap();
    holder.batch_execute("BEGIN IMMEDIATE").unwrap();
    let began = Instant::now();
    let mut ran = 0;
    let refused = store.write_now(|_| {
        ran += 1;
        Ok(())
    });
    let waited = began.elapsed();
    assert!(refused.as_ref().is_err_and(StoreError::is_busy), "{refused:?}");
    assert_eq!(ran, 0);
    assert!(waited >= Duration::from_millis(150), "{waited:?}");
    holder.batch_execute("COMMIT").unwrap();
    store.write_now(|c| jobs::enqueue(c, &plain(JobKind::Event), NOW)).unwrap();
}

#[test]
fn a_writer_gets_its_turn_when_the_lock_is_released() {
    let scratch = Scratch::new();
    let mut holder = scratch.store.connection().unwrap();
    holder.batch_execute("BEGIN IMMEDIATE").unwrap();
    let store = scratch.store.clone();
    let (told, done) = mpsc::channel();
    let writer = std::thread::spawn(move || {
        let result = store.write_now(|c| jobs::enqueue(c, &plain(JobKind::Event), NOW));
        told.send(()).unwrap();
        result
    });
    assert!(done.recv_timeout(Duration::from_millis(100)).is_err(), "it waits");
    holder.batch_execute("COMMIT").unwrap();
    done.recv_timeout(Duration::from_secs(30)).unwrap();
    assert!(writer.join().unwrap().unwrap().is_some());
}

#[test]
fn readers_are_not_held_up_by_a_writer() {
    let scratch = Scratch::new();
    let mut holder = scratch.store.connection().unwrap();
    holder.batch_execute("BEGIN IMMEDIATE; DELETE FROM job_counts").unwrap();
    let counts = jobs::counts(&mut scratch.store.connection().unwrap()).unwrap();
    assert_eq!(counts.len(), JobKind::ALL.len());
    holder.batch_execute("ROLLBACK").unwrap();
}

#[test]
fn a_transaction_that_fails_leaves_nothing() {
    let scratch = Scratch::new();
    let failed: Result<(), StoreError> = scratch.store.write_now(|c| {
        add(c, &plain(JobKind::Event));
        Err(StoreError::LostOwnership)
    });
    assert!(matches!(failed, Err(StoreError::LostOwnership)));
    assert_eq!(number(&mut scratch.store.connection().unwrap(), "SELECT count(*) AS n FROM jobs"), 0);
}

#[test]
fn a_transaction_that_cannot_be_committed_leaves_nothing_and_the_next_one_goes_well() {
    let scratch = Scratch::new();
    let of_no_task =
        "INSERT INTO jobs (kind, task_id, max_attempts, created_at, payload) VALUES ('agent', 7, 1, 0, '')";
    let refused = scratch.store.write_now(|c| {
        // What it refers to is looked for at the commit alone.
        c.batch_execute("PRAGMA defer_foreign_keys = ON")?;
        Ok(diesel::sql_query(of_no_task).execute(c)?)
    });
    assert!(refused.as_ref().is_err_and(StoreError::is_constraint), "{refused:?}");
    let id = scratch.write(|c| jobs::enqueue(c, &plain(JobKind::Agent), NOW));
    assert_eq!(number(&mut scratch.store.connection().unwrap(), "SELECT max(id) AS n FROM jobs"), id.unwrap());
}

#[test]
fn a_transaction_that_panics_leaves_nothing_and_the_next_one_goes_well() {
    let scratch = Scratch::new();
    let store = scratch.store.clone();
    let panicked = std::thread::spawn(move || {
        store.write_now(|c| -> Result<(), StoreError> {
            jobs::enqueue(c, &plain(JobKind::Agent), NOW)?;
            panic!("in the middle of it")
        })
    });
    assert!(panicked.join().is_err());
    scratch.write(|c| jobs::enqueue(c, &plain(JobKind::Agent), NOW));
    assert_eq!(number(&mut scratch.store.connection().unwrap(), "SELECT count(*) AS n FROM jobs"), 1);
}

#[test]
fn all_connections_taken_is_busy_and_not_broken() {
    let folder = tempfile::tempdir().unwrap();
    let store =
        Store::open(&StoreOptions { pool_size: 1, patience: Duration::from_millis(200), ..options(&folder) }).unwrap();
    let _held = store.connection().unwrap();
    let refused = store.connection().map(|_| ());
    assert!(refused.as_ref().is_err_and(StoreError::is_busy), "{refused:?}");
    let within = store.write_now(|_| store.write_now(|_| Ok(())));
    assert!(within.as_ref().is_err_and(StoreError::is_busy), "{within:?}");
}

#[test]
fn the_turn_passes_to_the_next_as_soon_as_a_transaction_has_begun() {
    let scratch = Scratch::new();
    let path = scratch.store.path().with_extension("turn");
    let turn = std::fs::File::options().create(true).append(true).open(path).unwrap();
    let free = scratch
        .store
        .write_now(|_| {
            let free = turn.try_lock().is_ok();
            turn.unlock().unwrap();
            Ok(free)
        })
        .unwrap();
    assert!(free);
}

#[test]
fn nobody_waits_for_ever_behind_one_who_has_the_turn_and_does_not_move() {
    let scratch = Scratch::new();
    let path = scratch.store.path().with_extension("turn");
    let turn = std::fs::File::options().create(true).append(true).open(path).unwrap();
    turn.lock().unwrap();
    let begun = Instant::now();
    for _ in 0..20 {
        scratch.store.write_now(|c| jobs::enqueue(c, &plain(JobKind::Event), NOW)).unwrap();
    }
    assert!(begun.elapsed() < Duration::from_secs(5), "it is waited for once, not at every write");
    turn.unlock().unwrap();
    scratch.store.write_now(|c| jobs::enqueue(c, &plain(JobKind::Event), NOW)).unwrap();
    turn.lock().unwrap();
    let begun = Instant::now();
    scratch.store.write_now(|c| jobs::enqueue(c, &plain(JobKind::Event), NOW)).unwrap();
    assert!(begun.elapsed() >= Duration::from_millis(500), "a turn that was had again is waited for again");
}

#[test]
fn a_checkpoint_brings_in_the_log_and_lets_it_begin_anew() {
    let scratch = Scratch::new();
    let log = scratch.folder.path().join("orch.db-wal");
    let fill = || {
        scratch.store.write_now(|c| (0..200).try_for_each(|_| jobs::enqueue(c, &plain(JobKind::Event), NOW).map(drop)))
    };
    fill().unwrap();
    let size = std::fs::metadata(&log).unwrap().len();
    for _ in 0..20 {
        scratch.store.checkpoint().unwrap();
        fill().unwrap();
    }
    let grown = std::fs::metadata(&log).unwrap().len();
    assert!(grown < 3 * size, "{size} grew to {grown}");
}

#[tokio::test]
async fn reads_and_writes_from_async_code_see_each_other() {
    let scratch = Scratch::new();
    let id = scratch.store.write(|c| jobs::enqueue(c, &plain(JobKind::Event), NOW)).await.unwrap().unwrap();
    let found = scratch.store.read(move |c| jobs::get(c, id)).await.unwrap();
    assert_eq!(found.map(|j| j.id), Some(id));
}

#[tokio::test]
async fn a_panic_in_a_database_call_is_an_error_and_the_store_lives_on() {
    let scratch = Scratch::new();
    let panicked = scratch.store.write(|_| -> Result<(), StoreError> { panic!("on purpose") }).await;
    assert!(matches!(panicked, Err(StoreError::Corrupt(_))), "{panicked:?}");
    for _ in 0..4 {
        scratch.store.write(|c| jobs::enqueue(c, &plain(JobKind::Event), NOW)).await.unwrap();
    }
}
