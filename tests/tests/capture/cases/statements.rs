//! CN, PK: what statements of every shape log, on every version.

use crate::provider::{Provider, refused, said};

crate::cases::cases! {
    cn_01_values_that_change_places_in_one_statement
    cn_04_on_conflict_logs_the_rows_that_were_changed_and_no_others
    cn_05_merge
    cn_06_writing_ctes_also_of_tables_that_refer_to_each_other
    cn_07_copy_in_every_form_and_one_that_fails_leaves_nothing
    cn_08_an_exclusion_constraint_that_is_checked_at_commit
    cn_10_updates_that_change_nothing_are_told_and_those_of_no_row_are_not
    pk_01_keys_that_change_all_at_once
    pk_02_keys_that_change_places_over_a_third
    dd_06_generated_and_identity_columns
    nm_05_nm_06_other_schemas_and_twins
}

async fn cn_01_values_that_change_places_in_one_statement(mut p: Provider) {
    p.run("create table t (id int primary key, u int unique deferrable initially immediate)")
        .await;
    p.add("t").await;
    p.steps(&[
        "insert into t values (1, 1), (2, 2)",
        "update t set u = 3 - u",
        "begin; set constraints all deferred; update t set u = 1; update t set u = id; commit",
    ])
    .await;
}

async fn cn_04_on_conflict_logs_the_rows_that_were_changed_and_no_others(mut p: Provider) {
    p.run(
        "create table t (id int primary key, v text);
         create function seen() returns trigger language plpgsql as 'begin new.v := new.v || ''s''; return new; end';
         create trigger seen before insert on t for each row execute procedure seen()",
    )
    .await;
    p.add("t").await;
    p.run("insert into t select i, 'v' from generate_series(1, 500) i")
        .await;
    p.check("before").await;
    p.run("insert into t select i, 'n' from generate_series(1, 1000) i on conflict (id) do update set v = t.v || 'met'")
        .await;
    let rows: usize = p
        .events()
        .await
        .iter()
        .map(|(_, block)| block.lines().count())
        .sum();
    assert_eq!(rows, 1000, "each row once, though the trigger saw 1,500");
    p.check("do update").await;
    for nothing in [
        "insert into t select i, 'never' from generate_series(1, 1000) i on conflict do nothing",
        "insert into t values (1, 'x') on conflict (id) do update set v = 'never' where t.id > 5",
    ] {
        p.run(nothing).await;
        assert_eq!(p.events().await, [], "{nothing}");
    }
}

async fn cn_05_merge(mut p: Provider) {
    // It came with 15.
    if p.version() < 15 {
        return;
    }
    p.run("create table t (id int primary key, v text)").await;
    p.add("t").await;
    p.steps(&[
        "insert into t select i, 'v' from generate_series(1, 1000) i",
        "merge into t using generate_series(900, 1100) g on t.id = g when matched and g % 3 = 0 then delete
         when matched and g % 3 = 1 then update set v = 'merged', id = t.id + 5000 when matched then do nothing
         when not matched and g % 2 = 0 then insert values (g, 'merged') when not matched then do nothing",
        "merge into t using (values (1)) s (id) on t.id = s.id when matched then do nothing",
    ])
    .await;
    if p.version() >= 17 {
        p.steps(&["merge into t using generate_series(1, 100) g on t.id = g when matched then update set v = 'both'
             when not matched by source and t.id % 2 = 0 then delete when not matched by source then update set v = 'left'"])
            .await;
        assert_eq!(
            p.ask("select count(*) from t where v = 'both'").await,
            "100"
        );
    }
}

async fn cn_06_writing_ctes_also_of_tables_that_refer_to_each_other(mut p: Provider) {
    p.run(
        "create table t (id int primary key, v text); create table arch (like t including all);
         create table parent (id int primary key);
         create table child (id int primary key, p int references parent on delete cascade deferrable initially deferred)",
    )
    .await;
    for table in ["t", "arch", "parent", "child"] {
        p.add(table).await;
    }
    p.steps(&[
        "insert into t select i, 'v' from generate_series(1, 300) i",
        "with d as (delete from t where id < 100 returning *) insert into arch select * from d",
        "with p as (insert into parent values (100) returning id),
              c as (insert into child values (1, 100) returning id) select count(*) from p, c",
        "with d as (delete from parent returning id) insert into parent select id + 1 from d",
        "with u as (update t set v = 'u' where id = 200 returning *), i as (insert into arch select * from u returning *)
         delete from t where id in (select id - 1 from u)",
    ])
    .await;
    assert_eq!(p.ask("select count(*) from child").await, "0");
}

async fn cn_07_copy_in_every_form_and_one_that_fails_leaves_nothing(mut p: Provider) {
    p.run("create table t (id int primary key, v text); create table source (like t)")
        .await;
    p.add("t").await;
    let rows = if tests::full() { 100_000 } else { 20_000 };
    p.run(&format!(
        "insert into source select i, E'a\\tb\\\\n' || i from generate_series(1, {rows}) i"
    ))
    .await;
    let file = p.cluster.data().join("copied");
    let file = file.display();
    p.steps(&[
        &format!("copy source to '{file}'; copy t from '{file}'"),
        "truncate t",
        &format!("copy source to '{file}' (format binary); copy t from '{file}' (format binary)"),
        &format!("begin; truncate t; copy t from '{file}' (format binary, freeze); commit"),
    ])
    .await;
    assert_eq!(p.mirrored("t").len(), rows);
    p.run("delete from t where id > 10").await;
    p.check("deleted").await;
    // The last row but one is no row: nothing of it is told.
    p.run(&format!("update source set id = 1 where id = {rows} - 1"))
        .await;
    p.run(&format!(
        "copy (select * from source where id > 10 or id = 1 order by (id = 1), id) to '{file}'"
    ))
    .await;
    let (code, ..) = refused(&p.client, &format!("copy t from '{file}'")).await;
    assert_eq!(code, "23505");
    assert_eq!(p.events().await, []);
    p.check("failed").await;
}

async fn cn_08_an_exclusion_constraint_that_is_checked_at_commit(mut p: Provider) {
    p.run(
        "create extension btree_gist;
         create table booked (id int primary key, room int, during int4range,
            exclude using gist (room with =, during with &&) deferrable)",
    )
    .await;
    p.add("booked").await;
    p.steps(&[
        "insert into booked values (1, 1, '[1,5)'), (2, 1, '[10,20)')",
        "begin; set constraints all deferred; update booked set during = '[10,20)' where id = 1;
         update booked set during = '[1,5)' where id = 2; commit",
    ])
    .await;
    let clash = "begin; set constraints all deferred; update booked set during = '[1,20)'; commit";
    assert_eq!(refused(&p.client, clash).await.0, "23P01");
    assert_eq!(p.events().await, []);
}

async fn cn_10_updates_that_change_nothing_are_told_and_those_of_no_row_are_not(mut p: Provider) {
    p.run("create table t (id int primary key, v text)").await;
    p.add("t").await;
    p.run("insert into t select i, 'v' from generate_series(1, 1000) i")
        .await;
    p.events().await;
    p.run("update t set v = v").await;
    let events = p.events().await;
    // 1,000 rows in blocks of up to 200.
    assert!((5..=6).contains(&events.len()), "{}", events.len());
    assert!(events.iter().all(|(kind, _)| kind == "update"));
    for nothing in [
        "update t set v = 'x' where false",
        "delete from t where id = -1",
    ] {
        p.run(nothing).await;
        assert_eq!(p.events().await, [], "{nothing}");
    }
    p.check("all").await;
}

async fn pk_01_keys_that_change_all_at_once(mut p: Provider) {
    p.run("create table t (id int primary key, v text); create table pairs (a int, b text, v int, primary key (b, a))")
        .await;
    p.add("t").await;
    p.add("pairs").await;
    p.run("insert into t values (1, 'x')").await;
    p.events().await;
    p.run("update t set id = 2").await;
    assert_eq!(
        p.events().await,
        said(&[("delete", "(1)"), ("insert", "(2,x)")])
    );
    p.steps(&[
        "insert into t select i, 'v' from generate_series(3, 600) i",
        "update t set id = -id",
        "update t set id = -id where id % 2 = 0",
        "insert into pairs select i, 'b' || i % 7, i from generate_series(1, 500) i",
        "update pairs set a = v + 1",
        "update pairs set a = v, b = 'all'",
        "update pairs set b = b || a % 3 where v > 250",
    ])
    .await;
}

async fn pk_02_keys_that_change_places_over_a_third(mut p: Provider) {
    p.run("create table t (id int primary key, v text)").await;
    p.add("t").await;
    p.run("insert into t values (1, 'one'), (2, 'two')").await;
    // Each statement a message, so that each logs what it did.
    for statement in [
        "begin",
        "update t set id = 0 where id = 1",
        "update t set id = 1 where id = 2",
        "update t set id = 2 where id = 0",
        "commit",
    ] {
        p.run(statement).await;
    }
    p.check("three messages").await;
    p.steps(&["begin; update t set id = 0 where id = 1; update t set id = 1 where id = 2; update t set id = 2 where id = 0; commit"])
        .await;
    assert_eq!(
        p.ask("select string_agg(v, ' ' order by id) from t").await,
        "one two"
    );
}

async fn dd_06_generated_and_identity_columns(mut p: Provider) {
    let version = p.version();
    p.run("create table t (id int generated always as identity primary key, n int generated by default as identity (start 100), v text)")
        .await;
    if version >= 12 {
        p.run("alter table t add s text generated always as ('s' || v) stored")
            .await;
    }
    if version >= 18 {
        p.run("alter table t add w int generated always as (n * 2) virtual")
            .await;
    }
    p.add("t").await;
    p.events().await;
    p.run("insert into t (v) values ('a')").await;
    assert_eq!(
        p.events().await,
        said(&[("insert", "(1,100,a)")]),
        "without the generated ones"
    );
    p.steps(&[
        "insert into t (id, v) overriding system value values (50, 'b'), (51, 'c')",
        "update t set v = v || 'x', n = n + 1",
        "update t set id = default where id = 50",
        "delete from t where id = 51",
    ])
    .await;
    if version >= 13 {
        p.run("alter table t alter s drop expression; update t set s = 'now ordinary'")
            .await;
        p.check_claims = false;
        p.check("ordinary").await;
        assert!(
            p.events().await.is_empty()
                && p.mirrored("t")
                    .values()
                    .all(|row| row.ends_with(b"\"now ordinary\""))
        );
    }
}

async fn nm_05_nm_06_other_schemas_and_twins(mut p: Provider) {
    p.run("drop schema public; create schema \"Schema.name\"; create schema \"b c\"")
        .await;
    let tables = [
        "\"Schema.name\".\"user\"",
        "\"b c\".\"user\"",
        "\"b c\".t",
        "\"b c\".\"T\"",
        "\"b c\".\"\u{e4}\"",
        "\"b c\".\"a\u{308}\"",
    ];
    for table in tables {
        p.run(&format!("create table {table} (a int primary key, v text)"))
            .await;
        p.add(table).await;
    }
    for (number, table) in tables.into_iter().enumerate() {
        p.steps(&[
            &format!("insert into {table} values ({number}, '{number}'), (100, 'x')"),
            &format!("update {table} set a = a + 1 where a < 100"),
            &format!("delete from {table} where a = 100"),
        ])
        .await;
        assert_eq!(p.mirrored(table).len(), 1, "{table}");
    }
    p.run(&format!("truncate {}", tables[2])).await;
    p.check("truncated").await;
    assert_eq!(
        p.mirrored(tables[3]).len(),
        1,
        "its twin by case is not emptied"
    );
}
