//! Whether a standby could become the provider, as far as its own database knows: the provider may be away.

use sql::connect::{ApplicationName, Purpose};
use sql::install::ownership::Schema;
use sql::{meeting, operation};

use super::ask::Asking;
use super::report::SubscriberStatus;
use crate::config::ReplayConfig;

/// What the database of a standby says of its promotion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Promotable {
    /// What keeps it from being the provider.
    obstacles: Vec<String>,
    /// Ticks that the furthest standby that it has heard of is ahead.
    behind: i64,
}

impl Promotable {
    /// Asks the one subscriber of a replay. Err: why it has no answer.
    pub async fn ask(config: &ReplayConfig, asking: &Asking) -> Result<Promotable, String> {
        let [subscriber] = config.subscribers.as_slice() else {
            return Err("a standby has one subscriber, and the config has several".to_owned());
        };
        let asked = asking.ask(async {
            let name = ApplicationName::new(Purpose::Status, &config.daemon.job_name);
            let session = subscriber.db.connect_for(&name, Schema::SUBSCRIBER).await?;
            let nodes = meeting::nodes(&*session).await?;
            let mut own = nodes
                .iter()
                .filter(|node| node.is_own && node.queue == config.queue);
            // What a plain subscriber has installed may know nothing of sets.
            let Some(own) = own.next() else {
                return Ok(Err(format!(
                    "{}: the database is no standby",
                    subscriber.consumer
                )));
            };
            let obstacles = operation::not_promotable(&*session, &config.queue, None).await?;
            Ok(Ok(Promotable {
                obstacles: obstacles.into_iter().map(|one| one.reason).collect(),
                behind: own.behind.unwrap_or(0),
            }))
        });
        asked.await.unwrap_or_else(|unasked| Err(unasked.error))
    }

    /// Whether the standby could become the provider: it keeps up ([`SubscriberStatus::keeps_up`]), and nothing keeps
    /// it from that. Both answers say why.
    pub fn answer(
        &self,
        standby: &SubscriberStatus,
        max_lag: Option<f64>,
    ) -> Result<String, String> {
        let keeps_up = standby.keeps_up(max_lag)?;
        if self.obstacles.is_empty() {
            return Ok(format!("{keeps_up}, ticks behind: {}", self.behind));
        }
        Err(format!(
            "{}: {}",
            standby.consumer,
            self.obstacles.join("; ")
        ))
    }
}
