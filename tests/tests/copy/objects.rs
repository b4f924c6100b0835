//! What is no table, what a table may stand under, and what is not replicated (OB-01 to OB-05).

use tests::Replication;

#[test]
fn ob_04_what_is_no_table_of_the_users_is_refused_by_what_it_is() {
    let replication = Replication::builder().make();
    replication.everywhere(
        "create table t (id int primary key); create view v as select * from t; \
         create materialized view m as select * from t; create sequence s; create type c as (a int); \
         create extension file_fdw; create server files foreign data wrapper file_fdw; \
         create foreign table f (a int) server files options (filename '/dev/null')",
    );
    replication.start();
    for (name, why) in [
        ("v", "is a view"),
        ("m", "is a materialized view"),
        ("f", "is a foreign table"),
        ("s", "use add-seq"),
        ("c", "is no table"),
        ("t_pkey", "is an index"),
        ("pg_catalog.pg_class", "is a system table"),
        ("pgq.queue", "belongs to Trunkline"),
        ("nothing", "does not exist on the provider"),
    ] {
        replication
            .replay
            .run(&["add", name])
            .code(3)
            .says(&[&format!(".{}", name.rsplit('.').next().unwrap()), why]);
    }
    replication.replay.run(&["add", "--all"]).ok();
    replication.wait_ok();
    assert_eq!(replication.tables().len(), 1, "{:?}", replication.tables());
    replication.assert_clean(&[]);
}

#[test]
fn ob_05_a_table_of_an_extension_is_refused_by_the_extension_s_name() {
    let replication = Replication::builder().make();
    replication.everywhere(
        "create table t (id int primary key); create table of_extension (id int primary key); \
         create extension citext; alter extension citext add table of_extension",
    );
    replication.start();
    replication
        .replay
        .run(&["add", "of_extension"])
        .code(3)
        .says(&["public.of_extension", "belongs to the extension citext"]);
    replication.replay.run(&["add", "--all"]).ok();
    replication.wait_ok();
    assert_eq!(replication.tables().len(), 1, "{:?}", replication.tables());
    // One that leaves its extension is a table like any other.
    replication.everywhere("alter extension citext drop table of_extension");
    replication.replay.run(&["add", "of_extension"]).ok();
    replication.wait_ok();
    replication.on_provider("insert into of_extension values (1)");
    replication.assert_followed(&[]);
}

#[test]
fn ob_01_temporary_and_unlogged_tables_are_left_alone_and_their_writers_too() {
    let replication = Replication::running("create table t (id int primary key, v text)");
    replication.everywhere("create unlogged table u (id int primary key)");
    replication
        .replay
        .run(&["add", "u"])
        .code(3)
        .says(&["is unlogged"]);
    // Under the name of a replicated table, and within a transaction that writes to that one.
    replication.on_provider(
        "create temp table t (id int); insert into t values (1), (2); \
         begin; insert into public.t values (1, 'seen'); update t set id = 3; truncate t; \
         create temp table only_here on commit drop as select * from public.t; commit; \
         insert into u values (1); drop table t; insert into t values (2, 'seen too')",
    );
    replication.sync();
    assert_eq!(
        replication.on_subscriber("select string_agg(id::text, ' ' order by id) from t"),
        "1 2"
    );
    // A replicated table that becomes unlogged is empty after a crash without an event: it is not missed.
    replication.provider.kill9();
    replication.provider.start_again();
    replication.on_provider("insert into t values (3, 'after')");
    replication.assert_followed(&[
        "ticking waits",
        "subscriber waits",
        "table tasks wait",
        "WARN",
    ]);
}

#[test]
fn ob_02_numbers_of_large_objects_are_numbers_and_that_is_said() {
    let replication = Replication::builder().make();
    replication.everywhere(
        "create extension lo; create table t (id int primary key, picture oid, \"other one\" lo, n int)",
    );
    replication.start();
    let added = replication.replay.run(&["add", "t", "--wait", "120"]).ok();
    added.says(&[
        "picture holds numbers of large objects",
        "\"other one\" holds numbers of large objects",
    ]);
    replication.on_provider("insert into t values (1, lo_create(0), lo_create(0), 7)");
    replication.assert_followed(&[]);
    assert_eq!(
        replication.on_subscriber("select count(*) from pg_largeobject_metadata"),
        "0"
    );
}

#[test]
fn ob_03_what_is_written_through_views_and_rules_comes_once() {
    let replication = Replication::running(
        "create table t (id int primary key, v text); create table noted (id int primary key); \
         create view plain as select * from t; \
         create view instead as select id, v from t; \
         create function put() returns trigger language plpgsql as $$ begin \
             if tg_op = 'DELETE' then delete from t where id = old.id; return old; end if; \
             insert into t values (new.id, new.v) on conflict (id) do update set v = excluded.v; return new; end $$; \
         create trigger put instead of insert or update or delete on instead for each row execute function put(); \
         create view ruled as select * from t; \
         create rule in_stead as on insert to ruled do instead insert into t values (new.id, 'by rule'); \
         create rule also as on delete to t do also insert into noted values (old.id)",
    );
    for sql in [
        "insert into plain values (1, 'a'), (2, 'b'); update plain set v = 'c' where id = 1",
        "insert into instead select i, 'd' from generate_series(3, 6) i; update instead set v = 'e' where id = 4; \
         delete from instead where id = 5",
        "insert into ruled values (10, 'x'), (11, 'y')",
        "delete from t where id = 6",
    ] {
        replication.on_provider(sql);
    }
    replication.assert_followed(&[]);
    replication.assert_no_conflicts();
    assert_eq!(
        replication.on_subscriber("select count(*) from noted"),
        "2",
        "what a rule wrote on the provider, and nothing of its own"
    );
}
