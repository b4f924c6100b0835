//! Keeps the oids that the provider's tables have in the logs further up. When the provider is gone, the subscriber
//! finds its tables by them at a node further up.

use std::time::{Duration, Instant};

use sql::{
    connect::{Purpose, Session},
    provider::{self, Places},
    queue::tick::{Epoch, TickId},
    subscriber::{hop, position::Position},
};

use crate::{subscriber::shared::Subscription, trouble::Trouble};

/// Whether the stored oids may be older than what the provider knows by now.
#[derive(Debug)]
pub(crate) struct Origins {
    /// The tick that is applied: what a table's rows came from at that tick counts.
    stands: TickId,
    /// The logs further up, when the oids were stored last.
    logs: Vec<Epoch>,
    is_due: bool,
    /// When it is asked again: the provider did not know all of the tables, or knows more by then.
    again: Option<Instant>,
    rest: Duration,
}

/// The first rest before the provider is asked again; each further one is twice as long, up to the last.
const FIRST_REST: Duration = Duration::from_millis(500);
const LAST_REST: Duration = Duration::from_secs(60);

impl Origins {
    /// Nothing is known to be stored.
    pub(crate) fn new() -> Origins {
        Origins {
            stands: TickId(0),
            logs: Vec::new(),
            is_due: true,
            again: None,
            rest: FIRST_REST,
        }
    }

    /// To be told of each position with its origins.
    ///
    /// # Errors
    /// [`Trouble::Operator`] if the origins cannot be read.
    pub(crate) fn at(&mut self, position: Position, origins: Option<&str>) -> Result<(), Trouble> {
        self.stands = position.tick.id;
        // A tick without origins takes back nothing that is known of the tables.
        if origins.is_none() {
            return Ok(());
        }
        let places = Places::of(position, origins)?;
        let logs = places.0.iter().skip(1).map(|place| place.epoch);
        if !logs.clone().eq(self.logs.iter().copied()) {
            self.logs = logs.collect();
            self.make_due();
        }
        Ok(())
    }

    /// To be told when a table has come into step, or its rows have become the provider's own: the oids of such a table
    /// are asked for, where there is a log further up.
    pub(crate) fn has_table(&mut self) {
        if !self.logs.is_empty() {
            self.make_due();
        }
    }

    fn make_due(&mut self) {
        (self.is_due, self.rest) = (true, FIRST_REST);
    }

    /// Stores the oids if they may have changed.
    pub(crate) async fn store_if_due(
        &mut self,
        sub: &Subscription,
        provider: &Session,
    ) -> Result<(), Trouble> {
        let is_again = self.again.is_some_and(|again| again <= Instant::now());
        if !self.is_due && !is_again {
            return Ok(());
        }
        (self.is_due, self.again) = (false, None);
        let known = provider::table_origins(&**provider, &sub.settings.queue, self.stands).await?;
        if known.is_empty() && self.logs.is_empty() {
            return Ok(());
        }
        let subscriber = sub.subscriber_session(Purpose::Admin).await?;
        let unknown = hop::note_origins(&*subscriber, &sub.consumer, &known).await?;
        // Where some have none the provider has not noted them yet, or it is the only one that has them.
        let rest = if unknown > 0 { self.rest } else { LAST_REST };
        self.again = Some(Instant::now() + rest);
        self.rest = LAST_REST.min(self.rest * 2);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use sql::queue::tick::{Tick, TickTag};

    use super::*;

    #[test]
    fn the_oids_are_asked_for_again_when_the_logs_further_up_are_others() {
        let position = Position {
            epoch: Epoch(1),
            tick: Tick {
                id: TickId(1),
                tag: TickTag(1),
            },
        };
        let mut origins = Origins::new();
        let is_due = |origins: &mut Origins| std::mem::take(&mut origins.is_due);
        assert!(is_due(&mut origins));
        origins.has_table();
        assert!(!is_due(&mut origins), "nothing is further up");
        origins.at(position, Some("[[7, 1, 1]]")).unwrap();
        assert!(is_due(&mut origins));
        origins.at(position, Some("[[7, 2, 1]]")).unwrap();
        origins.at(position, None).unwrap();
        assert!(!is_due(&mut origins));
        origins.has_table();
        assert!(is_due(&mut origins));
        origins
            .at(position, Some("[[8, 1, 1], [7, 2, 1]]"))
            .unwrap();
        assert!(is_due(&mut origins));
        assert!(origins.at(position, Some("?")).is_err());
    }
}
