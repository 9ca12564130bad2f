//! A disk that is full in earnest: the process may not write files beyond a size. The write is refused with an
//! error of its own, nothing half-done stays, and reading goes on. The limit is put on a process of its own: this
//! test's program, started again by a shell that sets it.
#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

use orch_common::domain::job::JobKind;
use orch_common::store::jobs::{self, NewJob};
use orch_common::store::{Store, StoreError, StoreOptions};
use std::path::Path;
use std::process::Command;

const ROLE: &str = "ORCH_TEST_DISK_FULL";

fn large() -> NewJob {
    NewJob {
        kind: JobKind::Event,
        role: None,
        repo: None,
        task_id: None,
        payload: "x".repeat(64 * 1024),
        dedupe_key: None,
        order_key: None,
        available_at: None,
    }
}

fn count(store: &Store) -> i64 {
    let counts = jobs::counts(&mut store.connection().unwrap()).unwrap();
    counts.get(&JobKind::Event).and_then(|events| events.get("queued")).copied().unwrap()
}

/// Fills the database until that fails.
fn fill(path: &Path) {
    let store = Store::open(&StoreOptions::new(path)).unwrap();
    for written in 0..200 {
        match store.write_now(|c| jobs::enqueue(c, &large(), 1)) {
            Ok(id) => assert!(id.is_some()),
            Err(StoreError::NotWritable(why)) => {
                assert_eq!(count(&store), written, "what was committed can be read");
                println!("written={written} {why}");
                return;
            }
            Err(other) => panic!("{other:?}"),
        }
    }
    panic!("200 jobs of 64 KiB fit into the limit");
}

#[test]
fn a_full_disk_is_an_error_and_loses_nothing() {
    if let Some(path) = std::env::var_os(ROLE) {
        return fill(Path::new(&path));
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("orch.db");
    drop(Store::open_and_migrate(&StoreOptions::new(&path)).unwrap());
    // Without the trap the first write too far would end the process. A shell's blocks are 512 or 1024 bytes: the
    // limit is 1 or 2 MiB.
    let output = Command::new("sh")
        .args(["-c", "trap '' XFSZ; ulimit -f 2048; exec \"$0\" \"$@\""])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "a_full_disk_is_an_error_and_loses_nothing", "--nocapture"])
        .env(ROLE, &path)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    let written = said.split("written=").nth(1).and_then(|s| s.split(' ').next()).and_then(|n| n.parse::<i64>().ok());
    let written = written.unwrap();
    assert!(written > 0, "{said}");
    let store = Store::open(&StoreOptions::new(&path)).unwrap();
    assert_eq!(count(&store), written, "every commit is there, and nothing else");
    store.write_now(|c| jobs::enqueue(c, &large(), 1)).unwrap();
}
