//! What systemd is told; nothing happens where there is none.

use sd_notify::NotifyState;
use std::time::Duration;

/// The worker has recovered and takes jobs.
pub fn ready() {
    tell(&[NotifyState::Ready]);
}

/// It winds down.
pub fn stopping() {
    tell(&[NotifyState::Stopping]);
}

/// It is alive.
pub fn alive() {
    tell(&[NotifyState::Watchdog]);
}

/// How often [`alive`] is to be said at least: a third of what the service manager allows. `None` = it does not watch.
pub fn watchdog_pace() -> Option<Duration> {
    sd_notify::watchdog_enabled().map(|allowed| allowed / 3)
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!(%error, "service manager not notified");
    }
}
