//! Keys of every type: rows are found by them, respelled and moved; wide tables; large values.

use tests::choose;
use tests::vectors::{HOSTILE, KEYS, TYPES};

use crate::pair::{assert_same, between};

#[test]
fn ty_05_ty_06_ty_07_ty_09_rows_are_found_by_keys_of_every_type() {
    let all = vec![(15, 15), (10, 10), (13, 13), (18, 18)];
    for (provider, subscriber) in choose("key-versions", all, vec![(15, 15)]) {
        keys_of_every_type(provider, subscriber);
    }
}

fn keys_of_every_type(provider: u32, subscriber: u32) {
    let replication = between(provider, subscriber);
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
    // A table that the types' functions read has no key.
    let args = ["add", "--all", "--exclude", "ty.allowed"];
    replication.replay.run(&args).ok();
    replication.wait_ok();
    assert_same(&replication, &tables);
    for statement in after.split(';') {
        replication.on_provider(&format!("{HOSTILE} {statement}"));
    }
    assert_same(&replication, &tables);
    replication.assert_clean(&[]);
    replication.assert_no_conflicts();
}

#[test]
fn ty_15_ty_18_to_01_to_06_spellings_wide_rows_and_large_values_are_replicated() {
    for version in choose("versions", vec![15, 13, 18], vec![15]) {
        spellings_wide_rows_and_large_values(version);
    }
}

fn spellings_wide_rows_and_large_values(version: u32) {
    let replication = between(version, version);
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
        "do $$ begin if current_setting('server_version_num')::int >= 140000 then
            execute 'alter table toast alter a set compression lz4'; end if; end $$",
        "update toast set a = a || 'y' where id = 2",
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
