//! What replay writes: sets in an order that unique indexes allow, differences that are
//! counted and shown, keys whose text is not equality, columns of the subscriber's own.

use std::time::Duration;

use tests::{Replication, wait_until};

use crate::synced_and_clean;

#[test]
fn every_form_of_statement_small_and_large_arrives() {
    let replication = Replication::running(
        "create table t (id int primary key, v text, n numeric); \
         create table pair (a int, b text, v text, primary key (b, a))",
    );
    for sql in [
        "insert into t select g, 'v' || g, g / 7.0 from generate_series(1, 3) g",
        "insert into t select g, 'v' || g, g / 7.0 from generate_series(4, 3000) g",
        "update t set v = v || 'x' where id <= 2",
        "update t set v = v || 'y' where id > 1000",
        "update t set id = -id where id % 3 = 0",
        "update t set id = id + 100000 where id > 500",
        "delete from t where id between 10 and 20",
        "delete from t where id > 2000",
        "insert into t values (1, 'again', 0) on conflict (id) do update set v = excluded.v",
        "insert into t select g, 'mixed', null from generate_series(1, 50) g \
             on conflict (id) do update set v = excluded.v",
        "insert into pair select g % 10, 'k' || g, null from generate_series(1, 500) g",
        "update pair set a = a + 1, v = E'tab\\tnl\\nquote\"back\\\\slash\\\\.' where a < 5",
        "delete from pair where b like 'k4%'",
        "begin; truncate pair; insert into pair values (1, '', ''), (2, ' ', '\\N'); commit",
        "begin; savepoint a; insert into t values (9001, 'gone', 1); rollback to a; \
             insert into t values (9002, 'stays', 1); commit",
        "with moved as (delete from t where id < -2000 returning *) \
             insert into pair select id, v, 'moved' from moved",
    ] {
        replication.on_provider(sql);
        replication.sync();
        replication.assert_same();
    }
    synced_and_clean(&replication);
}

#[test]
fn cn_01_unique_values_that_are_swapped_in_one_statement_arrive() {
    // On the provider the check waits for the end of the statement; on the subscriber it does not.
    let replication = Replication::running(
        "create table t (id int primary key, u int); \
         insert into t select g, g from generate_series(1, 300) g",
    );
    replication
        .on_provider("alter table t add constraint t_u unique (u) deferrable initially immediate");
    replication.on_subscriber("create unique index t_u on t (u)");
    replication.on_provider("update t set u = 3 - u where id in (1, 2)");
    replication.on_provider("update t set u = 301 - u");
    replication.on_provider(
        "begin; delete from t where id = 5; update t set u = 296 where id = 6; commit",
    );
    synced_and_clean(&replication);
}

#[test]
fn linked_tables_are_truncated_and_a_foreign_key_of_the_subscriber_is_no_hindrance() {
    let replication = Replication::running(
        "create table parent (id int primary key); \
         create table child (id int primary key, parent int references parent); \
         insert into parent select generate_series(1, 10); \
         insert into child select g, g from generate_series(1, 10) g; \
         create table plain (id int primary key); insert into plain values (1)",
    );
    replication.on_subscriber("create table local (id int primary key references plain)");
    replication.on_provider("truncate parent, child; insert into parent values (7)");
    replication.on_provider("truncate plain");
    synced_and_clean(&replication);
    replication.on_provider("begin; truncate parent, child; rollback");
    synced_and_clean(&replication);
    assert_eq!(
        replication.on_subscriber("select count(*) from parent"),
        "1"
    );
}

#[test]
fn keys_that_are_equal_and_read_differently_are_one_row() {
    let replication = Replication::running(
        "create table amount (n numeric primary key, v text); \
         create table ratio (f float8 primary key, v text); \
         create table span (i interval primary key, v text); \
         create table code (c char(5) primary key, v text)",
    );
    for sql in [
        "insert into amount values (1.0, 'a'), (2, 'b')",
        "begin; update amount set n = 1.00 where n = 1; update amount set v = 'c' where n = 1.000; \
             delete from amount where n = 2.0; insert into amount values (2.00, 'd'); commit",
        "insert into ratio values (0, 'zero'), ('NaN', 'nan')",
        "begin; update ratio set f = '-0' where f = 0; update ratio set v = v || '!'; commit",
        "insert into span values ('1 month', 'm')",
        "begin; update span set i = '30 days'; update span set v = 'd'; commit",
        "insert into code values ('ab', 'x'); update code set c = 'ab   ', v = 'y'",
    ] {
        replication.on_provider(sql);
    }
    synced_and_clean(&replication);
    assert_eq!(
        replication.on_subscriber("select n from amount where v = 'c'"),
        "1.00"
    );
}

#[test]
fn identity_columns_take_the_provider_s_values() {
    let replication = Replication::running(
        "create table t (id int generated always as identity primary key, \
                         n int generated always as identity, v text)",
    );
    replication.on_provider("insert into t (v) select 'a' from generate_series(1, 150)");
    replication.on_provider("update t set v = 'b' where id < 3");
    replication.on_provider("update t set n = default where id in (1, 2, 3)");
    replication.on_provider("delete from t where id = 4");
    synced_and_clean(&replication);
}

#[test]
fn columns_of_the_subscriber_s_own_keep_their_values() {
    let replication = Replication::builder().make();
    replication.on_provider("create table t (id int primary key, v text, w int)");
    replication.on_subscriber(
        "create table t (own text default 'mine', w bigint, v varchar(20), id int primary key, \
                         twice bigint generated always as (w * 2) stored)",
    );
    replication.on_provider("insert into t select g, 'v', g from generate_series(1, 200) g");
    replication.start();
    replication.add_all();
    replication.on_subscriber("update t set own = 'changed' where id <= 100");
    replication.on_provider("update t set v = 'new', w = w + 1");
    replication.on_provider("update t set v = 'newer' where id = 1");
    replication.on_provider("insert into t values (201, 'late', 201)");
    replication.sync();
    assert_eq!(
        replication.on_subscriber(
            "select count(*) filter (where own = 'changed'), count(*) filter (where own = 'mine'), \
                    sum(w), sum(twice), string_agg(v, ' ' order by id) filter (where id in (1, 201)) from t"
        ),
        // 1 to 200, each one more, and 201.
        "100|101|20501|41002|newer late"
    );
    replication.assert_clean(&[]);
}

#[test]
fn rows_that_differ_are_overwritten_counted_and_shown() {
    let replication = Replication::running(
        "create table t (id int primary key, v text); \
         insert into t select g, 'a' from generate_series(1, 1000) g",
    );
    replication.on_subscriber("delete from t where id in (1, 2); insert into t values (2001, 'x')");
    replication.on_provider("update t set v = 'b' where id = 1");
    replication.on_provider("delete from t where id = 2");
    replication.on_provider("insert into t values (2001, 'mine')");
    replication.sync();
    replication.assert_same();
    replication.on_subscriber("delete from t where id in (3, 4); insert into t values (3001, 'x')");
    replication.on_provider("update t set v = 'c' where id < 500");
    replication.on_provider("insert into t select g, 'bulk' from generate_series(3000, 3500) g");
    replication.sync();
    replication.assert_same();
    assert_eq!(
        replication.on_subscriber(
            "select kind, string_agg(row_key, ' ' order by row_key) from trunkline.conflict \
             group by kind order by kind"
        ),
        "exists|(2001) (3001)\nmissing|(1) (2) (3) (4)"
    );
    let status = replication.replay.run(&["status", "--json"]).ok().stdout;
    let status: serde_json::Value = serde_json::from_str(&status).unwrap();
    assert_eq!(status["subscribers"][0]["conflicts"], 6);
    replication.wait_log("conflict table=public.t missing=");
    replication.assert_clean(&["conflict table=public.t"]);
}

#[test]
fn a_conflict_stops_the_table_where_that_is_wanted_and_the_others_go_on() {
    let replication = Replication::builder()
        .replay_line("on_conflict = \"stop\"")
        .running(
            "create table a (id int primary key, v text); \
             create table b (id int primary key, v text); \
             insert into a values (1, 'x'); insert into b values (1, 'x')",
        );
    replication.on_subscriber("delete from a");
    replication.on_provider("update a set v = 'y'; update b set v = 'y'");
    let parked = replication.wait_parked("public.a", &["missing"]);
    assert!(!parked["advice"].as_str().unwrap().is_empty(), "{parked}");
    replication.on_provider("update b set v = 'z'");
    wait_until("b to go on", Duration::from_secs(120), || {
        replication.on_subscriber("select v from b") == "z"
    });
    assert_eq!(replication.on_subscriber("select count(*) from a"), "0");
    // What is written meanwhile waits in the queue; once the row is back, it goes on by itself.
    replication.on_provider("update a set v = 'later'; insert into a values (2, 'new')");
    replication.on_subscriber("insert into a values (1, 'x')");
    replication.wait_ok();
    replication.assert_followed(&["table parked table=public.a"]);
}

#[test]
fn triggers_that_write_the_same_row_again_arrive_in_their_last_state() {
    let replication = Replication::running(
        "create table t (id int primary key, v text, hits int default 0); \
         create table audit (id bigserial primary key, what text); \
         create function again() returns trigger language plpgsql as $$ \
         begin update t set hits = hits + 1 where id = new.id and hits < 2; \
               insert into audit (what) values (tg_op || new.id); return null; end $$; \
         create trigger again after insert or update of v on t \
             for each row execute procedure again()",
    );
    replication.on_provider("insert into t (id, v) select g, 'a' from generate_series(1, 20) g");
    replication.on_provider("update t set v = 'b' where id <= 10");
    replication.on_provider("insert into t (id, v) values (100, 'single')");
    replication.assert_followed(&[]);
}

#[test]
fn events_of_another_program_in_the_queue_are_left_alone() {
    let replication = Replication::running("create table t (id int primary key)");
    replication.on_provider("select pgq.insert_event('q1', 'custom', 'drop table t')");
    replication.on_provider("insert into t values (1)");
    synced_and_clean(&replication);
}

#[test]
fn a_table_that_refuses_to_be_loaded_is_parked_with_the_reason_and_goes_on_by_itself() {
    let replication = Replication::running(
        "create table t (id int primary key, v text); create table other (id int primary key)",
    );
    let load = |from: i32| {
        replication.on_provider(&format!(
            "insert into t select g, 'v' from generate_series({from}, {from} + 499) g; \
             insert into other select g from generate_series({from}, {from} + 499) g"
        ));
    };
    load(1);
    replication.sync();
    // The applier knows the table by now, and its COPY meets one that is not there.
    replication.on_subscriber("alter table t rename to away");
    load(1001);
    replication.wait_parked("public.t", &["does not exist"]);
    wait_until("the other table to go on", Duration::from_secs(120), || {
        replication.on_subscriber("select count(*) from other") == "1000"
    });
    replication.on_subscriber("alter table away rename to t");
    replication.wait_ok();
    replication.assert_followed(&["table parked table=public.t"]);
}

#[test]
fn a_rule_that_acts_on_a_replica_s_inserts_acts_on_few_rows_and_on_many() {
    let replication = Replication::running("create table t (id int primary key)");
    replication.on_subscriber(
        "create table seen (id int); \
         create rule seen as on insert to t do also insert into seen values (new.id); \
         alter table t enable replica rule seen",
    );
    replication.on_provider("insert into t values (1)");
    replication.on_provider("insert into t select generate_series(2, 1000)");
    replication.sync();
    assert_eq!(
        replication.on_subscriber("select count(*), sum(id) from seen"),
        replication.on_provider("select count(*), sum(id) from t")
    );
}

#[test]
fn rows_of_a_large_table_are_found_through_the_index_of_its_key() {
    let replication = Replication::running("create table large (id int primary key, v text)");
    replication.on_provider(
        "insert into large select g, repeat('v', 100) from generate_series(1, 100000) g",
    );
    replication.sync();
    replication.on_subscriber("vacuum analyze large");
    // Sessions tell what they read when they end.
    replication.replay.run(&["stop"]).ok();
    let reads = || {
        let sql = "select seq_scan from pg_stat_user_tables where relname = 'large'";
        wait_until("all sessions to end", Duration::from_secs(120), || {
            let others = "select count(*) from pg_stat_activity \
                          where backend_type = 'client backend' and pid <> pg_backend_pid()";
            replication.on_subscriber(others) == "0"
        });
        replication.on_subscriber(sql).parse::<i64>().unwrap()
    };
    let before = reads();
    replication.replay.run(&["start", "-d"]).ok();
    // More than go row by row, and far fewer than would pay for reading the table.
    replication.on_provider("update large set v = v || '!' where id % 20 = 0");
    replication.on_provider("delete from large where id % 20 = 1");
    replication.sync();
    replication.replay.run(&["stop"]).ok();
    assert_eq!(reads(), before);
    replication.replay.run(&["start", "-d"]).ok();
    replication.assert_same();
    replication.assert_clean(&[]);
}

#[test]
fn to_01_large_values_that_are_not_other_ones_are_not_written_again() {
    let replication = Replication::running(
        "create table t (id int primary key, n int, large text, other bytea, small numeric)",
    );
    replication.on_provider(
        "insert into t select g, 0, (select string_agg(md5(g::text || i), '') from generate_series(1, 200) i), \
         decode(repeat(md5(g::text), 200), 'hex'), 1.0 from generate_series(1, 300) g",
    );
    replication.sync();
    let toast = replication
        .on_subscriber("select reltoastrelid::regclass from pg_class where relname = 't'");
    let stored = || {
        replication.on_subscriber(&format!(
            "select count(*), sum(chunk_id::int8), max(chunk_id::int8) from {toast}"
        ))
    };
    let before = stored();
    replication.on_provider("update t set n = n + 1, small = 1.00");
    replication.sync();
    replication.assert_same();
    assert_eq!(stored(), before, "the values stay where they are");
    replication.on_provider(
        "update t set n = n + 1, large = case id % 4 when 0 then null when 1 then large || '!' \
         when 2 then reverse(large) else large end, other = case id % 3 when 0 then null else other end",
    );
    replication.sync();
    replication.assert_same();
    replication.on_provider("update t set large = repeat(id::text, 5000), other = ''");
    replication.sync();
    replication.assert_same();
    synced_and_clean(&replication);
}
