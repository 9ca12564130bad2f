//! Waiting for what happens: polls with a deadline, and names what never came.

use std::time::{Duration, Instant};

/// How long anything may take on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two polls.
const INTERVAL: Duration = Duration::from_millis(10);

/// Polls until `find` finds something; panics with `what` where it does not come.
pub fn eventually<T>(what: &str, mut find: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = find() {
            return found;
        }
        assert!(Instant::now() < deadline, "waited {PATIENCE:?} in vain for {what}");
        std::thread::sleep(INTERVAL);
    }
}

/// [`eventually`] that lets other tasks run between two polls.
pub async fn eventually_async<T>(what: &str, mut find: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = find() {
            return found;
        }
        assert!(Instant::now() < deadline, "waited {PATIENCE:?} in vain for {what}");
        tokio::time::sleep(INTERVAL).await;
    }
}
