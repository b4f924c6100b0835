//! Which of several hosts a replay follows, and whether its own database is one that follows at all.

use sql::connect::ApplicationName;
use sql::install::ownership::Schema;
use sql::standing;

use super::ask::Asking;
use super::roles::{of_queue, roles};
use super::verdict::RoleFacts;
use crate::config::{ReplayConfig, SubscriberConfig};

/// A replay's config with the one host that is followed, and the role of its own database where that is one that
/// applies nothing. Where the config names one host, or that cannot be asked, the config stays as it is.
pub(super) async fn followed(
    config: &ReplayConfig,
    name: &ApplicationName,
    asking: &Asking,
) -> (ReplayConfig, Option<RoleFacts>) {
    let mut config = config.clone();
    let hosts = config.provider.hosts();
    let [subscriber] = config.subscribers.as_slice() else {
        return (config, None);
    };
    if hosts.len() < 2 {
        return (config, None);
    }
    let Ok((role, address)) = asking.ask(ask(&config, subscriber, name)).await else {
        return (config, None);
    };
    let role = role.filter(|role| matches!(role.role, "provider" | "fenced"));
    if role.is_some() {
        config.provider = subscriber.db.clone();
    } else if let Some(host) = hosts
        .into_iter()
        .find(|host| Some(host.address()) == address)
    {
        config.provider = host;
    }
    (config, role)
}

async fn ask(
    config: &ReplayConfig,
    subscriber: &SubscriberConfig,
    name: &ApplicationName,
) -> anyhow::Result<(Option<RoleFacts>, Option<String>)> {
    let session = subscriber.db.connect_for(name, Schema::SUBSCRIBER).await?;
    let role = of_queue(&roles(&session).await?, &config.queue);
    let standing = standing::subscriber(&*session, &subscriber.consumer).await?;
    Ok((role, standing.and_then(|one| one.address)))
}
