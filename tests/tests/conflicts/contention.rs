//! Other sessions of the subscriber in the way: deadlocks, timeouts that the server sets for
//! every session, transactions that it asks to be tried again.

use std::time::Duration;

use tests::{Replication, Session, Transfers, wait_until};

use crate::SOON;

#[test]
fn fa_15_deadlocks_on_the_subscriber_are_tried_again_and_counted() {
    let replication = Replication::builder()
        .replay_line("stats_period = 1")
        .running("create table t (id int primary key, n int); insert into t values (1, 0), (2, 0)");
    let local = Session::new(&replication.subscribers[0], replication.db());
    let watch = Session::new(&replication.subscribers[0], replication.db());
    // Only the applier looks for deadlocks, so it is the one that gives way. It looks once, a second after
    // it has begun to wait: by then the other one must wait for it.
    local.ask("set deadlock_timeout = '10min'");
    let deadlocks = |session: &Session| -> i64 {
        session
            .ask("select deadlocks from pg_stat_database where datname = current_database()")
            .parse()
            .unwrap()
    };
    // On a busy machine the other one may come too late for that look: then it gives way, and the round does not count.
    local.ask(
        "create function take() returns text language plpgsql set lock_timeout = '5s' as $$ \
         begin perform from public.t where id = 1 for update; return 'taken'; \
         exception when lock_not_available then return 'too late'; end $$",
    );
    let before = deadlocks(&watch);
    let (rounds, mut taken) = (8, 0);
    for round in 1.. {
        if taken == rounds {
            break;
        }
        assert!(round < 50, "{taken} deadlocks in {round} rounds");
        local.ask("begin");
        local.ask("select id from t where id = 2 for update");
        replication.on_provider(&format!("update t set n = {round} where id in (1, 2)"));
        wait_until("the applier to wait for row 2", SOON, || {
            watch.ask(
                "select count(*) from pg_stat_activity where application_name = 'trunkline apply replay1' \
                 and wait_event_type = 'Lock'",
            ) == "1"
        });
        // Returns when the applier has given way.
        taken += i64::from(local.ask("select take()") == "taken");
        local.ask("rollback");
        replication.sync();
    }
    replication.assert_same();
    wait_until("the deadlocks to be counted by the server", SOON, || {
        deadlocks(&watch) - before >= rounds
    });
    wait_until("the retries to be counted", SOON, || {
        let log = replication.replay.log();
        let counted = log.split(" retries=").skip(1).map(|rest| {
            let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
            digits.parse::<i64>().unwrap()
        });
        counted.sum::<i64>() >= rounds
    });
    replication.assert_no_conflicts();
    replication.assert_clean(&["subscriber waits"]);
}

#[test]
fn fa_16_timeouts_of_the_roles_and_transactions_that_are_to_be_tried_again_stop_nothing() {
    let replication = Replication::builder().make();
    Transfers::create(&replication.provider, replication.db());
    replication.copy_schema();
    // Of the roles, which is more than of the database: it comes last.
    replication.everywhere(
        "alter role postgres set statement_timeout = '300ms'; alter role postgres set lock_timeout = '100ms'; \
         alter role postgres set idle_in_transaction_session_timeout = '200ms'; \
         alter role postgres set idle_session_timeout = '400ms'; \
         alter role postgres set default_transaction_isolation = 'serializable'; \
         alter role postgres set default_transaction_read_only = off",
    );
    replication.start();
    replication.add_all();
    // One transaction in four fails as in a serializable one, and passes when it is tried again. By a hash: where each
    // transaction with rows is followed by one without, the numbers of the former are all odd. One that fails in a
    // small batch is news only if it fails in the careful way, too.
    replication.on_subscriber(
        "create function unlucky() returns trigger language plpgsql as $$ \
         begin if hashint8(txid_current()) & 3 = 0 then raise exception 'try again' using errcode = '40001'; end if; \
         return null; end $$; \
         create constraint trigger unlucky after update on checking for each row execute procedure unlucky(); \
         alter table checking enable always trigger unlucky",
    );
    let load = replication.load(2, Duration::from_millis(100), &Transfers::writes());
    load.wait_for_more(40);
    let _ = load.stop();
    replication.sync();
    wait_until("a transaction to meet its bad luck", SOON, || {
        replication.on_provider("update checking set balance = balance where id = 1");
        replication.sync();
        replication.replay.log().contains("try again")
    });
    replication.assert_same();
    replication.on_subscriber("drop trigger unlucky on checking");
    replication.assert_no_conflicts();
    replication.assert_clean(&["subscriber waits", "try again"]);
}
