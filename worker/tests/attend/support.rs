//! Processes that write down who they are, and ways to see them gone.

use orch_worker::agent::Identity;
use orch_worker::agent::attend::Attendant;
use std::path::Path;
use std::time::{Duration, Instant};

/// The program under test.
pub const WORKER: &str = env!("CARGO_BIN_EXE_orch-worker");

/// Longer than anything here takes on a loaded machine.
pub const PATIENCE: Duration = Duration::from_secs(40);

pub fn attendant() -> Attendant {
    Attendant(WORKER.into())
}

/// A shell line that leaves a daemon which nothing in its environment, session, group or parent gives away, and waits
/// until it has written its number to the file `daemon` of the folder.
pub const LEAVES_A_DAEMON: &str = "(env -i /usr/bin/setsid /bin/sh -c '(echo $$ >/dev/null; \
    exec /bin/sh -c \"echo \\$\\$ > daemon.new; /bin/mv daemon.new daemon; exec /bin/sleep 1000\") & exit' \
    >/dev/null 2>&1 </dev/null &); until test -s daemon; do sleep 0.02; done";

/// The process that a file names, once it does.
pub fn process(folder: &Path, name: &str) -> Identity {
    let give_up = Instant::now() + PATIENCE;
    loop {
        let text = std::fs::read_to_string(folder.join(name)).unwrap_or_default();
        if let Some(process) = text.strip_suffix('\n').and_then(|t| Identity::of(t.parse().ok()?).ok()) {
            return process;
        }
        assert!(Instant::now() < give_up, "no process wrote {name}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// The number in a file, of a process that may have ended by now.
pub fn number(folder: &Path, name: &str) -> i32 {
    std::fs::read_to_string(folder.join(name)).unwrap().trim().parse().unwrap()
}

pub fn assert_gone(process: &Identity) {
    let give_up = Instant::now() + PATIENCE;
    while process.is_alive() {
        assert!(Instant::now() < give_up, "{process:?} lives on");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// It must have ended already.
pub fn assert_ended(number: i32) {
    let stat = std::fs::read_to_string(format!("/proc/{number}/stat")).unwrap_or_default();
    assert!(stat.is_empty() || stat.contains(") Z "), "it lives on: {stat}");
}
