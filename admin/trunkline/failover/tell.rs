//! What a person, a script and the programs beside the node are told before a failover.

use std::time::Duration;

use admin::cli;
use admin::exit::{Exit, Failure};
use admin::{output, terminal};
use serde_json::json;
use sql::event_log;
use sql::install::ownership::Schema;

use super::ask::Follower;
use super::plan::{Dead, Loss, Standing};
use super::setup::Setup;
use crate::topology::refusal::{self, Refusal};

/// How long the own database may take to note an event.
const LIMIT: Duration = Duration::from_secs(5);

/// Tells why a failover does not begin; exit code 3. Unless nothing was to be done, programs are told, too.
pub(super) async fn refused(
    setup: &Setup<'_>,
    lost: Option<&Loss>,
    refused: &[Refusal],
) -> Result<Exit, Failure> {
    if !setup.args.dry_run {
        let all: Vec<&str> = refused.iter().map(|one| one.reason.as_str()).collect();
        tell_event(setup, &all.join("; ")).await;
    }
    if setup.args.json {
        output::print_json(&json!({
            "step": "prepare",
            "new": setup.args.to,
            "refused": refused,
            "lost_possible": lost.map(Loss::json),
        }))?;
    } else {
        refusal::print(refused);
    }
    Ok(Exit::Failed)
}

/// Notes an event in the own database, if it answers.
async fn tell_event(setup: &Setup<'_>, why: &str) {
    let Some(own) = setup.config.subscribers.first() else {
        return;
    };
    let told = async {
        let session = own.db.connect_for(&setup.name, Schema::SUBSCRIBER).await;
        let session = session.map_err(|error| admin::exit::one_line(&error))?;
        let queue = &setup.args.queue;
        event_log::tell(&*session, queue, "failover_refused", false, why, None)
            .await
            .map_err(|error| admin::exit::one_line(&error))
    };
    match tokio::time::timeout(LIMIT, told).await {
        Ok(Ok(_)) => {}
        Ok(Err(error)) => eprintln!("note: event failover_refused is not told: {error}"),
        Err(_) => eprintln!("note: event failover_refused is not told: no answer"),
    }
}

/// What is refused if more would be lost than may be without a person's word.
pub(super) fn too_much(setup: &Setup<'_>, dead: &Dead, lost: &Loss) -> Option<Refusal> {
    let limit = setup.config.failover.max_loss;
    // Where nobody has heard how far it was, everything may be lost.
    let is_unknown = lost.heard.is_none() || dead.met.is_none();
    let is_too_much = is_unknown || lost.seconds() > limit.as_secs_f64();
    (is_too_much && !setup.args.loss.yes && !terminal::can_ask()).then(|| {
        let what = format!(
            "{}; max_loss is {} s",
            lost.text(&dead.part.title()),
            limit.as_secs_f64()
        );
        Refusal::new(what).advised("--yes, if that is what you want")
    })
}

/// Tells what would be done.
pub(super) fn plan(
    setup: &Setup<'_>,
    dead: &Dead,
    winner: &Standing,
    followers: &[Follower],
    lost: &Loss,
) -> Result<(), Failure> {
    let (old, new) = (dead.part.title(), winner.part.title());
    if setup.args.json {
        if setup.args.dry_run {
            output::print_json(&json!({
                "step": "prepare",
                "old": old,
                "new": new,
                "refused": [],
                "lost_possible": lost.json(),
            }))?;
        }
        return Ok(());
    }
    cli::say(
        setup.common,
        &format!("{new} takes the place of {old}, which is off"),
    )?;
    cli::say(setup.common, &lost.text(&old))?;
    for line in lost.of_those_ahead(&old, &new) {
        eprintln!("warning: {line}");
    }
    for one in followers {
        let name = one.standing.part.title();
        if name != new {
            let at = one.standing.in_log(dead);
            let at = at.map_or("at an unknown place".to_owned(), |at| {
                format!("at tick {}", at.tick.id)
            });
            cli::say(setup.common, &format!("{name} stands {at}"))?;
        }
    }
    if !winner.ticker_runs {
        eprintln!("warning: no ticker runs on {new}: ticker start -d there, a provider needs one");
    }
    Ok(())
}

/// Whether the person at the terminal agrees; where there is none, nobody is asked.
pub(super) fn agreed(setup: &Setup<'_>) -> Result<bool, Failure> {
    if setup.args.loss.yes || !terminal::can_ask() {
        return Ok(true);
    }
    terminal::agreed("Do it?").map_err(|error| Failure::message(Exit::Failed, error))
}
