//! Four processes start on a database that does not exist yet: all of them find it migrated, one did it. The
//! processes are this test's own program, started again.
#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

use orch_common::store::{Store, StoreOptions};
use std::path::Path;
use std::process::{Child, Command, Stdio};

const PROCESSES: usize = 4;
const ROLE: &str = "ORCH_TEST_MIGRATE_RACE";

/// One process of the race.
fn migrate(path: &Path) {
    let store = Store::open(&StoreOptions::new(path)).unwrap();
    let applied = store.migrate().unwrap();
    store.check_schema().unwrap();
    println!("applied={}", applied.len());
}

fn start(path: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "of_four_processes_on_a_fresh_file_one_migrates", "--nocapture"])
        .env(ROLE, path)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

#[test]
fn of_four_processes_on_a_fresh_file_one_migrates() {
    if let Some(path) = std::env::var_os(ROLE) {
        return migrate(Path::new(&path));
    }
    for round in 0..5 {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data/orch.db");
        let children: Vec<Child> = (0..PROCESSES).map(|_| start(&path)).collect();
        let mut migrated = 0;
        for child in children {
            let output = child.wait_with_output().unwrap();
            let said = String::from_utf8_lossy(&output.stdout);
            assert!(output.status.success(), "round {round}: {said}{}", String::from_utf8_lossy(&output.stderr));
            assert!(said.contains("applied="), "{said}");
            migrated += usize::from(!said.contains("applied=0"));
        }
        assert_eq!(migrated, 1, "round {round}");
        Store::open(&StoreOptions::new(&path)).unwrap().check_schema().unwrap();
    }
}
