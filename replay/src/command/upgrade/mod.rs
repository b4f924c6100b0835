//! `replay upgrade`: a live database moves to a newer server, step by step. Each step is made of commands of the three
//! programs that may be repeated, and what has been done is asked of the databases: so the command can be ended at any
//! moment, and goes on where it was.

mod args;
mod carry;
mod child;
mod place;
mod plan;
mod provider;
mod schema;
mod side;
mod steps;
mod turn;

use admin::{
    cli::{CommonArgs, say},
    exit::{Exit, Failure},
    output,
};
use serde_json::json;

pub(crate) use self::args::UpgradeArgs;
use self::{
    place::{Opening, Place},
    plan::{Goal, goal},
    provider::Provider,
    side::provider,
    steps::Upgrade,
};

/// Runs the command.
///
/// # Errors
/// [`Exit::Usage`] for a directory that belongs to another upgrade; [`Exit::Running`] while another command works in
/// it; what a step's command has ended with.
pub(crate) async fn run(args: &UpgradeArgs, common: &CommonArgs) -> Result<Exit, Failure> {
    let common = &CommonArgs {
        quiet: common.quiet || args.json,
        ..common.clone()
    };
    if args.dry_run && !args.dir.join(place::NOTES).exists() {
        for line in plan::told(goal(args.back, args.finish), &[]) {
            output::print(&format!("{line}\n"))?;
        }
        return Ok(Exit::Done);
    }
    let opening = Opening {
        directory: &args.dir,
        databases: args.from.as_ref().zip(args.to.as_ref()),
        dry_run: args.dry_run,
    };
    let place = Place::open(&opening, common).await?;
    let now = known(&place).await?;
    let done = plan::done(now, &place.notes);
    let goal = goal(args.back, args.finish);
    if args.dry_run {
        for line in plan::told(goal, &done) {
            output::print(&format!("{line}\n"))?;
        }
        return Ok(Exit::Done);
    }
    if place.notes.finished.is_some() && goal != Goal::Finish {
        let what = format!(
            "nothing was done: the upgrade in {} is finished",
            args.dir.display()
        );
        return Err(Failure::message(Exit::Failed, what)
            .with_hint("begin another one in another directory"));
    }
    if place.notes.finishing.is_some() && goal != Goal::Finish {
        let what = format!(
            "nothing was done: the upgrade in {} is being finished",
            args.dir.display()
        );
        return Err(Failure::message(Exit::Failed, what)
            .with_hint(format!("{} --finish ends it", place.words())));
    }
    let mut upgrade = Upgrade {
        place,
        args,
        common,
    };
    let now = match goal {
        Goal::Finish => now,
        Goal::Forward | Goal::Back => {
            let to = match goal {
                Goal::Back => Provider::Old,
                Goal::Forward | Goal::Finish => Provider::New,
            };
            upgrade.settle(to).await?;
            upgrade.now().await?
        }
    };
    let exit = match goal {
        Goal::Forward if now == Provider::New => upgrade.after(Provider::New).await?,
        Goal::Forward => upgrade.forward().await?,
        Goal::Back => upgrade.back(now).await?,
        Goal::Finish => upgrade.finish(now).await?,
    };
    report(&upgrade, args, common).await?;
    Ok(exit)
}

/// Who takes the writes. From the beginning of the end on only the notes know.
async fn known(place: &Place) -> Result<Provider, Failure> {
    match place.notes.finished.or(place.notes.finishing) {
        Some(side) => Ok(side),
        None => provider(place).await,
    }
}

/// What is told at the end.
async fn report(
    upgrade: &Upgrade<'_>,
    args: &UpgradeArgs,
    common: &CommonArgs,
) -> Result<(), Failure> {
    let notes = &upgrade.place.notes;
    let now = known(&upgrade.place).await?;
    let done = plan::done(now, notes);
    let next = plan::next(now, notes, &upgrade.place.words());
    if args.json {
        let words: Vec<&str> = done.iter().map(|step| step.word()).collect();
        return output::print_json(&json!({
            "provider": now.word(),
            "done": words,
            "next": next,
            "pause_ms": notes.pause_ms,
            "back_pause_ms": notes.back_pause_ms,
            "left": notes.left,
        }));
    }
    for line in next {
        say(common, &line)?;
    }
    Ok(())
}
