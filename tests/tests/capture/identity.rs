//! How the rows of a table are told apart: which key, columns of the operator's, all columns, or not at all.

use sql::event::Mark;
use tests::vectors::NAMES;

use crate::provider::{Provider, refused, said};

crate::cases::cases! {
    pk_03_include_columns_are_no_key
    pk_05_ty_20_full_identity_counts_equal_rows
    pk_04_insert_only_counts_what_it_leaves_out
    pk_08_the_key_is_a_unique_index_that_is_enforced_at_once_on_columns_that_are_never_null
    pk_09_a_key_dropped_under_traffic_is_a_problem_and_no_error
    cn_11_unique_indexes_that_take_null_for_a_value_are_keys_of_not_null_columns_alone
    cn_12_a_key_without_overlaps_is_refused_and_the_table_taken_by_all_columns
    ty_17_ty_18_zero_columns_sixteen_hundred_columns_and_names_that_are_ours
    nm_01_nm_02_any_name_is_captured_under_its_own
}

fn add(name: &str, identity: &str) -> String {
    format!("select trunkline.add_table('q', 'job', 'public', '{name}', {identity})")
}

async fn pk_03_include_columns_are_no_key(mut p: Provider) {
    // INCLUDE came with 11.
    if p.version() < 11 {
        return;
    }
    p.run("create table t (a int, b text, primary key (a) include (b))")
        .await;
    p.add("t").await;
    p.run("insert into t values (1, 'x')").await;
    p.events().await;
    p.run("update t set b = 'y'").await;
    assert_eq!(p.events().await, said(&[("update", "(1,y)")]));
    p.run("update t set a = 2, b = 'z'").await;
    p.check("key and included column").await;
}

async fn pk_05_ty_20_full_identity_counts_equal_rows(mut p: Provider) {
    p.run("create table f (a int, b float8, c json)").await;
    assert!(
        refused(&p.client, &add("f", "null"))
            .await
            .2
            .contains("full")
    );
    p.add_by("f", "full", None).await;
    p.run("insert into f values (1, 'NaN', '{}'), (1, 'NaN', '{}'), (1, 'NaN', '{}'), (null, null, null), (null, null, null)").await;
    p.check("insert").await;
    p.run("delete from f where ctid = '(0,2)'").await;
    assert_eq!(p.events().await.len(), 1);
    p.check("one of three").await;
    p.run("delete from f where ctid = (select min(ctid) from f where a is null); update f set b = -0.0 where a is null").await;
    p.check("all NULL").await;
    p.run(
        "create function again() returns trigger language plpgsql as $f$ begin
            if pg_trigger_depth() < 3 then update f set a = a + 1 where a < 5; insert into f values (100); end if; return null; end $f$;
         create trigger again after insert or update on f for each row execute procedure again()",
    )
    .await;
    p.run("insert into f select i % 3 from generate_series(1, 7) i")
        .await;
    p.check("nested statements log in another order than they run")
        .await;
    p.run("begin; update f set c = '[1]'; savepoint s; delete from f; rollback to s; update f set b = 2 where a = 100; commit").await;
    p.check("a transaction").await;
    p.run("truncate f; insert into f values (1)").await;
    p.check("truncate").await;
}

async fn pk_04_insert_only_counts_what_it_leaves_out(mut p: Provider) {
    p.run("create table io (a int)").await;
    p.add_by("io", "insert-only", None).await;
    p.events().await;
    p.run("insert into io values (1); insert into io values (2), (2)")
        .await;
    p.check("inserts").await;
    p.run(
        "update io set a = 3 where a = 2; delete from io where a = 77; delete from io where a = 1",
    )
    .await;
    p.events().await;
    let ignored: Vec<(String, i64)> = p
        .marks
        .iter()
        .filter_map(|(_, mark)| match mark {
            Mark::Ignored { operation, rows } => Some((operation.clone(), *rows)),
            Mark::Resync { .. }
            | Mark::Emptied(_)
            | Mark::Filled { .. }
            | Mark::Digest { .. }
            | Mark::Own => None,
        })
        .collect();
    assert_eq!(
        ignored,
        [("update".to_owned(), 2), ("delete".to_owned(), 1)]
    );
}

async fn pk_08_the_key_is_a_unique_index_that_is_enforced_at_once_on_columns_that_are_never_null(
    p: Provider,
) {
    p.run(
        "create table nullable (id int unique, v int); create table partial (id int not null); create unique index on partial (id) where id > 0;
         create table expr (id int not null); create unique index on expr ((id + 1));
         create table def (id int primary key deferrable); create table good (v text, id int not null unique);
         create table bad (id int not null); insert into bad values (1), (1)",
    )
    .await;
    // A unique index that could not be built stays behind as invalid.
    refused(&p.client, "create unique index concurrently on bad (id)").await;
    for name in ["nullable", "partial", "expr", "def", "bad"] {
        assert_eq!(
            refused(&p.client, &add(name, "null")).await.0,
            "55000",
            "{name}"
        );
        assert_eq!(
            refused(&p.client, &add(name, "'key', '{id}'")).await.0,
            "55000",
            "{name} by columns"
        );
    }
    p.add("good").await;
    assert_eq!(
        p.ask("select plan #>> '{keys,0,name}' from trunkline.captured")
            .await,
        "id"
    );
}

#[tokio::test]
async fn columns_of_the_operator_s_choice_are_a_key_if_a_unique_index_is_among_them() {
    let mut p = Provider::start().await;
    p.run(
        "create table t (id int primary key, at date not null, n int, other int not null unique)",
    )
    .await;
    for (columns, word) in [
        ("{at}", "unique"),
        ("{id,n}", "NULL"),
        ("{nothere}", "column"),
    ] {
        let (_, message, _) = refused(&p.client, &add("t", &format!("'key', '{columns}'"))).await;
        assert!(message.contains(word), "{columns}: {message}");
    }
    assert_eq!(refused(&p.client, &add("t", "'luck'")).await.0, "22023");
    p.add_by("t", "key", Some(&["at", "id"])).await;
    p.run("insert into t values (1, '2024-01-01', 1, 1), (2, '2024-01-02', 2, 2)")
        .await;
    p.events().await;
    p.run("update t set at = at + 1 where id = 1").await;
    assert_eq!(
        p.events().await,
        said(&[
            ("delete", "(2024-01-01,1)"),
            ("insert", "(1,2024-01-02,1,1)")
        ])
    );
    p.run("alter table t rename id to key; update t set n = 5")
        .await;
    p.check("renamed").await;
    let second = "select trunkline.add_table('q', 'other', 'public', 't', 'full')";
    let (code, _, hint) = refused(&p.client, second).await;
    assert_eq!(code, "55000");
    assert!(hint.contains("job"), "{hint}");
    p.run("alter table t drop constraint t_pkey").await;
    assert_eq!(
        p.ask("select problem from trunkline.captured").await,
        "it has lost its key"
    );
}

async fn pk_09_a_key_dropped_under_traffic_is_a_problem_and_no_error(mut p: Provider) {
    p.run("create table t (id int primary key, v int); insert into t values (0, 0)")
        .await;
    p.run("create table keep as select * from t; truncate t")
        .await;
    p.add("t").await;
    p.run("insert into t select * from keep").await;
    let mut writers = tokio::task::JoinSet::new();
    for writer in 1..4 {
        let client = p.another().await;
        writers.spawn(async move {
            for round in 0..60 {
                let sql = format!(
                    "insert into t values ({writer}{round:03}, 0); update t set v = v + 1 where id = 0; update t set v = {round} where id = {writer}{round:03}"
                );
                client.batch_execute(&sql).await.unwrap();
            }
        });
    }
    p.run("alter table t drop constraint t_pkey").await;
    writers.join_all().await;
    p.check_claims = false;
    p.check("no update is lost").await;
    assert_eq!(p.ask("select v from t where id = 0").await, "180");
    assert_eq!(
        p.ask("select problem from trunkline.captured").await,
        "it has lost its key"
    );
}

async fn cn_11_unique_indexes_that_take_null_for_a_value_are_keys_of_not_null_columns_alone(
    mut p: Provider,
) {
    p.run("create table u (id int unique, v text)").await;
    assert_eq!(refused(&p.client, &add("u", "null")).await.0, "55000");
    // NULLS NOT DISTINCT came with 15.
    if p.version() < 15 {
        return;
    }
    p.run("create table n (id int, unique nulls not distinct (id)); create table nn (id int not null, v int, unique nulls not distinct (id))").await;
    assert_eq!(refused(&p.client, &add("n", "null")).await.0, "55000");
    p.add("nn").await;
    p.steps(&[
        "insert into nn values (1, 1), (2, 2)",
        "update nn set v = 3 where id = 1",
        "update nn set id = 5 where id = 1",
        "delete from nn where id = 2",
    ])
    .await;
}

async fn cn_12_a_key_without_overlaps_is_refused_and_the_table_taken_by_all_columns(
    mut p: Provider,
) {
    // It came with 18.
    if p.version() < 18 {
        return;
    }
    p.run(
        "create table o (room int4range, during int4range, v text, primary key (room, during without overlaps))",
    )
    .await;
    let (code, message, hint) = refused(&p.client, &add("o", "null")).await;
    assert_eq!(code, "55000");
    assert!(
        message.contains("WITHOUT OVERLAPS") && hint.contains("full"),
        "{message} {hint}"
    );
    p.add_by("o", "full", None).await;
    p.run("insert into o values ('[1,2)', '[1,5)', 'a'), ('[1,2)', '[5,9)', 'b'); update o set during = '[9,12)' where v = 'a'; delete from o where v = 'b'").await;
    p.check("periods").await;
}

async fn ty_17_ty_18_zero_columns_sixteen_hundred_columns_and_names_that_are_ours(mut p: Provider) {
    p.run("create table z ()").await;
    p.add_by("z", "full", None).await;
    p.run(
        "insert into z default values; insert into z default values; insert into z default values",
    )
    .await;
    p.run("delete from z where ctid = '(0,1)'").await;
    p.check("no columns").await;
    p.run(
        "do $$ begin execute 'create table wide (id int primary key, ' ||
            (select string_agg(format('c%s %s', i, case i % 2 when 0 then 'int' else 'text' end), ', ') from generate_series(2, 1600) i) || ')'; end $$;
         alter table wide drop c700",
    )
    .await;
    p.add("wide").await;
    p.run("insert into wide (id, c1600, c3) values (1, 5, 'x'), (2, 6, 'y'); update wide set c3 = 'z'; update wide set id = 7 where id = 1").await;
    p.check("1600 columns").await;
    // Columns with the names of our aliases, variables and settings.
    p.run(
        "create table ours (n int primary key, o int, t int, d int, b int, x int, k1 int, kind int, new int, old int, newt int, oldt int, found int,
                            v_rows int, v_mark int, tg_op int, l int, there int, g int, ctid_ int, \"trunkline\" int)",
    )
    .await;
    p.add("ours").await;
    p.run("insert into ours (n, o, t) values (1, 2, 3), (2, 3, 4); update ours set n = n + 10, new = 5; do $$ begin update ours set n = n + 20; update ours set old = 1; delete from ours where n = 32; end $$").await;
    p.check("our own names").await;
}

async fn nm_01_nm_02_any_name_is_captured_under_its_own(mut p: Provider) {
    let names: Vec<&str> = NAMES.into_iter().chain(["$alias"]).collect();
    for (i, name) in names.iter().enumerate() {
        let q = sql::name::quote_ident(name);
        p.run(&format!(
            "create schema {q}; create table {q}.{q} ({q} int, {} text, v text, primary key ({q}))",
            sql::name::quote_ident(names[(i + 1) % names.len()])
        ))
        .await;
        p.client
            .query_one(
                "select added from trunkline.add_table('q', 'job', $1, $1)",
                &[name],
            )
            .await
            .unwrap();
        p.run(&format!(
            "insert into {q}.{q} values (1, 'a'), (2, 'b'); update {q}.{q} set {q} = {q} + 10, v = 'x'; delete from {q}.{q} where {q} = 11;
             do $x$ begin update {q}.{q} set v = 'y'; update {q}.{q} set v = 'z'; end $x$"
        ))
        .await;
    }
    p.check("quoting").await;
    let (a, b) = ("ä".repeat(31), format!("{}x", "t".repeat(62)));
    let c = format!("{}y", "t".repeat(62));
    for name in [&a, &b, &c] {
        p.run(&format!(
            "create table \"{name}\" (\"{a}\" int primary key, v text)"
        ))
        .await;
        p.client
            .query_one(
                "select added from trunkline.add_table('q', 'job', 'public', $1)",
                &[name],
            )
            .await
            .unwrap();
        p.run(&format!(
            "insert into \"{name}\" values (1, '{name}'); update \"{name}\" set \"{a}\" = 2"
        ))
        .await;
    }
    p.check("63 bytes").await;
}
