//! SQLite's complaints as what a caller can do about them. A full disk in earnest is in `common/tests/disk_full.rs`.

use super::*;
use diesel::connection::SimpleConnection;

#[test]
fn a_read_only_database_cannot_be_written() {
    let scratch = Scratch::new();
    let url = format!("file:{}?mode=ro", scratch.store.path().display());
    let mut read_only = SqliteConnection::establish(&url).unwrap();
    let refused = jobs::enqueue(&mut read_only, &plain(JobKind::Event), NOW).unwrap_err();
    assert!(matches!(&refused, StoreError::NotWritable(why) if why.contains("readonly")), "{refused}");
    assert!(!refused.is_busy());
}

#[test]
fn a_full_database_cannot_be_written_and_then_can() {
    let scratch = Scratch::new();
    let mut conn = scratch.store.connection().unwrap();
    conn.batch_execute("PRAGMA max_page_count = 1").unwrap();
    let large = NewJob { payload: "x".repeat(100_000), ..plain(JobKind::Event) };
    let refused =
        crate::store::connection::immediate(&mut conn, Duration::ZERO, None, |c| jobs::enqueue(c, &large, NOW));
    let refused = refused.unwrap_err();
    assert!(matches!(&refused, StoreError::NotWritable(why) if why.contains("full")), "{refused}");
    conn.batch_execute("PRAGMA max_page_count = 1000000").unwrap();
    assert_eq!(number(&mut conn, "SELECT count(*) AS n FROM jobs"), 0, "nothing half-done stays");
    crate::store::connection::immediate(&mut conn, Duration::ZERO, None, |c| jobs::enqueue(c, &large, NOW)).unwrap();
}

#[test]
fn the_rest_is_an_error_of_sql() {
    let scratch = Scratch::new();
    let mut conn = scratch.store.connection().unwrap();
    let mut sql = |text: &str| StoreError::from(diesel::sql_query(text).execute(&mut *conn).unwrap_err());
    assert!(matches!(sql("SELEC 1"), StoreError::Sql(_)));
    assert!(matches!(sql("SELECT * FROM nowhere"), StoreError::NotMigrated(_)));
    let column = sql("SELECT colour FROM jobs");
    assert!(matches!(column, StoreError::NotMigrated(_)), "{column:?}");
    assert!(matches!(
        sql("INSERT INTO jobs (kind, payload, max_attempts, created_at) VALUES ('other', '', 1, 0)"),
        StoreError::Sql(_)
    ));
    assert!(matches!(
        sql("INSERT INTO jobs (kind, payload, max_attempts, created_at, task_id) VALUES ('event', '', 1, 0, 77)"),
        StoreError::Sql(_)
    ));
}

#[test]
fn an_unknown_name_in_a_column_is_said() {
    let scratch = Scratch::new();
    let mut conn = scratch.store.connection().unwrap();
    let id = add(&mut conn, &plain(JobKind::Event));
    conn.batch_execute("PRAGMA ignore_check_constraints = 1; UPDATE jobs SET kind = 'later'").unwrap();
    let error = jobs::get(&mut conn, id).unwrap_err().to_string();
    assert!(error.contains("later") && error.contains("advance"), "{error}");
}
