//! Servers, databases and roles that are set up in unusual ways: a copy reads, writes and builds the same.

use tests::{Replication, wait_until};

use crate::{
    SOON,
    catalog::CATALOG,
    ddl::{make_tablespace, same_lines},
};

/// More than 4 MB, so that its indexes are taken away, of values whose text depends on settings.
const MANY_TYPES: &str = "\
    create table t (id int primary key, v text unique, at timestamptz, d date, f float8, b bytea, n interval, m money, x float4[]); \
    create index t_at on t (at); \
    insert into t select i, repeat('v', 60) || i, '2026-03-04 05:06:07.89+00', '2026-03-04', 1.0 / i, '\\x00ff', \
        interval '1 day 2 hours' * i, 12.5, array[0.1 * i] from generate_series(1, 40000) i; \
    create table few (id int primary key, at timestamptz, f float8); insert into few values (1, '2026-03-04', 0.1)";

#[test]
fn ss_01_settings_of_databases_and_roles_change_nothing_that_is_copied_or_built() {
    let replication = Replication::builder().make();
    replication.on_provider(MANY_TYPES);
    replication.copy_schema();
    make_tablespace(&replication);
    let before = replication.on_subscriber(CATALOG);
    for (setting, here, there) in [
        ("DateStyle", "'SQL, DMY'", "'German'"),
        ("IntervalStyle", "'sql_standard'", "'iso_8601'"),
        ("extra_float_digits", "-15", "0"),
        ("bytea_output", "'escape'", "'hex'"),
        ("TimeZone", "'Asia/Kabul'", "'America/St_Johns'"),
        ("search_path", "nothing", "nothing"),
        ("standard_conforming_strings", "off", "off"),
        ("quote_all_identifiers", "on", "on"),
        ("client_encoding", "'LATIN1'", "'SJIS'"),
        (
            "default_transaction_isolation",
            "'serializable'",
            "'repeatable read'",
        ),
        ("default_transaction_deferrable", "on", "on"),
        ("statement_timeout", "'300ms'", "'300ms'"),
        ("lock_timeout", "'50ms'", "'50ms'"),
        ("idle_in_transaction_session_timeout", "'200ms'", "'200ms'"),
        ("idle_session_timeout", "'400ms'", "'400ms'"),
        ("enable_seqscan", "off", "off"),
        ("row_security", "off", "off"),
        ("array_nulls", "off", "off"),
    ] {
        replication.on_provider(&format!("alter role postgres set {setting} = {here}"));
        replication.on_subscriber(&format!("alter role postgres set {setting} = {there}"));
    }
    replication.on_subscriber("alter database db1 set default_tablespace = elsewhere");
    replication.start();
    replication.add_all();
    let plain = |replication: &Replication| {
        for cluster in [&replication.provider, &replication.subscribers[0]] {
            cluster.psql("postgres", "alter role postgres reset all");
        }
    };
    replication
        .on_provider("set statement_timeout = 0; update public.t set f = f / 3 where id % 100 = 0; delete from public.few");
    replication.sync();
    replication.replay.run(&["resync", "t", "--swap"]).ok();
    replication.wait_ok();
    replication.sync();
    plain(&replication);
    replication.assert_same();
    same_lines(&before, &replication.on_subscriber(CATALOG));
    replication.assert_clean(&[]);
}

#[test]
fn databases_that_keep_other_writers_out_by_default_are_copied_and_followed() {
    let replication = Replication::builder().make();
    replication.on_provider(MANY_TYPES);
    replication.copy_schema();
    replication.ticker.run(&["install"]).ok();
    replication.replay.run(&["install"]).ok();
    // As before a switch-over on the provider, and so that nobody writes on the subscriber by mistake.
    replication.everywhere("alter database db1 set default_transaction_read_only = on");
    let refused = replication
        .provider
        .try_psql(replication.db(), "delete from few");
    assert!(refused.stderr.contains("read-only"), "{refused:?}");
    replication.ticker.run(&["start", "-d"]).ok();
    replication.replay.run(&["start", "-d"]).ok();
    replication.replay.run(&["install"]).ok();
    replication.replay.run(&["add", "--all"]).ok();
    replication.wait_ok();
    replication.on_provider(
        "begin read write; update few set f = 2; delete from t where id < 100; commit",
    );
    replication.sync();
    replication.replay.run(&["resync", "few"]).ok();
    replication.wait_ok();
    replication.replay.run(&["remove", "few"]).ok();
    replication
        .replay
        .run(&["add", "few", "--truncate", "--wait", "120"])
        .ok();
    replication.assert_followed(&[]);
}

/// As [`MANY_TYPES`], with names as long as they may be, of two bytes a letter and with quotes in them.
fn long_names() -> (String, Vec<String>) {
    let name = |first: &str| {
        let mut name = format!("{first}\"'$1{{}};--");
        while name.len() < 62 {
            name.push('ä');
        }
        if name.len() < 63 {
            name.push('x');
        }
        assert_eq!(name.len(), 63);
        format!("\"{}\"", name.replace('"', "\"\""))
    };
    let (schema, table, child) = (name("s"), name("t"), name("c"));
    let (id, value, part) = (name("i"), name("v"), name("p"));
    let sql = format!(
        "create schema {schema}; \
         create table {schema}.{table} ({id} int constraint {k} primary key, {value} text, constraint {u} unique ({value}, {id})); \
         create index {x} on {schema}.{table} (lower({value})) where {id} > 5; \
         comment on index {schema}.{x} is 'it''s'; \
         create table {schema}.{child} ({id} int primary key, {value} int constraint {f} references {schema}.{table}); \
         create table {schema}.{part} ({id} int, {value} text, constraint {pk} primary key ({id})) partition by range ({id}); \
         create table {schema}.{p1} partition of {schema}.{part} for values from (0) to (20000); \
         create table {schema}.{p2} partition of {schema}.{part} default; \
         create index {px} on {schema}.{part} ({value}); \
         insert into {schema}.{table} select i, repeat('v', 60) || i from generate_series(1, 40000) i; \
         insert into {schema}.{child} select i, i from generate_series(1, 100) i; \
         insert into {schema}.{part} select i, repeat('v', 60) || i from generate_series(1, 40000) i",
        k = name("k"),
        u = name("u"),
        x = name("x"),
        f = name("f"),
        pk = name("pk"),
        p1 = name("p1"),
        p2 = name("p2"),
        px = name("px"),
    );
    let tables = [table, child, part]
        .iter()
        .map(|table| format!("{schema}.{table}"))
        .collect();
    (sql, tables)
}

#[test]
fn names_as_long_as_they_may_be_are_copied_and_their_indexes_come_back() {
    let replication = Replication::builder().make();
    let (sql, tables) = long_names();
    replication.on_provider(&sql);
    replication.copy_schema();
    let catalog = CATALOG.replace(
        "'public'::regnamespace",
        "(select oid from pg_namespace where nspname ~ '^s\"')",
    );
    let before = replication.on_subscriber(&catalog);
    assert!(before.lines().count() > 10, "{before}");
    replication.start();
    replication.add_all();
    for again in [&["--swap"][..], &[]] {
        for table in &tables {
            let mut args = vec!["resync", table.as_str()];
            args.extend(again);
            replication.replay.run(&args).ok();
        }
        replication.wait_ok();
    }
    replication.sync();
    replication.assert_same();
    wait_until("all to be back", SOON, || {
        replication.on_subscriber("select count(*) from trunkline.kept_ddl") == "0"
    });
    same_lines(&before, &replication.on_subscriber(&catalog));
    for table in &tables {
        replication.replay.run(&["remove", table]).ok();
    }
    replication.assert_clean(&[]);
}
