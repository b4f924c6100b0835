//! Adding and removing tables: what is refused and why, and that nothing is left behind.

use crate::provider::{Provider, refused};

#[tokio::test]
async fn what_cannot_be_captured_is_refused_with_the_reason_and_a_way_out() {
    let p = Provider::start().await;
    p.run(
        "create view v as select 1; create materialized view m as select 1; create sequence s;
         create table nokey (id int); create table part (id int not null) partition by range (id);
         create table part1 partition of part for values from (0) to (9);
         create unlogged table u (id int primary key); create temp table tmp (id int primary key);
         create table def (id int primary key deferrable); create table nullable (id int unique);
         create table partial (id int not null); create unique index on partial (id) where id > 0;
         create table expr (id int not null); create unique index on expr ((id + 1));
         create table two (a int not null unique, b int not null unique);
         create table partu (id int not null) partition by range (id);
         create unlogged table partu1 partition of partu for values from (0) to (9)",
    )
    .await;
    for (schema, name, code, word) in [
        ("public", "v", "0A000", "view"),
        ("public", "m", "0A000", "materialized view"),
        ("public", "s", "0A000", "sequence"),
        ("public", "u_pkey", "0A000", "index"),
        ("pg_catalog", "pg_class", "0A000", "system"),
        ("pgq", "queue", "0A000", "Trunkline"),
        ("trunkline", "captured", "0A000", "Trunkline"),
        ("public", "part", "55000", "key"),
        ("public", "part1", "0A000", "a partition of public.part"),
        ("public", "partu", "0A000", "unlogged"),
        ("public", "u", "0A000", "unlogged"),
        ("pg_temp", "tmp", "0A000", "temporary"),
        ("public", "nokey", "55000", "key"),
        ("public", "def", "55000", "deferrable"),
        ("public", "nullable", "55000", "key"),
        ("public", "partial", "55000", "key"),
        ("public", "expr", "55000", "key"),
        ("public", "two", "55000", "several"),
        ("public", "nothere", "42P01", "does not exist"),
    ] {
        let (found, message, hint) = refused(
            &p.client,
            &format!("select trunkline.add_table('q', 'job', '{schema}', '{name}')"),
        )
        .await;
        assert_eq!(found, code, "{name}: {message}");
        assert!(
            message.contains(word) && message.contains(name),
            "{name}: {message}"
        );
        assert!(!hint.is_empty(), "{name}: {message}");
    }
    assert_eq!(
        refused(
            &p.client,
            "select trunkline.add_table('nothere', 'job', 'public', 'nokey')"
        )
        .await
        .0,
        "42704"
    );
    assert_eq!(
        refused(&p.client, "begin isolation level repeatable read; select trunkline.add_table('q', 'job', 'public', 'two')").await.0,
        "25001"
    );
    p.run("rollback").await;
    assert_eq!(p.ask("select count(*) from trunkline.captured").await, "0");
    assert_eq!(
        p.ask("select count(*) from pg_trigger where tgname like 'trunkline%'")
            .await,
        "0"
    );
    p.run("alter table two replica identity using index two_b_key; create table good (id int not null unique)").await;
    p.add("two").await;
    p.add("good").await;
    assert_eq!(
        p.ask(
            "select definition #>> '{columns,1,key}' from trunkline.shape order by shape_id limit 1"
        )
        .await,
        "1"
    );
    let listed = p
        .ask("select string_agg(table_name || ':' || captured || ':' || (reason is null), ' ' order by table_name)
              from trunkline.candidates('q') where table_name in ('two', 'good', 'nokey', 'part', 'queue', 'tmp')")
        .await;
    assert_eq!(
        listed,
        "good:true:true nokey:false:false part:false:false two:true:true"
    );
}

#[tokio::test]
async fn capture_is_counted_by_consumer_and_the_last_one_takes_it_away() {
    let mut p = Provider::start().await;
    p.run("create table t (id int primary key, v text)").await;
    let call = |what: &str, consumer: &str| {
        format!("select ({what}('q', '{consumer}', 'public', 't'))::text")
    };
    assert_eq!(p.ask(&call("trunkline.add_table", "a")).await, "(1,t)");
    assert_eq!(p.ask(&call("trunkline.add_table", "a")).await, "(1,f)");
    assert_eq!(p.ask(&call("trunkline.add_table", "b")).await, "(1,t)");
    assert_eq!(
        p.events().await.len(),
        2,
        "the second consumer is told the shape, too"
    );
    assert_eq!(p.ask(&call("trunkline.remove_table", "a")).await, "true");
    assert_eq!(p.ask(&call("trunkline.remove_table", "a")).await, "false");
    p.run("insert into t values (1, 'still captured')").await;
    p.check("one consumer left").await;
    assert_eq!(p.ask(&call("trunkline.remove_table", "b")).await, "true");
    let left = "select (select count(*) from pg_trigger where tgname like 'trunkline%')
        + (select count(*) from pg_proc where proname like 'capture\\_%\\_insert') + (select count(*) from trunkline.captured)";
    assert_eq!(p.ask(left).await, "0");
    p.run("insert into t values (2, 'not captured')").await;
    // The shape in between says that capture was ended.
    assert_eq!(p.ask(&call("trunkline.add_table", "c")).await, "(3,t)");
    p.run("drop table t").await;
    assert_eq!(
        p.ask(&call("trunkline.remove_table", "c")).await,
        "true",
        "also when the table is gone"
    );
    assert_eq!(p.ask(left).await, "0");
}

#[tokio::test]
async fn adding_needs_the_callers_own_rights_and_those_of_the_functions_owner() {
    let p = Provider::start().await;
    p.run(
        "create role dba login in role pgq_admin; create table t (id int primary key); create table r (id int primary key);
         create sequence s; grant usage on schema public to dba",
    )
    .await;
    let dba = p.cluster.connect("p").await;
    dba.batch_execute("set session authorization dba")
        .await
        .unwrap();
    let add = "select trunkline.add_table('q', 'job', 'public', 't')";
    let (code, message, hint) = refused(&dba, add).await;
    assert_eq!(
        (code.as_str(), hint.as_str()),
        ("42501", "GRANT SELECT, TRIGGER ON public.t TO dba."),
        "{message}"
    );
    assert_eq!(
        refused(
            &dba,
            "select trunkline.add_sequence('q', 'job', 'public', 's')"
        )
        .await
        .0,
        "42501"
    );
    p.run("grant select, trigger on t to dba").await;
    dba.batch_execute(add).await.unwrap();
    dba.batch_execute("select trunkline.remove_table('q', 'job', 'public', 't')")
        .await
        .unwrap();
    assert_eq!(
        p.ask("select count(*) from pg_trigger where tgrelid = 't'::regclass")
            .await,
        "0"
    );
}

#[tokio::test]
async fn adding_waits_for_writers_no_longer_than_lock_timeout() {
    let p = Provider::start().await;
    p.run("create table t (id int primary key)").await;
    let writer = p.cluster.connect("p").await;
    writer
        .batch_execute("begin; insert into t values (1)")
        .await
        .unwrap();
    p.run("set lock_timeout = '200 ms'").await;
    assert_eq!(
        refused(
            &p.client,
            "select trunkline.add_table('q', 'job', 'public', 't')"
        )
        .await
        .0,
        "55P03"
    );
    writer.batch_execute("commit").await.unwrap();
    p.add("t").await;
}

#[tokio::test]
async fn a_queue_with_captured_tables_cannot_be_dropped_under_the_writers() {
    let p = Provider::start().await;
    p.run("create table t (id int primary key)").await;
    p.add("t").await;
    refused(&p.client, "select pgq.drop_queue('q', true)").await;
    p.run("insert into t values (1)").await;
}

#[tokio::test]
async fn a_dropped_queue_leaves_nothing_of_capture_behind() {
    let p = Provider::start().await;
    p.run("create table t (id int primary key); create table u (id int primary key); select pgq.create_queue('stays')")
        .await;
    let made = "select string_agg(p.proname || ' ' || q.queue_name, ', ' order by p.proname) from pg_proc p \
                left join pgq.queue q on p.proname ~ ('_' || q.queue_id || '$') \
                where p.pronamespace = 'trunkline'::regnamespace and p.proname ~ '_[0-9]+$'";
    p.run("select trunkline.add_table('stays', 'job', 'public', 'u')")
        .await;
    let stays = p.ask(made).await;
    assert!(stays.contains("put_"), "{stays}");
    p.add("t").await;
    p.run("insert into t values (1); select trunkline.remove_table('q', 'job', 'public', 't')")
        .await;
    assert_ne!(p.ask(made).await, stays);
    p.run("select pgq.drop_queue('q', true)").await;
    assert_eq!(p.ask(made).await, stays);
    p.run("insert into u values (2)").await;
}

#[tokio::test]
async fn a_table_that_an_older_replay_writes_is_refused_naming_the_job() {
    let p = Provider::start().await;
    p.run(
        "create table t (id int primary key);
         create table trunkline.table_state (consumer text, schema_name text, table_name text);
         insert into trunkline.table_state values ('other-job', 'public', 't')",
    )
    .await;
    let (code, message, _) = refused(
        &p.client,
        "select trunkline.add_table('q', 'job', 'public', 't')",
    )
    .await;
    assert_eq!(code, "55000");
    assert!(message.contains("other-job"), "{message}");
    // Nor does it disturb the ticker's upkeep.
    p.run("select trunkline.upkeep(); select pgq.ticker('q')")
        .await;
}
