//! Moves an archive to the queue of another provider of the same set. Its end is a tick of one node's queue; another
//! node's ticks say which ticks of that queue they contain.
//!
//! 1. The provider says at which of its ticks the archive goes on. An archive has all of its own ticks: where its end
//!    lies between two of the provider's, or beyond the place where that one's log begins, the queue before is left at
//!    an earlier tick, and what the archive has after that is a branch that no history goes on from.
//! 2. Where nobody has what is between the archive's end and the provider's log, that is a hole. It is not made before
//!    all hosts have answered, or some time has passed.
//! 3. The consumer is registered at the provider, and the provider's tables and sequences get it as their consumer.
//! 4. A segment says so. It has the tables by their oids on both sides, so that who reads it finds them again.
//! 5. The providers before are told (`left`).
//!
//! The process may die between any two steps: until the segment is there the next start begins anew.

use std::time::Instant;

use serde_json::value::RawValue;
use sql::{
    Class, beyond,
    connect::Session,
    moment::{self, Tries},
    name::TableName,
    provider::{self, Heir, PlaceAnswer, Places, TickFound, WantedIdentity},
    queue::{
        consumer,
        tick::{Epoch, Tick, TickId, TickTag},
    },
    reigns::{self, Reign},
    role::{self, Role},
    subscriber::position::Position,
};
use tracing::{error, info, warn};

use super::{
    hold::{self, is_gone},
    hole_wait::{HoleWait, Others},
    hook::{Event, What},
    left::others,
    shared::Archive,
    writer::{Writer, unwritable},
};
use crate::{
    files::trail::Trail,
    frames::{
        frame::{HeirEntry, Heirs},
        place::{Place, Time},
        segment::Hop,
    },
    queue::track::OffTrack,
    trouble::Trouble,
};

/// How a queue that follows is come to.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Way {
    /// Where the queue before is left.
    from: Position,
    /// The same place in the queue that follows.
    to: Position,
    /// When its tick was made; none: not known.
    to_time: Option<Time>,
    /// Why events are missing in between; none: none are.
    hole: Option<String>,
}

/// Goes on in the provider's queue, which is another one than that of the archive's end.
///
/// # Errors
/// [`Trouble::Operator`]: the provider's queue does not go on from the archive's. [`Trouble::Passing`]: not yet.
pub(super) async fn run(
    archive: &mut Archive,
    provider: &Session,
    writer: &mut Writer,
    now: Epoch,
) -> Result<Position, Trouble> {
    let (queue, name) = (archive.queue.clone(), archive.config.consumer.clone());
    let end = Position::from(writer.end().at);
    may_be_gone_to(archive, provider).await?;
    let reigns = reigns::list(&**provider, &queue).await?;
    // Steps 1 and 2.
    let mut way = match way(archive, provider, end).await? {
        Ok(way) => way,
        Err(why) => {
            let Some(way) = over_hole(&reigns, end, now, &why) else {
                let (stored, now) = (end.epoch.0, now.0);
                return Err(hold::off_track(OffTrack::OtherEpoch { stored, now }));
            };
            way
        }
    };
    // Step 3.
    // A try before may have registered it where the hole would end by then: what follows that is held since.
    let held = match way.hole {
        Some(_) => provider::consumer_position(&**provider, &queue, &name).await?,
        None => None,
    };
    let held = held.filter(|held| held.epoch == way.to.epoch && held.tick.id.0 > way.to.tick.id.0);
    let registered = match held {
        Some(held) => {
            way.to = held;
            Ok(false)
        }
        None => consumer::register_at(&**provider, &queue, &name, way.to.tick.id).await,
    };
    match registered {
        Ok(_) => {}
        Err(error) if error.class() == Class::Transient => return Err(Trouble::queue(error)),
        Err(error) if is_gone(&error) && way.hole.is_some() => {
            way.to = hold::registered_anew(&queue, &name, provider, way.to).await?;
            way.to_time = None;
        }
        Err(error) => return Err(Trouble::queue(error)),
    }
    if way.hole.is_some() {
        archive.wait_for_others(end).await?;
    }
    let heirs = provider::heirs(&**provider, &queue, way.from, way.to.tick.id).await?;
    moment::prepare(provider).await?;
    capture(&queue, &name, provider, &heirs).await?;
    moment::end(provider).await?;
    // Step 4.
    let kind = reigns.iter().rfind(|one| one.begins.epoch == way.to.epoch);
    let hop = Hop {
        from: Place::from(way.from),
        to: Place::from(way.to),
        kind: kind.map_or_else(|| "move".into(), |one| one.kind.clone()),
        flaws: flaws(&heirs),
    };
    let listed = listed(heirs)?;
    let flaws = hop.flaws.unwrap_or(0);
    writer.publish_hop((way.to_time, hop), &listed, way.hole.as_deref())?;
    archive.hole_wait = HoleWait::default();
    let (from_tick, to_tick) = (way.from.tick.id.0, way.to.tick.id.0);
    let (from_epoch, epoch) = (way.from.epoch.0, way.to.epoch.0);
    let end_tick = end.tick.id.0;
    let consumer = name;
    info!(%consumer, from_epoch, from_tick, end_tick, epoch, to_tick, flaws, "archive hopped");
    for one in &listed.tables {
        if let Some(why) = &one.flaw {
            let table = TableName::new(&one.schema, &one.name);
            error!(%consumer, %table, why, to_tick, "archive table lacks changes");
        }
    }
    if let Some(why) = way.hole {
        let (after_tick, next_tick) = (end_tick, to_tick);
        error!(%consumer, after_tick, next_tick, why, "archive hole");
        archive
            .hook
            .tell(Event::new(What::Hole, why).at(after_tick));
    }
    Ok(way.to)
}

/// Checks that the archive may go on in the host's queue: that of a node of a set which is no provider ends, or is what
/// a standby logs for others.
async fn may_be_gone_to(archive: &Archive, host: &Session) -> Result<(), Trouble> {
    let roles = role::list(&**host).await?;
    let own = roles.iter().find(|one| one.queue == archive.queue);
    let Some(role) = own.map(|one| one.role).filter(|one| *one != Role::Provider) else {
        return Ok(());
    };
    // Of several hosts the meetings name the provider.
    if archive.hosts.len() > 1 {
        return Err(Trouble::Stale);
    }
    Err(Trouble::Passing {
        doing: "the server is another one than the archive's, and no provider".into(),
        advice: Some("name all hosts of the set in provider_db".into()),
        source: anyhow::anyhow!("its role is {}", role.as_str()),
    })
}

/// How many tables lack changes behind the border; none: no table does.
fn flaws(heirs: &[Heir]) -> Option<u64> {
    let flawed = heirs.iter().filter(|heir| heir.flaw.is_some()).count();
    (flawed > 0).then_some(flawed as u64)
}

/// Step 1; the inner error: why there is no such place.
async fn way(
    archive: &Archive,
    provider: &Session,
    end: Position,
) -> Result<Result<Way, String>, Trouble> {
    let (found, why) = match ask(archive, provider, end).await? {
        PlaceAnswer::At(to) => return Ok(Ok(exact(end, &to))),
        PlaceAnswer::Wait(why) => {
            let doing = "the new provider has no place for the archive yet";
            return Err(Trouble::passing(doing, anyhow::anyhow!(why)));
        }
        PlaceAnswer::Overlap { from, .. } => {
            let why = "its end lies between two ticks of the provider".to_owned();
            (before(&from, end.epoch).map(|at| (at, from)), why)
        }
        PlaceAnswer::Ahead(why) | PlaceAnswer::Gone(why) => {
            let queue = &archive.queue;
            let beyond = beyond::ask(&**provider, queue, end).await?;
            // Somebody may have gone on behind the border, and applied several ticks of the archive's queue at once.
            let earlier = match beyond {
                Some(beyond) => Some(beyond.border),
                None => provider::last_origin(&**provider, queue, end).await?,
            };
            let found = match earlier {
                None => None,
                Some(earlier) => match ask(archive, provider, earlier).await? {
                    PlaceAnswer::At(to) => Some((earlier, to)),
                    PlaceAnswer::Wait(_)
                    | PlaceAnswer::Overlap { .. }
                    | PlaceAnswer::Ahead(_)
                    | PlaceAnswer::Gone(_) => None,
                },
            };
            (found, why)
        }
    };
    // An earlier tick counts only if the archive has it, by number and tag.
    Ok(match found {
        Some((at, to)) if has(archive, at)? => Ok(exact(at, &to)),
        Some(_) | None => Err(why),
    })
}

async fn ask(archive: &Archive, provider: &Session, at: Position) -> Result<PlaceAnswer, Trouble> {
    let places = Places(vec![at]);
    let found = provider::place_of(&**provider, &archive.queue, &places).await?;
    Ok(found.ok_or(Trouble::Stale)?.answer)
}

fn exact(from: Position, to: &TickFound) -> Way {
    Way {
        from,
        to: to.position,
        to_time: Time::of(to.time),
        hole: None,
    }
}

/// The tick of a queue that a tick of another one contains.
fn before(tick: &TickFound, of: Epoch) -> Option<Position> {
    let origins = tick.origins.as_deref()?;
    let origins: Vec<(i64, i64, i64)> = serde_json::from_str(origins).ok()?;
    let found = origins.into_iter().find(|(epoch, _, _)| *epoch == of.0);
    found.map(|(epoch, id, tag)| Position {
        epoch: Epoch(epoch),
        tick: Tick {
            id: TickId(id),
            tag: TickTag(tag),
        },
    })
}

fn has(archive: &Archive, at: Position) -> Result<bool, Trouble> {
    let (store, identity) = archive.opened()?;
    let found = tokio::task::block_in_place(|| Trail::on_any_branch(store, &identity, at))?;
    Ok(found.is_ok())
}

/// Step 2: the way over a hole, to where the provider's log begins; none: the provider is not known to go on from the
/// archive's queue. Pure.
fn over_hole(reigns: &[Reign], end: Position, now: Epoch, why: &str) -> Option<Way> {
    let is_left = |one: &Reign| one.before.is_some_and(|before| before.epoch == end.epoch);
    let left = reigns.iter().find(|one| is_left(one))?;
    let begun = reigns
        .iter()
        .rfind(|one| one.begins.epoch == now && one.term >= left.term)?;
    let (name, tick) = (&begun.name, end.tick.id);
    Some(Way {
        from: end,
        to: begun.begins,
        to_time: None,
        hole: Some(format!(
            "{name} became the provider, and nobody has what follows tick {tick} of the log before: {why}"
        )),
    })
}

/// Makes the archive a consumer of the provider's tables and sequences.
async fn capture(
    queue: &str,
    name: &str,
    provider: &Session,
    heirs: &[Heir],
) -> Result<(), Trouble> {
    for heir in heirs {
        let own = WantedIdentity::Own;
        let tries = Tries::within(moment::LIMIT);
        while let Err(error) =
            provider::add_table(&**provider, queue, name, &heir.table, &own).await
        {
            tries.again(error).await?;
        }
    }
    for one in provider::captures(&**provider, Some(queue)).await? {
        if !one.is_sequence || one.dropped || one.is_of(name) {
            continue;
        }
        match provider::add_sequence(&**provider, queue, name, &one.name).await {
            Ok(_) => {}
            Err(error) if error.class() == Class::Transient => return Err(error.into()),
            Err(error) => {
                let error = admin::exit::log_line(&error);
                let sequence = &one.name;
                warn!(%sequence, %error, "sequence is not carried over from the new provider");
            }
        }
    }
    Ok(())
}

fn listed(heirs: Vec<Heir>) -> Result<Heirs, Trouble> {
    let tables = heirs.into_iter().map(|heir| {
        let shape = heir.definition.map(RawValue::from_string);
        Ok(HeirEntry {
            was: heir.log_oid,
            oid: heir.oid,
            schema: heir.table.schema,
            name: heir.table.name,
            flaw: heir.flaw,
            shape: shape.transpose()?,
        })
    });
    let tables: Result<Vec<HeirEntry>, serde_json::Error> = tables.collect();
    let tables = tables.map_err(|error| unwritable(std::io::Error::other(error)))?;
    Ok(Heirs { tables })
}

impl Archive {
    /// Lets a hole be made only where nobody else has what is missing.
    ///
    /// # Errors
    /// [`Trouble::Passing`]: a host has it, or it was not waited for long enough.
    async fn wait_for_others(&mut self, end: Position) -> Result<(), Trouble> {
        let others = others(self, end).await;
        let hosts = self.hosts.len();
        if self.hole_wait.is_over(&others, hosts, Instant::now()) {
            return Ok(());
        }
        let advice = match others {
            Others::More(host) => format!(
                "{host} has the rest, and is read as soon as it knows that another node is the provider: see \
                 replay status there"
            ),
            Others::Silent | Others::Nothing => {
                "start the host that was the provider before: it has the rest; after a while the archive goes on \
                 behind a hole"
                    .into()
            }
        };
        Err(Trouble::Passing {
            doing: "the provider does not have what follows the archive's end".into(),
            advice: Some(advice),
            source: anyhow::anyhow!(
                "its log goes on from a later tick than tick {}",
                end.tick.id
            ),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(epoch: i64, tick: i64) -> Position {
        Position {
            epoch: Epoch(epoch),
            tick: Tick {
                id: TickId(tick),
                tag: TickTag(tick * 10),
            },
        }
    }

    fn reign(term: i64, before: Option<Position>, begins: Position) -> Reign {
        Reign {
            term,
            kind: "failover".into(),
            name: format!("node{term}"),
            before,
            begins,
        }
    }

    #[test]
    fn a_hole_is_gone_over_only_to_a_provider_that_came_after_the_log_that_the_archive_has() {
        let reigns = [
            reign(1, None, at(1, 1)),
            reign(2, Some(at(1, 90)), at(2, 5)),
            reign(3, Some(at(2, 70)), at(3, 8)),
        ];
        let to = |end, now| over_hole(&reigns, end, Epoch(now), "why").map(|way| way.to);
        assert_eq!(to(at(1, 80), 2), Some(at(2, 5)));
        // Two have passed while the archive was away.
        assert_eq!(to(at(1, 80), 3), Some(at(3, 8)));
        assert_eq!(to(at(2, 80), 3), Some(at(3, 8)));
        // A former provider is none that came after, and neither is a server of another set.
        assert_eq!(to(at(2, 80), 1), None);
        assert_eq!(to(at(3, 80), 2), None);
        assert_eq!(to(at(1, 80), 4), None);
        assert_eq!(to(at(7, 80), 3), None);
    }

    #[test]
    fn the_tick_before_is_the_one_that_the_providers_tick_names_of_that_log() {
        let tick = |origins: Option<&str>| TickFound {
            position: at(3, 9),
            time: std::time::SystemTime::UNIX_EPOCH,
            origins: origins.map(str::to_owned),
        };
        let named = tick(Some("[[2, 7, 70], [1, 88, 880]]"));
        assert_eq!(before(&named, Epoch(1)), Some(at(1, 88)));
        assert_eq!(before(&named, Epoch(4)), None);
        assert_eq!(before(&tick(None), Epoch(1)), None);
    }
}
