//! The program itself, in sizes that take seconds: a workload runs to its end with a peer and finds both sides equal.

use clap::{Parser, ValueEnum};

use super::{Args, peer::Name, workload::Work};

/// Runs a workload for one peer in the smallest sizes.
fn runs(work: Work, peer: Name) {
    let args = Args::parse_from(["benches", "--quick"]);
    let workload = work.workload();
    let mut values = 0;
    for part in workload.parts(&args.plan(vec![peer])) {
        for measurement in workload.measure(&part).expect("a measurement") {
            let line = measurement.line();
            assert!(!measurement.has_failed(), "{line}");
            let value = measurement.rate.map(|(rate, _)| rate);
            let value = value.or(measurement.seconds).unwrap_or(f64::NAN);
            assert!(value.is_finite(), "{line}");
            let of_base = measurement.peer() == "uncaptured" && work != Work::CaptureSets;
            assert!(
                of_base || !measurement.checked.is_empty(),
                "unchecked: {line}"
            );
            values += 1;
        }
    }
    assert!(values > 0, "{work:?} of {peer} measured nothing");
}

#[test]
fn every_workload_runs_small_with_every_peer() {
    let all = Work::value_variants()
        .iter()
        .flat_map(|work| Name::value_variants().iter().map(|peer| (*work, *peer)))
        .collect();
    let short = vec![
        (Work::WideRows, Name::Trunkline),
        (Work::SingleRows, Name::Trunkline),
        (Work::SingleRows, Name::Relaying),
        (Work::ManySubscribers, Name::Trunkline),
        (Work::ManyTables, Name::Builtin),
    ];
    for (work, peer) in tests::choose("workloads", all, short) {
        runs(work, peer);
    }
}
