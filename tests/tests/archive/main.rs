//! The archive: what it keeps is what the queue had, and no kill, no full disk and no limit of the queue changes that
//! without a word.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests: a panic is the report"
)]

mod base;
mod beside;
mod buckets;
mod expire;
mod feed;
mod files;
mod hole;
mod hook;
mod in_no_base;
mod kill;
mod proof;
mod queue;
mod restore;
mod sealed;
mod sources;
mod steps;
mod subscribe;

use std::{collections::BTreeMap, fs, path::PathBuf, time::Duration};

use serde_json::Value;
use tests::{Cluster, Replication, Server};

/// Far above what anything here takes on a busy machine.
const SOON: Duration = Duration::from_secs(120);

/// A provider on this server with an archive, and no other subscriber. Nothing is installed.
fn made(server: &Server, replay_lines: &str, archive_lines: &str) -> Replication {
    let replication = Replication::builder()
        .provider(Cluster::builder(server))
        .subscribers(Vec::new())
        .replay_line(replay_lines)
        .make();
    add_archive(&replication, archive_lines);
    replication
}

/// Adds an archive to the config.
fn add_archive(replication: &Replication, lines: &str) {
    let address = format!("archive = \"file://{}\"", root(replication).display());
    add_archive_at(replication, &address, lines);
}

/// Adds an archive that lies where these lines say.
fn add_archive_at(replication: &Replication, address: &str, lines: &str) {
    let config = replication.scratch.path().join("etc/replay.toml");
    let text = fs::read_to_string(&config).unwrap();
    let archive = format!("\n[[subscriber]]\nname = \"backup\"\n{address}\n{lines}\n");
    fs::write(&config, text + &archive).unwrap();
}

/// The directory of the archive.
fn root(replication: &Replication) -> PathBuf {
    replication.scratch.path().join("archive")
}

/// The tables that `sql` makes, and all their sequences, in an archive.
fn running(replication: &Replication, sql: &str) {
    replication.on_provider(sql);
    replication.start();
    replication
        .replay
        .run(&["add", "--all", "--with-seqs"])
        .ok();
}

/// The paths of the segments, in order.
fn segments(replication: &Replication) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = fs::read_dir(root(replication).join("frames"))
        .map(|directories| {
            directories
                .flat_map(|directory| fs::read_dir(directory.unwrap().path()).unwrap())
                .map(|file| file.unwrap().path())
                .collect()
        })
        .unwrap_or_default();
    found.retain(|path| path.extension().is_some_and(|ending| ending == "seg"));
    found.sort();
    found
}

/// A whole frame of the archive.
#[derive(Debug, Default)]
struct Frame {
    /// Epoch, tick and tag.
    from: Vec<String>,
    to: Vec<String>,
    /// Number, tag, time and snapshot of each tick.
    ticks: Vec<Vec<String>>,
    sequences: Vec<Value>,
    /// What the provider knew of events when they were read: number and text.
    later: Vec<(String, String)>,
    events: Vec<Value>,
}

/// All whole frames, as `archive cat` prints them: a frame whose last part does not follow is left out.
fn frames(replication: &Replication) -> Vec<Frame> {
    frames_up_to(replication, segments(replication).len())
}

/// All whole frames of the first segments.
fn frames_up_to(replication: &Replication, last: usize) -> Vec<Frame> {
    let numbers: Vec<String> = (1..=last).map(|number| number.to_string()).collect();
    let mut args = vec!["archive", "cat"];
    args.extend(numbers.iter().map(String::as_str));
    let said = replication.replay.run(&args).ok().stdout;
    let (mut whole, mut open, mut is_last) = (Vec::new(), None, false);
    let mut end = |open: &mut Option<Frame>, is_last: &mut bool| {
        if std::mem::take(is_last) {
            whole.extend(open.take());
        }
    };
    for line in said.lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        if let Some(part) = line.get("part") {
            end(&mut open, &mut is_last);
            if part["part"] == 0 {
                let strings = |value: &Value| serde_json::from_value(value.clone()).unwrap();
                open = Some(Frame {
                    from: strings(&part["from"]),
                    to: strings(&part["to"]),
                    ticks: serde_json::from_value(part["ticks"].clone()).unwrap(),
                    sequences: part["sequences"].as_array().unwrap().clone(),
                    later: Vec::new(),
                    events: Vec::new(),
                });
            }
            if let (Some(open), Some(later)) = (&mut open, part.get("later")) {
                let later: Vec<_> = serde_json::from_value(later.clone()).unwrap();
                open.later.extend(later);
            }
            is_last = part["last"] == true;
        } else if let Some(event) = line.get("event") {
            open.as_mut().unwrap().events.push(event.clone());
        }
    }
    end(&mut open, &mut is_last);
    whole
}

/// A column of an event, as text.
fn column<'a>(event: &'a Value, name: &str) -> &'a str {
    event[name].as_str().unwrap_or("")
}

/// The last values of the sequences in these frames.
fn last_values(frames: &[Frame]) -> BTreeMap<String, i64> {
    let sequences = frames.iter().flat_map(|frame| &frame.sequences);
    sequences
        .map(|one| {
            let value = one[2].as_str().unwrap().parse().unwrap();
            (one[1].as_str().unwrap().to_owned(), value)
        })
        .collect()
}

/// An event of the archive as [`queue_has`] gives the queue's.
fn as_text(event: &Value) -> String {
    let columns = [
        "ev_id",
        "ev_txid",
        "ev_type",
        "ev_data",
        "ev_extra1",
        "ev_extra2",
        "ev_extra3",
    ];
    columns
        .map(|name| column(event, name))
        .join(" ")
        .replace('\n', "\\n")
}

/// All events of the queue, which keeps them until its first rotation.
fn queue_has(replication: &Replication) -> Vec<String> {
    let text = replication.on_provider(
        "select concat_ws(' ', ev_id, ev_txid, coalesce(ev_type, ''), replace(coalesce(ev_data, ''), E'\\n', '\\n'), coalesce(ev_extra1, ''), \
                          coalesce(ev_extra2, ''), coalesce(ev_extra3, '')) \
           from pgq.event_1 where ev_owner is null order by ev_id",
    );
    text.lines().map(str::to_owned).collect()
}

/// Publishes what is committed, and checks that all of the archive is as it was written.
#[track_caller]
fn assert_whole(replication: &Replication) {
    let replay = &replication.replay;
    replay.run(&["archive", "switch", "--timeout", "120"]).ok();
    let said = replay.run(&["archive", "check"]);
    assert_eq!(said.code, 0, "{}{}", said.stdout, said.stderr);
    replay.run(&["archive", "verify"]).ok();
}
