//! NM: names that need every kind of quoting, names of 63 bytes, twins; control characters never forge a line of a log.

use tests::choose;
use tests::vectors::NAMES;

use crate::pair::{assert_same, between, literal};

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn every_name(provider: u32, subscriber: u32) {
    let replication = between(provider, subscriber);
    let (mut made, mut filled, mut tables) = (String::new(), String::new(), Vec::new());
    for (place, name) in NAMES.iter().enumerate() {
        let schema = quoted(NAMES[(place + 1) % NAMES.len()]);
        let (q, other) = (quoted(name), quoted(NAMES[(place + 2) % NAMES.len()]));
        let table = format!("{schema}.{q}");
        made.push_str(&format!(
            "create schema {schema}; create type {schema}.{other} as enum ({}, 'x');
             create table {table} ({q} int, {other} {schema}.{other} not null, v text,
                constraint {other} primary key ({q}, {other}));",
            literal(name)
        ));
        filled.push_str(&format!(
            "insert into {table} values (1, {0}, 'copied'), (2, 'x', 'copied');",
            literal(name)
        ));
        tables.push(table);
    }
    // NM-02: 63 bytes, of several bytes each too, and twins in the first 62.
    let long = [
        "l".repeat(62) + "a",
        "l".repeat(62) + "b",
        "é".repeat(31) + "1",
        "é".repeat(31) + "2",
    ];
    for (place, name) in long.iter().enumerate() {
        assert_eq!(name.len(), 63);
        let table = format!("{}.{}", quoted(&long[0]), quoted(name));
        if place == 0 {
            made.push_str(&format!("create schema {};", quoted(name)));
        }
        made.push_str(&format!(
            "create table {table} ({0} int primary key, \"user\" int, v text);",
            quoted(name)
        ));
        filled.push_str(&format!("insert into {table} values (1, 1, 'copied');"));
        tables.push(table);
    }
    // NM-05, NM-06: no schema public; the same table in two schemas, twins by case and by normal form.
    made.push_str(
        "drop schema public cascade; create schema \"Schema.name\"; create schema \"b c\";",
    );
    for table in [
        "\"Schema.name\".\"user\"",
        "\"b c\".\"user\"",
        "\"b c\".t",
        "\"b c\".\"T\"",
        "\"b c\".\"\u{e4}\"",
        "\"b c\".\"a\u{308}\"",
    ] {
        made.push_str(&format!(
            "create table {table} (a int, b text, v text, primary key (a));"
        ));
        filled.push_str(&format!("insert into {table} values (1, 'b', 'copied');"));
        tables.push(table.to_owned());
    }
    replication.everywhere(&made);
    replication.on_provider(&filled);
    replication.start();
    replication.add_all();
    assert_same(&replication, &tables);
    let mut changed = String::new();
    for (place, table) in tables.iter().enumerate() {
        changed.push_str(&format!(
            "update {table} set v = 'changed {place}'; begin; delete from {table}; rollback;"
        ));
        if place % 3 == 0 {
            changed.push_str(&format!("truncate {table};"));
        }
        if place % 3 == 1 {
            changed.push_str(&format!("delete from {table} where v like '%ed {place}';"));
        }
    }
    replication.on_provider(&changed);
    replication.on_provider(
        &filled
            .replace("values (1,", "values (11,")
            .replace("(2, 'x'", "(12, 'x'"),
    );
    assert_same(&replication, &tables);
    let listed = replication.tables();
    assert_eq!(listed.len(), tables.len(), "{listed:?}");
    // A name as it is printed is taken back.
    for state in listed.iter().step_by(4) {
        replication.replay.run(&["remove", &state.table]).ok();
    }
    // NM-09: each line of a log begins with its time.
    for log in [replication.replay.log(), replication.ticker.log()] {
        for line in log.lines() {
            assert!(line.starts_with("20"), "{line:?}");
            assert!(!line.contains('\u{1b}'), "{line:?}");
        }
    }
    replication.assert_clean(&["forged"]);
    replication.assert_no_conflicts();
}

#[test]
fn nm_01_nm_02_nm_05_nm_06_nm_09_every_name_is_copied_replicated_listed_and_removed() {
    let all = vec![(15, 15), (10, 10), (13, 13), (18, 18)];
    for (provider, subscriber) in choose("name-versions", all, vec![(15, 15)]) {
        every_name(provider, subscriber);
    }
}
