//! `replay install`: the queue on the provider if it is missing, our tables on each
//! subscriber, and a consumer for each.

use admin::{
    config::SubscriberConfig,
    exit::{Exit, Failure},
};
use anyhow::Context as _;
use sql::{
    connect::Session,
    install::{
        self, Component,
        ownership::{self, Schema},
    },
    meeting,
    moment::{self, LockTimeout as _},
    near,
    provider::{self, BatchFinder},
    queue::{self, consumer},
    role::{self, NodeRole, Role},
    standing,
    subscriber::{
        position::{self, Position},
        table_state,
    },
    successor,
};

use super::{Job, archive, label};
use crate::set::{
    first,
    host::{self, Found},
};

/// Runs the command. Each step is safe to repeat; a second run changes nothing. `first`: the job's own database is the
/// first provider of its set.
pub(crate) async fn run(job: &Job, first: bool) -> Result<Exit, Failure> {
    if first {
        return begin_set(job).await;
    }
    match host::find(&job.config, is_bare(job).await?).await? {
        Some(Found::Host(host)) => install(&job.at(host), true).await,
        Some(Found::Own(role)) => {
            if let [one] = job.config.subscribers.as_slice() {
                install_to_come_back(job, one).await?;
                let own = job.subscriber(one).await?;
                note_consumer(job, &own, one).await?;
                name_node(job, &own).await?;
            }
            job.say(&format!(
                "this database is {} for queue {}: replay meets the other nodes, and applies nothing",
                role.as_str(),
                job.queue()
            ))?;
            Ok(Exit::Done)
        }
        Some(Found::Silence) | None => install(job, false).await,
    }
}

/// Whether the job's own database has nothing of ours yet; asked only where hosts are met.
async fn is_bare(job: &Job) -> Result<bool, Failure> {
    let [one] = job.config.subscribers.as_slice() else {
        return Ok(false);
    };
    if !host::are_several(&job.config) {
        return Ok(false);
    }
    let own = job.bare_subscriber(one).await?;
    let there = ownership::prove(&*own, Schema::SUBSCRIBER).await;
    Ok(there
        .context("could not look for schema trunkline")?
        .is_empty())
}

/// Makes the job's own database the first provider of its set, unless the set is known already.
async fn begin_set(job: &Job) -> Result<Exit, Failure> {
    let [one] = job.config.subscribers.as_slice() else {
        let text = "--first needs a config with one subscriber: the node's own database";
        return Err(Failure::message(Exit::Usage, text));
    };
    install_to_come_back(job, one).await?;
    let own = job.subscriber(one).await?;
    if let Some(said) = meeting::introduce(&*own, job.queue()).await? {
        first::may_begin(&job.config, &said.is).await?;
    }
    let is_new = role::begin_set(&*own, job.queue()).await?;
    note_consumer(job, &own, one).await?;
    name_node(job, &own).await?;
    let word = if is_new { "is" } else { "stays" };
    job.say(&format!(
        "this database {word} the first provider of set {}",
        job.queue()
    ))?;
    Ok(Exit::Done)
}

/// Makes replay's tables in a provider's own database, if it may become a standby: when another node has taken the
/// writes over, the daemon joins it, and must not begin with an installation.
async fn install_to_come_back(job: &Job, one: &SubscriberConfig) -> Result<(), Failure> {
    if !job.config.standby {
        return Ok(());
    }
    let mut own = job.bare_subscriber(one).await?;
    install::install(&mut own, &[Component::Subscriber, Component::Member])
        .await
        .context("could not make schema trunkline")?;
    Ok(())
}

/// Notes as what this node would read from another provider, which keeps its place.
async fn note_consumer(job: &Job, own: &Session, one: &SubscriberConfig) -> Result<(), Failure> {
    if job.config.standby {
        role::note_consumer(&**own, job.queue(), &one.consumer).await?;
    }
    Ok(())
}

/// `of_several`: the provider is one of several hosts, so that this node meets them.
async fn install(job: &Job, of_several: bool) -> Result<Exit, Failure> {
    let provider = job.provider().await?;
    job.has_schema(&provider).await?;
    // The subscribers are checked before a queue is made: a wrong letter in the config would make a queue of a wrong
    // name.
    let mut prepared = Vec::new();
    for one in &job.config.subscribers {
        let subscriber = prepare(job, &provider, one, of_several).await;
        prepared.push((one, subscriber.map_err(could_not_install(&label(one)))?));
    }
    let made = queue::create(&*provider, job.queue())
        .await
        .context("could not make the queue")?;
    let others = queue::names(&*provider)
        .await
        .context("could not list the queues")?;
    let others = others.iter().map(String::as_str);
    let near = near::name(job.queue(), others.filter(|name| *name != job.queue()));
    job.say(&match (made, near) {
        (true, Some(near)) => format!("provider: queue {} made; {near} is there, too", job.queue()),
        (true, None) => format!("provider: queue {} made", job.queue()),
        (false, _) => format!("provider: queue {} is there", job.queue()),
    })?;
    for (one, subscriber) in prepared {
        let installed = async {
            install_consumer(job, &provider, one, &subscriber).await?;
            name_node(job, &subscriber.session).await?;
            follow_config(job, &provider, one, &subscriber.session).await
        };
        installed.await.map_err(could_not_install(&label(one)))?;
    }
    for one in &job.config.archives {
        let installed = archive::install(job, &provider, one, of_several).await;
        installed.map_err(could_not_install(&format!("archive {}", one.name)))?;
    }
    Ok(Exit::Done)
}

fn could_not_install(what: &str) -> impl FnOnce(Failure) -> Failure + use<> {
    let context = format!("could not install {what}");
    |failure| Failure {
        error: failure.error.context(context),
        ..failure
    }
}

/// A subscriber with our tables.
struct InstalledSubscriber {
    session: Session,
    /// Whether our tables were made or changed now.
    changed: bool,
}

async fn prepare(
    job: &Job,
    provider: &Session,
    one: &SubscriberConfig,
    of_several: bool,
) -> Result<InstalledSubscriber, Failure> {
    let mut subscriber = job.bare_subscriber(one).await?;
    refuse_the_provider_itself(provider, &subscriber).await?;
    let mut components = vec![Component::Subscriber];
    if of_several || job.config.is_member() {
        components.push(Component::Member);
    }
    let report = install::install(&mut subscriber, &components)
        .await
        .context("could not make schema trunkline")?;
    if report.removed_dump {
        job.say(&format!(
            "{}: removed triggers and queue objects that came with a dump of the provider",
            label(one)
        ))?;
    }
    // A subscriber with tables stays with its queue: no other queue has the events after its position.
    let stored = position::find(&*subscriber, &one.consumer).await?;
    if let Some(stored) = stored
        && !has_no_tables(&subscriber, one).await?
    {
        job.is_of_queue(one, &stored)?;
    }
    Ok(InstalledSubscriber {
        session: subscriber,
        changed: report.changed,
    })
}

/// Names the job's own database, and says how programs know it and clients reach it, as the config says.
async fn name_node(job: &Job, own: &Session) -> Result<(), Failure> {
    if let Some(name) = &job.config.node
        && role::name_node(&**own, name).await?
    {
        job.say(&format!("this node is called {name}"))?;
    }
    let programs = &job.config.programs;
    if (programs.number.is_some() || programs.client.is_some())
        && role::describe_node(&**own, programs.number, programs.client.as_deref()).await?
    {
        job.say("number and client_db of this node are told to the others")?;
    }
    let priority = job.config.failover.priority;
    if job.config.is_member() && role::prefer_node(&**own, priority).await? {
        job.say(&format!("this node has priority {priority} at a failover"))?;
    }
    Ok(())
}

async fn install_consumer(
    job: &Job,
    provider: &Session,
    one: &SubscriberConfig,
    subscriber: &InstalledSubscriber,
) -> Result<(), Failure> {
    let registered = register(job, provider, &subscriber.session, one).await?;
    job.say(&format!(
        "{}: consumer {} {}",
        label(one),
        one.consumer,
        if registered || subscriber.changed {
            "installed"
        } else {
            "is there"
        }
    ))
}

/// Makes the subscriber a standby, or a plain subscriber again, as the config says. The provider of a standby is the
/// first of their set, if nobody has said so before.
async fn follow_config(
    job: &Job,
    provider: &Session,
    one: &SubscriberConfig,
    subscriber: &Session,
) -> Result<(), Failure> {
    let (queue, of) = (job.queue(), label(one));
    let is_of_queue = |role: &&NodeRole| role.queue == queue;
    if !job.config.standby {
        let roles = role::list(&**subscriber).await?;
        let there = roles.iter().find(is_of_queue);
        if there.is_some_and(|role| role.role == Role::Standby) {
            moment::prepare(subscriber).await?;
            let left = moment::with_lock(async || role::leave_standby(&**subscriber, queue).await);
            if left.await?.is_none() {
                let text = "others hold locks on its tables, it is a standby still";
                return Err(Failure::message(Exit::TimedOut, text));
            }
            job.say(&format!(
                "{of}: no standby any more, its tables can be written"
            ))?;
        }
        return Ok(());
    }
    let mut roles = role::list(&**provider).await?;
    if !roles.iter().any(|role| role.queue == queue) {
        role::begin_set(&**provider, queue).await?;
        job.say(&format!("provider: the first one of set {queue}"))?;
        roles = role::list(&**provider).await?;
    }
    let there = roles.iter().find(is_of_queue);
    let term = there.context("the provider has no role")?.term;
    let is_new = role::stand_by(&**subscriber, queue, term, job.config.read_only).await?;
    let closed = close_tables(subscriber, queue).await?;
    let word = if is_new { "is" } else { "stays" };
    let later = if closed {
        ""
    } else {
        ", some tables follow when others have let go of them"
    };
    job.say(&format!("{of}: {word} a standby{later}"))
}

/// Has the tables of a standby refuse writes; false: others hold the locks of some, which the daemon closes later.
pub(super) async fn close_tables(subscriber: &Session, queue: &str) -> Result<bool, Failure> {
    match role::follow_role(&**subscriber, queue).await {
        Ok(left) => Ok(left == 0),
        Err(error) if error.is_lock_timeout() => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Refuses a subscriber that is the provider itself: a table cannot be replicated onto itself.
async fn refuse_the_provider_itself(
    provider: &Session,
    subscriber: &Session,
) -> Result<(), Failure> {
    let ask = async |session: &Session| {
        let asked = standing::identity(&**session).await;
        asked.map_err(anyhow::Error::from)
    };
    if ask(provider).await? == ask(subscriber).await? {
        return Err(Failure::message(
            Exit::Failed,
            "provider_db and the subscriber are one database",
        )
        .with_hint("replicate into another database"));
    }
    Ok(())
}

/// Registers the consumer at the queue's newest tick and stores the tick as the subscriber's position; false if that
/// was done before. A subscriber without tables gets a new position if its position is not on the provider's history,
/// or if no consumer holds it. If there are tables, the consumer is put back to the subscriber's position, provided the
/// queue still has the events after it.
async fn register(
    job: &Job,
    provider: &Session,
    subscriber: &Session,
    one: &SubscriberConfig,
) -> Result<bool, Failure> {
    let at_provider = provider::consumer_position(&**provider, job.queue(), &one.consumer).await?;
    let stored = position::find(&**subscriber, &one.consumer).await?;
    if stored.is_none() || has_no_tables(subscriber, one).await? {
        let ended = successor::begin_new_log(&**provider, job.queue()).await?;
        if let Some(why) = ended {
            let error =
                anyhow::anyhow!("the provider follows another node, and its log has ended: {why}");
            return Err(Failure::new(Exit::Failed, error)
                .with_hint("follow the provider of the set, or try again later"));
        }
    }
    match (at_provider, stored) {
        (Some(_), Some(stored)) => {
            if !has_no_tables(subscriber, one).await?
                || on_track(job, provider, stored.position).await?
            {
                return Ok(false);
            }
            position::remove(&**subscriber, &one.consumer).await?;
        }
        (None, Some(stored)) => {
            if !has_no_tables(subscriber, one).await? {
                return put_back(job, provider, one, stored.position).await;
            }
            position::remove(&**subscriber, &one.consumer).await?;
        }
        (Some(_) | None, None) => {}
    }
    // A consumer that was detached for holding too much keeps its name, and must not be taken up again.
    if at_provider.is_none() {
        consumer::unregister(&**provider, job.queue(), &one.consumer)
            .await
            .context("could not unregister the consumer")?;
    }
    consumer::register(&**provider, job.queue(), &one.consumer)
        .await
        .context("could not register the consumer")?;
    let at = provider::consumer_position(&**provider, job.queue(), &one.consumer)
        .await?
        .context("the provider lost the consumer at once")?;
    position::register(&**subscriber, &one.consumer, job.name(), job.queue(), at).await?;
    Ok(true)
}

async fn has_no_tables(subscriber: &Session, one: &SubscriberConfig) -> Result<bool, Failure> {
    let tables = table_state::list(&**subscriber, &one.consumer).await?;
    Ok(tables.is_empty())
}

/// Whether a position lies on the provider's history and the queue knows the position.
async fn on_track(job: &Job, provider: &Session, stands: Position) -> Result<bool, Failure> {
    let finder = BatchFinder::prepare(&**provider).await?;
    let next = finder
        .after(
            &**provider,
            job.queue(),
            stands.tick.id,
            &provider::Want::default(),
        )
        .await?;
    Ok(next.epoch == stands.epoch && next.tag_at_position == Some(stands.tick.tag))
}

/// Registers a consumer that the provider has lost again, at the position of its subscriber.
async fn put_back(
    job: &Job,
    provider: &Session,
    one: &SubscriberConfig,
    stands: Position,
) -> Result<bool, Failure> {
    let lost = |why: anyhow::Error| {
        Failure::new(
            Exit::Failed,
            why.context(format!(
                "the provider has no consumer {} any more, and what came after tick {} is lost",
                one.consumer, stands.tick.id
            )),
        )
        .with_hint("run: replay adopt, which copies the tables again")
    };
    if !on_track(job, provider, stands).await? {
        return Err(lost(anyhow::anyhow!(
            "the provider's queue does not know that tick"
        )));
    }
    match consumer::register_at(&**provider, job.queue(), &one.consumer, stands.tick.id).await {
        Ok(_) => Ok(true),
        Err(error) if error.class() == sql::Class::Transient => {
            Err(error).context("could not register the consumer")?
        }
        Err(error) => Err(lost(error.into())),
    }
}
