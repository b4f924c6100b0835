use std::{
    io::Write as _,
    process::{Command, Stdio},
};

use proptest::{collection::vec, prelude::*, strategy::ValueTree as _, test_runner::TestRunner};
use serde_json::{Value, json};

use super::*;
use admin::config::RetentionUnit;

const NOW: i64 = 1_800_000_000;
const HOUR: i64 = 3600;

/// A catalogue: what is asked of a policy.
#[derive(Clone, Debug)]
struct Case {
    policy: RetentionPolicy,
    minimum: u64,
    bases: Vec<Candidate>,
}

impl Case {
    fn report(&self) -> Vec<Status> {
        report(self.policy, self.minimum, at(NOW), &self.bases)
    }
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn cases() -> impl Strategy<Value = Case> {
    let policy = prop_oneof![
        (1..40_u32).prop_map(|count| RetentionPolicy::RecoveryWindow {
            count,
            unit: RetentionUnit::Days
        }),
        (1..5_u32).prop_map(|count| RetentionPolicy::RecoveryWindow {
            count,
            unit: RetentionUnit::Weeks
        }),
        (1..3_u32).prop_map(|count| RetentionPolicy::RecoveryWindow {
            count,
            unit: RetentionUnit::Months
        }),
        (1..6_u32).prop_map(RetentionPolicy::Redundancy),
    ];
    // Whole days are often on the border of a window.
    let end = prop_oneof![
        (0..60_i64).prop_map(|days| NOW - days * 24 * HOUR),
        (0..60 * 24_i64).prop_map(|hours| NOW - hours * HOUR)
    ];
    let keep = prop_oneof![
        8 => Just(None), 1 => Just(Some(Keep::Full)), 1 => Just(Some(Keep::Standalone))
    ];
    let base = (end, prop::bool::weighted(0.9), keep);
    (policy, 0..5_u64, vec(base, 0..12)).prop_map(|(policy, minimum, mut bases)| {
        bases.sort_by_key(|(end, ..)| *end);
        bases.dedup_by_key(|(end, ..)| *end);
        let bases = bases.into_iter().map(|(end, is_complete, keep)| Candidate {
            end: at(end),
            is_complete,
            // Nobody can pin what is not whole.
            keep: keep.filter(|_| is_complete),
        });
        Case {
            policy,
            minimum,
            bases: bases.collect(),
        }
    })
}

/// What barman says of catalogues.
fn barman(cases: &[Case]) -> Vec<Vec<String>> {
    let mut child = Command::new("/usr/bin/python3")
        .args(["-c", include_str!("barman.py")])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let lines: Vec<String> = cases.iter().map(|case| asked(case).to_string()).collect();
    let writer = std::thread::spawn(move || {
        for line in lines {
            // Its end is told by its exit code.
            let _ = writeln!(stdin, "{line}");
        }
    });
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    assert!(
        output.status.success(),
        "Debian's package barman is needed (bash etc/test.sh installs it)"
    );
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn asked(case: &Case) -> Value {
    let bases: Vec<Value> = case
        .bases
        .iter()
        .enumerate()
        .map(|(number, base)| {
            json!({
                "id": format!("{number:03}"), "end": base.end.as_second(), "complete": base.is_complete,
                "keep": base.keep.map(|_| "full")
            })
        })
        .collect();
    json!({"now": NOW, "policy": case.policy.to_string(), "minimum": case.minimum, "bases": bases})
}

#[test]
fn each_base_is_what_barman_says_it_is() {
    let mut runner = TestRunner::default();
    let cases: Vec<Case> = (0..400)
        .map(|_| cases().new_tree(&mut runner).unwrap().current())
        .collect();
    // Without those that stand alone, which barman counts.
    let chains: Vec<Case> = cases
        .iter()
        .map(|case| {
            let mut chain = case.clone();
            chain
                .bases
                .retain(|base| base.keep != Some(Keep::Standalone));
            chain
        })
        .collect();
    let answers = barman(&chains);
    assert_eq!(answers.len(), cases.len());
    let mut seen = std::collections::BTreeSet::new();
    for ((case, chain), barman) in cases.iter().zip(&chains).zip(answers) {
        let ours = chain.report();
        for (index, (ours, barman)) in ours.iter().zip(&barman).enumerate() {
            let is_same = match ours {
                Status::PotentiallyObsolete => barman == "OBSOLETE*",
                // Barman leaves what has failed where it is.
                Status::Obsolete if !chain.bases[index].is_complete => barman == "-",
                Status::Valid
                | Status::Obsolete
                | Status::KeepFull
                | Status::KeepStandalone
                | Status::Uncounted => barman == ours.word(),
            };
            assert!(
                is_same,
                "base {index}: {ours:?}, barman: {barman}, {chain:?}"
            );
            seen.insert(barman.clone());
        }
        let without: Vec<Status> = case
            .report()
            .into_iter()
            .filter(|status| *status != Status::KeepStandalone)
            .collect();
        assert_eq!(
            without, ours,
            "those that stand alone change nothing: {case:?}"
        );
    }
    let all = ["-", "KEEP:FULL", "OBSOLETE", "OBSOLETE*", "VALID"];
    assert_eq!(seen.iter().map(String::as_str).collect::<Vec<_>>(), all);
}

proptest! {
    #[test]
    fn what_is_kept_restores_every_moment_of_the_window_that_could_be_restored(case in cases()) {
        let statuses = case.report();
        let of = |keeps: &dyn Fn(usize) -> bool| {
            let chain = |base: &Candidate| base.is_complete && base.keep != Some(Keep::Standalone);
            let mut all = case.bases.iter().enumerate();
            let first = all.find(|(index, base)| chain(base) && keeps(*index));
            first.map(|(_, base)| base.end)
        };
        // From the first base of a chain on each moment can be restored.
        let all = of(&|_| true);
        let kept = of(&|index| holds_frames(statuses[index]));
        let begin = match case.policy {
            RetentionPolicy::RecoveryWindow { .. } => begin_of_window(case.policy, at(NOW)),
            RetentionPolicy::Everything | RetentionPolicy::Redundancy(_) => at(NOW),
        };
        prop_assert_eq!(all.map(|first| first.max(begin)), kept.map(|first| first.max(begin)));
        let count = |wanted: &dyn Fn(usize) -> bool| {
            let is_of_chain = |base: &Candidate| base.is_complete && base.keep != Some(Keep::Standalone);
            let all = case.bases.iter().enumerate();
            all.filter(|(index, base)| is_of_chain(base) && wanted(*index)).count()
        };
        let least = (case.minimum as usize).max(1).min(count(&|_| true));
        prop_assert!(count(&|index| statuses[index] != Status::Obsolete) >= least);
        for (base, status) in case.bases.iter().zip(&statuses) {
            prop_assert!(base.keep.is_none() || *status != Status::Obsolete);
        }
    }
}
