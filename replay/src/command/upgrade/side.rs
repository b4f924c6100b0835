//! Which of the two databases takes the writes: asked of the databases themselves.

use admin::exit::{Exit, Failure};
use anyhow::Context as _;
use sql::{
    connect::{ApplicationName, ConnectInfo, Purpose, Session},
    install::ownership::{self, Schema},
    role::{self, Role},
};

use super::{
    place::{Place, QUEUE},
    provider::Provider,
};

/// A session to one of the databases, which may have nothing of ours.
pub(super) async fn bare(database: &ConnectInfo) -> Result<Session, Failure> {
    let name = ApplicationName::new(Purpose::Install, "upgrade");
    Ok(database.connect(&name).await?)
}

/// Asks both. A database that does not answer is an error while the other one is no provider.
///
/// # Errors
/// [`Exit::Failed`]: a database cannot be asked, or both say that they are the provider.
pub(super) async fn provider(place: &Place) -> Result<Provider, Failure> {
    let (old, new) = futures::join!(role_of(&place.old), role_of(&place.new));
    let is = |asked: &Result<Option<Role>, Failure>, role: Role| {
        asked.as_ref().is_ok_and(|found| *found == Some(role))
    };
    match (is(&old, Role::Provider), is(&new, Role::Provider)) {
        (true, true) => {
            let what = "both databases say that they are the provider";
            Err(Failure::message(Exit::Failed, what)
                .with_hint("fence the one that is not: trunkline fence"))
        }
        (false, true) => Ok(Provider::New),
        (true, false) => Ok(Provider::Old),
        (false, false) => {
            let (old, new) = (old?, new?);
            // One that is fenced is in the midst of a switchover, which has not come to its promotion.
            Ok(match (old, new) {
                (_, Some(Role::Fenced)) => Provider::New,
                (Some(_), _) => Provider::Old,
                (None, _) => Provider::Nobody,
            })
        }
    }
}

async fn role_of(database: &ConnectInfo) -> Result<Option<Role>, Failure> {
    let session = bare(database).await?;
    let context = || format!("could not ask database {}", database.dbname());
    let there = ownership::prove(&*session, Schema::SUBSCRIBER).await;
    if there.with_context(context)?.is_empty() {
        return Ok(None);
    }
    let roles = role::list(&*session).await.with_context(context)?;
    let of_ours = roles.into_iter().find(|one| one.queue == QUEUE);
    Ok(of_ours.map(|one| one.role))
}
