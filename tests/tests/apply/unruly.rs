//! Tables of the subscriber that do not keep what is written to them: never in silence.

use std::time::Duration;

use tests::{Replication, wait_until};

const SOON: Duration = Duration::from_secs(120);

const ODD_ROWS_ONLY: &str = "create function odd() returns trigger language plpgsql as \
     'begin if coalesce(new.id, old.id) % 2 = 0 then return null; end if; \
      if tg_op = ''DELETE'' then return old; end if; return new; end'; \
     create trigger odd before insert or update or delete on t for each row execute procedure odd(); \
     alter table t enable always trigger odd";

fn error(replication: &Replication) -> String {
    replication.on_subscriber("select error from trunkline.table_state where state = 'parked'")
}

fn parked(replication: &Replication, why: &str) {
    wait_until("the table to be parked", SOON, || {
        error(replication).contains(why)
    });
}

fn a_table() -> Replication {
    let replication = Replication::builder().make();
    replication.on_provider(
        "create table t (id int primary key, v text); \
         insert into t select g, 'v' from generate_series(1, 10) g",
    );
    replication.copy_schema();
    replication.start();
    replication
}

#[test]
fn a_copy_that_a_trigger_of_the_subscriber_takes_rows_from_is_not_kept() {
    let replication = a_table();
    replication.on_subscriber(ODD_ROWS_ONLY);
    replication.replay.run(&["add", "--all"]).ok();
    parked(&replication, "of 10 rows 5 stayed");
    wait_until("what was loaded to be gone", SOON, || {
        replication.on_subscriber("select count(*) from t") == "0"
    });
    replication.on_subscriber("drop trigger odd on t");
    replication.wait_ok();
    replication.sync();
    replication.assert_same();
}

#[test]
fn changes_that_a_trigger_of_the_subscriber_takes_rows_from_park_the_table() {
    for change in [
        "insert into t values (12, 'few')",
        "insert into t select g, 'many' from generate_series(11, 400) g",
        "insert into t values (2, 'put') on conflict (id) do update set v = excluded.v",
        "update t set v = 'new'",
        "delete from t where id < 5",
    ] {
        let replication = a_table();
        replication.add_all();
        replication.on_subscriber(ODD_ROWS_ONLY);
        replication.on_provider(change);
        parked(&replication, "did not touch each row once");
        replication.on_subscriber("drop trigger odd on t");
        replication.wait_ok();
        replication.sync();
        replication.assert_same();
    }
}
