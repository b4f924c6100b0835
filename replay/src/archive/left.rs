//! Ends an archive's consumer at providers that it does not follow any more, as soon as they answer. Until then they
//! keep their events for it.

use std::{convert::Infallible, time::Duration};

use sql::{
    connect::{ApplicationName, ConnectInfo, Purpose, Session},
    install::ownership::Schema,
    moment, provider,
    queue::consumer,
    subscriber::position::Position,
};
use tracing::{debug, info};

use super::shared::Archive;
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
        let at: Position = tokio::task::block_in_place(|| self.place.end())?;
        let known = consumer::list(client).await.map_err(Trouble::queue)?;
        let is_known =
            |one: &consumer::ConsumerInfo| one.queue == queue && one.name == self.consumer;
        if at.epoch == epoch || !known.iter().any(is_known) {
            return Ok(false);
        }
        moment::prepare(&session).await?;
        let left = leave::run(client, queue, &self.consumer).await;
        left.map_err(Trouble::queue).map(|()| true)
    }
}

/// Whether a host of the archive's set does not answer now.
pub(super) async fn is_any_silent(archive: &Archive) -> bool {
    let name = ApplicationName::new(Purpose::Admin, &archive.job);
    let tries = archive.hosts.iter().map(|host| async {
        let answer = tokio::time::timeout(LIMIT, connect(host, &name)).await;
        !matches!(answer, Ok(Ok(_)))
    });
    let silent = futures::future::join_all(tries).await;
    silent.into_iter().any(|is_silent| is_silent)
}

async fn connect(host: &ConnectInfo, name: &ApplicationName) -> Result<Session, Trouble> {
    let session = host.connect_for(name, Schema::PROVIDER).await;
    session.map_err(Trouble::connect("host"))
}
