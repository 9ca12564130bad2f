//! Migrators: any number at once, one migrates; a newer database is refused.

use super::*;
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
fn the_schema_goes_back_to_nothing_and_comes_again() {
    use diesel_migrations::MigrationHarness as _;
    let scratch = Scratch::new();
    let mut conn = scratch.store.connection().unwrap();
    jobs::enqueue(&mut conn, &keyed(JobKind::Effect, "k"), NOW).unwrap();
    conn.revert_all_migrations(crate::store::migrate::MIGRATIONS).unwrap();
    let ours = "SELECT count(*) AS n FROM sqlite_schema WHERE name NOT LIKE 'sqlite%' AND name NOT LIKE '%diesel%'";
    assert_eq!(number(&mut conn, ours), 0);
    scratch.store.migrate().unwrap();
    assert_eq!(jobs::counts(&mut conn).unwrap()[&JobKind::Effect]["queued"], 0);
}
