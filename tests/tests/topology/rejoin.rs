//! A provider of the past comes back after a failover: what it has taken after the place where the later one begins is
//! kept on both before a row is touched, and a person decides how it joins.

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use tests::{Output, Scratch, Stop, wait_until};

use crate::SOON;
use crate::set::{DB, Hosts, NAMES};

pub(crate) const TABLES: &str = "\
    create table t (id int primary key, v text, u int unique); \
    create table calm (id int primary key, v text); \
    create table wiped (id int primary key, v text); \
    create table log (at int, line text)";

/// What version 10 does not know.
const PARTS: &str = "\
    create table p (id int, at int, v text, primary key (id, at)) partition by range (at); \
    create table p1 partition of p for values from (0) to (100); \
    create table p2 partition of p for values from (100) to (200)";

/// Where a node keeps what the later provider never had.
fn lost_dir(scratch: &Scratch) -> PathBuf {
    scratch.path().join("lost")
}

/// Standard output has these words.
#[track_caller]
pub(crate) fn tells(output: &Output, words: &[&str]) {
    for word in words {
        assert!(output.stdout.contains(word), "{word}: {}", output.stdout);
    }
}

impl Hosts {
    /// The first node is the provider, the others are standbys of it, all of them level and without a running replay:
    /// the line between them is cut.
    pub(crate) fn cut(versions: &[u32]) -> Hosts {
        let parts = if versions.contains(&10) {
            String::new()
        } else {
            format!("; {PARTS}")
        };
        let hosts = Hosts::standbys_with(versions, &format!("{TABLES}{parts}"));
        hosts.on(
            0,
            "insert into t select g, 'old', g from generate_series(1, 50) g; \
             insert into calm select g, 'old' from generate_series(1, 50) g; \
             insert into wiped select g, 'old' from generate_series(1, 5) g; \
             insert into log select g, 'old' from generate_series(1, 50) g",
        );
        if !parts.is_empty() {
            hosts.on(
                0,
                "insert into p select g, g % 200, 'old' from generate_series(1, 50) g",
            );
        }
        for node in 1..versions.len() {
            hosts.wait_ready(node);
            hosts.assert_same(node);
        }
        for replay in &hosts.replays {
            replay.run(&["stop"]).ok();
        }
        hosts
    }

    pub(crate) fn heal(&self) {
        for replay in &self.replays {
            replay.run(&["start", "-d"]).ok();
        }
    }

    /// What waits on a node for a person.
    #[track_caller]
    pub(crate) fn wait_lost(&self, node: usize) {
        let sent =
            "select count(*) from trunkline.lost where sent_at is not null and handled_at is null";
        wait_until(
            &format!("lost changes of {} on both", NAMES[node]),
            SOON,
            || self.on(node, sent) == "1",
        );
    }

    pub(crate) fn lost(&self, node: usize) -> String {
        self.on(
            node,
            "select coalesce(string_agg(format('%s %s %s', table_name, change, coalesce(key_text, '')), ',' \
                    order by number), '') \
               from trunkline.lost_change",
        )
    }
}

#[test]
fn a_provider_of_the_past_that_has_taken_nothing_joins_in_silence_behind_its_idle_ticks() {
    let hosts = Hosts::cut(&[15, 18]);
    hosts.fail_over(0, 1);
    for _ in 0..3 {
        hosts.on(0, "select pgq.force_tick('q1')");
    }
    hosts.on(0, "alter table calm add column later text");
    hosts.on(1, "alter table calm add column later text");
    hosts.on(
        1,
        "update t set v = 'new' where id < 10; insert into log values (1, 'new')",
    );
    hosts.heal();
    hosts.wait_role(0, "standby 2");
    hosts.assert_same_as(1, 0);
    hosts.wait_log(0, "joined");
    assert!(!hosts.log_has(0, "lost changes found") && !hosts.log_has(0, "copied"));
    assert_eq!(hosts.on(0, "select count(*) from trunkline.lost"), "0");
    tells(&hosts.replays[0].run(&["lost"]).ok(), &["nothing was lost"]);
    let again = hosts.replays[0].run(&["rejoin", "--yes"]).ok();
    tells(&again, &["nothing to be given up"]);
}

#[test]
fn what_the_later_provider_never_had_is_kept_on_both_once_and_waits_for_a_person() {
    let hosts = Hosts::cut(&[15, 10]);
    hosts.fail_over(0, 1);
    hosts.on(
        0,
        "insert into t values (100, 'lost \"it''s\" \\', 100); update t set v = 'lost' where id = 1; \
         delete from t where id = 2; insert into log values (7, 'lost'); truncate wiped",
    );
    hosts.on(1, "update t set v = 'new' where id < 5");
    // Neither a directory that cannot be used nor a node that is away loses anything.
    std::fs::write(lost_dir(&hosts.scratches[0]), "in the way").unwrap();
    hosts.heal();
    hosts.wait_log(0, "lost changes are not kept yet");
    hosts.wait_role(0, "fenced 1");
    assert_eq!(hosts.on(0, "select count(*) from trunkline.lost"), "0");
    std::fs::remove_file(lost_dir(&hosts.scratches[0])).unwrap();
    hosts.wait_lost(0);
    let wanted = "t insert 100,t live 1,t gone 2,log plus ,wiped truncate";
    assert_eq!(hosts.lost(0), wanted);
    assert_eq!(hosts.lost(1), wanted);
    let row = "select row_now ->> 'v' from trunkline.lost_change where key_text = '100'";
    assert_eq!(hosts.on(1, row), "lost \"it's\" \\");

    let files: Vec<_> = std::fs::read_dir(lost_dir(&hosts.scratches[0]))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    assert_eq!(files.len(), 2, "{files:?}");
    for file in &files {
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }
    let text = |ending: &str| {
        let path = files
            .iter()
            .map(std::fs::DirEntry::path)
            .find(|path| path.to_string_lossy().ends_with(ending));
        std::fs::read_to_string(path.unwrap()).unwrap()
    };
    assert_eq!(text(".ndjson").lines().count(), 5);
    // The SQL makes the changes again, whatever is there.
    hosts.on(1, "create schema other; create table other.t (like public.t including all); \
                 create table other.log (like public.log); create table other.wiped (like public.wiped); \
                 insert into other.t select * from t; insert into other.wiped select * from wiped");
    let sql = text(".sql").replace("public.", "other.");
    hosts.nodes[1].psql(DB, &sql);
    let lost = "select string_agg(v, ',' order by id) from other.t where id in (1, 2, 100)";
    assert_eq!(hosts.on(1, lost), "lost,lost \"it's\" \\");
    assert_eq!(hosts.on(1, "select count(*) from other.log"), "1");
    assert_eq!(hosts.on(1, "select count(*) from other.wiped"), "0");

    // It is told.
    tells(
        &hosts.replays[0].run(&["lost"]).code(1),
        &["public.t 3", "waits: replay rejoin", ".ndjson"],
    );
    tells(
        &hosts.operator(0).run(&["check", "lost"]).code(2),
        &["the provider never had 5 changes"],
    );
    hosts.operator(1).run(&["check", "lost"]).ok();
    tells(
        &hosts.operator(0).run(&["status"]),
        &["the provider never had"],
    );
    let told = "select count(*) from trunkline.event where event = 'lost_changes' and not ok";
    assert_eq!(hosts.on(0, told), "1");
    let export = hosts.scratches[0].path().join("out.ndjson");
    let export = export.to_str().unwrap();
    hosts.replays[0].run(&["lost", "--export", export]).code(1);
    assert_eq!(std::fs::read_to_string(export).unwrap().lines().count(), 5);

    // Neither a restart nor what an owner writes through the fence doubles or loses one.
    hosts.replays[0].run(&["restart"]).ok();
    hosts.on(
        0,
        "alter table t disable trigger deny_trunkline; delete from t where id = 3; \
                 alter table t enable trigger deny_trunkline",
    );
    wait_until("the further change on both", SOON, || {
        let (here, there) = (hosts.lost(0), hosts.lost(1));
        here == there && here.starts_with(wanted) && here.ends_with(" 3")
    });
    assert_eq!(hosts.role(0), "fenced 1");
    assert_eq!(hosts.on(0, "select v from t where id = 1"), "lost");
    // Nobody else may read them, or say that there are some.
    hosts.on(1, "create role stranger; grant pgq_admin to stranger");
    let ask = |sql: &str| hosts.nodes[1].try_psql(DB, &format!("set role stranger; {sql}"));
    ask("select * from trunkline.lost_change")
        .code(1)
        .says(&["permission denied"]);
    ask("select trunkline.take_lost('q1', '{}', '[]', true)")
        .code(1)
        .says(&["permission denied"]);
    ask("select trunkline.lost_stretch('q1')")
        .code(1)
        .says(&["permission denied"]);
    // Or the person decides for this node, when the later provider is off for ever: what it has taken is the set's
    // again.
    hosts.nodes[1].stop(Stop::Fast);
    hosts.operator(0).run(&["unfence", "q1", "--force"]).ok();
    hosts.operator(0).run(&["check", "lost"]).ok();
    hosts.replays[0].run(&["lost"]).ok();
}

#[test]
fn tables_that_were_written_are_copied_again_and_the_others_go_on() {
    let hosts = Hosts::cut(&[18, 15]);
    hosts.fail_over(0, 1);
    hosts.on(
        0,
        "insert into t values (100, 'lost', 100); update t set id = 200 where id = 4; delete from t where id = 2; \
         insert into log values (7, 'lost'); truncate wiped; update p set at = at + 100 where id = 3; \
         insert into wiped values (9, 'lost')",
    );
    hosts.on(
        1,
        "update t set v = 'new' where id < 5; insert into t values (101, 'new', 100); \
         update calm set v = 'new'",
    );
    hosts.heal();
    hosts.wait_lost(0);
    tells(
        &hosts.replays[0].run(&["rejoin", "--dry-run"]).ok(),
        &[
            "public.calm: was not written",
            "public.wiped: 2 changes; must be copied again",
            "truncate",
        ],
    );
    hosts.replays[0]
        .run(&["rejoin", "--yes"])
        .code(3)
        .says(&["--copy-others"]);
    hosts.replays[0]
        .run(&["rejoin", "--lost", "copy"])
        .code(2)
        .says(&["--yes"]);
    assert_eq!(hosts.role(0), "fenced 1");
    tells(
        &hosts.replays[0]
            .run(&["rejoin", "--lost", "copy", "--yes"])
            .ok(),
        &["joined the provider of term 2"],
    );
    hosts.wait_role(0, "standby 2");
    hosts.assert_same_as(1, 0);
    // Who asks twice is told that it is done.
    tells(
        &hosts.replays[0].run(&["rejoin", "--yes"]).ok(),
        &["nothing to be given up"],
    );
    tells(&hosts.replays[0].run(&["lost"]).ok(), &["handled at"]);
    let copied = |table: &str| {
        hosts.replays[0]
            .log()
            .lines()
            .any(|line| line.contains("table copied") && line.contains(table))
    };
    // A line comes after the copy.
    wait_until("the copy to be told", SOON, || copied("public.wiped"));
    assert!(!copied("public.calm"), "{}", hosts.replays[0].log());
    // The node is a whole standby again.
    hosts.on(
        1,
        "insert into t values (300, 'after', 300); truncate wiped",
    );
    hosts.assert_same_as(1, 0);
    hosts.wait_ready(0);
}

/// Writes of every kind that the later provider never had.
const LOST: &str = "\
    insert into t select g, 'lost', g from generate_series(100, 140) g; \
    update t set v = 'lost' where id < 6; \
    delete from t where id between 10 and 14; \
    update t set id = id + 500 where id between 20 and 23; \
    update t set id = -30 where id = 30; update t set id = 30 where id = 31; update t set id = 31 where id = -30; \
    insert into t values (600, 'brief', 600); delete from t where id = 600; \
    delete from t where id = 40; insert into t values (40, 'again', 940)";

/// What the later provider has taken of the same keys, and of values that are unique.
const NEW: &str = "\
    insert into t select g, 'new', g + 1000 from generate_series(120, 125) g; \
    insert into t values (700, 'new', 101); \
    update t set v = 'new', u = u + 2000 where id between 4 and 11; \
    update t set u = 5 where id = 50; delete from t where id in (21, 40); \
    update t set id = 1000 + id where id in (12, 45); insert into t values (45, 'second', 4500); \
    update calm set v = 'new' where id % 2 = 0";

#[test]
fn the_rows_of_the_keys_that_were_written_are_those_of_the_provider_and_nothing_is_copied() {
    for versions in [[15, 15], [10, 18]] {
        let hosts = Hosts::cut(&versions);
        hosts.fail_over(0, 1);
        for statement in LOST.split("; ") {
            hosts.nodes[0].psql(DB, statement);
        }
        for statement in NEW.split("; ") {
            hosts.nodes[1].psql(DB, statement);
        }
        let parts = versions[0] != 10;
        if parts {
            hosts.on(
                0,
                "update p set at = at + 100 where id < 10; insert into p values (90, 150, 'lost')",
            );
            hosts.on(
                1,
                "update p set v = 'new' where id < 5; insert into p values (90, 150, 'new')",
            );
        }
        hosts.heal();
        hosts.wait_lost(0);
        let plan = hosts.replays[0].run(&["rejoin", "--dry-run"]).ok();
        tells(
            &plan,
            &[
                "the rows of their keys are fetched",
                "public.calm: was not written",
            ],
        );
        assert!(!plan.stdout.contains("copied again"), "{}", plan.stdout);
        assert_eq!(hosts.role(0), "fenced 1");
        // The provider goes on meanwhile.
        let writes = "update t set v = v || '.', u = u + 10000 where id % 3 = 0; delete from t where id = 122";
        hosts.on(1, writes);
        hosts.replays[0].run(&["rejoin", "--yes"]).ok();
        hosts.on(1, "update t set v = v || '!' where id between 1 and 130");
        hosts.wait_role(0, "standby 2");
        hosts.assert_same_as(1, 0);
        hosts.wait_log(0, "table repaired by keys");
        let log = hosts.replays[0].log();
        assert!(
            !log.contains("table copied") && !log.contains("table parked"),
            "{log}"
        );
        let conflicts = "select count(*) from trunkline.conflict";
        assert_eq!(hosts.on(0, conflicts), "0", "{log}");
        assert_eq!(
            hosts.on(0, "select count(*) from trunkline.repair_key"),
            "0"
        );
        // Untouched tables have gone on at once, and the node is a whole standby again.
        hosts.on(1, "insert into t values (3000, 'after', 3000)");
        hosts.assert_same_as(1, 0);
        hosts.wait_ready(0);
        hosts.switch(1, 0);
        hosts.wait_role(1, "standby 3");
        hosts.assert_same_as(0, 1);
    }
}
