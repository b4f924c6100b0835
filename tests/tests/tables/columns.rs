//! Columns that follow the provider's by themselves (`replicate_ddl = "columns"`, DD-01 to DD-07): in order with the
//! changes around them, or not at all and told.

use std::time::Duration;

use tests::{Cluster, Replication, Server, Session, wait_until};

const SOON: Duration = Duration::from_secs(60);

/// A replication whose columns follow.
fn following(sql: &str) -> Replication {
    Replication::builder()
        .replay_line("replicate_ddl = \"columns\"")
        .running(sql)
}

/// What the columns of a table are made of.
fn made_of(of: impl Fn(&str) -> String, table: &str) -> String {
    of(&format!(
        "select string_agg(format('%s %s%s %s', a.attname, format_type(a.atttypid, a.atttypmod), \
                case when a.attnotnull then ' not null' end, pg_get_expr(d.adbin, d.adrelid)), e'\\n' order by a.attname) \
           from pg_attribute a left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum \
          where a.attrelid = '{table}'::regclass and a.attnum > 0 and not a.attisdropped"
    ))
}

fn assert_made_alike(replication: &Replication, table: &str) {
    let provider = made_of(|sql| replication.on_provider(sql), table);
    let subscriber = made_of(|sql| replication.on_subscriber(sql), table);
    assert_eq!(provider, subscriber, "{table}");
}

#[test]
fn dd01_to_dd07_columns_come_go_and_change_exactly_between_the_rows_around_them() {
    let replication = following(
        "create schema \"S 1\"; create type \"S 1\".mood as enum ('well', 'ill'); \
         create domain few as int check (value < 100); \
         create table t (id int primary key, v text, gone int, n varchar(5)); \
         create table \"S 1\".\"T 2\" (id int primary key, \"A b\" text); \
         create table part (id int primary key, a text, b text); \
         create table root (id int, k int, primary key (id, k)) partition by list (k); \
         create table root1 partition of root for values in (1, 2)",
    );
    // A job that replicates some columns only takes no new one; columns are followed by their numbers.
    replication.replay.run(&["remove", "part"]).ok();
    replication.on_subscriber("alter table part drop column b");
    replication
        .replay
        .run(&["add", "part", "--columns", "id,a", "--truncate"])
        .ok();
    replication.wait_ok();
    replication.replay.run(&["stop"]).ok();
    // All of this waits, and comes as one batch or several.
    for sql in [
        "insert into t select g, 'old', g, 'n' from generate_series(1, 300) g; insert into root values (1, 1)",
        "alter table t add column w int default 7",
        "update t set w = -id where id % 2 = 0; insert into t values (301, 'x', 1, 'n', 1)",
        "alter table t rename v to name; alter table t drop column gone; alter table t alter n type varchar(9)",
        "insert into t values (302, 'y', 'nine char', 2); delete from t where id = 5",
        "alter table t alter id type bigint, add column quoted text not null default 'it''s \"q\"', \
                add column mood \"S 1\".mood default 'ill', \
                add column few few, add column list int[] default '{1,2}', add column exact numeric(8,3) default -1.5",
        "insert into t values (5000000000, 'z', 'n', 3); alter table t add column at timestamptz default now()",
        // Several changes with rows between them in one transaction: what it comes to in the end is done first.
        "begin; alter table t add column helper varchar(3); insert into t (id, name, helper) values (400, 'a', 1); \
         alter table t add column more int not null default 5; insert into t (id, name, helper, more) values (401, 'b', 2, 6); \
         savepoint s; alter table t add column never int; rollback to s; \
         alter table t alter helper type varchar(20); alter table t rename helper to kept; \
         insert into t (id, name, kept) values (402, 'c', 'nine thousand'); alter table t drop column w; commit",
        "update t set kept = id::text where id < 10",
        "alter table \"S 1\".\"T 2\" rename \"A b\" to \"a \"\"b\"\"\"; \
         alter table \"S 1\".\"T 2\" add column \"C\" text collate \"C\" default 'x'",
        "insert into \"S 1\".\"T 2\" values (1, 'one', 'two')",
        "alter table part add column c int; alter table part rename a to z; insert into part values (1, 'a', 'b', 2)",
        "alter table root add column v text default 'p'; insert into root values (2, 2, 'q')",
        // A column that others of its name and type followed, and one of another type.
        "alter table t drop column kept; alter table t add column kept bigint default 3; update t set kept = 4 where id = 2",
        "alter table t drop column kept; alter table t add column kept text; update t set kept = 'k' where id = 3",
        "alter table t drop column more; alter table t add column more int not null default 5",
        // Names that go on from one to the next.
        "begin; alter table t rename quoted to q2; alter table t rename name to quoted; commit; \
         update t set quoted = 'q' where id = 7",
    ] {
        replication.on_provider(sql);
    }
    replication.on_subscriber("alter table t add column list int[] default '{1,2}'");
    replication.replay.run(&["start", "-d"]).ok();
    replication.sync();
    for table in ["public.t", "\"S 1\".\"T 2\"", "public.root"] {
        tests::compare(
            (&replication.provider, replication.db()),
            (&replication.subscribers[0], replication.db()),
            table,
        )
        .unwrap();
    }
    assert_eq!(replication.on_subscriber("select z from part"), "a");
    assert_eq!(
        made_of(|sql| replication.on_subscriber(sql), "part"),
        "id integer not null \nz text"
    );
    for table in ["\"S 1\".\"T 2\"", "root"] {
        assert_made_alike(&replication, table);
    }
    // A default that calls something is the provider's alone: all else is alike.
    replication.on_provider("alter table t alter at drop default");
    assert_made_alike(&replication, "t");
    replication.assert_no_conflicts();
    replication.wait_log("table altered");
    replication.assert_clean(&[]);
}

#[test]
fn what_a_subscriber_cannot_take_parks_its_table_with_the_reason_until_it_can() {
    let replication = following(
        "create table other (id int primary key); create table v (id int primary key, a text, b text); \
         create table r (id int primary key, a text); create table k (id int primary key, a int); \
         create table y (id int primary key); create table l (id int primary key); \
         create table d (id int primary key); \
         insert into d select generate_series(1, 20); insert into k values (1, 7)",
    );
    replication
        .on_subscriber("create view seen as select b from v; alter table r add column x int");
    // Each has its own reason, and its own way out.
    replication.on_provider("alter table v drop column b; insert into v values (1, 'a')");
    replication.on_provider("alter table r rename a to x; insert into r values (1, 'a')");
    replication.on_provider("alter table k alter a type text; insert into k values (2, 'x')");
    replication.on_provider(
        "create type odd as enum ('a'); alter table y add column o odd; insert into y values (1, 'a')",
    );
    replication.on_provider("alter table d add column c int default (random() * 1000)::int");
    let holder = Session::holding(
        &replication.subscribers[0],
        replication.db(),
        "lock table l in access share mode",
    );
    replication.on_provider("alter table l add column c int; insert into l values (1, 1)");
    replication.on_provider("insert into other values (1)");
    wait_until("the other table to go on", SOON, || {
        replication.on_subscriber("select count(*) from other") == "1"
    });
    replication.wait_parked(
        "public.v",
        &["could not drop column b", "seen", "drop column b"],
    );
    replication.wait_parked("public.r", &["renamed to x", "has both"]);
    replication.wait_parked(
        "public.k",
        &["from integer to text", "alter column a type text"],
    );
    replication.wait_parked("public.y", &["public.odd", "no such type"]);
    replication.wait_parked("public.l", &["could not lock it", "tried again by itself"]);
    replication.wait_parked("public.d", &["has set values", "replay resync"]);
    // None of them was changed in part.
    assert_eq!(
        replication.on_subscriber(
            "select count(*) from pg_attribute where attrelid = 'd'::regclass and attname = 'c'"
        ),
        "0"
    );
    drop(holder);
    replication.on_subscriber("drop view seen; alter table r drop column x");
    replication.on_subscriber("alter table k alter a type text; create type odd as enum ('a')");
    // A copy makes what the table lacks.
    replication.replay.run(&["resync", "d"]).ok();
    replication.wait_ok();
    replication.sync();
    replication.assert_same();
    replication.assert_clean(&["table parked"]);

    // Switched off, all is as without it.
    let config = std::fs::read_to_string(&replication.replay.config).unwrap();
    let off = config.replace("\"columns\"", "\"off\"");
    std::fs::write(&replication.replay.config, off).unwrap();
    replication.replay.run(&["restart"]).ok();
    replication.on_provider("alter table other add column c int; insert into other values (2, 2)");
    replication.wait_parked("public.other", &["column c"]);
    std::fs::write(&replication.replay.config, config).unwrap();
    replication.replay.run(&["restart"]).ok();
    replication.wait_ok();
    replication.sync();
    replication.assert_same();
}

#[test]
fn each_type_that_is_widened_by_itself_keeps_the_text_of_every_value() {
    // Of each: the type before, the type after, and values at the ends of what the type takes.
    let pairs = [
        ("smallint", "integer", "(-32768), (32767), (null)"),
        ("smallint", "bigint", "(-32768), (0)"),
        ("integer", "bigint", "(-2147483648), (2147483647)"),
        ("smallint", "numeric", "(-32768)"),
        ("integer", "numeric", "(2147483647)"),
        (
            "bigint",
            "numeric",
            "(-9223372036854775808), (9223372036854775807)",
        ),
        (
            "character varying(5)",
            "character varying(7)",
            "('a    '), (''), ('fünf!')",
        ),
        ("character varying(5)", "character varying", "('a  ')"),
        ("character varying(5)", "text", "('a  '), ('')"),
        ("character varying", "text", "('b  ')"),
        ("text", "character varying", "('c  ')"),
        ("numeric(4,2)", "numeric(9,2)", "(1.00), (-99.99), ('NaN')"),
        ("numeric(4,2)", "numeric", "(1.10), (0.00)"),
        (
            "timestamp(0) without time zone",
            "timestamp(3) without time zone",
            "('2024-02-29 23:59:59'), ('infinity')",
        ),
        (
            "timestamp(3) without time zone",
            "timestamp without time zone",
            "('0044-03-15 12:00:00.120 BC')",
        ),
        (
            "timestamp(2) with time zone",
            "timestamp with time zone",
            "('2024-10-27 02:30:00.50+02')",
        ),
        (
            "time(1) without time zone",
            "time(4) without time zone",
            "('24:00:00'), ('00:00:00.5')",
        ),
        (
            "time(1) with time zone",
            "time with time zone",
            "('23:59:59.9+15:59')",
        ),
        (
            "interval(2)",
            "interval(5)",
            "('-1 mon 3 days 00:00:00.25')",
        ),
        ("interval(2)", "interval", "('178000000 years')"),
        ("bit varying(3)", "bit varying(8)", "('101'), ('')"),
        ("bit varying(3)", "bit varying", "('1')"),
    ];
    let tables = (0..pairs.len()).map(|n| {
        let (before, _, values) = pairs[n];
        format!(
            "create table w{n} (id int generated always as identity primary key, c {before}); \
             insert into w{n} (c) values {values};"
        )
    });
    let replication = following(&tables.collect::<String>());
    let texts = |of: &dyn Fn(&str) -> String| -> Vec<String> {
        let text =
            |n| format!("select string_agg(coalesce(c::text, '-'), '|' order by id) from w{n}");
        let all: Vec<String> = (0..pairs.len()).map(text).collect();
        of(&all.join(" union all "))
            .lines()
            .map(str::to_owned)
            .collect()
    };
    let before = texts(&|sql| replication.on_provider(sql));
    let alter = |(n, (_, after, _)): (usize, &(&str, &str, &str))| {
        format!("alter table w{n} alter c type {after};")
    };
    replication.on_provider(&pairs.iter().enumerate().map(alter).collect::<String>());
    replication.sync();
    assert_eq!(texts(&|sql| replication.on_provider(sql)), before);
    assert_eq!(texts(&|sql| replication.on_subscriber(sql)), before);
    let types = "select string_agg(format_type(atttypid, atttypmod), '|' order by substr(attrelid::regclass::text, 2)::int) \
                   from pg_attribute where attname = 'c' and attrelid::regclass::text ~ '^w[0-9]+$'";
    let wanted: Vec<&str> = pairs.iter().map(|(_, after, _)| *after).collect();
    assert_eq!(replication.on_subscriber(types), wanted.join("|"));
    replication.assert_clean(&[]);
}

#[test]
fn kills_neither_lose_nor_repeat_a_change_of_columns() {
    let server = Server::debian15();
    let replication = Replication::builder()
        .subscribers(vec![Cluster::builder(&server).durable()])
        .replay_line("replicate_ddl = \"columns\"")
        .running("create table t (id bigserial primary key, a text default 'a', n int)");
    let rounds = if tests::full() { 60 } else { 10 };
    for round in 0..rounds {
        let last = round - 1;
        let alter = match round % 5 {
            0 => format!("alter table t add column c{round} int default {round}"),
            1 => format!("alter table t rename c{last} to d{round}"),
            2 => format!("alter table t alter d{last} type bigint"),
            3 => {
                "alter table t rename a to b; alter table t add column a text default 'new'".into()
            }
            _ => "alter table t drop column b".into(),
        };
        for sql in [
            "insert into t (n) select generate_series(1, 40)",
            &alter,
            "update t set n = n + 1",
        ] {
            replication.on_provider(sql);
        }
        std::thread::sleep(Duration::from_millis(u64::from(17 * round as u32 % 90)));
        if round % 3 == 2 {
            replication.subscribers[0].kill9();
            replication.subscribers[0].start_again();
        } else {
            replication.replay.kill9();
            replication.replay.run(&["start", "-d"]).ok();
        }
    }
    replication.sync();
    replication.assert_same();
    assert_made_alike(&replication, "t");
    replication.assert_no_conflicts();
}
