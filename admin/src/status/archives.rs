//! The state of archives. An archive has no database to be asked: what is known of it is its consumer's place at the
//! provider, which is told of nothing that is not on the archive's disk, and whether its daemon's session is there.

use std::collections::BTreeMap;

use sql::connect::Purpose;

use super::ask::Asking;
use super::provider::Provider;
use super::report::{SubscriberState, SubscriberStatus};
use super::unknown::unknown;
use super::verdict::{self, FromSubscriber, LEVEL_SECONDS, StoredError, SubscriberFacts, Unasked};
use crate::config::ArchiveConfig;

/// The state of an archive.
pub(super) async fn status(
    archive: &ArchiveConfig,
    provider: &Provider,
    daemon: bool,
    asking: &Asking,
) -> SubscriberStatus {
    let of_provider = provider.of_archive(archive, asking).await;
    let own = match (provider.sessions(), &of_provider) {
        (None, _) => Err(Unasked {
            error: "the provider, which knows its place, cannot be asked".into(),
            advice: None,
        }),
        (Some(_), None) => Ok(None),
        (Some(sessions), Some(_)) => {
            let mut sessions = sessions.list.iter();
            let worker =
                sessions.find(|one| one.is_for(Purpose::Archive) && one.is_of(&archive.consumer));
            let connected = worker.is_some();
            // The archive has no place for an error, and its daemon lets go of its session while there is one.
            let error = (daemon && !connected).then(|| StoredError {
                text: "its daemon does not write it now: the log says why".into(),
                advice: None,
                seconds: 0.0,
            });
            Ok(Some(FromSubscriber {
                connected,
                error,
                ..FromSubscriber::default()
            }))
        }
    };
    let captured = provider.captured_for(&archive.consumer, asking).await;
    let (own, captured) = match captured {
        Ok(captured) => (own, captured),
        // Nothing captured would look like an archive that keeps nothing.
        Err(unasked) => (own.and(Err(unasked)), None),
    };
    let (tick, place) = of_provider.unzip();
    let facts = SubscriberFacts {
        daemon,
        rests: false,
        subscriber: own,
        provider: place,
    };
    // What waits in memory, as the config asks for, is no lag that anybody should be told of.
    let every = archive.segment_every.as_secs_f64();
    let (warning, critical) = asking.limits;
    let mut verdict = verdict::of_subscriber(&facts, (warning + every, critical + every));
    let is_young = |lag: f64| lag < every + LEVEL_SECONDS;
    if verdict.state == SubscriberState::Behind && verdict.lag.is_some_and(is_young) {
        verdict.state = SubscriberState::Level;
    }
    SubscriberStatus {
        archive: true,
        tick: tick.map(|tick| tick.0),
        lag_ticks: facts.provider.as_ref().map(|place| place.ticks),
        pending_events: facts.provider.as_ref().map(|place| place.events),
        tables: match captured {
            None | Some(0) => BTreeMap::new(),
            Some(count) => BTreeMap::from([("archived".to_owned(), count)]),
        },
        ..unknown(
            Some(archive.name.clone()),
            &archive.consumer,
            facts.subscriber.is_ok(),
            verdict,
        )
    }
}
