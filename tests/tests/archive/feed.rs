//! A database is brought up by the files of an archive alone, exactly to any tick, and goes on from the queue.

use std::{fs, path::PathBuf, process::Stdio, thread, time::Duration};

use rand::RngExt as _;
use tests::{Replication, Stop, choose, wait_until};

use super::{
    SOON, add_archive, assert_whole, frames,
    queue::{tick, write},
    segments,
};

const TABLES: &str = "create table t (id serial primary key, v text); create table u (id int primary key, v text); create table w (id int primary key); \
     create table log (id serial primary key, tx bigint not null default txid_current(), v text)";

/// Ticks are merged, or many batches are needed for what the kills interrupt.
const LARGE: &str = "max_batch_events = 100000";
const SMALL: &str = "max_batch_events = 1";

/// A provider, a database that is level and an archive.
fn made(lines: &str) -> Replication {
    let replication = Replication::builder().replay_line(lines).make();
    add_archive(&replication, "");
    replication.on_provider(TABLES);
    replication.copy_schema();
    replication.start();
    replication
        .replay
        .run(&["add", "--all", "--wait", "120"])
        .ok();
    replication
}

/// Starts the daemon, if it does not run, and waits until the database is level.
fn level(replication: &Replication) {
    replication.replay.run(&["start", "-d"]);
    replication.sync();
}

/// Runs `during` while only the archive goes on, and leaves the daemon off.
fn archived_alone(replication: &Replication, during: impl FnOnce()) {
    let replay = &replication.replay;
    replay.run(&["pause"]).ok();
    replay.run(&["stop"]);
    during();
    replay.run(&["start", "-d"]).ok();
    assert_whole(replication);
    replay.run(&["stop"]).ok();
    replay.run(&["resume"]).ok();
}

/// What the provider had in `log` at each tick after the first frame's begin, by the server's own word: tick and rows.
fn logged_at(replication: &Replication, ticks: &[String]) -> Vec<(String, String)> {
    let at = |tick: &String| {
        let rows = replication.on_provider(&format!(
            "select coalesce(string_agg(l.id::text, ',' order by l.id), '') from log l, pgq.tick t \
              where t.tick_id = {tick} and txid_visible_in_snapshot(l.tx, t.tick_snapshot)"
        ));
        (tick.clone(), rows)
    };
    ticks.iter().map(at).collect()
}

const LOGGED: &str = "select coalesce(string_agg(id::text, ',' order by id), '') from log";

/// Overlapping transactions over several ticks that the archive reads as one frame, and the last ticks in it.
fn merged(replication: &Replication) -> Vec<String> {
    level(replication);
    archived_alone(replication, || {
        for number in 0..2 {
            replication.on_provider(&format!(
                "insert into log (v) select 'a{number}' from generate_series(1, 3)"
            ));
            write(replication, number);
        }
    });
    let frames = frames(replication);
    let longest = frames.iter().max_by_key(|frame| frame.ticks.len()).unwrap();
    assert!(longest.ticks.len() > 6, "no frame has several ticks");
    longest.ticks.iter().map(|tick| tick[0].clone()).collect()
}

#[test]
fn a_database_is_brought_up_by_files_alone_to_each_tick_and_goes_on_from_the_queue() {
    let replication = made(LARGE);
    let replay = &replication.replay;
    // The subscriber's tables are changed first.
    replication.on_subscriber("alter table u add column w int");
    let ticks = merged(&replication);
    let wanted = logged_at(&replication, &ticks);
    // No provider is asked.
    replication.ticker.run(&["stop"]).ok();
    replication.provider.stop(Stop::Fast);
    let mut different = 0;
    for (tick, rows) in wanted.iter().step_by(wanted.len() / 8) {
        replay.run(&["archive", "feed", "--to", tick]).ok();
        let found = replication.on_subscriber(LOGGED);
        assert_eq!(found, *rows, "at tick {tick}");
        different += usize::from(wanted.last().is_some_and(|last| last.1 != *rows));
        let at = replication.on_subscriber("select tick_id from trunkline.position");
        assert_eq!(at, *tick);
    }
    assert!(different > 2, "{different} ticks are not like the last one");
    replay.run(&["archive", "feed"]).ok();
    assert_eq!(replication.on_subscriber(LOGGED), wanted.last().unwrap().1);
    // Again: nothing is left, and nothing is done twice.
    let said = replay.run(&["archive", "feed"]).ok().stdout;
    assert!(said.contains("0 rows, 0 conflicts"), "{said}");
    let beyond = ticks.last().unwrap().parse::<i64>().unwrap() + 1000;
    replay
        .run(&["archive", "feed", "--to", &beyond.to_string()])
        .code(3)
        .says(&["before what was asked for"]);
    replay
        .run(&["archive", "feed", "--to", "yesterday"])
        .code(2)
        .says(&["a tick's number, or a time"]);
    replication.provider.start_again();
    replication.ticker.run(&["start", "-d"]).ok();
    replay.run(&["start", "-d"]).ok();
    replay
        .run(&["archive", "feed"])
        .code(5)
        .says(&["replay stop"]);
    kills(&replication);
    damage(&replication);
    replay.run(&["start", "-d"]).ok();
    replication.on_provider("insert into log (v) values ('behind')");
    replication.assert_followed(&[]);
    replication.assert_no_conflicts();
}

/// SIGKILL of the feed at any moment.
fn kills(replication: &Replication) {
    let rounds = choose(
        "batches of a feed that is killed",
        vec![(); 300],
        vec![(); 30],
    )
    .len();
    let config = &replication.replay.config;
    let text = fs::read_to_string(config).unwrap();
    fs::write(config, text.replace(LARGE, SMALL)).unwrap();
    level(replication);
    archived_alone(replication, || {
        for round in 0..rounds {
            replication.on_provider(&format!(
                "insert into log (v) select md5(i::text) from generate_series(1, 3000) i; \
                 delete from log where id % 7 = {round} % 7"
            ));
            tick(replication);
        }
    });
    let position = "select tick_id from trunkline.position";
    let begin = replication.on_subscriber(position);
    let mut killed = 0;
    loop {
        let mut feed = replication.replay.command(&["archive", "feed", "-q"]);
        let mut feed = feed
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        thread::sleep(Duration::from_millis(rand::rng().random_range(60..400)));
        let ended = feed.try_wait().unwrap();
        feed.kill().unwrap();
        let status = ended.unwrap_or(feed.wait().unwrap());
        if status.success() {
            break;
        }
        killed += 1;
        // A killed process' session may live on for a moment.
        wait_until("the killed session's end", SOON, || {
            replication.on_subscriber(
                "select count(*) from pg_stat_activity where application_name like 'replay1%' and state is not null",
            ) == "0"
        });
        if killed == 12 {
            replication.replay.run(&["archive", "feed"]).ok();
            break;
        }
    }
    assert!(killed > 0, "the feed from {begin} was never killed");
    replication.assert_same();
}

/// What is missing or damaged is named, and nothing behind it is applied.
fn damage(replication: &Replication) {
    level(replication);
    archived_alone(replication, || {
        replication.on_provider("insert into log (v) values ('one')");
    });
    archived_alone(replication, || {
        replication.on_provider("insert into log (v) values ('two')");
    });
    // A daemon that stops may leave a segment without events behind it.
    let has_events = |path: &PathBuf| {
        let bytes = fs::read(path).unwrap();
        !String::from_utf8_lossy(&bytes[..bytes.len().min(1000)]).contains("\"events\":0,")
    };
    let newest = segments(replication).into_iter().rfind(has_events).unwrap();
    let good = fs::read(&newest).unwrap();
    let has = |v: &str| {
        let count = format!("select count(*) from log where v = '{v}'");
        replication.on_subscriber(&count) == "1"
    };
    let mut bad = good.clone();
    *bad.last_mut().unwrap() ^= 1;
    fs::write(&newest, bad).unwrap();
    let name = newest.file_name().unwrap().to_str().unwrap();
    replication
        .replay
        .run(&["archive", "feed"])
        .code(3)
        .says(&["archive damaged at", name]);
    assert!(has("one") && !has("two"));
    fs::write(&newest, good).unwrap();
    replication.replay.run(&["archive", "feed"]).ok();
    assert!(has("two"));
}
