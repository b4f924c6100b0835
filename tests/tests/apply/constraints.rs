//! CN: what one statement or transaction may do within its constraints, and the subscriber's own.

use tests::{Replication, choose};

use crate::{between, synced_and_clean};

#[test]
fn cn_08_periods_that_change_places_arrive_whether_or_not_the_subscriber_can_defer() {
    for (here, there) in choose("pairs", vec![(15, 15), (10, 18), (18, 10)], vec![(15, 15)]) {
        let replication = between(here, there).make();
        let table = |deferrable: &str| {
            format!(
                "create extension btree_gist; create table booked (id int primary key, room int, during int4range, \
                 exclude using gist (room with =, during with &&) {deferrable})"
            )
        };
        replication.on_provider(&table("deferrable"));
        // The subscriber's constraint is checked at once, so rows are taken out and put in again.
        replication.on_subscriber(&table(""));
        replication.on_provider(
            "insert into booked select g, g % 3, int4range(g * 10, g * 10 + 5) from generate_series(1, 400) g",
        );
        replication.start();
        replication.add_all();
        replication.on_provider(
            "begin; set constraints all deferred; update booked set during = '[20,25)' where id = 5; \
             update booked set during = '[50,55)' where id = 2; commit",
        );
        replication.assert_followed(&[]);
        replication.on_provider(
            "begin; set constraints all deferred; \
             update booked set during = int4range(lower(during) + 30, upper(during) + 30); commit",
        );
        synced_and_clean(&replication);
    }
}

#[test]
fn cn_12_rows_told_apart_by_periods_need_another_identity_and_follow_with_it() {
    let replication = between(18, 18).make();
    replication.everywhere(
        "create extension btree_gist; \
         create table stay (room int, during int4range, guest text, primary key (room, during without overlaps)); \
         create table meal (id int primary key, room int, during int4range, \
            foreign key (room, period during) references stay (room, period during))",
    );
    replication.start();
    replication
        .replay
        .run(&["add", "stay"])
        .code(3)
        .says(&["WITHOUT OVERLAPS", "choose an identity"]);
    replication
        .replay
        .run(&["add", "stay", "--identity", "full"])
        .ok();
    replication.replay.run(&["add", "meal"]).ok();
    replication.wait_ok();
    replication.on_provider(
        "insert into stay select g % 5, int4range(g * 10, g * 10 + 10), 'guest' || g from generate_series(1, 300) g; \
         insert into meal select g, g % 5, int4range(g * 10 + 1, g * 10 + 3) from generate_series(1, 300) g",
    );
    replication.assert_followed(&[]);
    // Two stays change places; a stay is cut in two under its meals.
    replication.on_provider(
        "begin; delete from meal where id in (5, 10); \
         update stay set during = '[90000,90010)' where guest = 'guest5'; \
         update stay set during = '[50,60)' where guest = 'guest10'; \
         update stay set during = '[100,110)' where guest = 'guest5'; commit",
    );
    replication.on_provider(
        "delete from meal where id > 200; delete from stay where upper(during) > 2010",
    );
    synced_and_clean(&replication);
}

#[test]
fn cn_13_a_stricter_check_or_not_null_parks_its_table_until_it_is_gone() {
    let replication = Replication::running(
        "create table checked (id int primary key, v text); create table required (id int primary key, v text); \
         create table other (id int primary key)",
    );
    replication.on_subscriber(
        "alter table checked add constraint strict check (v <> 'no'); alter table required alter v set not null",
    );
    for rows in [1, 300] {
        replication.on_provider(&format!(
            "insert into checked select g, 'no' from generate_series({rows}, 2 * {rows}) g; \
             insert into required select g, null from generate_series({rows}, 2 * {rows}) g; \
             insert into other values ({rows})"
        ));
        for (table, word) in [("checked", "strict"), ("required", "not-null")] {
            tests::wait_until(
                "the table to be parked",
                std::time::Duration::from_secs(120),
                || {
                    let error = replication.on_subscriber(&format!(
                    "select error from trunkline.table_state where state = 'parked' and table_name = '{table}'"
                ));
                    error.contains("violates") && error.contains(word)
                },
            );
        }
        replication.on_subscriber(
            "alter table checked drop constraint strict; alter table required alter v drop not null",
        );
        replication.replay.run(&["resume"]).ok();
        replication.wait_ok();
        replication.sync();
        replication.assert_same();
        replication.on_provider("update checked set v = 'yes'; update required set v = 'there'");
        replication.sync();
        replication.on_subscriber(
            "alter table checked add constraint strict check (v <> 'no'); alter table required alter v set not null",
        );
    }
    replication.assert_clean(&[
        "table parked table=public.checked",
        "table parked table=public.required",
    ]);
}
