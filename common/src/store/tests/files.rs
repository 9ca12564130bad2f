//! The files beside the database, taken away while it is open.

use crate::store::{Files, Store, StoreError, StoreOptions};
use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = diesel::sql_types::BigInt)]
    n: i64,
}

fn beside(database: &Path, ending: &str) -> PathBuf {
    PathBuf::from(format!("{}{ending}", database.display()))
}

fn rows(database: &Path) -> i64 {
    let mut connection = SqliteConnection::establish(database.to_str().unwrap()).unwrap();
    diesel::sql_query("SELECT count(*) AS n FROM t").get_result::<Count>(&mut connection).unwrap().n
}

#[test]
fn nothing_is_committed_into_files_without_a_name_and_what_was_is_brought_into_the_database() {
    for ending in ["-wal", "-shm"] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("orch.db");
        let store = Store::open(&StoreOptions::new(&path)).unwrap();
        let write = || store.write_now(|c| Ok(c.batch_execute("INSERT INTO t VALUES (1)")?));
        store.write_now(|c| Ok(c.batch_execute("CREATE TABLE t(x)")?)).unwrap();
        (0..100).for_each(|_| write().unwrap());
        assert_eq!(store.files(), Files::Whole);
        std::fs::remove_file(beside(&path, ending)).unwrap();
        assert_eq!(store.files(), Files::Lost, "{ending}");
        assert!(matches!(write(), Err(StoreError::FilesLost(_))), "{ending}");
        assert!(matches!(store.connection().map(drop), Err(StoreError::FilesLost(_))), "{ending}");
        store.rescue().unwrap();
        // The database's file alone has all of it.
        let alone = folder.path().join("alone.db");
        std::fs::copy(&path, &alone).unwrap();
        assert_eq!(rows(&alone), 100, "{ending}");
        assert!(!beside(&path, ending).exists(), "nothing makes it anew meanwhile");
    }
}

#[test]
fn one_put_in_its_place_is_noticed_too_and_another_database_is_another_matter() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("orch.db");
    let store = Store::open(&StoreOptions::new(&path)).unwrap();
    let log = beside(&path, "-wal");
    std::fs::copy(&log, folder.path().join("other")).unwrap();
    std::fs::rename(folder.path().join("other"), &log).unwrap();
    assert_eq!(store.files(), Files::Lost);
    std::fs::rename(&path, folder.path().join("old.db")).unwrap();
    assert_eq!(store.files(), Files::Replaced);
}

/// A store keeps its log, whatever becomes of its other connections.
#[test]
fn the_log_stays_the_same_while_a_store_is_open() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("orch.db");
    let store = Store::open(&StoreOptions::new(&path)).unwrap();
    let other = Store::open(&StoreOptions::new(&path)).unwrap();
    other.write_now(|c| Ok(c.batch_execute("CREATE TABLE t(x)")?)).unwrap();
    drop(other);
    rows(&path);
    assert_eq!(store.files(), Files::Whole);
    store.checkpoint().unwrap();
    assert_eq!(store.files(), Files::Whole);
}

#[test]
fn nobody_opens_it_while_another_process_has_the_files_that_are_gone() {
    for ending in ["-wal", "-shm"] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("orch.db");
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "store::tests::files::holder", "--nocapture"])
            .env("ORCH_TEST_HOLDS", &path)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        assert!(lines.map_while(Result::ok).any(|line| line.contains("it is open")));
        assert!(Store::open(&StoreOptions::new(&path)).is_ok(), "beside another process");
        std::fs::remove_file(beside(&path, ending)).unwrap();
        let refused = Store::open(&StoreOptions::new(&path)).map(drop);
        let Err(StoreError::FilesLost(why)) = refused else { panic!("{ending}: {refused:?}") };
        assert!(why.contains("orch.db-wal"), "{why}");
        child.kill().unwrap();
        child.wait().unwrap();
        let store = Store::open(&StoreOptions::new(&path)).unwrap();
        store.write_now(|c| Ok(c.batch_execute("INSERT INTO t VALUES (2)")?)).unwrap();
    }
}

/// Not a test of its own: the other process of the test above.
#[test]
fn holder() {
    let Some(path) = std::env::var_os("ORCH_TEST_HOLDS") else { return };
    let store = Store::open(&StoreOptions::new(path)).unwrap();
    store.write_now(|c| Ok(c.batch_execute("CREATE TABLE t(x)")?)).unwrap();
    store.checkpoint().unwrap();
    println!("it is open");
    let _until_killed = std::io::stdin().read_line(&mut String::new());
}
