//! Migrators: any number at once, one migrates; a newer database is refused.

use super::*;
use crate::domain::job::JobEnd;
use std::sync::Barrier;

#[test]
fn eight_threads_on_a_fresh_file_all_find_it_migrated_and_one_did_it() {
    let folder = tempfile::tempdir().unwrap();
    let start = Barrier::new(8);
    let applied: Vec<usize> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|_| {
                scope.spawn(|| {
                    start.wait();
                    let store = Store::open(&options(&folder)).unwrap();
                    let applied = store.migrate().unwrap();
                    store.check_schema().unwrap();
                    applied.len()
                })
            })
            .collect();
        threads.into_iter().map(|t| t.join().unwrap()).collect()
    });
    assert_eq!(applied.iter().filter(|n| **n > 0).count(), 1, "{applied:?}");
}

#[test]
fn migrating_again_does_nothing() {
    let scratch = Scratch::new();
    assert_eq!(scratch.store.migrate().unwrap(), Vec::<String>::new());
    scratch.store.check_schema().unwrap();
}

#[test]
fn a_database_without_a_schema_is_not_migrated_and_every_call_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&options(&folder)).unwrap();
    let missing = store.check_schema().unwrap_err();
    assert!(matches!(&missing, StoreError::NotMigrated(why) if why.contains("orchctl migrate")), "{missing}");
    let insert = store.write_now(|c| jobs::enqueue(c, &plain(JobKind::Event), NOW)).unwrap_err();
    assert!(matches!(insert, StoreError::NotMigrated(_)), "{insert}");
}

#[test]
fn a_database_of_a_newer_version_is_refused() {
    let scratch = Scratch::new();
    diesel::sql_query("INSERT INTO __diesel_schema_migrations (version) VALUES ('99990101000000')")
        .execute(&mut *scratch.store.connection().unwrap())
        .unwrap();
    for refused in [scratch.store.check_schema().unwrap_err(), scratch.store.migrate().unwrap_err()] {
        assert!(matches!(&refused, StoreError::Newer(why) if why.contains("99990101000000")), "{refused}");
    }
}

#[test]
fn a_migration_waits_for_a_writer_instead_of_failing() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&options(&folder)).unwrap();
    let mut holder = store.connection().unwrap();
    diesel::connection::SimpleConnection::batch_execute(&mut *holder, "BEGIN IMMEDIATE").unwrap();
    let other = store.clone();
    let migrating = std::thread::spawn(move || other.migrate());
    std::thread::sleep(Duration::from_millis(100));
    assert!(!migrating.is_finished(), "somebody else writes");
    diesel::connection::SimpleConnection::batch_execute(&mut *holder, "COMMIT").unwrap();
    assert!(!migrating.join().unwrap().unwrap().is_empty());
}

#[test]
fn a_queue_in_use_survives_the_change_of_its_indexes_and_back() {
    use diesel_migrations::MigrationHarness as _;
    let scratch = Scratch::new();
    let mut conn = scratch.store.connection().unwrap();
    let conn = &mut *conn;
    for kind in [JobKind::Event, JobKind::Effect, JobKind::Effect, JobKind::Effect] {
        jobs::enqueue(conn, &keyed(kind, "k"), NOW).unwrap();
    }
    jobs::enqueue(conn, &NewJob { available_at: Some(NOW + 5), ..plain(JobKind::Effect) }, NOW).unwrap();
    let event = jobs::claim(conn, JobKind::Event, "w", NOW).unwrap().unwrap();
    assert!(jobs::finish(conn, &event, &JobEnd::Done { note: None }, NOW).unwrap());
    let running = jobs::claim(conn, JobKind::Effect, "w", NOW).unwrap().unwrap();
    jobs::cancel(conn, running.id + 2, "by hand", NOW).unwrap();
    let before = jobs::counts(conn).unwrap();
    let of = |status| before[&JobKind::Effect][status];
    assert_eq!((of("queued"), of("running"), of("cancelled")), (2, 1, 1));

    // Back to the schema before turns, whatever came after them.
    while !conn.revert_last_migration(crate::store::migrate::MIGRATIONS).unwrap().to_string().ends_with("000003") {}
    let older = |conn: &mut Conn, status: &str| {
        number(conn, &format!("SELECT n FROM job_counts WHERE kind = 'effect' AND status = '{status}'"))
    };
    assert_eq!(["queued", "running", "cancelled"].map(|status| older(conn, status)), [2, 1, 1]);
    scratch.store.migrate().unwrap();

    assert_eq!(jobs::counts(conn).unwrap(), before);
    assert_eq!(jobs::owned_by(conn, "w").unwrap(), std::slice::from_ref(&running));
    assert_eq!(jobs::claim(conn, JobKind::Effect, "w", NOW).unwrap(), None, "their key is busy");
    let turn = jobs::finish_and_claim(conn, &running, &JobEnd::Done { note: None }, JobKind::Effect, "w", NOW);
    assert_eq!(turn.unwrap().next.map(|job| job.id), Some(running.id + 1));
    let late = jobs::claim(conn, JobKind::Effect, "w", NOW + 5).unwrap().map(|job| job.id);
    assert_eq!(late, Some(running.id + 3), "the one in backoff");
}
