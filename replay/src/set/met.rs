//! A host of the config, as a meeting asks it.

use std::time::{Duration, Instant};

use sql::{
    beyond,
    connect::{ApplicationName, ConnectInfo, Session},
    install::ownership::Schema,
    meeting::{self, Answer, Introduction},
    provider::{self, PlaceAnswer, Places},
    queue::{lineage::NodeId, tick::Epoch},
    reigns,
    subscriber::{path, position::Position},
};

use super::choose::Place;
use crate::trouble::Trouble;

/// How long one host may take to answer.
pub(super) const LIMIT: Duration = Duration::from_secs(3);

/// A host, and what is known of it.
pub(super) struct Met {
    pub(super) info: ConnectInfo,
    pub(super) session: Option<Session>,
    pub(super) silent_since: Option<Instant>,
    pub(super) last_term: i64,
    pub(super) node: Option<NodeId>,
}

impl Met {
    /// Meets the host; the answer with its JSON, or why there is none. A session that was in use when the time was up
    /// is given up.
    pub(super) async fn meet(
        &mut self,
        queue: &str,
        name: &ApplicationName,
        told: Option<&str>,
    ) -> Result<(Answer, Option<String>), String> {
        let session = self.session.take().filter(|session| !session.is_closed());
        let asking = async {
            let session = match session {
                Some(session) => session,
                None => self
                    .info
                    .connect_for(name, Schema::PROVIDER)
                    .await
                    .map_err(Trouble::connect("host"))?,
            };
            let met = match meeting::meet(&*session, queue, told).await? {
                Some((answer, json)) => (answer, Some(json)),
                None => (plain(&session, queue).await?, None),
            };
            Ok::<_, Trouble>((session, met))
        };
        let why = match tokio::time::timeout(LIMIT, asking).await {
            Ok(Ok((session, met))) => {
                self.session = Some(session);
                self.silent_since = None;
                self.last_term = met.0.is.term.unwrap_or(0);
                self.node = met.0.is.node;
                return Ok(met);
            }
            Ok(Err(trouble)) => trouble.log_line(),
            Err(_) => format!("no answer within {} s", LIMIT.as_secs()),
        };
        self.silent_since.get_or_insert_with(Instant::now);
        Err(why)
    }

    /// The queue in which the host has a place to go on; an error: why it has none.
    pub(super) async fn place_of(&mut self, queue: &str, places: &Places) -> Result<Epoch, String> {
        let session = self.session.take().ok_or("it does not answer")?;
        let asked = provider::place_of(&*session, queue, places);
        let found = in_limit(asked).await?;
        self.session = Some(session);
        let found = found.ok_or("it has no such queue")?;
        match found.answer {
            PlaceAnswer::At(_) | PlaceAnswer::Overlap { .. } => Ok(found.epoch),
            PlaceAnswer::Wait(why) | PlaceAnswer::Ahead(why) | PlaceAnswer::Gone(why) => Err(why),
        }
    }

    /// Whether the host's log goes on behind a place, as far as the host knows: no later provider has begun there.
    async fn has_more(&mut self, queue: &str, own: Option<Position>) -> Result<bool, String> {
        let session = self.session.take().ok_or("it does not answer")?;
        let reigns = in_limit(reigns::list(&*session, queue)).await?;
        self.session = Some(session);
        Ok(!reigns.iter().any(|one| own.is_some() && one.before == own))
    }

    /// Whether an archive goes on at the host. Only a provider's queue is gone over to, also where the archive has more
    /// of the log before than that one has begun with; of another host the rest of the archive's own log is read.
    pub(super) async fn place_of_archive(
        &mut self,
        queue: &str,
        places: &Places,
        is_provider: bool,
    ) -> Place {
        let own = places.0.first().copied();
        let why = match self.place_of(queue, places).await {
            Ok(_) if is_provider => return Place::Found,
            Ok(epoch) if own.is_some_and(|own| own.epoch == epoch) => {
                return match self.has_more(queue, own).await {
                    Ok(true) => Place::Found,
                    Ok(false) => Place::None("the archive has all of its log".into()),
                    Err(why) => Place::None(why),
                };
            }
            Ok(_) => return Place::None("it is not the provider".into()),
            Err(why) => why,
        };
        let (Some(own), Some(session), true) = (own, self.session.take(), is_provider) else {
            return Place::None(why);
        };
        match in_limit(beyond::ask(&*session, queue, own)).await {
            Ok(found) => {
                self.session = Some(session);
                found.map_or(Place::None(why), |_| Place::Found)
            }
            Err(why) => Place::None(why),
        }
    }
}

/// A host's answer, or why there is none.
async fn in_limit<T>(asked: impl Future<Output = Result<T, sql::Error>>) -> Result<T, String> {
    match tokio::time::timeout(LIMIT, asked).await {
        Ok(answer) => answer.map_err(|error| admin::exit::log_line(&error)),
        Err(_) => Err(format!("no answer within {} s", LIMIT.as_secs())),
    }
}

/// What a host is where no roles are installed, or by an install that does not know of meetings yet.
async fn plain(session: &Session, queue: &str) -> Result<Answer, Trouble> {
    let standing = meeting::standing(&**session, queue).await?;
    Ok(Answer {
        is: Introduction {
            node: path::own_node(&**session).await?,
            name: None,
            started: String::new(),
            in_recovery: standing.in_recovery,
            role: standing.role,
            term: standing.term,
            epoch: provider::queue_epoch(&**session, queue).await?,
            upstream: standing.upstream,
            ended: false,
            ahead: false,
            members: Vec::new(),
            removed: Vec::new(),
            known_term: standing.term,
            set: None,
            number: None,
            priority: 100,
            history: Vec::new(),
        },
        may_speak: false,
        heard: None,
    })
}
