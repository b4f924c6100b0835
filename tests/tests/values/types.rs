//! TY: the values of each type, copied, inserted, updated beside, respelled and deleted.

use tests::choose;
use tests::vectors::{HOSTILE, TYPES, VALUES};

use crate::pair::{assert_same, between};

fn every_value(provider: u32, subscriber: u32) {
    let replication = between(provider, subscriber);
    let version = provider.min(subscriber);
    replication.everywhere(TYPES);
    // TY-06: the provider's type has lost an attribute, the subscriber's never had it.
    replication.on_provider(
        "alter type ty.pair add attribute gone int; alter type ty.pair drop attribute gone",
    );
    let (mut before, mut after, mut made, mut tables) =
        (String::new(), String::new(), String::new(), Vec::new());
    for (number, (id, kind, since, values)) in VALUES.iter().enumerate() {
        if *since > version {
            continue;
        }
        let table = format!("ty.\"{id} {number}\"");
        made.push_str(&format!(
            "create table {table} (id int primary key, v {kind}, n int, {}w {kind});",
            if number % 2 == 0 { "gone text, " } else { "" }
        ));
        for (place, value) in values.iter().enumerate() {
            let other = values[(place + 1) % values.len()];
            before.push_str(&format!(
                "insert into {table} (id, v, n, w) values ({place}, {value}, 0, {other}), (100 + {place}, {other}, 0, {value});"
            ));
            after.push_str(&format!(
                "insert into {table} (id, v, n, w) values (200 + {place}, {value}, 1, {other});
                 update {table} set v = {other} where id = 100 + {place};"
            ));
        }
        after.push_str(&format!(
            "update {table} set n = n + 1 where id < 100;
             update {table} set w = v where id % 3 = 0; delete from {table} where id between 200 and 250 and id % 2 = 1;"
        ));
        tables.push(table);
    }
    replication.everywhere(&made);
    for table in tables.iter().step_by(3) {
        // A dropped column on one side moves every column after it.
        let _ = replication.provider.try_psql(
            replication.db(),
            &format!("alter table {table} drop column gone"),
        );
        let _ = replication.subscribers[0].try_psql(
            replication.db(),
            &format!("alter table {table} drop column gone"),
        );
    }
    replication.on_provider(&format!("{HOSTILE} {before}"));
    replication.start();
    replication
        .replay
        .run(&["add", "--all", "--exclude", "ty.allowed"])
        .ok();
    replication.wait_ok();
    assert_same(&replication, &tables);
    replication.on_provider(&format!("{HOSTILE} {after}"));
    assert_same(&replication, &tables);
    replication.assert_clean(&[]);
    replication.assert_no_conflicts();
}

#[test]
fn ty_01_ty_02_ty_03_ty_04_ty_05_ty_06_ty_08_ty_09_ty_10_ty_11_ty_13_ty_19_values_arrive_byte_for_byte()
 {
    // Floats have another text before version 12, so no pair stands on both sides of it.
    let all = vec![(15, 15), (10, 10), (13, 13), (18, 18), (10, 11), (18, 13)];
    for (provider, subscriber) in choose("type-version-pairs", all, vec![(15, 15), (10, 10)]) {
        every_value(provider, subscriber);
    }
}

#[test]
fn ty_07_a_label_that_the_subscriber_lacks_parks_the_table_by_name_until_it_is_there() {
    let replication = between(15, 15);
    replication.everywhere(
        "create type mood as enum ('sad', 'ok'); create table t (m mood primary key, ms mood[]); create table u (id int primary key)",
    );
    replication.on_provider("insert into t values ('ok', '{sad,NULL}')");
    replication.start();
    replication.add_all();
    replication.on_provider("alter type mood add value 'it''s fine'");
    replication
        .on_provider("insert into t values ('it''s fine', '{ok}'); insert into u values (1)");
    tests::wait_until(
        "the label to be named",
        std::time::Duration::from_secs(120),
        || {
            replication
                .on_subscriber("select error from trunkline.table_state where state = 'parked'")
                .contains("it's fine")
        },
    );
    replication.on_subscriber("alter type mood add value 'it''s fine'");
    replication.wait_ok();
    replication.on_provider("delete from t where m = 'ok'; update t set ms = '{}'");
    assert_same(&replication, &["t".into(), "u".into()]);
}
