//! The picture of `trunkline status`: a plain tree. Pure.

use super::report::{
    DatabaseStatus, Overview, QueueStatus, ReplayStatus, SubscriberStatus, TableStatus,
    TickerStatus,
};
use super::verdict::{Reason, ReasonKind, RoleFacts};
use crate::output::{bytes, or_none, seconds};
use crate::terminal::visible;

/// How many tables are named under a subscriber; of further tables only the number is told.
const NAMED_TABLES: usize = 50;

/// A line and the lines below it.
struct Branch {
    text: String,
    twigs: Vec<Branch>,
}

impl Branch {
    fn new(text: String) -> Branch {
        Branch {
            text,
            twigs: Vec::new(),
        }
    }

    fn draw(&self, picture: &mut String, before: &str) {
        picture.push_str(&visible(&self.text));
        picture.push('\n');
        let last = self.twigs.len().saturating_sub(1);
        for (index, twig) in self.twigs.iter().enumerate() {
            let (here, below) = if index == last {
                ("└─ ", "   ")
            } else {
                ("├─ ", "│  ")
            };
            picture.push_str(before);
            picture.push_str(here);
            twig.draw(picture, &format!("{before}{below}"));
        }
    }
}

/// Draws everything, tickers first.
pub fn overview(all: &Overview) -> String {
    let mut picture = String::new();
    for ticker in &all.tickers {
        ticker_branch(ticker).draw(&mut picture, "");
    }
    for replay in &all.replays {
        replay_branch(replay).draw(&mut picture, "");
    }
    picture
}

fn daemon(running: bool, pid: Option<i32>, problem: Option<&str>) -> String {
    match (running, pid, problem) {
        (true, Some(pid), _) => format!("running, pid {pid}"),
        (true, None, _) => "running".to_owned(),
        (false, _, None) => "not running on this host".to_owned(),
        (false, _, Some(problem)) => {
            format!("not known whether it runs on this host: {problem}")
        }
    }
}

fn ticker_branch(ticker: &TickerStatus) -> Branch {
    let state = daemon(ticker.running, ticker.pid, ticker.pid_problem.as_deref());
    Branch {
        text: format!("ticker {}: {state}", ticker.job),
        twigs: ticker.databases.iter().map(database_branch).collect(),
    }
}

fn database_branch(database: &DatabaseStatus) -> Branch {
    let mut branch = Branch::new(format!("database {}", database.name));
    branch.twigs = database.queues.iter().map(queue_branch).collect();
    match &database.error {
        Some(error) => branch.twigs.push(Branch::new(format!("error: {error}"))),
        None if database.queues.is_empty() => branch.text.push_str(": no queues"),
        None => {}
    }
    branch
}

fn queue_branch(queue: &QueueStatus) -> Branch {
    let mut text = format!("queue {}:", queue.name);
    if let Some(tick) = queue.last_tick {
        // A number that the server did not tell is a dash, not a zero.
        let age = queue.tick_age_seconds.map_or("-".to_owned(), seconds);
        let events = or_none(queue.pending_events);
        text.push_str(&format!(
            " tick {tick}, {age} ago, {events} events since, {}",
            bytes(queue.bytes)
        ));
    }
    // An error that is among the reasons is told with them.
    if let Some(error) = queue.error.as_ref().filter(|_| queue.reasons.is_empty()) {
        let after = if queue.last_tick.is_some() { "," } else { "" };
        text.push_str(&format!("{after} {error}"));
    }
    let consumers = queue.consumer_list.iter().map(|consumer| {
        let tick = or_none(consumer.last_tick);
        let lag = consumer.lag_seconds.map_or("-".to_owned(), seconds);
        let events = or_none(consumer.pending_events);
        Branch::new(format!(
            "consumer {}: tick {tick}, {lag} old, {events} events behind, seen {} ago",
            consumer.name,
            seconds(consumer.last_seen_seconds)
        ))
    });
    let mut twigs: Vec<Branch> = role_branch(queue.role.as_ref()).into_iter().collect();
    twigs.extend(queue.reasons.iter().map(reason_branch));
    twigs.extend(consumers);
    let held = queue.holder_list.iter();
    twigs.extend(held.map(|holder| Branch::new(format!("held by {}", holder.describe()))));
    let problems = queue.capture_problems.iter();
    twigs.extend(
        problems.map(|one| Branch::new(format!("capture of {}: {}", one.table, one.problem))),
    );
    Branch { text, twigs }
}

fn replay_branch(replay: &ReplayStatus) -> Branch {
    let state = daemon(replay.running, replay.pid, replay.pid_problem.as_deref());
    let mut provider = format!("provider, queue {}:", replay.queue);
    match (replay.provider.reachable, replay.provider.last_tick) {
        (false, _) => provider.push_str(" unreachable"),
        (true, Some(tick)) => {
            let age = replay.provider.tick_age_seconds;
            let ago = age.map_or(String::new(), |age| format!(", {} ago", seconds(age)));
            provider.push_str(&format!(" tick {tick}{ago}"));
        }
        (true, None) => provider.push_str(" no tick"),
    }
    let mut provider = Branch::new(provider);
    provider.twigs = role_branch(replay.provider.role.as_ref())
        .into_iter()
        .chain(replay.provider.reasons.iter().map(reason_branch))
        .collect();
    let mut branch = Branch::new(format!("replay {}: {state}", replay.job));
    branch.twigs.push(provider);
    branch
        .twigs
        .extend(replay.subscribers.iter().map(subscriber_branch));
    branch
}

fn subscriber_branch(subscriber: &SubscriberStatus) -> Branch {
    let name = match &subscriber.name {
        Some(name) => format!("subscriber {name}"),
        None => "subscriber".to_owned(),
    };
    let mut text = format!("{name}: {}", subscriber.state.as_str());
    if let Some(tick) = subscriber.tick {
        text.push_str(&format!(", tick {tick}"));
    }
    if let Some(lag) = subscriber.lag_seconds {
        text.push_str(&format!(", lag {}", seconds(lag)));
    }
    if let Some(events) = subscriber.pending_events {
        text.push_str(&format!(", {events} events behind"));
    }
    if let Some(rows) = subscriber.batch_rows {
        text.push_str(&format!(", {rows} rows of a batch written so far"));
    }
    if subscriber.conflicts > 0 {
        text.push_str(&format!(", {} conflicts", subscriber.conflicts));
    }
    let mut branch = Branch::new(text);
    // Parked and copied tables are left out here: the lines of the tables below give their reasons.
    let reasons = subscriber.reasons.iter();
    let reasons =
        reasons.filter(|one| !matches!(one.kind, ReasonKind::Parked | ReasonKind::Copying));
    branch.twigs = role_branch(subscriber.role.as_ref())
        .into_iter()
        .chain(reasons.map(reason_branch))
        .collect();
    let follows = subscriber.follows.iter();
    let follows = follows.map(|address| format!("follows {address}"));
    let source = subscriber.source.iter();
    let source = source.map(|archive| format!("reads from archive {archive}"));
    let left = subscriber.left.iter();
    let left = left.map(|address| format!("left, and may keep events for it: {address}"));
    let where_from = follows.chain(source).chain(left);
    branch.twigs.extend(where_from.map(Branch::new));
    if subscriber.tick.is_some() {
        branch.twigs.push(tables_branch(subscriber));
    }
    branch
}

/// What a database is in its set; none for a plain provider or subscriber.
fn role_branch(role: Option<&RoleFacts>) -> Option<Branch> {
    role.map(|role| Branch {
        text: match &role.name {
            Some(name) => format!("role of {name}: {}", role.describe()),
            None => format!("role: {}", role.describe()),
        },
        twigs: role
            .operation
            .iter()
            .map(|one| Branch::new(one.describe()))
            .chain(role.members.iter().map(|one| Branch::new(one.describe())))
            .collect(),
    })
}

/// A reason, with the advice below it.
fn reason_branch(reason: &Reason) -> Branch {
    let severity = reason.severity.as_str();
    let mut branch = Branch::new(format!("{severity}: {}", reason.sentence()));
    let advice = reason.advice.iter();
    branch.twigs = advice
        .map(|text| Branch::new(format!("advice: {text}")))
        .collect();
    branch
}

fn tables_branch(subscriber: &SubscriberStatus) -> Branch {
    let counts: Vec<_> = subscriber
        .tables
        .iter()
        .map(|(state, count)| format!("{count} {state}"))
        .collect();
    let counts = if counts.is_empty() {
        "none".to_owned()
    } else {
        counts.join(", ")
    };
    let mut branch = Branch::new(format!("tables: {counts}"));
    let tables = &subscriber.table_list;
    branch.twigs = tables.iter().take(NAMED_TABLES).map(table_branch).collect();
    if tables.len() > NAMED_TABLES {
        let more = tables.len() - NAMED_TABLES;
        branch.twigs.push(Branch::new(format!("and {more} more")));
    }
    branch
}

fn table_branch(table: &TableStatus) -> Branch {
    let mut text = format!("{} {}", table.table, table.state);
    if let (Some(rows), Some(of)) = (table.rows_copied, table.rows_estimated)
        && rows > 0
    {
        text.push_str(&format!(", {rows} rows"));
        if of > rows {
            text.push_str(&format!(" of about {of}"));
        }
    }
    if let Some(building) = table.building() {
        text.push_str(&format!(", {building}"));
    }
    if table.ignored > 0 {
        text.push_str(&format!(", {} changes left out", table.ignored));
    }
    let mut branch = Branch::new(text);
    let notes = [("error", &table.error), ("advice", &table.advice)];
    for (word, note) in notes {
        if let Some(note) = note {
            branch.twigs.push(Branch::new(format!("{word}: {note}")));
        }
    }
    branch
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::report::*;
    use super::super::verdict::{MemberFacts, Reason, ReasonKind, RoleFacts, Severity};

    fn reason(subject: &str, what: &str, advice: Option<&str>) -> Reason {
        Reason {
            severity: Severity::Critical,
            kind: ReasonKind::Error,
            subject: subject.into(),
            what: what.into(),
            advice: advice.map(str::to_owned),
        }
    }

    #[test]
    fn the_tree_names_what_is_not_in_order() {
        let overview = Overview {
            tickers: vec![TickerStatus {
                job: "t".into(),
                running: true,
                pid: Some(7),
                pid_problem: None,
                databases: vec![DatabaseStatus {
                    name: "db1".into(),
                    error: None,
                    queues: vec![QueueStatus {
                        name: "q".into(),
                        last_tick: Some(12),
                        tick_age_seconds: Some(0.5),
                        pending_events: Some(3),
                        consumers: 1,
                        bytes: 3 << 20,
                        error: None,
                        reasons: Vec::new(),
                        ticks: None,
                        pace: None,
                        consumer_list: vec![ConsumerStatus {
                            name: "j".into(),
                            last_tick: Some(11),
                            lag_seconds: Some(61.0),
                            last_seen_seconds: 0.25,
                            pending_events: Some(9),
                            batch: None,
                        }],
                        holder_list: vec![HolderStatus {
                            kind: "transaction",
                            name: Some("psql".into()),
                            held_seconds: Some(3700.0),
                            held_bytes: Some(5 << 20),
                            over_limit: false,
                            pid: Some(77),
                            xid: Some(1234),
                            detail: Some("database db1, idle in transaction".into()),
                        }],
                        capture_problems: Vec::new(),
                        role: None,
                    }],
                }],
            }],
            replays: vec![ReplayStatus {
                job: "j".into(),
                queue: "q".into(),
                running: false,
                pid: None,
                pid_problem: None,
                provider: ProviderStatus {
                    role: Some(RoleFacts {
                        name: Some("castor".into()),
                        since_seconds: Some(60.0),
                        term: 3,
                        members: vec![MemberFacts {
                            node: "17".into(),
                            name: Some("pollux".into()),
                            role: "standby",
                            since_seconds: None,
                            term: 3,
                            follows: Some("castor".into()),
                            consumer: None,
                            behind_ticks: None,
                            heard_seconds: 1.0,
                            problem: None,
                        }],
                        ..RoleFacts::without_role("provider")
                    }),
                    reachable: true,
                    last_tick: Some(12),
                    tick_age_seconds: Some(200.0),
                    error: None,
                    reasons: vec![reason(
                        "ticker",
                        "no tick for 3 min 20 s: does the ticker run?",
                        None,
                    )],
                    ..ProviderStatus::default()
                },
                subscribers: vec![SubscriberStatus {
                    archive: false,
                    conflict_list: Vec::new(),
                    role: None,
                    name: Some("s1".into()),
                    consumer: "j/s1".into(),
                    reachable: true,
                    epoch: Some("1".into()),
                    tick: Some(11),
                    follows: Some("host='a' dbname='db1'".into()),
                    source: Some("backup".into()),
                    left: vec!["host='b' dbname='db1'".into()],
                    lag_seconds: Some(0.5),
                    lag_ticks: Some(1),
                    pending_events: Some(9),
                    batch_rows: Some(1_000_000),
                    state: SubscriberState::Stopped,
                    paused: false,
                    conflicts: 2,
                    recent_conflicts: 2,
                    last_error: Some("no\u{1b}[31m route".into()),
                    reasons: vec![reason("replay", "no\u{1b}[31m route", Some("mend the net"))],
                    tables: BTreeMap::from([("ok".into(), 3), ("parked".into(), 1)]),
                    table_list: vec![TableStatus {
                        subscriber: Some("s1".into()),
                        table: "public.t1".into(),
                        target: Some("public.t1".into()),
                        columns: None,
                        filter: None,
                        merge: None,
                        state: "parked".into(),
                        rows_copied: Some(0),
                        bytes_copied: Some(0),
                        rows_estimated: Some(0),
                        rows_per_second: None,
                        seconds_left: None,
                        objects_left: None,
                        objects: None,
                        objects_share: None,
                        ignored: 0,
                        conflicts: Some(0),
                        error: Some("column gone".into()),
                        advice: Some("add it".into()),
                    }],
                }],
            }],
        };
        let expected = "\
ticker t: running, pid 7
└─ database db1
   └─ queue q: tick 12, 0.50 s ago, 3 events since, 3 MB
      ├─ consumer j: tick 11, 1 min 1 s old, 9 events behind, seen 0.25 s ago
      └─ held by transaction psql, pid 77, xid 1234, for 1 h 1 min, 5 MB, database db1, idle in transaction
replay j: not running on this host
├─ provider, queue q: tick 12, 3 min 20 s ago
│  ├─ role of castor: provider for 1 min 0 s, term 3
│  │  └─ pollux: standby, term 3, follows castor
│  └─ critical: ticker: no tick for 3 min 20 s: does the ticker run?
└─ subscriber s1: stopped, tick 11, lag 0.50 s, 9 events behind, 1000000 rows of a batch written so far, 2 conflicts
   ├─ critical: replay: no\\u{1b}[31m route
   │  └─ advice: mend the net
   ├─ follows host='a' dbname='db1'
   ├─ reads from archive backup
   ├─ left, and may keep events for it: host='b' dbname='db1'
   └─ tables: 3 ok, 1 parked
      └─ public.t1 parked
         ├─ error: column gone
         └─ advice: add it
";
        assert_eq!(super::overview(&overview), expected);
    }
}
