//! Ends an archive's consumer at providers that it does not follow any more, as soon as they answer. Until then they
//! keep their events for it.

use std::{convert::Infallible, time::Duration};

use sql::{
    connect::{ApplicationName, ConnectInfo, Purpose, Session},
    daemon_lock::DaemonLock,
    install::ownership::Schema,
    moment,
    provider::{self, PlaceAnswer, Places},
    queue::{consumer, tick},
    subscriber::position::Position,
};
use tracing::{debug, info};

use super::{hole_wait::Others, shared::Archive};
use crate::{queue::leave, trouble::Trouble};

/// Time between two looks at all hosts.
const BETWEEN: Duration = Duration::from_secs(10);

/// How long one host may take to answer.
const LIMIT: Duration = Duration::from_secs(3);

/// The hosts of a set that an archive may have left, and what to look for there.
pub(super) struct Left {
    hosts: Vec<ConnectInfo>,
    name: ApplicationName,
    queue: String,
    consumer: String,
    place: super::place::ArchivePlace,
}

impl Left {
    /// The hosts of an archive but the one that it follows.
    pub(super) fn of(archive: &Archive) -> Left {
        let followed = archive.provider.address();
        let mut hosts = archive.hosts.clone();
        hosts.retain(|host| host.address() != followed);
        Left {
            hosts,
            name: ApplicationName::new(Purpose::Admin, &archive.job),
            queue: archive.queue.clone(),
            consumer: archive.config.consumer.clone(),
            place: archive.place(),
        }
    }

    /// Looks again and again; where there is one host, for ever at nothing.
    pub(super) async fn run(self) -> Infallible {
        if self.hosts.is_empty() {
            return std::future::pending().await;
        }
        loop {
            tokio::time::sleep(BETWEEN).await;
            for host in &self.hosts {
                let ended = tokio::time::timeout(LIMIT, self.end(host)).await;
                let (consumer, address) = (&self.consumer, host.address());
                match ended {
                    Ok(Ok(false)) | Err(_) => {}
                    Ok(Ok(true)) => {
                        info!(%consumer, %address, "consumer ended at the provider before");
                    }
                    Ok(Err(trouble)) => {
                        let error = trouble.log_line();
                        debug!(%consumer, %address, %error, "cannot look for a consumer that is left");
                    }
                }
            }
        }
    }

    /// Ends the consumer at a host whose queue the archive has left; false: there is nothing to end.
    async fn end(&self, host: &ConnectInfo) -> Result<bool, Trouble> {
        let session = connect(host, &self.name).await?;
        let (client, queue) = (&*session, self.queue.as_str());
        let Some(epoch) = provider::queue_epoch(client, queue).await? else {
            return Ok(false);
        };
        let known = consumer::list(client).await.map_err(Trouble::queue)?;
        let is_known =
            |one: &consumer::ConsumerInfo| one.queue == queue && one.name == self.consumer;
        if !known.iter().any(is_known) {
            return Ok(false);
        }
        // Another process of the same archive may have gone on here: its consumer is not ours to end.
        let consumer = &self.consumer;
        if !(DaemonLock::Replay { consumer }).try_take(client).await? {
            return Ok(false);
        }
        let at: Position = tokio::task::block_in_place(|| self.place.end())?;
        if at.epoch == epoch {
            return Ok(false);
        }
        moment::prepare(&session).await?;
        let left = leave::run(client, queue, &self.consumer).await;
        left.map_err(Trouble::queue).map(|()| true)
    }
}

/// What an archive's hosts have of what follows its end, in the queue that it ends in.
pub(super) async fn others(archive: &Archive, end: Position) -> Others {
    let name = ApplicationName::new(Purpose::Admin, &archive.job);
    let queue = archive.queue.as_str();
    let hosts = archive.hosts.iter();
    let tries = hosts.map(|host| async { other(host, &name, queue, end).await });
    let all = futures::future::join_all(tries).await;
    all.into_iter().max().unwrap_or(Others::Nothing)
}

async fn other(host: &ConnectInfo, name: &ApplicationName, queue: &str, end: Position) -> Others {
    let asked = async {
        let session = connect(host, name).await?;
        has_more(&session, queue, end).await
    };
    match tokio::time::timeout(LIMIT, asked).await {
        Ok(Ok(true)) => Others::More(host.place()),
        Ok(Ok(false)) => Others::Nothing,
        Ok(Err(_)) | Err(_) => Others::Silent,
    }
}

/// Whether a host's queue is the one that the archive ends in, and holds what follows.
async fn has_more(host: &Session, queue: &str, end: Position) -> Result<bool, Trouble> {
    // The newest tick of a log that has ended is its last one.
    let newest = tick::newest(&**host).await.map_err(Trouble::queue)?;
    let is_later = |(name, (epoch, tick)): &(String, (_, tick::Tick))| {
        name == queue && *epoch == end.epoch && tick.id > end.tick.id
    };
    if !newest.iter().any(is_later) {
        return Ok(false);
    }
    let found = provider::place_of(&**host, queue, &Places(vec![end])).await?;
    Ok(found.is_some_and(|found| matches!(found.answer, PlaceAnswer::At(_))))
}

async fn connect(host: &ConnectInfo, name: &ApplicationName) -> Result<Session, Trouble> {
    let session = host.connect_for(name, Schema::PROVIDER).await;
    session.map_err(Trouble::connect("host"))
}
