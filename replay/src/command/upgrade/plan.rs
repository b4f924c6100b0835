//! The steps of an upgrade, in order; which are done; and what comes next. Pure.

use clap::ValueEnum;

use super::{place::Notes, provider::Provider};

/// A step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Step {
    /// What stands in the way
    Check,
    /// Queue, capture's functions and daemons on both sides
    Install,
    /// The schema, by pg_dump, in one transaction
    Schema,
    /// All tables and sequences, until each is in step
    Copy,
    /// The rows of both sides, while they are written
    Compare,
    /// Until nothing is in the way of the switchover
    Ready,
    /// The new database takes the writes
    Switchover,
}

impl Step {
    /// All of them, in order.
    pub(super) const ALL: [Step; 7] = [
        Step::Check,
        Step::Install,
        Step::Schema,
        Step::Copy,
        Step::Compare,
        Step::Ready,
        Step::Switchover,
    ];

    /// The word.
    pub(super) fn word(self) -> &'static str {
        match self {
            Step::Check => "check",
            Step::Install => "install",
            Step::Schema => "schema",
            Step::Copy => "copy",
            Step::Compare => "compare",
            Step::Ready => "ready",
            Step::Switchover => "switchover",
        }
    }

    /// What it does, as commands.
    fn does(self) -> &'static str {
        match self {
            Step::Check => "trunkline doctor FROM --to TO",
            Step::Install => {
                "ticker install and start -d, replay install and start -d, on both sides; the new one is a standby"
            }
            Step::Schema => "pg_dump --schema-only FROM, into TO, in one transaction",
            Step::Copy => {
                "replay add --all --create --with-seqs; replay add-seq --all; replay wait"
            }
            Step::Compare => "replay compare",
            Step::Ready => "trunkline switchover --dry-run, until nothing is refused",
            Step::Switchover => "trunkline switchover --to new: writes wait for a moment",
        }
    }
}

/// What the command is to bring about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Goal {
    /// The new database takes the writes.
    Forward,
    /// The old one takes them again.
    Back,
    /// Nothing of ours is left where the writes are.
    Finish,
}

/// The goal that the options say.
pub(super) fn goal(back: bool, finish: bool) -> Goal {
    match (back, finish) {
        (true, _) => Goal::Back,
        (false, true) => Goal::Finish,
        (false, false) => Goal::Forward,
    }
}

/// The steps that are done, as far as the databases and the notes say.
pub(super) fn done(now: Provider, notes: &Notes) -> Vec<Step> {
    let is_done = |step: &Step| match step {
        Step::Check => now != Provider::Nobody,
        Step::Install => notes.installed,
        Step::Schema => notes.schema,
        Step::Copy => notes.copied,
        Step::Compare => notes.compared,
        // It is asked anew each time.
        Step::Ready => now == Provider::New,
        Step::Switchover => now == Provider::New,
    };
    Step::ALL.into_iter().filter(is_done).collect()
}

/// The plan, a line a step.
pub(super) fn told(goal: Goal, done: &[Step]) -> Vec<String> {
    let lines = match goal {
        Goal::Forward => {
            let number = |step: &Step| *step as usize + 1;
            let line = |step: Step| {
                let state = if done.contains(&step) {
                    "done"
                } else {
                    "to do"
                };
                format!(
                    "{} {} ({state}): {}",
                    number(&step),
                    step.word(),
                    step.does()
                )
            };
            return Step::ALL.into_iter().map(line).collect();
        }
        Goal::Back => vec![
            "1 ready: trunkline switchover --to old --dry-run, until nothing is refused",
            "2 switchover: trunkline switchover --to old: writes wait for a moment",
        ],
        Goal::Finish => vec![
            "1 stop: replay stop and ticker stop, on both sides",
            "2 uninstall: replay uninstall --provider --force, where the writes are; the other database stays as it is",
        ],
    };
    lines.into_iter().map(str::to_owned).collect()
}

/// What the operator may do next. `again`: the command as it is repeated.
pub(super) fn next(now: Provider, notes: &Notes, again: &str) -> Vec<String> {
    if notes.finished.is_some() {
        return vec![format!(
            "the {} database has nothing of ours any more; the other one stays closed to writers: drop it",
            now.word()
        )];
    }
    match now {
        Provider::New => vec![
            "the new database takes the writes, and the old one follows it".to_owned(),
            format!("the way back, with all that was written since: {again} --back"),
            format!("the end of the upgrade: {again} --finish"),
        ],
        Provider::Old | Provider::Nobody => {
            vec![format!(
                "the old database takes the writes; to go on: {again}"
            )]
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_done_follows_from_who_takes_the_writes_and_from_the_notes() {
        let mut notes = Notes::default();
        assert_eq!(done(Provider::Nobody, &notes), []);
        notes.installed = true;
        notes.schema = true;
        assert_eq!(
            done(Provider::Old, &notes),
            [Step::Check, Step::Install, Step::Schema]
        );
        notes.copied = true;
        notes.compared = true;
        assert_eq!(done(Provider::New, &notes), Step::ALL);
        // After the way back the switchover is to be done once more.
        assert_eq!(done(Provider::Old, &notes).last(), Some(&Step::Compare));
    }

    #[test]
    fn the_plan_tells_each_step_and_the_end_tells_both_ways() {
        let plan = told(Goal::Forward, &[Step::Check]);
        assert_eq!(plan.len(), Step::ALL.len());
        assert!(plan[0].starts_with("1 check (done): "), "{plan:?}");
        assert!(plan[6].starts_with("7 switchover (to do): "), "{plan:?}");
        let notes = Notes::default();
        let words = next(Provider::New, &notes, "replay upgrade --dir d").join("\n");
        assert!(words.contains("replay upgrade --dir d --back"), "{words}");
        assert!(words.contains("replay upgrade --dir d --finish"), "{words}");
        assert!(
            !next(Provider::Old, &notes, "x")
                .join("\n")
                .contains("--finish")
        );
    }
}
