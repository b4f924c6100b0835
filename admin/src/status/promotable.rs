//! Whether a standby could become the provider, as far as its own database knows: the provider may be away.

use sql::connect::{ApplicationName, Purpose};
use sql::install::ownership::Schema;
use sql::operation::Obstacle;
use sql::role::Role;
use sql::{meeting, operation};

use super::ask::Asking;
use super::report::SubscriberStatus;
use crate::config::ReplayConfig;

/// What the database of a standby says of its promotion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Promotable {
    /// Why it is not asked: the database is this, and no standby.
    role: Option<&'static str>,
    /// What keeps it from being the provider.
    obstacles: Vec<Obstacle>,
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
            let mut nodes = nodes.iter();
            let own = nodes.find(|node| node.is_own && node.queue == config.queue);
            // What a plain subscriber has installed may know nothing of sets.
            let role = own.map_or("a plain database", |own| own.role.as_str());
            if role != Role::Standby.as_str() {
                return Ok(Promotable {
                    role: Some(role),
                    obstacles: Vec::new(),
                    behind: 0,
                });
            }
            Ok(Promotable {
                role: None,
                obstacles: operation::not_promotable(&*session, &config.queue, None).await?,
                behind: own.and_then(|own| own.behind).unwrap_or(0),
            })
        });
        asked.await.map_err(|unasked| unasked.error)
    }

    /// What the database is, if that is no standby.
    pub fn no_standby(&self) -> Option<&'static str> {
        self.role
    }

    /// What to do about what keeps it from being the provider, in brackets; empty: nothing is known.
    pub fn advice(&self) -> String {
        let hints = self.obstacles.iter().filter_map(|one| one.hint.as_deref());
        let hints: Vec<&str> = hints.collect();
        match hints.as_slice() {
            [] => String::new(),
            all => format!(" ({})", all.join("; ")),
        }
    }

    /// Whether the standby could become the provider: it keeps up ([`SubscriberStatus::keeps_up`]), and nothing keeps
    /// it from that. Both answers say why.
    pub fn answer(
        &self,
        standby: &SubscriberStatus,
        max_lag: Option<f64>,
    ) -> Result<String, String> {
        let keeps_up = standby.keeps_up(max_lag)?;
        if self.role.is_some() {
            return Err(format!("{}: the database is no standby", standby.consumer));
        }
        if self.obstacles.is_empty() {
            return Ok(format!("{keeps_up}, ticks behind: {}", self.behind));
        }
        let reasons = self.obstacles.iter().map(|one| one.reason.as_str());
        let reasons: Vec<&str> = reasons.collect();
        Err(format!("{}: {}", standby.consumer, reasons.join("; ")))
    }
}
