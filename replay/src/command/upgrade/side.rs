//! Which of the two databases takes the writes: asked of the databases themselves.

use admin::exit::{Exit, Failure};
use anyhow::Context as _;
use sql::{
    connect::{ApplicationName, ConnectInfo, Purpose, Session},
    doctor::{self, Facts},
    install::ownership::{self, Schema},
    name::TableName,
    operation::{self, Step},
    role::{self, Role},
    subscriber::sequence_state,
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
            if place.notes.installed && (old.is_none() || new.is_none()) {
                let gone = if new.is_none() { "new" } else { "old" };
                let what = format!(
                    "the {gone} database has no part in the upgrade any more, and the other one is no provider"
                );
                return Err(Failure::message(Exit::Failed, what).with_hint(
                    "it was uninstalled, or restored: nobody but you knows which of the two has all rows",
                ));
            }
            // One that is fenced is in the midst of a switchover, which has not come to its promotion.
            Ok(match (old, new) {
                (_, Some(Role::Fenced)) => Provider::New,
                (Some(_), _) => Provider::Old,
                (None, _) => Provider::Nobody,
            })
        }
    }
}

/// What a database says of itself.
pub(super) async fn facts(database: &ConnectInfo) -> Result<Facts, Failure> {
    let session = bare(database).await?;
    Ok(doctor::read(&*session).await?)
}

/// The sequences that a database carries over.
pub(super) async fn carried(database: &ConnectInfo) -> Result<Vec<TableName>, Failure> {
    let session = bare(database).await?;
    Ok(sequence_state::of_queue(&*session, QUEUE).await?)
}

/// The switchovers that have been begun and are not over on both databases, each once, as the one that is to be the
/// provider says it, if it says anything.
pub(super) async fn running(place: &Place) -> Result<Vec<Begun>, Failure> {
    let mut found: Vec<Begun> = Vec::new();
    for (node, database) in [("old", &place.old), ("new", &place.new)] {
        let session = bare(database).await?;
        if ownership::prove(&*session, Schema::SUBSCRIBER)
            .await?
            .is_empty()
        {
            continue;
        }
        for one in operation::list(&*session, Some(QUEUE)).await? {
            if !one.is_running() {
                continue;
            }
            let to = match one.new.name.as_deref() {
                Some("old") => Provider::Old,
                Some("new") => Provider::New,
                _ => {
                    let what = format!(
                        "an operation to {} runs on the {node} database",
                        one.new.title()
                    );
                    return Err(Failure::message(Exit::Failed, what)
                        .with_hint("the upgrade has not begun it: end it first"));
                }
            };
            let is_promoted = matches!(one.step, Step::Promoted | Step::Open | Step::Follow);
            match found.iter_mut().find(|begun| begun.to == to) {
                Some(begun) => begun.is_promoted |= is_promoted,
                None => found.push(Begun { to, is_promoted }),
            }
        }
    }
    Ok(found)
}

/// A switchover that has been begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Begun {
    /// Who is to be the provider.
    pub(super) to: Provider,
    /// It is.
    pub(super) is_promoted: bool,
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
