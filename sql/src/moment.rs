//! Locks that are asked for in moments: each try waits only a moment for a lock, because whoever else wants the table queues
//! behind us meanwhile, and the tries go on for a time.

use std::time::{Duration, Instant};

use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Error};

/// How long one try waits for a lock, and how long it lets others pass before the next one.
pub const MOMENT: Duration = Duration::from_millis(200);

/// For how long to try.
pub const LIMIT: Duration = Duration::from_secs(60);

/// An error that may say that a lock could not be had in time.
pub trait LockTimeout {
    /// Whether it says that.
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
pub async fn prepare(session: &Client) -> Result<(), Error> {
    let statement = format!("set lock_timeout = {}", MOMENT.as_millis());
    session.batch_execute(&statement).await
}

/// The statement that does the same for the transaction that is open.
pub fn in_transaction() -> String {
    format!("set local lock_timeout = {}", MOMENT.as_millis())
}

/// Tries of something that takes locks. A try leaves no transaction open.
#[derive(Debug)]
pub struct Tries {
    started: Instant,
    limit: Duration,
}

impl Tries {
    /// Tries for so long from now on.
    pub fn within(limit: Duration) -> Tries {
        Tries {
            started: Instant::now(),
            limit,
        }
    }

    /// After a try that has failed: waits a moment for the next one, if the lock could not be had and there is time left.
    ///
    /// # Errors
    /// That of the try, where there is to be no other one.
    pub async fn again<E: LockTimeout>(&self, error: E) -> Result<(), E> {
        if !error.is_lock_timeout() || self.started.elapsed() >= self.limit {
            return Err(error);
        }
        tokio::time::sleep(MOMENT).await;
        Ok(())
    }
}

/// Does something that takes locks, again and again until it gets them, for `limit`; then the error is that of the last try.
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

/// Runs a statement that takes a table's lock, in a session that is [`prepare`]d. None if the lock could not be had within
/// [`LIMIT`].
pub async fn with_lock<T>(
    statement: impl AsyncFnMut() -> Result<T, Error>,
) -> Result<Option<T>, Error> {
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
