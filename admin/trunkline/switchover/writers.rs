//! Those who are writing when the time that the fence waits for them is over: they are ended, if the operator wants so.

use std::time::Duration;

use sql::moment::{LockTimeout as _, Tries};
use sql::role;

use crate::topology::hosts::Host;

/// How long writers are ended, who may come as long as the fence does not stand.
const ENDING: Duration = Duration::from_secs(10);

/// The end of writers.
pub(super) struct Ending {
    /// How long it goes on; None: it has not begun.
    tries: Option<Tries>,
    is_wanted: bool,
}

impl Ending {
    /// Nobody is ended yet, nor ever unless that is wanted.
    pub(super) fn new(is_wanted: bool) -> Ending {
        Ending {
            tries: None,
            is_wanted,
        }
    }

    /// Ends those who keep the fence from its locks; gives whether the fence is to be tried once more.
    pub(super) async fn go_on(&mut self, host: &mut Host, queue: &str, error: &sql::Error) -> bool {
        if !self.is_wanted || !error.is_lock_timeout() {
            return false;
        }
        if self
            .tries
            .get_or_insert_with(|| Tries::within(ENDING))
            .is_over()
        {
            return false;
        }
        let ended = host.ask(async |session| role::end_writers(&**session, queue).await);
        match ended.await {
            Ok(ended) => {
                for one in ended {
                    match one.error {
                        None => eprintln!("ended: {}", one.what),
                        Some(why) => eprintln!("warning: not ended: {}: {why}", one.what),
                    }
                }
                true
            }
            Err(why) => {
                eprintln!("warning: writers are not ended: {}", why.text());
                false
            }
        }
    }
}
