//! What a service manager (systemd) is told: that the daemon is ready, that it ends, and that its runtime lives.
//! Nothing happens where none asks: without NOTIFY_SOCKET, or without a watchdog.

use std::future::pending;
use std::time::Duration;

use sd_notify::NotifyState;

/// Tells that the start is done; `status` is shown by `systemctl status`.
pub(super) fn ready(status: &str) {
    let status = status.lines().collect::<Vec<_>>().join("; ");
    // Nobody hears it where no service manager waits.
    let _ = sd_notify::notify(false, &[NotifyState::Ready, NotifyState::Status(&status)]);
}

/// Tells that the daemon ends.
pub(super) fn stopping() {
    let _ = sd_notify::notify(false, &[NotifyState::Stopping]);
}

/// Tells again and again, twice in the watchdog's time, that the runtime lives.
pub(super) async fn live() {
    let mut micros = 0;
    if !sd_notify::watchdog_enabled(false, &mut micros) || micros == 0 {
        return pending().await;
    }
    let mut due = tokio::time::interval(Duration::from_micros(micros / 2));
    loop {
        due.tick().await;
        let _ = sd_notify::notify(false, &[NotifyState::Watchdog]);
    }
}
