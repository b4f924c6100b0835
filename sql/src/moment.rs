//! Locks that are asked for in moments. Each try waits only a moment for a lock, because every other session that wants
//! the table queues behind us meanwhile. The tries go on for a time.

use std::time::{Duration, Instant};

use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Error};

/// How long one try waits for a lock, and how long other sessions may pass before the next try.
pub const MOMENT: Duration = Duration::from_millis(200);

/// How long the tries go on.
pub const LIMIT: Duration = Duration::from_secs(60);

/// An error that may say that a lock was not granted in time.
pub trait LockTimeout {
    /// Whether the error says that a lock was not granted in time.
    fn is_lock_timeout(&self) -> bool;
}

impl LockTimeout for Error {
    fn is_lock_timeout(&self) -> bool {
        self.code() == Some(&SqlState::LOCK_NOT_AVAILABLE)
    }
}

impl LockTimeout for crate::Error {
    fn is_lock_timeout(&self) -> bool {
        self.code() == Some(&SqlState::LOCK_NOT_AVAILABLE)
    }
}

/// Sets the session's `lock_timeout` to a moment.
pub async fn prepare(session: &Client) -> Result<(), crate::Error> {
    let statement = format!("set lock_timeout = {}", MOMENT.as_millis());
    let set = session.batch_execute(&statement).await;
    set.map_err(crate::Error::database("set a limit for locks"))
}

/// Ends what [`prepare`] has set.
pub async fn end(session: &Client) -> Result<(), crate::Error> {
    let set = session.batch_execute("reset lock_timeout").await;
    set.map_err(crate::Error::database("take the limit for locks away"))
}

/// The statement that sets `lock_timeout` to a moment for the open transaction.
pub fn in_transaction() -> String {
    format!("set local lock_timeout = {}", MOMENT.as_millis())
}

/// Tries of an action that takes locks. A try leaves no transaction open.
#[derive(Debug)]
pub struct Tries {
    started: Instant,
    limit: Duration,
}

impl Tries {
    /// Tries that go on for `limit` from now.
    pub fn within(limit: Duration) -> Tries {
        Tries {
            started: Instant::now(),
            limit,
        }
    }

    /// Whether there is to be no other try.
    pub fn is_over(&self) -> bool {
        self.started.elapsed() >= self.limit
    }

    /// Called after a try that has failed: waits a moment for the next try, if the lock was not granted and time is
    /// left.
    ///
    /// # Errors The try's error, if there is to be no other try.
    pub async fn again<E: LockTimeout>(&self, error: E) -> Result<(), E> {
        if !error.is_lock_timeout() || self.is_over() {
            return Err(error);
        }
        tokio::time::sleep(MOMENT).await;
        Ok(())
    }
}

/// Repeats an action that takes locks until it gets them, for `limit` at most; the error then is that of the last try.
pub async fn within<T, E: LockTimeout>(
    limit: Duration,
    mut one_try: impl AsyncFnMut() -> Result<T, E>,
) -> Result<T, E> {
    let tries = Tries::within(limit);
    loop {
        match one_try().await {
            Ok(done) => return Ok(done),
            Err(error) => tries.again(error).await?,
        }
    }
}

/// Runs a statement that takes a table's lock, in a session that is [`prepare`]d. None if the lock was not granted
/// within
/// [`LIMIT`].
pub async fn with_lock<T>(
    statement: impl AsyncFnMut() -> Result<T, crate::Error>,
) -> Result<Option<T>, crate::Error> {
    match within(LIMIT, statement).await {
        Ok(done) => Ok(Some(done)),
        Err(error) if error.is_lock_timeout() => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Locked(bool);

    impl LockTimeout for Locked {
        fn is_lock_timeout(&self) -> bool {
            self.0
        }
    }

    #[tokio::test]
    async fn only_a_lock_is_tried_for_again_and_not_for_ever() {
        let mut tries = 0;
        let done: Result<u32, Locked> = within(LIMIT, async || {
            tries += 1;
            if tries < 4 {
                Err(Locked(true))
            } else {
                Ok(tries)
            }
        })
        .await;
        assert!(matches!(done, Ok(4)));
        let failed: Result<(), Locked> = within(LIMIT, async || Err(Locked(false))).await;
        assert!(matches!(failed, Err(Locked(false))));
        let given_up: Result<(), Locked> = within(Duration::ZERO, async || Err(Locked(true))).await;
        assert!(matches!(given_up, Err(Locked(true))));
    }
}
