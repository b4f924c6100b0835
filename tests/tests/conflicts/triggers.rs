//! Triggers on either side.

use tests::{Replication, wait_until};

use crate::{SOON, parked};

#[test]
fn tg_01_ordinary_triggers_of_the_subscriber_do_not_fire_and_replica_ones_do() {
    let replication = Replication::running("create table t (id int primary key, v text)");
    replication.on_subscriber(
        "create table seen (what text, id int); \
         create function note() returns trigger language plpgsql as $$ \
         begin insert into public.seen values (tg_name, new.id); return new; end $$; \
         create function mark() returns trigger language plpgsql as $$ \
         begin new.v := new.v || '!'; return new; end $$; \
         create trigger ordinary after insert or update on t for each row execute procedure note(); \
         create trigger always after insert or update on t for each row execute procedure note(); \
         create trigger mark before insert on t for each row execute procedure mark(); \
         alter table t enable always trigger always; alter table t enable replica trigger mark",
    );
    replication.on_provider("insert into t values (1, 'few')");
    replication.on_provider("insert into t select g, 'many' from generate_series(2, 500) g");
    replication.sync();
    assert_eq!(
        replication.on_subscriber("select string_agg(distinct what, ' '), count(*) from seen"),
        "always|500"
    );
    assert_eq!(
        replication.on_subscriber("select v, count(*) from t group by v order by v"),
        "few!|1\nmany!|499"
    );
    replication.assert_clean(&[]);
}

#[test]
fn tg_02_a_trigger_that_raises_parks_its_table_which_goes_on_once_it_does_not() {
    let replication = Replication::running(
        "create table t (id int primary key, v text); create table other (id int primary key)",
    );
    replication.on_subscriber(
        "create function deny() returns trigger language plpgsql as $$ \
         begin if new.id % 7 = 0 then raise exception 'no sevens here'; end if; return new; end $$; \
         create trigger deny before insert on t for each row execute procedure deny(); \
         alter table t enable always trigger deny",
    );
    replication.on_provider("insert into t select g, 'v' from generate_series(1, 10) g");
    replication.on_provider("insert into other values (1)");
    let t = parked(&replication, "public.t");
    assert!(
        t["error"].as_str().unwrap().contains("no sevens here"),
        "{t}"
    );
    wait_until("the other table to go on", SOON, || {
        replication.on_subscriber("select count(*) from other") == "1"
    });
    replication.on_subscriber("alter table t disable trigger deny");
    replication.wait_ok();
    replication.assert_followed(&["table parked table=public.t"]);
}

#[test]
fn tg_04_what_triggers_of_the_provider_made_of_a_row_arrives_not_what_was_written() {
    let replication = Replication::running(
        "create table t (id int primary key, v text, n int, twice int default 0)",
    );
    replication.on_provider(
        "create function change() returns trigger language plpgsql as $$ \
         begin if new.v = 'skip' then return null; end if; \
               new.v := upper(new.v); new.n := coalesce(new.n, 0) + 1; new.twice := new.n * 2; return new; end $$; \
         create trigger change before insert or update on t for each row execute procedure change()",
    );
    replication.on_provider("insert into t (id, v) values (1, 'one'), (2, 'skip'), (3, 'three')");
    replication.on_provider(
        "update t set v = 'changed' where id = 3; update t set v = 'skip' where id = 1",
    );
    replication.assert_followed(&[]);
    assert_eq!(
        replication.on_subscriber(
            "select string_agg(concat_ws(' ', id, v, n, twice), ',' order by id) from t"
        ),
        "1 ONE 1 2,3 CHANGED 2 4"
    );
}

#[test]
fn tg_03_an_ordinary_trigger_that_denies_writes_stops_everybody_but_replay_and_survives_copies() {
    let replication = Replication::running(
        "create table t (id int primary key, v text); insert into t select g, 'v' from generate_series(1, 300) g",
    );
    replication.on_subscriber(
        "create function deny() returns trigger language plpgsql as $$ \
         begin raise exception '% is written by replication alone', tg_table_name; end $$; \
         create trigger deny before insert or update or delete or truncate on t \
           for each statement execute procedure deny()",
    );
    let denied = || {
        for write in [
            "insert into t values (1000, 'mine')",
            "update t set v = 'mine'",
            "delete from t",
            "truncate t",
        ] {
            let refused = replication.subscribers[0].try_psql(replication.db(), write);
            assert!(
                refused.stderr.contains("by replication alone"),
                "{refused:?}"
            );
        }
    };
    denied();
    replication.on_provider(
        "insert into t values (301, 'n'); update t set v = 'w'; delete from t where id < 10",
    );
    replication.assert_followed(&[]);
    for args in [&["resync", "t"][..], &["resync", "t", "--swap"]] {
        replication.replay.run(args).ok();
        replication.wait_ok();
        denied();
    }
    replication.on_provider("truncate t; insert into t values (1, 'after')");
    replication.assert_followed(&[]);
    denied();
}
