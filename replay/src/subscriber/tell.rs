//! Reports a subscriber's trouble to the operator: in the log once until it is over, and in `trunkline.position` the
//! trouble that counts. Only this module writes that error.

use std::sync::PoisonError;

use sql::{connect::Purpose, subscriber::position};
use tracing::{debug, error, warn};

use super::{
    shared::Subscription,
    told::{Stored, TroubledPart},
};
use crate::trouble::Trouble;

impl Subscription {
    /// Logs trouble, unless it has been logged and is not over, and shows it in `status` if the subscriber can be
    /// reached, until the part [goes on](Subscription::goes_on).
    pub(crate) async fn tell(&self, part: TroubledPart, trouble: &Trouble) {
        // The text has no values of rows, because everybody with access to the log or to a status sees it.
        let (text, advice) = (trouble.log_line(), trouble.advice());
        let news = {
            let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
            *told.slot(part) = Some(Stored {
                text: text.clone(),
                advice: advice.map(str::to_owned),
            });
            told.logged.say(part, &text)
        };
        if news {
            self.log(part, trouble, &text);
        }
        self.show_trouble().await;
    }

    fn log(&self, part: TroubledPart, trouble: &Trouble, error: &str) {
        let consumer = &self.consumer;
        match (part, trouble, trouble.advice()) {
            (TroubledPart::BatchLoop, Trouble::Operator { .. } | Trouble::Table(_), advice) => {
                error!(%consumer, %error, advice, "subscriber stopped");
            }
            (TroubledPart::BatchLoop, Trouble::Passing { .. } | Trouble::Stale, Some(advice)) => {
                error!(%consumer, %error, %advice, "subscriber waits");
            }
            (TroubledPart::BatchLoop, Trouble::Passing { .. } | Trouble::Stale, None) => {
                warn!(%consumer, %error, "subscriber waits");
            }
            (TroubledPart::TableTasks, _, advice) => {
                error!(%consumer, %error, advice, "table tasks wait");
            }
        }
    }

    /// Ends the reported trouble of a part: the same trouble is news the next time.
    pub(crate) async fn goes_on(&self, part: TroubledPart) {
        let was_told = {
            let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
            told.slot(part).take();
            told.logged.over(&part)
        };
        if was_told {
            self.show_trouble().await;
        }
    }

    /// Whether trouble of a part was reported and is not over.
    pub(crate) fn is_in_trouble(&self, part: TroubledPart) -> bool {
        let told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.logged.holds(&part)
    }

    /// Stores the trouble that counts, or that there is no trouble.
    pub(crate) async fn show_trouble(&self) {
        let Ok(session) = self.subscriber_session(Purpose::Admin).await else {
            // Status cannot reach the subscriber either, and says so.
            return;
        };
        let counts = {
            let told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
            let counts = told.batch_loop.as_ref().or(told.table_tasks.as_ref());
            counts.cloned()
        };
        let stored = counts.as_ref().map(|stored| position::StoredError {
            text: &stored.text,
            advice: stored.advice.as_deref(),
        });
        if let Err(error) = position::show_error(&*session, &self.consumer, stored).await {
            let error = admin::exit::log_line(&error);
            debug!(consumer = %self.consumer, error, "the error is not shown in status");
        }
    }
}
