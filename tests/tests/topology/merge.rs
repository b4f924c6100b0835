//! Several providers write one table: each job touches its own rows alone, whatever happens to one of them.

use std::{sync::Arc, time::Duration};

use rand::RngExt;
use tests::{
    Cluster, Daemons, Load, Node, Scratch, Server, Writes, compare, configure, wait_until,
};

use crate::{SOON, link::Link};

/// The database that all shards flow into, and the name of the third node's.
const MERGED: &str = crate::link::DB;

/// Version 10 has no keys of partitioned tables.
const TABLES: &str = "\
    create table orders (id int, shard int, v text, primary key (id)); \
    create table account (id int primary key, shard int not null, v text); \
    create table event (shard int, at int, v text) partition by range (at); \
    create table event_0 partition of event for values from (0) to (100); \
    create table event_1 partition of event for values from (100) to (200)";

/// The same numbers of orders come from each shard, and numbers of accounts are of one shard only. Events are stored in
/// one table, and lines have no key.
const MERGED_TABLES: &str = "\
    create table orders (id int, shard int, v text, primary key (shard, id)); \
    create table account (id int primary key, shard int not null, v text); \
    create table event (shard int, at int, v text)";

const ALL: [&str; 3] = ["orders", "account", "event"];

/// One shard: a database of the providers' server, with its ticker and its job.
struct Shard {
    number: usize,
    db: String,
    _daemons: Daemons,
    replay: Node,
    _scratch: Scratch,
}

struct Merged {
    shards: Vec<Shard>,
    /// The job of the third node, which follows the merged tables.
    onward: Link,
    providers: Cluster,
    merged: Cluster,
    third: Cluster,
}

impl Shard {
    fn make(number: usize, providers: &Cluster, merged: &Cluster) -> Shard {
        let db = format!("shard{number}");
        providers.create_db(&db);
        providers.psql(&db, TABLES);
        let scratch = Scratch::new();
        let (ticker, replay) = configure(&scratch, &db, providers, &[merged], "", "");
        let text = std::fs::read_to_string(&replay.config).unwrap();
        let text = text
            .replace(&merged.conninfo(&db), &merged.conninfo(MERGED))
            .replace("replay1", &db);
        std::fs::write(&replay.config, text).unwrap();
        let replay = Node::new("replay", &scratch, &replay.config, &db);
        for daemon in [&ticker, &replay] {
            daemon.run(&["install"]).ok();
            daemon.run(&["start", "-d"]).ok();
        }
        Shard {
            number,
            db,
            _daemons: Daemons(vec![replay.clone(), ticker]),
            replay,
            _scratch: scratch,
        }
    }

    fn merge(&self) -> String {
        format!("shard = {}", self.number)
    }

    fn add(&self) {
        let merge = self.merge();
        self.replay
            .run(&["add", "orders", "account", "--merge", &merge])
            .ok();
        let event = ["add", "event", "--identity", "full", "--merge", &merge];
        self.replay.run(&event).ok();
    }

    fn states(&self) -> String {
        self.replay.run(&["tables"]).ok().stdout
    }

    fn wait_ok(&self) {
        wait_until("all tables of a shard to be ok", 2 * SOON, || {
            let said = self.states();
            said.lines().count() > 3 && said.lines().skip(1).all(|line| line.ends_with(" ok"))
        });
    }

    /// Waits until a table is parked, with these words for the operator.
    fn wait_parked(&self, table: &str, words: &[&str]) {
        wait_until(&format!("{table} to be parked"), SOON, || {
            let said = self.replay.run(&["tables", "--json"]).ok().stdout;
            let said: serde_json::Value = serde_json::from_str(&said).unwrap();
            let mut tables = said.as_array().unwrap().iter();
            let found = tables.find(|one| one["table"] == format!("public.{table}"));
            let found = found.unwrap();
            let text = format!("{} {}", found["error"], found["advice"]);
            found["state"] == "parked" && words.iter().all(|word| text.contains(word))
        });
    }

    fn kill_and_start(&self) {
        self.replay.kill9();
        self.replay.run(&["start", "-d"]).ok();
    }
}

impl Merged {
    fn make() -> Merged {
        let start = |version| {
            let server = Server::version(version);
            Cluster::builder(&server).start()
        };
        let (providers, merged, third) = (start(10), start(18), start(15));
        for (node, tables) in [(&merged, MERGED_TABLES), (&third, MERGED_TABLES)] {
            node.create_db(MERGED);
            node.psql(MERGED, tables);
        }
        // Statements over its rows run as its owner.
        merged.psql(MERGED, "create role app; alter table event owner to app");
        let shards = (1..=4)
            .map(|number| Shard::make(number, &providers, &merged))
            .collect();
        let onward = Link::new(9, &merged, &third, "");
        onward.start();
        Merged {
            shards,
            onward,
            providers,
            merged,
            third,
        }
    }

    fn on(&self, shard: usize, sql: &str) -> String {
        self.providers.psql(&self.shards[shard].db, sql)
    }

    fn sync(&self) {
        for shard in &self.shards {
            shard.replay.run(&["wait", "--timeout", "180"]).ok();
        }
        self.onward.sync();
    }

    /// The merged tables have the rows of all shards and no others, and so has the third node.
    fn assert_union(&self) {
        self.sync();
        for table in ALL {
            let rows = format!("select t::text from {table} t");
            let lines = |text: String| -> Vec<String> {
                let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
                lines.sort();
                lines
            };
            let of_shards: Vec<String> = (0..4).map(|shard| self.on(shard, &rows)).collect();
            let here = lines(self.merged.psql(MERGED, &rows));
            assert!(!here.is_empty());
            assert_eq!(here, lines(of_shards.join("\n")), "{table}");
            compare(
                (&self.merged, MERGED),
                (&self.third, MERGED),
                &format!("public.{table}"),
            )
            .unwrap_or_else(|difference| panic!("the third node: {difference}"));
        }
    }

    fn load(&self) -> Vec<Load> {
        let shards = self.shards.iter();
        shards
            .map(|shard| {
                let writes = writes(shard.number);
                Load::start(
                    &self.providers,
                    &shard.db,
                    1,
                    Duration::from_millis(100),
                    &writes,
                )
            })
            .collect()
    }
}

/// Single rows, sets, moved keys, and rows without a key.
fn writes(shard: usize) -> Writes {
    Arc::new(move |random, number| {
        let id = random.random_range(1..400);
        let at = random.random_range(0..200);
        match number % 5 {
            0 => format!(
                "insert into orders select {id}, {shard}, 'n{number}' on conflict (id) do update set v = excluded.v"
            ),
            1 => format!("update orders set v = 'u{number}' where id between {id} and {id} + 20"),
            2 => format!(
                "update account set id = -id, v = 'm{number}' where abs(id) between {shard}0000 and {shard}0000 + {id}"
            ),
            3 => format!(
                "delete from orders where id = {id}; insert into event values ({shard}, {at}, 'e{number}'), ({shard}, {at}, 'e')"
            ),
            _ => format!(
                "insert into orders values ({id} + 1000 * {number}, {shard}, null) on conflict do nothing; delete from event where at = {at}"
            ),
        }
    })
}

#[test]
fn four_shards_are_one_table_whatever_happens_to_one_of_them_and_a_third_node_has_all_rows() {
    let m = Merged::make();
    for shard in &m.shards {
        let n = shard.number;
        m.on(
            n - 1,
            &format!(
                "insert into orders select g, {n}, 'v' || g from generate_series(1, 2000) g; \
                 insert into account select {n}0000 + g, {n}, 'a' from generate_series(1, 300) g; \
                 insert into event select {n}, g % 200, 'e' from generate_series(1, 1000) g"
            ),
        );
    }
    // Rows that are nobody's: no job may touch them.
    let nobodys = "insert into orders values (1, 77, 'own'), (2, 78, 'own'); insert into event values (null, 1, 'own')";
    m.merged.psql(MERGED, nobodys);
    let [one, two, three, four] = &m.shards[..] else {
        panic!("four shards")
    };
    one.add();
    one.wait_ok();
    for table in ["orders", "account"] {
        m.onward.replay.run(&["add", table]).ok();
    }
    m.onward
        .replay
        .run(&["add", "event", "--identity", "full"])
        .ok();
    m.onward.wait_ok();
    m.on(0, "update orders set v = 'again' where id < 10");
    m.sync();
    // One job has written all rows so far, but others will: its reader cannot go on at its provider.
    let origins = "select count(*) from pgq.tick where tick_origins is not null";
    assert_eq!(m.merged.psql(MERGED, origins), "0");

    let load = m.load();
    for shard in [two, three, four] {
        shard.add();
    }
    three.kill_and_start();
    for shard in &m.shards {
        shard.wait_ok();
    }
    // What touches all rows of one shard, while all are written.
    two.replay.run(&["resync", "--all", "--swap"]).ok();
    one.replay.run(&["resync", "orders"]).ok();
    m.on(2, "truncate orders, event");
    m.on(3, "truncate event_1");
    for shard in [two, four] {
        load[0].wait_for_more(10);
        shard.kill_and_start();
    }
    for shard in &m.shards {
        shard.wait_ok();
    }
    for load in load {
        assert_eq!(load.stop().errors.len(), 0);
    }
    m.on(
        3,
        "alter table event detach partition event_0; drop table event_0",
    );
    m.merged.psql(
        MERGED,
        "delete from orders where shard > 5; delete from event where shard is null",
    );
    m.assert_union();
    let conflicts = "select sum(conflicts) from trunkline.position";
    assert_eq!(m.merged.psql(MERGED, conflicts), "0");

    what_cannot_be_followed_is_copied_by_its_shard_alone(&m);
    a_key_of_another_shard_is_never_taken(&m);
    a_row_outside_waits_for_its_shard(&m);
    m.assert_union();
    a_table_that_comes_to_have_the_merged_name_is_parked(&m);
    a_removed_shard_leaves_the_others_alone(&m);
}

/// Version 10 writes all rows anew for a default, which no event tells row by row.
fn what_cannot_be_followed_is_copied_by_its_shard_alone(m: &Merged) {
    for node in [&m.third, &m.merged] {
        node.psql(MERGED, "alter table orders add n int");
    }
    m.on(0, "alter table orders add n int default 7");
    let one = &m.shards[0];
    one.wait_parked("orders", &["which cannot be compared", "replay resync"]);
    one.replay.run(&["resync", "orders"]).ok();
    one.wait_ok();
    let values = "select array_agg(distinct shard || '=' || coalesce(n, 0)) from orders";
    assert_eq!(m.merged.psql(MERGED, values), "{1=7,2=0,3=0,4=0}");
    for shard in 1..4 {
        m.on(shard, "alter table orders add n int");
    }
}

fn a_key_of_another_shard_is_never_taken(m: &Merged) {
    let (one, two) = (&m.shards[0], &m.shards[1]);
    m.on(0, "insert into account values (7, 1, 'of one')");
    m.sync();
    m.on(
        1,
        "insert into account values (7, 2, 'of two'), (8, 2, 'beside')",
    );
    two.wait_parked(
        "account",
        &[
            "duplicate key",
            "a row of another job may have its key",
            "(shard = 2) is not true",
        ],
    );
    let seven = "select shard || v from account where id = 7";
    assert_eq!(m.merged.psql(MERGED, seven), "1of one");
    m.on(
        1,
        "update account set v = 'still' where id = 7; delete from account where id = 7",
    );
    two.wait_ok();
    m.sync();
    assert_eq!(m.merged.psql(MERGED, seven), "1of one");
    // A copy is held up by such a key, too, and takes nothing from the other one.
    m.on(1, "insert into account values (7, 2, 'of two')");
    two.replay.run(&["resync", "account"]).ok();
    two.wait_parked("account", &["duplicate key", "a row of another job"]);
    m.on(1, "delete from account where id = 7");
    two.wait_ok();
    one.wait_ok();
    assert_eq!(m.merged.psql(MERGED, seven), "1of one");
}

fn a_row_outside_waits_for_its_shard(m: &Merged) {
    let four = &m.shards[3];
    let says = ["--merge says (shard = 4), and a row of the provider is not so"];
    m.on(
        3,
        "insert into orders values (500, 4, 'x') on conflict do nothing",
    );
    m.sync();
    let said = four.replay.run(&["tables", "--json"]).ok().stdout;
    let said: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!(said[0]["merge"], "(shard = 4)");
    // A row by itself, many rows, and a row without a key.
    m.on(
        3,
        "update orders set shard = 1 where id = 500; \
         insert into account select g, 3, 'no' from generate_series(800, 999) g; \
         insert into event values (null, 150, 'no')",
    );
    for table in ALL {
        four.wait_parked(table, &says);
    }
    m.on(
        3,
        "update orders set shard = 4 where id = 500; delete from account where shard = 3; \
         delete from event where shard is null",
    );
    four.wait_ok();
    // Such a change can be dropped.
    m.on(
        3,
        "insert into orders values (501, 4, 'mine'), (502, 3, 'no') on conflict (id) do update set shard = excluded.shard",
    );
    four.wait_parked("orders", &says);
    four.replay.run(&["skip", "orders"]).ok();
    four.wait_ok();
    m.on(3, "update orders set shard = 4 where id = 502");
    m.on(3, "insert into account values (801, 3, 'no')");
    four.replay.run(&["resync", "account", "--swap"]).ok();
    four.wait_parked("account", &says);
    m.on(3, "update account set shard = 4 where id = 801");
    four.wait_ok();
}

fn a_table_that_comes_to_have_the_merged_name_is_parked(m: &Merged) {
    let four = &m.shards[3];
    let other = "create table other (id int primary key, shard int, v text)";
    m.on(3, other);
    m.merged.psql(MERGED, other);
    four.replay.run(&["add", "other", "--wait"]).ok();
    m.on(
        3,
        "begin; alter table orders rename to away; alter table other rename to orders; \
         insert into orders values (1, 1, 'theirs'); truncate orders; commit",
    );
    four.wait_parked("other", &["is written to the table of that name"]);
    m.on(
        3,
        "begin; alter table orders rename to other; alter table away rename to orders; commit",
    );
    four.replay.run(&["resync", "other"]).ok();
    four.wait_ok();
    four.replay.run(&["remove", "other"]).ok();
}

fn a_removed_shard_leaves_the_others_alone(m: &Merged) {
    let three = &m.shards[2];
    let count = "select count(*) from orders where shard = 3";
    let before = m.merged.psql(MERGED, count);
    three.replay.run(&["remove", "orders"]).ok();
    m.on(2, "truncate orders");
    m.on(0, "update orders set v = 'after'");
    m.sync();
    assert_eq!(m.merged.psql(MERGED, count), before);
    // Its rows are still there when it comes again: said, and replaced when that is wished.
    let merge = three.merge();
    let add = ["add", "orders", "--merge", &merge];
    three
        .replay
        .run(&add)
        .code(3)
        .says(&["holds rows with (shard = 3)"]);
    m.on(2, "insert into orders values (1, 3, 'new')");
    let add = [&add[..], &["--truncate"]].concat();
    three.replay.run(&add).ok();
    three.wait_ok();
    m.assert_union();
}
