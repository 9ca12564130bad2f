//! What systemd is told: started, stopping, still alive. Without `NOTIFY_SOCKET` all of it does nothing.

use sd_notify::NotifyState;
use std::time::Duration;

/// The socket listens. Whether the database can take deliveries is `/health`'s to say: requests are answered
/// either way.
pub fn ready() {
    tell(NotifyState::Ready);
}

/// No further connection is accepted.
pub fn stopping() {
    tell(NotifyState::Stopping);
}

/// Says "alive" twice per watchdog interval for as long as it is polled, and so for as long as the process's
/// runtime turns. Never ends.
pub async fn keep_watchdog_quiet() {
    let Some(interval) = sd_notify::watchdog_enabled() else { return std::future::pending().await };
    let mut ticks = tokio::time::interval((interval / 2).max(Duration::from_millis(100)));
    loop {
        ticks.tick().await;
        tell(NotifyState::Watchdog);
    }
}

fn tell(state: NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(&[state]) {
        tracing::debug!(%error, "service manager not notified");
    }
}
