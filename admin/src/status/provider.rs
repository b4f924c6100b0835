//! The state of a replay's provider, and what the provider says of each subscriber. Gathers the facts; `verdict` judges
//! them.

use std::collections::BTreeMap;

use sql::connect::{ApplicationName, Session};
use sql::our_sessions::OurSessions;
use sql::queue::QueueInfo;
use sql::queue::consumer::ConsumerInfo;
use sql::queue::holder::{Holder, HolderKind};
use sql::queue::tick::{Epoch, TickId};
use sql::standing::{self, SubscriberStanding};
use sql::subscriber::table_state::TableRow;

use super::ask::Asking;
use super::facts::{capture_problems, consumers_of, holders_of, tick_facts, waits};
use super::report::ProviderStatus;
use super::roles::{of_queue, roles};
use super::verdict::{self, FromProvider, Held, ProviderFacts, Retention, RoleFacts, Unasked};
use crate::config::{ArchiveConfig, ReplayConfig, SubscriberConfig};
use crate::output::{bytes, seconds};

/// What the provider says, and a session for more questions.
pub(super) struct Provider {
    facts: ProviderFacts,
    asked: Option<Asked>,
}

/// The answers of a provider that has the queue.
struct Asked {
    session: Session,
    queue: QueueInfo,
    consumers: Vec<ConsumerInfo>,
    holders: Vec<Holder>,
    sessions: OurSessions,
}

/// The account of a provider that has the queue.
struct Answer {
    asked: Asked,
    /// Captured tables whose changes cannot be replicated, and why.
    problems: Vec<(String, String)>,
    role: Option<RoleFacts>,
}

impl Provider {
    /// Asks the provider. If the provider cannot be asked, the reason becomes a fact.
    pub(super) async fn ask(
        config: &ReplayConfig,
        name: &ApplicationName,
        asking: &Asking,
    ) -> Provider {
        let mut facts = ProviderFacts {
            queue: config.queue.clone(),
            ..ProviderFacts::default()
        };
        let answer = asking.ask(Self::account(config, name)).await;
        let asked = match answer {
            Err(unasked) => {
                facts.unasked = Some(unasked);
                None
            }
            Ok(None) => None,
            Ok(Some(Answer {
                asked,
                problems,
                role,
            })) => {
                facts.ticks = Some(tick_facts(&asked.queue, &asked.sessions));
                facts.insert_disabled = asked.queue.insert_disabled;
                facts.problems = problems;
                facts.role = role;
                facts.waits = waits(&config.daemon.job_name, &asked.sessions);
                facts.standbys.clone_from(&asked.sessions.standbys);
                Some(asked)
            }
        };
        Provider { facts, asked }
    }

    /// The provider's answers; None: the queue does not exist.
    async fn account(
        config: &ReplayConfig,
        name: &ApplicationName,
    ) -> anyhow::Result<Option<Answer>> {
        let session = config.provider.connect(name).await?;
        if !sql::queue::is_installed(&*session).await? {
            return Ok(None);
        }
        let mut queues = sql::queue::list(&*session).await?;
        queues.retain(|queue| queue.name == config.queue);
        let Some(queue) = queues.pop() else {
            return Ok(None);
        };
        let (consumers, holders, sessions, problems, roles) = futures::try_join!(
            sql::queue::consumer::list(&*session),
            sql::queue::holder::list(&*session),
            sql::our_sessions::list(&*session),
            capture_problems(&session),
            roles(&session),
        )?;
        let role = of_queue(&roles, &queue.name);
        let problems = problems
            .into_iter()
            .filter(|one| one.queue == queue.name)
            .map(|one| (one.table.to_string(), one.problem))
            .collect();
        let asked = Asked {
            consumers: consumers
                .into_iter()
                .filter(|consumer| consumer.queue == queue.name)
                .collect(),
            holders: holders
                .into_iter()
                .filter(|holder| holder.queue == queue.name)
                .collect(),
            session,
            queue,
            sessions,
        };
        Ok(Some(Answer {
            asked,
            problems,
            role,
        }))
    }

    /// The provider's part of a status.
    pub(super) fn status(&self) -> ProviderStatus {
        let reasons = verdict::of_provider(&self.facts);
        ProviderStatus {
            role: self.facts.role.clone(),
            reachable: self.facts.unasked.is_none(),
            last_tick: self
                .asked
                .as_ref()
                .and_then(|asked| Some(asked.queue.last_tick?.0)),
            tick_age_seconds: self.facts.ticks.as_ref().and_then(|ticks| ticks.age),
            error: match (&self.facts.unasked, &self.facts.ticks) {
                (Some(Unasked { error, .. }), _) => Some(error.clone()),
                (None, None) => Some(format!("there is no queue {}", self.facts.queue)),
                (None, Some(_)) => None,
            },
            reasons,
            bytes: self.asked.as_ref().map(|asked| asked.queue.bytes),
            events_per_second: self
                .asked
                .as_ref()
                .and_then(|asked| asked.queue.events_per_second),
            consumer_list: self.of_asked(|asked| consumers_of(&asked.queue.name, &asked.consumers)),
            holder_list: self.of_asked(|asked| holders_of(&asked.queue.name, &asked.holders)),
        }
    }

    /// A list of what the provider has said; empty if it could not be asked.
    fn of_asked<T>(&self, list: impl Fn(&Asked) -> Vec<T>) -> Vec<T> {
        self.asked.as_ref().map_or(Vec::new(), list)
    }

    /// What the provider says of a subscriber with this position; None: the provider cannot be asked.
    pub(super) async fn of(
        &self,
        subscriber: &SubscriberConfig,
        stands: &SubscriberStanding,
        rows: &[TableRow],
        asking: &Asking,
    ) -> Option<FromProvider> {
        let consumer = &subscriber.consumer;
        self.at(consumer, (Some(stands.epoch), stands.tick), rows, asking)
            .await
    }

    /// What the provider says of an archive, with the tick that its consumer stands at; None: the provider cannot be
    /// asked, or knows no place of it.
    pub(super) async fn of_archive(
        &self,
        archive: &ArchiveConfig,
        asking: &Asking,
    ) -> Option<(TickId, FromProvider)> {
        let asked = self.asked.as_ref()?;
        let consumer = &archive.consumer;
        let tick = asked.consumers.iter().find(|one| one.name == *consumer);
        let tick = tick?.last_tick?;
        let stands = (asked.queue.epoch, tick);
        Some((tick, self.at(consumer, stands, &[], asking).await?))
    }

    /// The provider's sessions of ours; None: it cannot be asked.
    pub(super) fn sessions(&self) -> Option<&OurSessions> {
        self.asked.as_ref().map(|asked| &asked.sessions)
    }

    /// How many tables are captured for a consumer; none: the provider cannot be asked, which its own state says.
    ///
    /// # Errors
    /// It could be asked for all else, and not for this.
    pub(super) async fn captured_for(
        &self,
        consumer: &str,
        asking: &Asking,
    ) -> Result<Option<u64>, Unasked> {
        let Some(asked) = &self.asked else {
            return Ok(None);
        };
        let captures = asking.ask(async {
            Ok(sql::provider::captures(&*asked.session, Some(&asked.queue.name)).await?)
        });
        let captures = captures.await?;
        let tables = captures.iter().filter(|one| one.is_table_of(consumer));
        Ok(Some(tables.count() as u64))
    }

    async fn at(
        &self,
        consumer: &str,
        (epoch, tick): (Option<Epoch>, TickId),
        rows: &[TableRow],
        asking: &Asking,
    ) -> Option<FromProvider> {
        let asked = self.asked.as_ref()?;
        let unapplied = asking.ask(async {
            Ok(standing::unapplied(&*asked.session, &asked.queue.name, tick).await?)
        });
        let unapplied = unapplied.await.ok()?;
        let last = asked.queue.last_tick?;
        Some(FromProvider {
            same_queue: asked.queue.epoch == epoch,
            tick_known: unapplied.is_known,
            oldest: unapplied.seconds,
            events: unapplied.events,
            ticks: (last.0 - tick.0).max(0),
            held: asked.held(consumer),
            retention: asked.retention(consumer, rows, unapplied.seconds),
        })
    }
}

impl Asked {
    fn held(&self, consumer: &str) -> Held {
        let detached = self
            .holders
            .iter()
            .find(|one| one.kind == HolderKind::Detached && one.name.as_deref() == Some(consumer));
        if let Some(detached) = detached {
            // A queue of an older version has no reason stored.
            return Held::Detached(detached.detail.clone().unwrap_or_default());
        }
        if self.consumers.iter().any(|one| one.name == consumer) {
            Held::Held
        } else {
            Held::NoConsumer
        }
    }

    /// How much of the queue's limits a subscriber uses, and its helpers, which hold the queue for its tables.
    fn retention(&self, consumer: &str, rows: &[TableRow], oldest: Option<f64>) -> Vec<Retention> {
        let tables: BTreeMap<u32, String> = rows
            .iter()
            .map(|row| (row.provider_oid, row.table.to_string()))
            .collect();
        let helper = format!("{consumer}#");
        let mut found = self.of_limits("subscriber", consumer, oldest);
        for one in &self.consumers {
            let Some(rest) = one.name.strip_prefix(&helper) else {
                continue;
            };
            let oid = rest.rsplit(':').next().and_then(|oid| oid.parse().ok());
            let table = oid.and_then(|oid: u32| tables.get(&oid));
            let subject = table.map_or(one.name.as_str(), String::as_str);
            found.extend(self.of_limits(subject, &one.name, one.lag_seconds));
        }
        found
    }

    fn of_limits(&self, subject: &str, consumer: &str, age: Option<f64>) -> Vec<Retention> {
        let queue = &self.queue;
        let held = self
            .holders
            .iter()
            .find(|one| one.kind == HolderKind::Consumer && one.name.as_deref() == Some(consumer));
        let limit = |limit: String, used: f64| Retention {
            subject: subject.to_owned(),
            limit,
            used,
            detaches: queue.retention_action == "detach",
        };
        let mut found = Vec::new();
        if queue.retention_age_seconds > 0.0 {
            let used = age.unwrap_or(0.0) / queue.retention_age_seconds;
            let text = format!("retention_age ({})", seconds(queue.retention_age_seconds));
            found.push(limit(text, used));
        }
        let held_bytes = held.and_then(|held| held.held_bytes);
        if let (1.., Some(held)) = (queue.retention_bytes, held_bytes) {
            let used = held as f64 / queue.retention_bytes as f64;
            let text = format!("retention_bytes ({})", bytes(queue.retention_bytes));
            found.push(limit(text, used));
        }
        found
    }
}
