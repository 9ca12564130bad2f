//! Backups: whole, while others write, and never over something that exists.

use super::*;
use crate::store::backup::{backup, restore};

#[test]
fn a_backup_taken_while_others_write_restores_to_the_same_rows() {
    let scratch = Scratch::new();
    scratch.write(|c| {
        for _ in 0..50 {
            add(c, &plain(JobKind::Event));
        }
        Ok(())
    });
    let mut writer = scratch.store.connection().unwrap();
    diesel::connection::SimpleConnection::batch_execute(
        &mut *writer,
        "BEGIN IMMEDIATE; DELETE FROM jobs WHERE id > 10",
    )
    .unwrap();
    let copy = scratch.file("copy 100%?#.db");
    backup(&scratch.store, &copy).unwrap();
    diesel::connection::SimpleConnection::batch_execute(&mut *writer, "ROLLBACK").unwrap();

    let place = scratch.file("new/restored.db");
    restore(&copy, &place).unwrap();
    let restored = Store::open(&StoreOptions::new(&place)).unwrap();
    restored.check_schema().unwrap();
    assert_eq!(number(&mut restored.connection().unwrap(), "SELECT count(*) AS n FROM jobs"), 50);
    assert_eq!(
        number(
            &mut restored.connection().unwrap(),
            "SELECT n FROM job_counts WHERE kind = 'event' AND status = 'queued'"
        ),
        50
    );
    assert!(!scratch.file("new/restored.restore-part").exists());
}

#[test]
fn nothing_that_exists_is_overwritten() {
    let scratch = Scratch::new();
    let copy = scratch.file("copy.db");
    backup(&scratch.store, &copy).unwrap();
    let before = std::fs::read(&copy).unwrap();
    assert!(matches!(backup(&scratch.store, &copy), Err(StoreError::NotWritable(_))));
    assert!(matches!(restore(&copy, scratch.store.path()), Err(StoreError::NotWritable(_))));
    assert_eq!(std::fs::read(&copy).unwrap(), before);
    for left_over in ["there.db-wal", "there.db-shm"] {
        std::fs::write(scratch.file(left_over), "x").unwrap();
        assert!(matches!(restore(&copy, &scratch.file("there.db")), Err(StoreError::NotWritable(_))), "{left_over}");
        std::fs::remove_file(scratch.file(left_over)).unwrap();
    }
    restore(&copy, &scratch.file("there.db")).unwrap();
}

#[test]
fn what_is_missing_or_damaged_is_not_restored() {
    let scratch = Scratch::new();
    let place = scratch.file("restored.db");
    assert!(matches!(restore(&scratch.file("none.db"), &place), Err(StoreError::Open { .. })));
    let bad = scratch.file("bad.db");
    std::fs::write(&bad, "this is no database, whatever its name says; and it is long enough to look like one")
        .unwrap();
    assert!(matches!(restore(&bad, &place), Err(StoreError::Open { .. })));
    let torn = scratch.file("torn.db");
    backup(&scratch.store, &torn).unwrap();
    let mut bytes = std::fs::read(&torn).unwrap();
    for byte in bytes.iter_mut().skip(4096).take(8192) {
        *byte = 0xAA;
    }
    std::fs::write(&torn, bytes).unwrap();
    assert!(matches!(restore(&torn, &place), Err(StoreError::Open { .. })));
    assert!(!place.exists());
}
