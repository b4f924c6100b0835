//! Row triggers: the same events as statement triggers for small statements, as right when statements are nested, and
//! the change between the two.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use sql::install::{Component, install};
use tests::{Cluster, ask};

use crate::provider::{Provider, refused, said, server};

#[tokio::test]
async fn rows_log_what_statements_log_and_nested_ones_end_in_what_the_table_holds() {
    let cluster = Arc::new(Cluster::builder(&server()).start());
    let mut p = Provider::in_db(&cluster, "p").await;
    one_row_is_the_same_event(&mut p).await;
    proofs_of_live_rows_hold(&mut p).await;
    code_of_the_owner_does_not_run(&mut p).await;
    tables_whose_rows_could_not_be_as_right_keep_statements(&mut p).await;
    auto_goes_by_what_transactions_write(&mut p).await;
    the_form_follows_the_event_triggers(p).await;
    let p = Provider::in_db(&cluster, "o").await.owned().await;
    p.run("create table t (id int primary key)").await;
    p.add("t").await;
    let kept = p.choose("t", "rows").await;
    assert_eq!(kept, "statements: no event triggers follow its changes");
}

async fn one_row_is_the_same_event(p: &mut Provider) {
    p.run("create table same (id int primary key, v text, n numeric)")
        .await;
    p.add("same").await;
    let mut logged = Vec::new();
    for form in ["statements", "rows"] {
        assert_eq!(p.choose("same", form).await, format!("{form}: chosen"));
        // Each session's first statements go the long way.
        p.run("insert into same values (0); delete from same").await;
        p.events().await;
        p.run("insert into same values (1, 'a \"b\" \\ (c),', 1.50)")
            .await;
        p.run("update same set v = null, n = n * 2 where id = 1")
            .await;
        p.run("update same set v = repeat('long', 3000) where id = 1")
            .await;
        p.run("update same set v = '' where id = 7").await;
        p.run("delete from same where id = 1").await;
        p.run("truncate same").await;
        logged.push(p.events().await);
    }
    assert_eq!(logged[0], logged[1]);
    assert_eq!(logged[1].len(), 5, "{logged:?}");
    let sets = [
        "insert into same select i, 'x', i from generate_series(1, 300) i",
        "update same set v = v || 'y' where id > 100",
        "delete from same where id > 200",
        "update same set id = id - 1",
        "update same set id = -id where id in (2, 5)",
    ];
    p.steps(&sets).await;
    let altered = [
        "alter table same drop n; insert into same values (500, 'dropped')",
        "alter table same add m int default 7; update same set v = 'new' where id < 5; delete from same where id = 5",
        "alter table same alter m type text using m || '!'; update same set m = 'x' where id = 6",
    ];
    p.steps(&altered).await;
    if p.version() >= 12 {
        let generated = "alter table same add g int generated always as (id * 2) stored; update same set v = 'g' where id < 9";
        p.steps(&[generated]).await;
    }
}

/// Where a version, or an old key, is not what the trigger was called with.
async fn proofs_of_live_rows_hold(p: &mut Provider) {
    p.run(
        "create table k (id int primary key, v int);
         create function ins(i int) returns int language plpgsql as $$ begin
            insert into k values (i, 100); return i; end $$;
         create function forget(i int) returns int language plpgsql as $$ begin
            insert into k values (i, 200); reset all; delete from k where id = i + 1000; return i; end $$;
         create function back() returns trigger language plpgsql as $$ begin
            insert into k values (old.id, 300); return null; end $$;
         insert into k select i, 0 from generate_series(1, 40) i",
    )
    .await;
    p.run("create table kept as table k; delete from k").await;
    p.add("k").await;
    p.choose("k", "rows").await;
    let steps = [
        "insert into k table kept",
        "delete from k where id = 1 returning ins(1)",
        "delete from k where id in (2, 3, 4) returning ins(7 - id - 1)",
        "delete from k where id in (6, 7) returning forget(id)",
        "with d as (delete from k where id between 8 and 12 returning *) insert into k select id, v + 1 from d",
        "with d as (delete from k where id = 13 returning *) insert into k select id + 100, v from d",
        "begin; select * from k for update; update k set v = v + 1; delete from k where id > 30; commit",
        "begin; savepoint a; update k set v = 9 where id = 20; rollback to a; update k set v = 10 where id = 20; commit",
        "create trigger a_back after delete on k for each row execute procedure back()",
        "delete from k where id = 21",
        "delete from k where id between 22 and 25",
        "insert into k values (21, 5) on conflict (id) do update set v = excluded.v",
        "drop trigger a_back on k",
        "discard all",
        "delete from k where id = 21",
        "begin isolation level serializable; update k set v = -1 where id < 20; delete from k where id = 20; commit",
    ];
    p.check_claims = false;
    p.steps(&steps[..2]).await;
    // A key that is there again fails.
    let _ = p.client.batch_execute(steps[2]).await;
    p.check(steps[2]).await;
    p.steps(&steps[3..]).await;
    p.check_claims = true;
    // A row that another session refers to is locked when it is written, and lies there as it was written.
    p.run("create table child (id int primary key, up int references k); insert into child values (1, 19)")
        .await;
    let other = p.another().await;
    other
        .batch_execute("begin; insert into child values (2, 18)")
        .await
        .unwrap();
    p.steps(&["update k set v = 77 where id = 18"]).await;
    other.batch_execute("commit").await.unwrap();
    p.events().await;
    p.run("update k set v = 78 where id = 18").await;
    assert_eq!(p.events().await, said(&[("update", "(18,78)")]));
}

/// A cast of the row's type is its owner's, and capture runs as a superuser.
async fn code_of_the_owner_does_not_run(p: &mut Provider) {
    p.run(
        "create role mallory login; create table theft (id int primary key, record_out text, textin text);
         alter table theft owner to mallory; create table ran (who text); grant insert on ran to public",
    )
    .await;
    p.add("theft").await;
    p.choose("theft", "rows").await;
    p.run("grant create on schema public to mallory").await;
    let mallory = p.cluster.connect("p").await;
    mallory
        .batch_execute(
            "set session authorization mallory;
             create function thief(theft) returns text language plpgsql as $$ begin
                insert into public.ran values (current_user); return '(stolen)'; end $$;
             create cast (theft as text) with function thief(theft) as implicit;
             insert into theft values (1, 'r', 't'); update theft set record_out = 's'",
        )
        .await
        .unwrap();
    p.check("mallory").await;
    assert_eq!(p.ask("select count(*) from ran").await, "0");
}

async fn tables_whose_rows_could_not_be_as_right_keep_statements(p: &mut Provider) {
    p.run(
        "create table parts (id int not null, v int) partition by range (id);
         create table parts_1 partition of parts (primary key (id)) for values from (0) to (10);
         create table bag (v int); create table up (id int primary key); create table down (primary key (id)) inherits (up)",
    )
    .await;
    p.add_by("parts", "key", Some(&["id"])).await;
    p.add_by("bag", "full", None).await;
    p.add("up").await;
    for (table, why) in [
        ("parts", "statements: it is partitioned"),
        ("bag", "statements: its identity is full"),
        ("up", "tree: it is part of an inheritance tree"),
    ] {
        assert_eq!(p.choose(table, "rows").await, why);
    }
    p.steps(&[
        "insert into parts values (1, 1); insert into bag values (1); insert into up values (1)",
    ])
    .await;
    for (wrong, state) in [
        ("'q', 'public', 'up', 'row'", "22023"),
        ("'q', 'public', 'up', null", "22023"),
        ("'q', 'public', 'nobodys', 'rows'", "42P01"),
        ("'r', 'public', 'up', 'rows'", "42P01"),
    ] {
        let ask = format!("select trunkline.choose_form({wrong})");
        assert_eq!(refused(&p.client, &ask).await.0, state, "{wrong}");
    }
    p.run("drop table down").await;
    assert_eq!(p.choose("up", "rows").await, "rows: chosen");
    p.run("create table down (primary key (id)) inherits (up)")
        .await;
    p.steps(&["insert into up values (2); update up set id = 3 where id = 2"])
        .await;
    assert_eq!(
        p.ask("select plan ->> 'form' from trunkline.captured where table_name = 'up'")
            .await,
        "tree"
    );
}

async fn the_form_follows_the_event_triggers(p: Provider) {
    let mut p = p.without_event_triggers().await;
    let form = "select plan ->> 'form' from trunkline.captured where table_name = 'same'";
    let write = [
        "insert into same (id) values (900)",
        "delete from same where id = 900",
    ];
    p.steps(&write).await;
    p.upkeep().await;
    assert_eq!(p.ask(form).await, "statements");
    p.steps(&write).await;
    // An install makes the event triggers and the functions anew, and leaves the tables' triggers as they are.
    p.run("update trunkline.component set digest = 'older' where name = 'provider'")
        .await;
    let mut installer = p.another().await;
    install(&mut installer, &[Component::Pgq, Component::Provider])
        .await
        .expect("install");
    assert_eq!(p.ask(form).await, "statements");
    p.steps(&write).await;
    p.upkeep().await;
    assert_eq!(p.ask(form).await, "rows");
    p.steps(&write).await;
}

async fn auto_goes_by_what_transactions_write(p: &mut Provider) {
    let form = "select (plan ->> 'form') || ': ' || (plan ->> 'why') from trunkline.captured where table_name = 'small'";
    p.run("create table small (id int primary key, v text); create table large (id int primary key, v text);
         create table locked (id int primary key, v text)")
        .await;
    p.add("small").await;
    p.add("large").await;
    p.add("locked").await;
    for table in ["small", "large"] {
        p.choose(table, "auto").await;
    }
    let not_yet = "statements: its transactions write many rows, or it is not known yet";
    assert_eq!(p.ask(form).await, not_yet);
    p.run("insert into large select i, 'x' from generate_series(1, 2000) i")
        .await;
    for i in 0..999 {
        p.run(&format!("insert into small values ({i}, ')')")).await;
    }
    p.upkeep().await;
    assert_eq!(p.ask(form).await, not_yet, "999 rows are too few");
    p.run("insert into small values (999, 'b')").await;
    let done = p.upkeep().await;
    assert!(done.contains("small is captured by rows"), "{done}");
    assert_eq!(p.ask(form).await, "rows: its transactions write few rows");
    p.steps(&[
        "update small set v = 'c' where id = 5",
        "delete from small where id = 6",
    ])
    .await;
    assert!(!p.upkeep().await.contains("captured"), "it stays");
    // A row that is locked before it is changed is read, so statements are better.
    p.choose("locked", "auto").await;
    for i in 0..1000 {
        p.run(&format!("insert into locked values ({i}, 'x')"))
            .await;
    }
    let done = p.upkeep().await;
    assert!(done.contains("locked is captured by rows"), "{done}");
    for _ in 0..16 {
        p.run("begin; select from locked where id < 20 for update; update locked set v = 'y' where id < 20; commit")
            .await;
    }
    let done = p.upkeep().await;
    assert!(done.contains("locked is captured by statements"), "{done}");
    for i in 0..1000 {
        p.run(&format!("update locked set v = 'z' where id = {i}"))
            .await;
    }
    let done = p.upkeep().await;
    assert!(!done.contains("captured"), "for good: {done}");
    p.check("locked").await;
    // Nobody waits behind a change that waits.
    let other = p.another().await;
    other
        .batch_execute("begin; insert into small select i, 'x' from generate_series(2001, 2101) i")
        .await
        .unwrap();
    assert!(!p.upkeep().await.contains("captured"));
    other
        .batch_execute("commit; begin; select from small")
        .await
        .unwrap();
    assert!(!p.upkeep().await.contains("captured"), "it is locked");
    other.batch_execute("commit").await.unwrap();
    let done = p.upkeep().await;
    assert!(done.contains("small is captured by statements"), "{done}");
    p.steps(&["update small set v = 'd'"]).await;
    let large = "select plan ->> 'form' from trunkline.captured where table_name = 'large'";
    assert_eq!(p.ask(large).await, "statements");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_of_form_under_load_loses_no_row() {
    let mut p = Provider::start().await;
    p.run("create table t (id int primary key, v int); create table audit (id serial primary key, t int)")
        .await;
    p.run(
        "create function note() returns trigger language plpgsql as $$ begin
            insert into audit (t) values (new.id); return null; end $$;
         create trigger note after update on t for each row execute procedure note()",
    )
    .await;
    p.add("t").await;
    p.add("audit").await;
    p.check_claims = false;
    let ends = Arc::new(AtomicBool::new(false));
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..3 {
        let (client, ends) = (p.another().await, Arc::clone(&ends));
        writers.spawn(async move {
            let mut rounds = 0;
            while !ends.load(Ordering::Relaxed) {
                let (low, one) = (writer * 1000, writer * 1000 + rounds % 50);
                let sql = match rounds % 4 {
                    0 => format!("insert into t select i, 0 from generate_series({low}, {low} + 49) i on conflict do nothing"),
                    1 => format!("begin; update t set v = v + 1 where id = {one}; update t set v = -1 where id = {one} + 1; commit"),
                    2 => format!("delete from t where id = {one}; insert into t values ({one}, {rounds}) on conflict do nothing"),
                    _ => format!("update t set v = {rounds} where id between {low} and {low} + 9"),
                };
                client.batch_execute(&sql).await.expect("write");
                rounds += 1;
            }
            rounds
        });
    }
    p.run("set lock_timeout = '1s'").await;
    for change in 0..12 {
        let form = ["rows", "statements"][change % 2];
        for table in ["t", "audit"] {
            let choose =
                format!("select trunkline.choose_form('q', 'public', '{table}', '{form}')");
            // Several writers may keep it waiting too long, or get in a deadlock with it: then again.
            while p.client.batch_execute(&choose).await.is_err() {}
        }
        p.check("while others write").await;
    }
    ends.store(true, Ordering::Relaxed);
    let mut rounds = 0;
    while let Some(done) = writers.join_next().await {
        rounds += done.unwrap();
    }
    assert!(rounds > 100, "{rounds} rounds");
    p.check("the end").await;
    let count = ask(&p.client, "select count(*) from t").await;
    assert_ne!(count, "0");
}
