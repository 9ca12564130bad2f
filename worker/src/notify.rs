//! What systemd is told; nothing happens where there is none.

use sd_notify::NotifyState;

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

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!(%error, "systemd could not be told");
    }
}
