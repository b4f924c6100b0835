//! Sequences follow the provider's sequences. Before a batch commits, each sequence has at least the value that it had
//! when the batch's last tick was made, so that it does not give out a key of a replicated row. It is also a bounded
//! number of steps ahead, so that it does not give out a key that the provider gives out next, and need not be set for
//! every batch.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use admin::log::Once;
use sql::{
    connect::Session,
    name::TableName,
    provider::{self, SequenceValue},
    subscriber::sequence_state,
};
use tracing::{error, info};

use crate::trouble::Trouble;

/// How many values a sequence is kept ahead of the provider's, at most.
const AHEAD: i32 = 1000;

/// How long a sequence that could not be set rests. The cause may end without any notice.
const REST: Duration = Duration::from_secs(1);

/// The values that a subscriber's sequences were set to.
pub(crate) struct Sequences {
    queue: String,
    consumer: String,
    /// The provider's values that were carried over.
    carried: HashMap<TableName, SequenceValue>,
    /// When the sequences that could not be set were last tried. None of them counts as carried.
    tried: HashMap<TableName, Instant>,
    /// Why sequences could not be set.
    told: Once<TableName>,
}

impl Sequences {
    /// A state in which no value is known.
    pub(crate) fn new(queue: &str, consumer: &str) -> Sequences {
        Sequences {
            queue: queue.to_owned(),
            consumer: consumer.to_owned(),
            carried: HashMap::new(),
            tried: HashMap::new(),
            told: Once::default(),
        }
    }

    /// To be called after a batch's last tick is known and before its transaction begins. A job without sequences has
    /// no cost here: `carry` finds new sequences.
    pub(crate) async fn before_commit(
        &mut self,
        provider: &Session,
        subscriber: &Session,
    ) -> Result<(), Trouble> {
        if self.carried.is_empty() {
            return Ok(());
        }
        self.carry(provider, subscriber).await
    }

    /// Sets the sequences whose value has changed on the provider. The value stays set even if the transaction around
    /// it is rolled back: then the sequence is ahead.
    pub(crate) async fn carry(
        &mut self,
        provider: &Session,
        subscriber: &Session,
    ) -> Result<(), Trouble> {
        let values = provider::sequence_values(&**provider, &self.queue, &self.consumer).await?;
        for value in values {
            let rests = |tried: &Instant| tried.elapsed() < REST;
            if self.carried.get(&value.sequence) != Some(&value)
                && !self.tried.get(&value.sequence).is_some_and(rests)
            {
                self.set(subscriber, value).await?;
            }
        }
        Ok(())
    }

    async fn set(&mut self, subscriber: &Session, value: SequenceValue) -> Result<(), Trouble> {
        let name = value.sequence.clone();
        // The session is read-only outside of transactions that say otherwise.
        let run = async |sql: &str| {
            let done = subscriber.batch_execute(sql).await;
            done.map_err(Trouble::database("could not set a sequence"))
        };
        run("begin read write").await?;
        let problem = sequence_state::set(&**subscriber, &self.consumer, &value, AHEAD).await?;
        run("commit").await?;
        match problem {
            Some(problem) => {
                if self.told.say(name.clone(), &problem) {
                    error!(sequence = %name, error = %problem, "sequence cannot be set");
                }
                self.carried.remove(&name);
                self.tried.insert(name, Instant::now());
            }
            None => {
                self.tried.remove(&name);
                if self.told.over(&name) {
                    info!(sequence = %name, "sequence is set again");
                }
                self.carried.insert(name, value);
            }
        }
        Ok(())
    }
}
