//! Leads the switchovers of one or several queues from one step to the next. All queues are fenced and caught up before
//! the first node is promoted, and what fails before that gives all of them up.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::time::Duration;

use admin::exit::{Exit, Failure};
use sql::operation::Step;

use super::args::SwitchoverArgs;
use super::unwind::GivenUp;
use crate::topology::work::{BEAT, Stop, Work};

/// How long nodes that do not answer are asked again before a step that failed is not taken back.
const PATIENCE: Duration = Duration::from_secs(30);

/// Operations, one for each queue.
pub(super) type Works<'a> = VecDeque<Work<'a>>;

/// Operations by what is to be done next.
#[derive(Default)]
pub(super) struct Stages<'a> {
    /// Those that are not noted yet.
    pub begin: Works<'a>,
    /// Those that are noted, and may be fenced.
    pub fence: Works<'a>,
    /// Those whose node is promoted.
    pub open: Works<'a>,
    /// Those that a command has begun to give up: then none goes on that is not promoted.
    pub given_up: Works<'a>,
}

/// What became of operations that were given up.
#[derive(Default)]
struct Back<'a> {
    /// It was too late for these.
    late: Works<'a>,
    /// What the others are now.
    states: Vec<String>,
    /// Why some could not be given up.
    failures: Vec<Failure>,
}

/// Leads all operations to their end.
pub(super) async fn lead(mut stages: Stages<'_>, args: &SwitchoverArgs) -> Result<Exit, Failure> {
    let begun = match stages.given_up.front() {
        None => each(&mut stages.begin, async |work| work.begin().await).await,
        Some(work) => Err(Stop::late(format!(
            "the operation to {} was given up before",
            work.new_name()
        ))),
    };
    let mut all = stages.begin;
    all.append(&mut stages.fence);
    all.append(&mut stages.given_up);
    let ready = match begun {
        Ok(_) => until_caught_up(&mut all, args).await,
        Err(stop) => Err(stop),
    };
    match ready {
        Ok(sets) => promote(all, stages.open, sets).await,
        Err(stop) => give_up(all, stages.open, stop).await,
    }
}

/// Fences all providers and waits for all nodes; gives what each provider has.
async fn until_caught_up(all: &mut Works<'_>, args: &SwitchoverArgs) -> Result<Vec<String>, Stop> {
    let sets = each(all, async |work| work.fence(args).await).await?;
    each(all, async |work| work.catch_up().await).await?;
    if let Some(by) = args.verify {
        let mut compared = sets.iter();
        each(all, async |work| match compared.next() {
            Some(set) => work.verify(by, args.verify_timeout, set).await,
            None => Ok(()),
        })
        .await?;
    }
    if all.len() > 1 {
        // A promotion looks at this, too, but then another node may be promoted already.
        let mut looked = sets.iter();
        each(all, async |work| match looked.next() {
            Some(set) => work.look_again(set).await,
            None => Ok(()),
        })
        .await?;
    }
    Ok(sets)
}

/// Promotes one node after the other. As long as none is promoted, one that cannot be gives all operations up; after
/// that each that fails is given up alone.
async fn promote<'a>(
    mut all: Works<'a>,
    open: Works<'a>,
    sets: Vec<String>,
) -> Result<Exit, Failure> {
    let is_several = all.len() > 1;
    let mut promoted = open;
    let mut ends = Vec::new();
    for set in sets {
        let Some(mut work) = all.pop_front() else {
            break;
        };
        let others = all.iter_mut().chain(&mut promoted);
        let Err(stop) = beside(others, work.promote(Some(&set))).await else {
            promoted.push_back(work);
            continue;
        };
        let mut works = Works::from([work]);
        let mut back = take_back(&mut works, is_several, &stop).await;
        promoted.append(&mut back.late);
        if promoted.is_empty() {
            let rest = take_back(&mut all, is_several, &stop).await;
            promoted.extend(rest.late);
            back.states.extend(rest.states);
            back.failures.extend(rest.failures);
        }
        ends.push((stop, back));
    }
    conclude(promoted, ends).await
}

/// Gives operations up of which one could not be done. Those for which it is too late are done.
async fn give_up<'a>(mut all: Works<'a>, mut open: Works<'a>, stop: Stop) -> Result<Exit, Failure> {
    let is_several = all.len() + open.len() > 1;
    let mut back = take_back(&mut all, is_several, &stop).await;
    open.append(&mut back.late);
    conclude(open, vec![(stop, back)]).await
}

async fn take_back<'a>(all: &mut Works<'a>, is_several: bool, stop: &Stop) -> Back<'a> {
    let mut back = Back::default();
    while let Some(mut work) = all.pop_front() {
        let given_up = beside(all.iter_mut(), work.give_up(false, &stop.text, PATIENCE)).await;
        let state = match given_up {
            Ok(GivenUp::Promoted | GivenUp::Over(Step::Done)) => {
                back.late.push_back(work);
                continue;
            }
            Ok(GivenUp::Undone(state)) => format!("{} {state}", work.old_name()),
            Ok(GivenUp::Over(_)) => "nothing has changed".to_owned(),
            Err(failure) => {
                back.failures.push(failure);
                continue;
            }
        };
        // Who cannot be told is no reason to leave the other queues fenced.
        if let Err(failure) = work.report(Step::Aborted) {
            failure.print();
        }
        back.states.push(if is_several {
            format!("queue {}: {state}", work.plan.queue)
        } else {
            state
        });
    }
    back
}

/// Goes on with the nodes that are promoted, and tells what became of the others.
async fn conclude(promoted: Works<'_>, ends: Vec<(Stop, Back<'_>)>) -> Result<Exit, Failure> {
    let mut failures = Vec::new();
    for (stop, mut back) in ends {
        if back.failures.is_empty() && back.states.is_empty() {
            continue;
        }
        if back.failures.is_empty() {
            failures.push(stop.failure(&back.states.join("; ")));
        } else {
            stop.failure("it is to be given up").print();
            failures.append(&mut back.failures);
        }
    }
    if promoted.is_empty() {
        return last_of(failures);
    }
    for failure in &failures {
        failure.print();
    }
    let done = after_the_promotion(promoted).await?;
    Ok(if failures.is_empty() {
        done
    } else {
        Exit::Part
    })
}

/// Prints all failures but the last one.
pub(super) fn last_of(mut failures: Vec<Failure>) -> Result<Exit, Failure> {
    let Some(last) = failures.pop() else {
        return Ok(Exit::Done);
    };
    for failure in &failures {
        failure.print();
    }
    Err(last)
}

/// Opens the tables of all nodes, then waits for the others. What fails at one queue does not keep the rest from it.
async fn after_the_promotion(mut all: Works<'_>) -> Result<Exit, Failure> {
    let (mut exit, mut failures) = (Exit::Done, Vec::new());
    let mut opened = VecDeque::new();
    for _ in 0..all.len() {
        let Some(mut work) = all.pop_front() else {
            break;
        };
        let is_whole = beside(all.iter_mut(), work.open()).await;
        opened.push_back(is_whole.unwrap_or_else(|failure| {
            failures.push(failure);
            false
        }));
        all.push_back(work);
    }
    while let (Some(mut work), Some(is_whole)) = (all.pop_front(), opened.pop_front()) {
        let force = work.options.force;
        match beside(all.iter_mut(), work.follow(is_whole, force)).await {
            Ok(Exit::Done) => {}
            Ok(_) => exit = Exit::Part,
            Err(failure) => failures.push(failure),
        }
    }
    last_of(failures).map(|_| exit)
}

/// Does something with each operation in turn; the first that fails ends it.
async fn each<T>(
    all: &mut Works<'_>,
    mut doing: impl AsyncFnMut(&mut Work<'_>) -> Result<T, Stop>,
) -> Result<Vec<T>, Stop> {
    let mut done = Vec::new();
    for _ in 0..all.len() {
        let Some(mut work) = all.pop_front() else {
            break;
        };
        let one = beside(all.iter_mut(), doing(&mut work)).await;
        let one = one.map_err(|stop| work.of_queue(stop, !all.is_empty()));
        all.push_back(work);
        done.push(one?);
    }
    Ok(done)
}

/// Does something with one operation, while the rows of the others are told that the command works.
async fn beside<'w, 'a: 'w, T>(
    others: impl Iterator<Item = &'w mut Work<'a>>,
    doing: impl Future<Output = T>,
) -> T {
    let others: Vec<_> = others.collect();
    tokio::select! {
        done = doing => done,
        never = beat(others) => match never {},
    }
}

async fn beat(mut others: Vec<&mut Work<'_>>) -> Infallible {
    loop {
        tokio::time::sleep(BEAT).await;
        for work in &mut others {
            // A step never goes back: this one is behind all others.
            work.beat(Step::Prepare).await;
        }
    }
}
