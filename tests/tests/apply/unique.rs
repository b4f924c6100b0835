//! CN: rows that are in each other's way on the subscriber, however they got to where they are.
//! The test's truth is the provider, row by row, and a note of each row that the subscriber made.

use std::time::Duration;

use rand::{RngExt, SeedableRng, rngs::StdRng, seq::SliceRandom};
use tests::{Replication, Session, choose, wait_until};

use crate::{between, synced_and_clean};

const SOON: Duration = Duration::from_secs(120);

/// What each of the subscriber's tables adds to (id, u, r, v), which the provider's hold without
/// any constraint but the key. After each transaction all of it holds.
const TABLES: &[(&str, &str)] = &[
    ("plain", "create unique index on plain (u)"),
    (
        "partial",
        "create unique index on partial (u) where u % 2 = 0",
    ),
    (
        "expression",
        "create unique index on expression ((u * 2 + 1))",
    ),
    (
        "excluded",
        "alter table excluded add exclude using gist (r with &&)",
    ),
    (
        "checked_late",
        "alter table checked_late add unique (u) deferrable initially immediate",
    ),
    (
        "numbered",
        "create unique index on numbered (u); create unique index on numbered (v)",
    ),
    ("always", "create unique index on always (u)"),
];

/// From PostgreSQL 15 on.
const NULLS: (&str, &str) = (
    "nulls",
    "create unique index on nulls (u) nulls not distinct",
);

const ROWS: i32 = 400;

struct World {
    random: StdRng,
    next_id: i32,
    ids: Vec<i32>,
}

impl World {
    /// Rows that are there, in any order.
    fn some(&mut self, most: usize) -> Vec<i32> {
        self.ids.shuffle(&mut self.random);
        let n = self.random.random_range(2..=most.min(self.ids.len()));
        self.ids[..n].to_vec()
    }

    /// Rows pass their values on in a circle, in one statement.
    fn circle(table: &str, ids: &[i32]) -> String {
        let pairs: Vec<String> = ids
            .iter()
            .zip(ids.iter().cycle().skip(1))
            .map(|(to, from)| format!("({to}, {from})"))
            .collect();
        format!(
            "update {table} t set u = s.u, r = s.r, v = s.v from (values {}) w (dest, source) \
             join {table} s on s.id = w.source where t.id = w.dest",
            pairs.join(", ")
        )
    }

    /// The same, a statement a row.
    fn one_by_one(table: &str, ids: &[i32]) -> String {
        let mut sql = format!("create temp table old on commit drop as select * from {table}");
        for (to, from) in ids.iter().zip(ids.iter().cycle().skip(1)) {
            sql.push_str(&format!(
                "; update {table} t set u = s.u, r = s.r, v = s.v from old s \
                 where t.id = {to} and s.id = {from}"
            ));
        }
        sql
    }

    /// A row goes, and a new one takes its values.
    fn heir(table: &str, old: i32, new: i32) -> String {
        format!(
            "insert into {table} (id, u, r, v) select {new}, u, r, v from {table} where id = {old}; \
             delete from {table} where id = {old}"
        )
    }

    /// A transaction over all tables, which all do the same.
    fn transaction(&mut self, tables: &[&str]) -> String {
        let mut sql = String::from("begin");
        let steps = self.random.random_range(1..4);
        for step in 0..steps {
            let kind = self.random.random_range(0..5);
            let ids = match kind {
                0 => self.some(ROWS as usize),
                _ => self.some(6),
            };
            for table in tables {
                let work = match kind {
                    0 | 1 => Self::circle(table, &ids),
                    2 | 3 => Self::one_by_one(table, &ids)
                        .replace("table old", &format!("table old_{table}_{step}"))
                        .replace("from old s", &format!("from old_{table}_{step} s")),
                    _ => Self::heir(table, ids[0], self.next_id),
                };
                sql.push_str(&format!("; {work}"));
            }
            if kind == 4 {
                self.ids.retain(|id| *id != ids[0]);
                self.ids.push(self.next_id);
                self.next_id += 1;
            }
        }
        sql + "; commit"
    }
}

/// The subscriber's own column, where the row has been there since the beginning: what was
/// written into it; else its default.
fn assert_own_values(replication: &Replication, tables: &[&str]) {
    for table in tables {
        let wrong = replication.on_subscriber(&format!(
            "select count(*) from {table} \
             where own is distinct from case when id <= {ROWS} then 'own' || id else 'new' end"
        ));
        assert_eq!(wrong, "0", "rows of {table} whose own value is another one");
    }
}

#[test]
fn cn_01_rows_that_change_places_in_any_way_pass_all_that_the_subscriber_alone_asks_for() {
    for (server, seed) in choose(
        "servers and seeds",
        vec![(15, 1), (15, 2), (10, 3), (13, 4), (18, 5), (17, 6)],
        vec![(15, 1)],
    ) {
        // Parts of a batch are as small as can be, so that transactions are cut.
        let replication = between(15, server).replay_line("chunk_size = 65536").make();
        let mut list = TABLES.to_vec();
        if server >= 15 {
            list.push(NULLS);
        }
        let tables: Vec<&str> = list.iter().map(|(name, _)| *name).collect();
        for (name, constraint) in &list {
            let id = if *name == "numbered" {
                "numeric"
            } else {
                "int"
            };
            let u = if *name == "always" {
                "bigint generated always as identity"
            } else {
                "bigint"
            };
            replication.on_provider(&format!(
                "create table {name} (id {id} primary key, u bigint, r int4range, v text not null); \
                 insert into {name} select g, nullif(g, 7), int4range(g * 10, g * 10 + 7), 'v' || g \
                   from generate_series(1, {ROWS}) g"
            ));
            replication.on_subscriber(&format!(
                "create table {name} (own text default 'new', id {id} primary key, r int4range, u {u}, \
                 v text not null); {constraint}"
            ));
            if *name == "always" {
                replication.on_provider("update always set u = 0 where u is null");
            }
        }
        replication.start();
        replication.add_all();
        for table in &tables {
            replication.on_subscriber(&format!("update {table} set own = 'own' || id"));
        }
        let mut world = World {
            random: StdRng::seed_from_u64(seed),
            next_id: ROWS + 1,
            ids: (1..=ROWS).collect(),
        };
        for round in 0..6 {
            // One transaction alone, then several that are applied as one.
            let paused = round % 2 == 1;
            if paused {
                replication.replay.run(&["pause"]).ok();
            }
            for _ in 0..if paused { 5 } else { 1 } {
                replication.on_provider(&world.transaction(&tables));
            }
            if paused {
                replication.replay.run(&["resume"]).ok();
            }
            synced_and_clean(&replication);
            assert_own_values(&replication, &tables);
        }
    }
}

/// Two tables whose rows change places in every transaction; the subscriber has a unique index and a column of its own.
fn circles() -> Replication {
    let replication = Replication::builder().make();
    for table in ["t", "numbered"] {
        let id = if table == "t" { "int" } else { "numeric" };
        replication.on_provider(&format!(
            "create table {table} (id {id} primary key, u int, r int4range, v text); \
             insert into {table} select g, g, null, 'v' from generate_series(1, 300) g"
        ));
        replication.on_subscriber(&format!(
            "create table {table} (id {id} primary key, u int unique, r int4range, v text, own text default 'new')"
        ));
    }
    replication.everywhere("create table other (id int primary key)");
    replication.start();
    replication.add_all();
    for table in ["t", "numbered"] {
        replication.on_subscriber(&format!("update {table} set own = 'own' || id"));
    }
    replication
}

fn own_values_stand(replication: &Replication) {
    for table in ["t", "numbered"] {
        assert_eq!(
            replication.on_subscriber(&format!(
                "select count(*) from {table} where id <= 300 and own is distinct from 'own' || id"
            )),
            "0",
            "{table}"
        );
    }
}

#[test]
fn fa_02_killed_or_ended_while_rows_change_places_nothing_is_lost_and_own_columns_stand() {
    let replication = circles();
    let ids: Vec<i32> = (1..=300).collect();
    for (round, table) in (0..).zip(["t", "numbered", "t", "numbered"]) {
        // A reader's lock keeps the rows from being deleted, when all else is done.
        let held = Session::holding(
            &replication.subscribers[0],
            replication.db(),
            &format!("select u from {table} where id = 300 for update"),
        );
        replication.on_provider(&format!(
            "begin; {}; insert into other values ({round}); commit",
            World::one_by_one(table, &ids)
        ));
        let waiting = "select pid from pg_stat_activity where application_name like 'trunkline apply %' \
                       and wait_event_type = 'Lock'";
        wait_until("replay to wait for the row", SOON, || {
            !replication.on_subscriber(waiting).is_empty()
        });
        if round < 2 {
            replication.replay.kill9();
            drop(held);
            replication.replay.run(&["start", "-d"]).ok();
        } else {
            replication.on_subscriber(&format!(
                "select pg_terminate_backend(w.pid) from ({waiting}) w"
            ));
            drop(held);
        }
        replication.sync();
        replication.assert_same();
        own_values_stand(&replication);
        replication.assert_no_conflicts();
    }
}

#[test]
fn cn_01_a_row_of_the_subscriber_s_own_in_the_way_parks_its_table_alone_whatever_on_conflict_says()
{
    let replication = circles();
    replication
        .replay
        .run(&["add", "numbered", "--on-conflict", "stop"])
        .ok();
    for table in ["t", "numbered"] {
        replication.on_subscriber(&format!("insert into {table} (id, u) values (9000, 1000)"));
        // One small and one large change, with values that change places beside.
        replication.on_provider(&format!(
            "begin; {}; update {table} set u = 1000 where id = 300; insert into other select count(*) from other; commit",
            World::one_by_one(table, &[1, 2, 3])
        ));
        wait_until("the table to be parked", SOON, || {
            let parked = replication.on_subscriber(
                "select coalesce(string_agg(table_name || ' ' || error, ' '), '') \
                   from trunkline.table_state where state = 'parked'",
            );
            parked.contains(&format!("{table} ")) && parked.contains("u_key")
        });
        replication.on_provider("insert into other select 100 + count(*) from other");
        wait_until("the other table to go on", SOON, || {
            replication.on_subscriber("select count(*) from other where id >= 100")
                == replication.on_provider("select count(*) from other where id >= 100")
        });
        replication.on_subscriber(&format!("delete from {table} where id = 9000"));
        replication.replay.run(&["resume"]).ok();
        replication.wait_ok();
        replication.sync();
        replication.assert_same();
        own_values_stand(&replication);
        replication.assert_no_conflicts();
    }
}
