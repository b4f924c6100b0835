//! Receives the provider's `NOTIFY trunkline_tick`, and `NOTIFY trunkline_tables`, by which a command says that it has
//! changed the list of tables. A notification is a hint without content: the receiver looks by itself. It also looks
//! now and then without a notification, because `pgqd` sends none.

use std::time::Duration;

use sql::connect::{ApplicationName, ConnectInfo};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::debug;

/// Time between two looks where notifications are known to come.
const QUIET_LOOK: Duration = Duration::from_secs(1);

/// The channel that commands notify.
pub(crate) const TABLES: &str = "trunkline_tables";

/// The waiting end, one for each reader.
#[derive(Clone)]
pub(crate) struct Ticks {
    heard: watch::Receiver<u64>,
    loop_delay: Duration,
}

impl Ticks {
    /// Waits until there may be a new tick: a notification, or `loop_delay` (a second where
    /// notifications are known to come). Cancel safe.
    pub(crate) async fn wait(&mut self) {
        let look = if *self.heard.borrow() > 0 {
            QUIET_LOOK.max(self.loop_delay)
        } else {
            self.loop_delay
        };
        tokio::select! {
            changed = self.heard.changed() => {
                if changed.is_err() {
                    tokio::time::sleep(self.loop_delay).await;
                }
            }
            () = tokio::time::sleep(look) => {}
        }
    }

    /// Forgets the notifications so far. To be called before a look, so that a notification between the look and the
    /// wait is not lost.
    pub(crate) fn mark(&mut self) {
        self.heard.borrow_and_update();
    }
}

/// Hints that a command has changed the list of tables.
#[derive(Clone)]
pub(crate) struct Requests(watch::Receiver<u64>);

impl Requests {
    /// Waits for a hint; for ever if the listener has ended. Cancel safe.
    pub(crate) async fn wait(&mut self) {
        if self.0.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Whether there was a hint since the last one that was taken.
    pub(crate) fn take(&mut self) -> bool {
        let is_new = self.0.has_changed().unwrap_or(false);
        self.0.mark_unchanged();
        is_new
    }
}

/// The end that receives notifications.
pub(crate) struct Listener {
    heard: watch::Sender<u64>,
    requested: watch::Sender<u64>,
}

impl Listener {
    /// A listener that is not connected yet, with its two waiting ends.
    pub(crate) fn new(loop_delay: Duration) -> (Listener, Ticks, Requests) {
        let (sender, heard) = watch::channel(0);
        let (requested, requests) = watch::channel(0);
        let listener = Listener {
            heard: sender,
            requested,
        };
        (listener, Ticks { heard, loop_delay }, Requests(requests))
    }

    /// Listens for ticks of a queue until stopped; connects again whenever the connection breaks.
    pub(crate) async fn run(
        self,
        provider: ConnectInfo,
        name: ApplicationName,
        queue: String,
        stop: CancellationToken,
    ) {
        while !stop.is_cancelled() {
            tokio::select! {
                () = self.listen(&provider, &name, &queue) => {}
                () = stop.cancelled() => return,
            }
            // Without a connection no notification comes: every reader looks every `loop_delay`.
            self.heard.send_replace(0);
            tokio::select! {
                () = tokio::time::sleep(QUIET_LOOK) => {}
                () = stop.cancelled() => return,
            }
        }
    }

    async fn listen(&self, provider: &ConnectInfo, name: &ApplicationName, queue: &str) {
        let mut session = match provider.connect(name).await {
            Ok(session) => session,
            Err(error) => {
                // The readers meet the same error and report it.
                debug!(%error, "cannot listen for ticks");
                return;
            }
        };
        if let Err(error) = session
            .batch_execute(&format!("listen trunkline_tick; listen {TABLES}"))
            .await
        {
            debug!(%error, "cannot listen for ticks");
            return;
        }
        while let Some(notification) = session.notification().await {
            if notification.payload() != queue {
                continue;
            }
            let hint = if notification.channel() == TABLES {
                &self.requested
            } else {
                &self.heard
            };
            hint.send_modify(|count| *count += 1);
        }
    }
}
