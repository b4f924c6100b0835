//! TY, NM: types that extensions and users make, as values and as keys, alone and inside of other types; labels that
//! change.

use tests::vectors::HOSTILE;

use crate::provider::Provider;

crate::cases::cases! {
    ty_13_types_of_extensions_are_values_and_keys_like_any
    ty_06_ty_08_ty_09_types_within_types_are_values_and_keys
    ty_07_labels_that_change_names_are_told
    ty_07_labels_that_change_names_are_told_without_event_triggers
}

/// An extension, its type, three values as SQL that are not equal, and whether its rows can have it as a key.
const TYPES: &[(&str, &str, [&str; 3], bool)] = &[
    (
        "hstore",
        "hstore",
        [
            r#"'"a b"=>"c\"d", e=>NULL, ""=>""'"#,
            "''",
            r#"E'k=>"x\\\\y\nz"'"#,
        ],
        true,
    ),
    ("ltree", "ltree", ["'Top.Science'", "''", "'a_1.b'"], true),
    ("ltree", "lquery", ["'*.a*@%.!b|c'", "'a'", "'*'"], false),
    (
        "cube",
        "cube",
        ["'(0.1,-0),(1e-300,3)'", "'(1)'", "'()'"],
        true,
    ),
    (
        "isn",
        "isbn13",
        [
            "'978-0-11-000533-1'",
            "'9780393040029'",
            "'978-1-56619-909-4'",
        ],
        true,
    ),
    (
        "isn",
        "issn",
        ["'1436-4522'", "'0317-8471'", "'1050-124X'"],
        true,
    ),
    ("intarray", "int[]", ["'{3,1,2}'", "'{}'", "'{-1}'"], true),
    (
        "seg",
        "seg",
        ["'6.25e0 .. 6.50'", "'~6.50'", "'< 3.0'"],
        true,
    ),
    ("citext", "citext", ["'Ab'", "''", "E'c\\n\"'"], true),
    (
        "citext",
        "citext[]",
        ["'{Ab,NULL,\"\"}'", "'{}'", "'{x}'"],
        true,
    ),
    (
        "uuid-ossp",
        "uuid",
        ["uuid_nil()", "uuid_ns_dns()", "uuid_ns_url()"],
        true,
    ),
];

async fn ty_13_types_of_extensions_are_values_and_keys_like_any(mut p: Provider) {
    p.run("create schema ext; set search_path = public, ext; set client_min_messages = error")
        .await;
    for extension in [
        "hstore",
        "ltree",
        "cube",
        "isn",
        "intarray",
        "seg",
        "citext",
        "\"uuid-ossp\"",
    ] {
        p.run(&format!("create extension {extension} schema ext"))
            .await;
    }
    p.run("create extension earthdistance schema ext; grant usage on schema ext to pg_monitor")
        .await;
    p.run(HOSTILE).await;
    for (number, (_, kind, values, key)) in TYPES.iter().enumerate() {
        both(&mut p, &format!("e{number}"), kind, *values, *key).await;
    }
    // A domain over a type of an extension, which an extension made.
    let at = [
        "ll_to_earth(0, 0)",
        "ll_to_earth(60.1, 24.9)",
        "ll_to_earth(-90, 0)",
    ];
    both(&mut p, "places", "earth", at, true).await;
}

async fn ty_06_ty_08_ty_09_types_within_types_are_values_and_keys(mut p: Provider) {
    p.run(
        "create schema ext; create extension citext schema ext; grant usage on schema ext to pg_monitor; create schema \"b c\"; set search_path = public, ext, \"b c\";
         create type \"b c\".\"in\" as (n citext, at timestamptz, many numeric[]);
         create domain \"b c\".ins as \"in\"[] check (cardinality(value) < 9);
         create type words as range (subtype = citext); create type instants as range (subtype = timestamptz);
         create domain span as instants check (not isempty(value));
         create type mood as enum ('so', 'so so', 'it''s'); create domain moods as mood not null;",
    )
    .await;
    // Arrays of domains came with 11.
    if p.version() >= 11 {
        p.run("create domain spans as span[]; create type deep as (a ins, s words, m moods[])")
            .await;
    }
    p.run(HOSTILE).await;
    let one = "row('Ab', '2024-01-02 03:04:05+00', '{1.0,1.00}')::\"in\"";
    for (number, (since, kind, values, key)) in [
        (
            10,
            "\"in\"",
            [
                one,
                "row(null, null, null)::\"in\"",
                "row('', 'infinity', '{}')::\"in\"",
            ],
            true,
        ),
        (
            10,
            "ins",
            [
                &*format!("array[{one}, null]::ins"),
                "'{}'::ins",
                "array[row('x', null, null)::\"in\"]::ins",
            ],
            false,
        ),
        (
            10,
            "words",
            ["words('a', 'B')", "words(null, '\"')", "'empty'::words"],
            true,
        ),
        (
            10,
            "span",
            [
                "'[2024-01-01 00:00+02,)'::instants",
                "'(,infinity]'::instants",
                "'[2024-01-01,2024-01-02]'::instants",
            ],
            true,
        ),
        (
            11,
            "spans",
            [
                "array['[2024-01-01 00:00+02,)'::instants]::spans",
                "'{}'::spans",
                "array['(,)'::instants]::spans",
            ],
            false,
        ),
        (10, "moods", ["'so'", "'so so'", "'it''s'"], true),
        (
            11,
            "deep",
            [
                "row('{}'::ins, words('a', 'B'), array['so']::mood[]::moods[])::deep",
                "row(null, null, null)::deep",
                "row(null, 'empty', '{}')::deep",
            ],
            false,
        ),
        (
            14,
            "datemultirange",
            ["'{}'", "'{[2024-01-01,2024-02-01)}'", "'{(,)}'"],
            true,
        ),
        (
            14,
            "wordmultirange",
            [
                "'{}'",
                "wordmultirange(words('a', 'b'), words('x', null))",
                "'{(,)}'",
            ],
            true,
        ),
    ]
    .into_iter()
    .enumerate()
    {
        if p.version() < since {
            continue;
        }
        let kind = if kind == "wordmultirange" {
            "words_multirange"
        } else {
            kind
        };
        let made = values.map(|value| value.replace("wordmultirange(", "words_multirange("));
        both(
            &mut p,
            &format!("w{number}"),
            kind,
            [&made[0], &made[1], &made[2]],
            key,
        )
        .await;
    }
}

async fn ty_07_labels_that_change_names_are_told(p: Provider) {
    labels(p).await;
}

async fn ty_07_labels_that_change_names_are_told_without_event_triggers(p: Provider) {
    labels(p.without_event_triggers().await).await;
}

async fn labels(mut p: Provider) {
    p.run(
        "create type mood as enum ('sad', 'glad'); create domain moods as mood; create type pair as (a int, m mood[]);
         create table t (id int primary key, m moods, p pair, n int); create table k (m mood primary key, n int);
         create table far (id int primary key, n int)",
    )
    .await;
    p.check_claims = false;
    for table in ["t", "k", "far"] {
        p.add(table).await;
    }
    p.run("insert into t values (1, 'sad', row(1, '{sad,glad}'), 1), (2, 'glad', null, 2); insert into k values ('sad', 1), ('glad', 2); insert into far values (1)")
        .await;
    p.check("before").await;
    // A label that comes holds no rows.
    p.run("alter type mood add value 'mad'").await;
    p.look_after().await;
    p.steps(&["insert into k values ('mad', 3); update t set n = 3"])
        .await;
    assert!(p.marks.is_empty(), "{:?}", p.marks);
    p.run("alter type mood rename value 'sad' to 'x'; alter type mood rename value 'glad' to 'sad'; alter type mood rename value 'x' to 'glad'")
        .await;
    p.look_after().await;
    p.check("two labels have changed places").await;
    let told: std::collections::BTreeSet<&str> =
        p.marks.iter().map(|(table, _)| &*table.name).collect();
    assert_eq!(told, ["k", "t"].into(), "{:?}", p.marks);
    p.steps(&[
        "update k set n = n + 1",
        "delete from k where m = 'sad'",
        "do $$ begin update t set m = 'glad'; update t set p = row(2, '{mad}'); end $$",
    ])
    .await;
}

/// As a value, and as a key alone and with another column; of the second key's table another role is the owner.
async fn both(p: &mut Provider, name: &str, kind: &str, [a, b, c]: [&str; 3], key: bool) {
    println!("{kind}");
    // Equal keys may have several texts.
    p.check_claims = false;
    p.run(&format!(
        "create table {name} (id int primary key, v {kind}, n int)"
    ))
    .await;
    p.add(name).await;
    p.steps(&[
        &format!("insert into {name} values (1, {a}, 0), (2, {b}, 0)"),
        &format!("insert into {name} values (3, {c}, 0)"),
        &format!("update {name} set v = {c} where id = 1"),
        &format!("update {name} set n = n + 1"),
        &format!("do $$ begin update {name} set v = {b}; update {name} set v = {a} where id < 3; delete from {name} where id = 3; end $$"),
    ])
    .await;
    for columns in ["k", "m, k"].into_iter().filter(|_| key) {
        let table = format!("{name}_{}", columns.len());
        p.run(&format!(
            "create table {table} (k {kind}, m int, v text, primary key ({columns}))"
        ))
        .await;
        if columns != "k" {
            p.run(&format!("alter table {table} owner to pg_monitor"))
                .await;
        }
        p.add(&table).await;
        p.steps(&[
            &format!("insert into {table} values ({a}, 1, 'a'), ({b}, 2, 'b')"),
            &format!("update {table} set v = 'one' where m = 1"),
            &format!("update {table} set k = {c} where m = 2"),
            &format!("update {table} set v = 'all', m = m + 1"),
            &format!("do $$ begin update {table} set v = 'x'; update {table} set k = {b}, v = 'y' where m = 2; delete from {table} where m = 3; end $$"),
            &format!("delete from {table}"),
        ])
        .await;
        p.run(&format!("drop table {table}")).await;
    }
    // The next check compares what is there.
    p.run(&format!("drop table {name}")).await;
}
