//! Keys of every type: rows are found by them, respelled and moved; wide tables; large values.

use crate::pair::{HOSTILE, assert_same, between};

/// A key's type and values, each different from the others.
const KEYS: &[(&str, &str, [&str; 4])] = &[
    (
        "TY-01",
        "numeric",
        ["1.0", "'NaN'", "1e-100", "100000000000000000000000.5"],
    ),
    ("TY-01", "float8", ["0.1", "'NaN'", "'-Infinity'", "0"]),
    (
        "TY-02",
        "interval",
        [
            "'1 day'",
            "'-1 mon +1 day'",
            "'178000000 years'",
            "'00:00:00.000001'",
        ],
    ),
    (
        "TY-02",
        "timestamptz",
        [
            "'infinity'",
            "'2024-03-31 03:30:00 Europe/Helsinki'",
            "'4713-01-01 00:00:00+00 BC'",
            "now()",
        ],
    ),
    ("TY-03", "text", ["''", "E'a\\nb'", "'\"'", "E'\\\\N'"]),
    ("TY-03", "char(5)", ["'ab'", "''", "' a'", "'abcde'"]),
    (
        "TY-05",
        "text[]",
        ["'{}'", "'[0:1]={a,b}'", "'{NULL,\"NULL\"}'", "'{{a},{b}}'"],
    ),
    (
        "TY-05",
        "float8[]",
        ["'{0.1}'", "'{NaN,NULL}'", "'{}'", "'{{1},{2}}'"],
    ),
    (
        "TY-05",
        "interval[]",
        ["'{1 day}'", "'{24:00:00,1 mon}'", "'{}'", "'{NULL}'"],
    ),
    (
        "TY-06",
        "ty.pair",
        ["'(1,a)'", "'(,\"\")'", "'(,)'", "'(0.1,\"x,y\")'"],
    ),
    ("TY-07", "ty.label", ["'it''s'", "'a,b'", "'ünï'", "'z'"]),
    (
        "TY-09",
        "tstzrange",
        [
            "'empty'",
            "'(,)'",
            "'[2024-01-01 00:00+02,)'",
            "'(,infinity]'",
        ],
    ),
    (
        "TY-10",
        "jsonb",
        ["'1.0'", "'{\"a\": [1, null]}'", "'\"x\"'", "'null'"],
    ),
    (
        "TY-13",
        "inet",
        ["'::1'", "'10.0.0.1/8'", "'10.0.0.1'", "'0.0.0.0'"],
    ),
    (
        "TY-04",
        "bytea",
        ["''", "'\\x00'", "'\\xff5c22'", "'\\x0a'"],
    ),
];

const TYPES: &str = "create schema ty; create type ty.pair as (x float8, y text);
    create type ty.label as enum ('it''s', 'a,b', 'ünï', 'z');";

#[test]
fn ty_rows_are_found_by_keys_of_every_type() {
    let replication = between(15, 15);
    replication.everywhere(TYPES);
    let (mut made, mut before, mut after, mut tables) =
        (String::new(), String::new(), String::new(), Vec::new());
    for (number, (id, kind, [a, b, c, d])) in KEYS.iter().enumerate() {
        for (key, primary) in [("k", "k"), ("k, m", "m, k")] {
            let table = format!("ty.\"{id} {number} {primary}\"");
            made.push_str(&format!(
                "create table {table} (v text, k {kind}, m {kind}, primary key ({key}));"
            ));
            before.push_str(&format!(
                "insert into {table} values ('a', {a}, {b}), ('b', {b}, {c}), ('c', {c}, {a});"
            ));
            after.push_str(&format!(
                "insert into {table} values ('d', {d}, {a}); update {table} set v = v || '!';
                 update {table} set v = 'b2' where k = {b}::{kind}; delete from {table} where k = {a}::{kind};
                 update {table} set k = {a} where k = {c}::{kind}; update {table} set m = {c} where k = {d}::{kind};
                 insert into {table} select 'bulk', k, {d} from {table} where k = {b}::{kind} and false;
                 delete from {table} where k = {b}::{kind};"
            ));
            tables.push(table);
        }
    }
    replication.everywhere(&made);
    replication.on_provider(&format!("{HOSTILE} {before}"));
    replication.start();
    replication.add_all();
    assert_same(&replication, &tables);
    for statement in after.split(';') {
        replication.on_provider(&format!("{HOSTILE} {statement}"));
    }
    assert_same(&replication, &tables);
    replication.assert_clean(&[]);
    replication.assert_no_conflicts();
}

#[test]
fn changes_of_spelling_alone_and_wide_rows_and_large_values_are_replicated() {
    let replication = between(15, 15);
    let columns: Vec<String> = (1..=1597)
        .map(|n| format!("c{n} {}", if n % 2 == 0 { "int" } else { "text" }))
        .collect();
    replication.everywhere(&format!(
        "create extension citext;
         create table spelled (k citext primary key, n numeric, f float8, j jsonb, c citext);
         create table numbers (k numeric primary key, v text);
         create table many (id int primary key, gone int, {});
         alter table many drop column gone, add column last int default 7;
         create table toast (id int primary key, a text, b bytea, n int);
         alter table toast alter a set storage external, alter b set storage extended;
         create table nulls (id int primary key, {});
         create collation alike (provider = icu, locale = 'und', deterministic = false);
         create table alike (k text collate alike primary key, v text)",
        columns.join(", "),
        (1..=300)
            .map(|n| format!("c{n} text"))
            .collect::<Vec<_>>()
            .join(", ")
    ));
    replication.on_provider(
        "insert into spelled values ('Ab', 1.0, 0, '1.0', 'X'), ('C', 2.50, 1, '[1.0]', 'y');
         insert into numbers values (1.0, 'a'), (2.00, 'b');
         insert into many (id, c1, c2, c1596, c1597) values (1, 'first', 2, 3, 'last'), (2, null, null, 4, '');
         insert into toast values (1, repeat('é', 250000), decode(repeat('00ff', 200000), 'hex'), 0),
            (2, (select string_agg(md5(i::text), '') from generate_series(1, 16000) i), '', 0);
         insert into nulls (id) select generate_series(1, 500);
         insert into alike values (U&'\\00E4bc', 'composed'), ('x', 'x')",
    );
    replication.start();
    replication.add_all();
    // TY-15: the subscriber's row is spelled in another way that is equal.
    replication.on_subscriber("update alike set k = U&'a\\0308bc' where v = 'composed'");
    for change in [
        // Spelling.
        "update spelled set n = 1.00, f = '-0', j = '1.00', c = 'x' where k = 'ab'",
        "update spelled set k = 'aB' where k = 'AB'",
        "update spelled set k = upper(k::text)::citext, j = '[1.000]' where n > 1",
        "update numbers set k = k * 1.00",
        "delete from numbers where k = 2",
        // TY-15.
        "update alike set v = 'changed' where k = U&'\\00E4bc'",
        "update alike set k = U&'a\\0308bc' where v = 'changed'",
        "delete from alike where k = 'x'",
        // TY-18.
        "update many set c800 = 5 where id = 1",
        "update many set c801 = E'a\\tb', last = 8 where id = 2",
        "insert into many (id, c3) select i, 'x' from generate_series(3, 150) i",
        "delete from many where id between 10 and 20",
        // TO-01: another column, then the large one, each storage.
        "update toast set n = n + 1",
        "update toast set a = a || 'x' where id = 1",
        "update toast set b = b || '\\x5c' where id = 2",
        "alter table toast alter a set storage plain, alter a set storage extended; update toast set n = n + 1",
        "alter table toast alter a set compression lz4; update toast set a = a || 'y' where id = 2",
        // TO-06.
        "insert into nulls (id) select generate_series(501, 3000)",
        "update nulls set c300 = '' where id % 2 = 0",
    ] {
        replication.on_provider(change);
    }
    let tables = ["spelled", "numbers", "many", "toast", "nulls", "alike"].map(str::to_owned);
    assert_same(&replication, &tables);
    replication.assert_clean(&[]);
}
