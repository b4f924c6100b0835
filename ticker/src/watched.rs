//! A session whose running statement is canceled when the daemon must end at once.

use std::ops::Deref;
use std::time::Duration;

use sql::connect::Session;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Time after which a cancel request is sent again: a request may arrive between two statements and cancel none.
const CANCEL_AGAIN: Duration = Duration::from_millis(200);

/// A session, and the task that cancels its statements when told to.
pub(crate) struct Watched {
    session: Session,
    canceler: JoinHandle<()>,
}

impl Watched {
    pub(crate) fn new(session: Session, stop_now: CancellationToken) -> Self {
        let token = session.cancel_token();
        #[expect(
            clippy::disallowed_methods,
            reason = "aborted when the session is dropped"
        )]
        let canceler = tokio::spawn(async move {
            stop_now.cancelled().await;
            loop {
                // The error is ignored: a server that does not take the request does not answer the statement either,
                // and the process ends.
                let _ = token.cancel().await;
                tokio::time::sleep(CANCEL_AGAIN).await;
            }
        });
        Self { session, canceler }
    }
}

impl Deref for Watched {
    type Target = Session;

    fn deref(&self) -> &Session {
        &self.session
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.canceler.abort();
    }
}
