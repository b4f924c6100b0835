//! Many tables: what they cost must grow with their number and no faster, and nothing while they are idle. Counted in
//! statements and rows, because time says little on a machine with other work.

use std::fmt::Write as _;
use std::time::Duration;

use tests::{Cluster, ClusterBuilder, Replication, Server, wait_until};

/// Tables of the first part; the second part adds four times as many.
const FEW: u32 = 25;

/// What was done so far.
#[derive(Clone, Copy)]
struct Work {
    /// Statements that clients sent to both servers, and rows that they got.
    asked: f64,
    /// Rows of `trunkline.shape` that the provider has read for them.
    shapes: f64,
}

impl Work {
    fn of(r: &Replication) -> Work {
        let number = |cluster: &Cluster, sql: &str| -> f64 {
            cluster.psql(r.db(), sql).parse().expect("a number")
        };
        let asked = "select sum(calls + rows) from counted.pg_stat_statements where toplevel";
        let shapes = "select seq_tup_read + coalesce(idx_tup_fetch, 0) from pg_stat_user_tables \
                       where relid = 'trunkline.shape'::regclass";
        Work {
            asked: number(&r.provider, asked) + number(&r.subscribers[0], asked),
            shapes: number(&r.provider, shapes),
        }
    }

    fn since(self, before: Work) -> Work {
        Work {
            asked: self.asked - before.asked,
            shapes: self.shapes - before.shapes,
        }
    }
}

fn counting() -> ClusterBuilder {
    Cluster::builder(&Server::debian15()).set("shared_preload_libraries", "pg_stat_statements")
}

fn make_and_add(r: &Replication, numbers: std::ops::Range<u32>) {
    let sql = numbers.fold(String::new(), |mut sql, number| {
        let _ = write!(sql, "create table t{number} (id int primary key, v text); ");
        sql
    });
    r.everywhere(&sql);
    r.replay.run(&["add", "--all"]).ok();
    wait_until("all tables to be ok", Duration::from_secs(240), || {
        r.on_subscriber("select bool_and(state = 'ok') from trunkline.table_state") == "t"
    });
}

/// A running replication without tables, whose servers count what they are asked.
fn counted() -> Replication {
    let r = Replication::builder()
        .provider(counting())
        .subscribers(vec![counting()])
        .make();
    r.everywhere("create schema counted; create extension pg_stat_statements schema counted");
    r.start();
    r
}

#[test]
fn sy_09_what_tables_cost_grows_with_their_number_and_no_faster() {
    let r = counted();
    let start = Work::of(&r);
    make_and_add(&r, 0..FEW);
    let after_few = Work::of(&r);
    make_and_add(&r, FEW..5 * FEW);
    let after_all = Work::of(&r);
    let (few, more) = (after_few.since(start), after_all.since(after_few));
    for (what, few, more) in [
        ("statements and rows", few.asked, more.asked),
        ("rows of shapes read", few.shapes, more.shapes),
    ] {
        assert!(few > f64::from(FEW), "{few} {what}: nothing is counted");
        // Four times as many cost four times as much; each costing as much as there are tables would be 24 times.
        assert!(
            more < 8.0 * few,
            "{few} {what} for {FEW} tables, {more} for four times as many"
        );
    }
    r.on_provider("insert into t1 values (1, 'x')");
    r.assert_followed(&[]);
}

#[test]
fn tables_that_are_idle_are_not_looked_at() {
    let r = counted();
    make_and_add(&r, 0..FEW);
    r.sync();
    // Rows that replay gets of its tables, over many looks.
    let rows = || -> u64 {
        let sql = "select coalesce(sum(rows), 0) from counted.pg_stat_statements \
                    where toplevel and query like '%trunkline.table_state%' and query not like '%bool_and%'";
        r.on_subscriber(sql).parse().expect("a number")
    };
    let looks = || -> u64 {
        let sql = "select coalesce(sum(calls), 0) from counted.pg_stat_statements \
                    where toplevel and query like '%from trunkline.position%'";
        r.on_subscriber(sql).parse().expect("a number")
    };
    let read_over = |number: u64| {
        let (before, looked) = (rows(), looks());
        wait_until("further looks", Duration::from_secs(120), || {
            looks() >= looked + number
        });
        rows() - before
    };
    // What was done last may have to be looked at once more.
    wait_until("nothing to happen", Duration::from_secs(120), || {
        read_over(2) == 0
    });
    assert_eq!(
        read_over(10),
        0,
        "rows of tables read while nothing happens"
    );
    r.assert_followed(&[]);
}

/// Tables of a batch that one session of replay's meets for the first time; more than it looks up at once.
const MET: u32 = 60;

fn write_to_all(r: &Replication, v: &str) {
    let sql = (0..MET).fold(String::from("begin; "), |mut sql, number| {
        let _ = write!(
            sql,
            "insert into t{number} select coalesce(max(id), 0) + 1, '{v}' from t{number}; "
        );
        sql
    });
    r.on_provider(&(sql + "commit"));
}

#[test]
fn sy_09_a_session_looks_tables_up_once_and_blames_the_one_that_cannot_be_written() {
    let r = counted();
    make_and_add(&r, 0..MET);
    write_to_all(&r, "first");
    r.assert_followed(&[]);
    let looked_up = |what: &str| -> u32 {
        let sql = format!(
            "select coalesce(sum(calls), 0) from counted.pg_stat_statements \
              where toplevel and query like '%trunkline.{what}(%'"
        );
        r.on_subscriber(&sql).parse().expect("a number")
    };
    r.replay.run(&["stop"]).ok();
    r.on_subscriber("select counted.pg_stat_statements_reset()");
    // The type of t7's key has no equality any more: a statement cannot be prepared.
    r.on_subscriber("alter table t7 drop constraint t7_pkey, alter id type json using to_json(id)");
    write_to_all(&r, "second");
    r.replay.run(&["start", "-d"]).ok();
    wait_until("t7 to be parked", Duration::from_secs(120), || {
        r.on_subscriber(
            "select string_agg(table_name, ' ') from trunkline.table_state where state = 'parked'",
        ) == "t7"
    });
    wait_until("the others to go on", Duration::from_secs(120), || {
        r.on_subscriber("select count(*) from t59 where v = 'second'") == "1"
    });
    for what in ["target_columns", "acting_role", "target_facts"] {
        let calls = looked_up(what);
        // The failed batch, the same without t7, and the task of t7 with its tries.
        assert!(
            (MET..3 * MET).contains(&calls),
            "{calls} look-ups of {MET} tables by {what}"
        );
    }
    r.on_subscriber("alter table t7 alter id type int using (id::text)::int, add primary key (id)");
    r.replay.run(&["resume"]).ok();
    r.wait_ok();
    r.assert_followed(&["table parked table=public.t7"]);
}
