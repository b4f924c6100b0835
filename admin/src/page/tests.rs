//! Both pages with every kind of thing on them, drawn by a real browser in three widths and both themes.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use ::tests::{Browser, Scratch};

use super::*;
use crate::status::verdict::{MemberFacts, Reason, ReasonKind, RoleFacts, Severity};
use crate::status::*;

fn reason(severity: Severity, kind: ReasonKind, subject: &str, what: &str, advice: &str) -> Reason {
    Reason {
        severity,
        kind,
        subject: subject.into(),
        what: what.into(),
        advice: (!advice.is_empty()).then(|| advice.to_owned()),
    }
}

fn subscriber(name: &str, state: SubscriberState, lag: Option<f64>) -> SubscriberStatus {
    SubscriberStatus {
        role: None,
        name: Some(name.into()),
        consumer: format!("db1-replay/{name}"),
        archive: false,
        reachable: lag.is_some(),
        epoch: Some("1".into()),
        tick: Some(184_200),
        follows: None,
        source: None,
        left: Vec::new(),
        lag_seconds: lag,
        lag_ticks: Some(1),
        pending_events: lag.map(|lag| (lag * 40.0) as i64),
        batch_rows: None,
        state,
        paused: false,
        conflicts: 0,
        recent_conflicts: 0,
        last_error: None,
        reasons: Vec::new(),
        tables: BTreeMap::from([("ok".into(), 48)]),
        table_list: Vec::new(),
        conflict_list: Vec::new(),
    }
}

fn table(name: &str, state: &str, copied: i64, of: i64) -> TableStatus {
    TableStatus {
        subscriber: Some("reports".into()),
        table: name.into(),
        target: Some(name.into()),
        columns: None,
        filter: None,
        merge: None,
        state: state.into(),
        rows_copied: Some(copied),
        bytes_copied: Some(copied * 90),
        rows_estimated: Some(of),
        rows_per_second: None,
        seconds_left: (copied > 0 && of > copied).then_some(95.0),
        objects_left: None,
        objects: None,
        objects_share: None,
        ignored: 0,
        conflicts: Some(0),
        error: None,
        advice: None,
    }
}

fn consumer(name: &str, lag: f64, events: i64) -> ConsumerStatus {
    ConsumerStatus {
        name: name.into(),
        last_tick: Some(184_000),
        lag_seconds: Some(lag),
        last_seen_seconds: 0.2,
        pending_events: Some(events),
        batch: None,
    }
}

fn holder(kind: &'static str, name: &str, seconds: f64) -> HolderStatus {
    HolderStatus {
        kind,
        name: Some(name.into()),
        held_seconds: Some(seconds),
        held_bytes: Some(140 << 20),
        over_limit: kind == "consumer",
        pid: (kind == "transaction").then_some(4711),
        xid: (kind == "transaction").then_some(99_123),
        detail: (kind == "transaction").then(|| "database db1, idle in transaction".into()),
    }
}

/// A job on which all is well.
fn well() -> ReplayStatus {
    let member = |name: &str, follows: &str, heard_seconds| MemberFacts {
        node: "17".into(),
        name: Some(name.into()),
        role: "standby",
        since_seconds: Some(812_000.0),
        term: 3,
        follows: Some(follows.into()),
        consumer: None,
        behind_ticks: Some(2),
        heard_seconds,
        problem: None,
    };
    let provider = ProviderStatus {
        role: Some(RoleFacts {
            name: Some("castor".into()),
            since_seconds: Some(812_000.0),
            term: 3,
            members: vec![
                member("pollux", "castor", 2.0),
                member("helen", "pollux", 4.0),
            ],
            ..RoleFacts::without_role("provider")
        }),
        reachable: true,
        last_tick: Some(184_201),
        tick_age_seconds: Some(0.04),
        bytes: Some(212 << 20),
        events_per_second: Some(812.0),
        consumer_list: vec![
            consumer("db1-replay/reports", 0.2, 9),
            consumer("db1-replay/warehouse", 0.3, 12),
        ],
        ..ProviderStatus::default()
    };
    ReplayStatus {
        job: "db1-replay".into(),
        queue: "db1-queue".into(),
        running: true,
        pid: Some(811),
        pid_problem: None,
        provider,
        subscribers: vec![
            subscriber("reports", SubscriberState::Level, Some(0.05)),
            subscriber("warehouse", SubscriberState::Level, Some(0.11)),
            SubscriberStatus {
                archive: true,
                tables: BTreeMap::from([("archived".into(), 48)]),
                ..subscriber("backup", SubscriberState::Level, Some(4.1))
            },
        ],
    }
}

/// A job with everything that can be wrong.
fn ill() -> ReplayStatus {
    let mut status = well();
    let parked =
        "null value in column \"region\" of relation \"orders\" violates not-null constraint";
    let advice = "put the row right and run replay resume app.orders, or replay skip app.orders";
    let reports = &mut status.subscribers[0];
    reports.state = SubscriberState::Parked;
    reports.lag_seconds = Some(1.2);
    reports.conflicts = 1_284;
    reports.recent_conflicts = 17;
    reports.conflict_list = vec![
        ConflictStatus {
            table: "app.customers".into(),
            conflicts: 1_200,
        },
        ConflictStatus {
            table: "app.prices".into(),
            conflicts: 84,
        },
    ];
    reports.tables = BTreeMap::from([
        ("ok".into(), 44),
        ("in-copy".into(), 2),
        ("parked".into(), 1),
        ("-".into(), 1),
    ]);
    reports.table_list = vec![
        table("app.events_2026", "in-copy", 41_204_000, 120_000_000),
        table("app.lines", "in-copy", 700_000, 1_900_000),
        table("app.audit", "-", 0, 3_000_000),
        TableStatus {
            error: Some(parked.into()),
            advice: Some(advice.into()),
            ..table("app.orders", "parked", 0, 0)
        },
    ];
    reports.reasons = vec![
        reason(
            Severity::Critical,
            ReasonKind::Parked,
            "app.orders",
            &format!("parked: {parked}"),
            advice,
        ),
        reason(
            Severity::Warning,
            ReasonKind::Copying,
            "tables",
            "2 in state in-copy",
            "",
        ),
        reason(
            Severity::Warning,
            ReasonKind::Conflicts,
            "subscriber",
            "17 conflicts in the last day",
            "",
        ),
    ];
    let warehouse = &mut status.subscribers[1];
    *warehouse = subscriber("warehouse", SubscriberState::Unreachable, None);
    let refused = "could not connect to host \"warehouse.example\" port 5432: connection refused";
    warehouse.reasons = vec![reason(
        Severity::Critical,
        ReasonKind::Unreachable,
        "subscriber",
        refused,
        "see whether the server runs, and whether pg_hba.conf lets this host in",
    )];
    status.provider.holder_list = vec![
        holder("consumer", "db1-replay/warehouse", 5_400.0),
        holder("transaction", "nightly-report", 1_900.0),
    ];
    status
}

/// Eleven hours of samples, with a load, a stop of two minutes and a copy.
fn history(status: &ReplayStatus) -> History {
    let mut history = History::default();
    let now = Instant::now();
    let mut rows = 0.0;
    let all = 11 * 360_u32;
    for number in 0..all {
        let left = f64::from(all - number);
        let wave = (f64::from(number) / 55.0).sin();
        let noise = f64::from(number.wrapping_mul(2_654_435_761) >> 24) / 256.0;
        let is_away = (250.0..262.0).contains(&left);
        let peak = if (100.0..140.0).contains(&left) {
            140.0 - left
        } else {
            0.0
        };
        rows += 8_000.0 + 4_000.0 * wave + 2_500.0 * noise;
        let mut status = status.clone();
        status.provider.bytes = (!is_away).then_some((150e6 + 60e6 * wave + peak * 8e6) as i64);
        for (place, one) in status.subscribers.iter_mut().enumerate() {
            let behind = 0.1 + 0.3 * noise + peak * (place as f64 + 1.0) * 0.2;
            one.lag_seconds = one
                .lag_seconds
                .filter(|_| !is_away)
                .map(|_| behind + if one.archive { 4.0 } else { 0.0 });
            for table in &mut one.table_list {
                table.rows_copied = table
                    .rows_copied
                    .map(|copied| copied - (left * 9_000.0) as i64);
            }
        }
        let consumers: Vec<String> = status
            .subscribers
            .iter()
            .map(|one| one.consumer.clone())
            .collect();
        let counts = consumers.iter().zip(1_u32..);
        let counts = counts
            .map(|(name, share)| (name.as_str(), (rows / f64::from(share)) as u64))
            .collect();
        let ago = Duration::from_secs(u64::from(all - 1 - number) * 10);
        history.add(
            now.checked_sub(ago).unwrap(),
            replay::readings(&status, &counts),
        );
    }
    history
}

/// A ticker with a queue that is read, one that is not there, and a database that does not answer.
fn ticker() -> TickerStatus {
    let queue = |name: &str| QueueStatus {
        name: name.into(),
        last_tick: Some(184_201),
        tick_age_seconds: Some(0.4),
        pending_events: Some(12),
        consumers: 2,
        bytes: 212 << 20,
        error: None,
        reasons: Vec::new(),
        ticks: None,
        pace: None,
        consumer_list: vec![
            consumer("db1-replay/reports", 0.2, 9),
            consumer("old-report", 90_000.0, 12_000_000),
        ],
        holder_list: vec![holder("consumer", "old-report", 90_000.0)],
        capture_problems: vec![CaptureStatus {
            table: "app.prices".into(),
            problem: "trigger trunkline_capture is disabled".into(),
        }],
        role: None,
    };
    let database = |name: &str, queues, error: Option<&str>| DatabaseStatus {
        name: name.into(),
        queues,
        error: error.map(str::to_owned),
    };
    TickerStatus {
        job: "db1-ticker".into(),
        running: true,
        pid: Some(12),
        pid_problem: None,
        databases: vec![
            database("db1", vec![queue("db1-queue"), queue("mail")], None),
            database("db2", Vec::new(), Some("connection refused")),
        ],
    }
}

#[test]
fn pages_fit_every_width_and_theme_and_are_read_by_everybody() {
    let folder = Scratch::new();
    let pictures = std::env::var_os("TRUNKLINE_PICTURES");
    let mut history_of_ticker = History::default();
    for ago in (0..300_u64).rev() {
        let at = Instant::now()
            .checked_sub(Duration::from_secs(ago * 10))
            .unwrap();
        history_of_ticker.add(at, ticker::readings(&ticker()));
    }
    let pages = [
        ("well", replay::draw(&well(), &history(&well()), Span::Hour)),
        ("ill", replay::draw(&ill(), &history(&ill()), Span::Day)),
        ("new", replay::draw(&ill(), &History::default(), Span::Hour)),
        (
            "ticker",
            ticker::draw(&ticker(), &history_of_ticker, Span::Hour),
        ),
    ];
    let mut browser = Browser::start();
    for (name, page) in pages {
        let file = folder.path().join(format!("{name}.html"));
        // A file has no daemon that the script could ask.
        let text = page.into_string();
        let text = text.replace(SCRIPT, "");
        std::fs::write(&file, text).unwrap();
        for width in [360, 768, 1280] {
            for dark in [false, true] {
                browser.open(&format!("file://{}", file.display()), width, dark);
                let problems = browser.problems();
                assert!(
                    problems.is_empty(),
                    "{name}, {width}, dark {dark}:\n{}",
                    problems.join("\n")
                );
                if let Some(pictures) = &pictures {
                    let theme = if dark { "dark" } else { "light" };
                    let picture = format!("{name}-{width}-{theme}.png");
                    browser.picture(&std::path::Path::new(pictures).join(picture));
                }
            }
        }
    }
}
