//! What replay has looked up of a subscriber's table, and when it is believed: nothing that an owner changes meanwhile runs as replay.

use tests::{Replication, trap};

/// A replication by a superuser, with the trap on the subscriber.
fn trapped(on_provider: &str) -> Replication {
    let replication = Replication::builder().make();
    replication.on_provider(on_provider);
    trap::lay(&replication.subscribers[0], replication.db());
    replication.on_subscriber("grant create on schema public to trapper");
    replication
}

/// Constants whose domain has a check, where the server reads a definition. The check runs for every row, so it only says who runs it.
const CONSTANTS: &str = "\
    create function trap.seen(int) returns bool language plpgsql as $$ begin \
        if current_user <> 'trapper' then raise log 'trap escaped at a constant: it ran as %', current_user; end if; \
        return true; end $$; \
    create domain trap.word as int check (trap.seen(value)); \
    create table big (id int primary key, v text, n int); \
    create index constant on big ((n + (('{1}'::trap.word[])[1])::int)); \
    alter table big add constraint excluded exclude using btree (n with =) where ((('{1}'::trap.word[])[1])::int = 1)";

#[test]
fn an_index_that_a_copy_builds_again_is_read_as_its_owner() {
    let replication = trapped(
        "create table big (id int primary key, v text, n int); \
         insert into big select i, repeat('v', 100), i from generate_series(1, 40000) i",
    );
    let (subscriber, db) = (&replication.subscribers[0], replication.db());
    trap::as_trapper(subscriber, db, CONSTANTS);
    let defined = "select string_agg(pg_get_indexdef(indexrelid), '; ' order by indexrelid::regclass::text) \
                     from pg_index where indrelid = 'big'::regclass";
    let before = replication.on_subscriber(defined);
    replication.start();
    replication.replay.run(&["add", "big"]).ok();
    replication.wait_ok();
    trap::assert_held(subscriber);
    assert_eq!(replication.on_subscriber(defined), before);
    // An owner who may not make indexes where the table is keeps them through a copy.
    replication.on_subscriber("revoke create on schema public from trapper");
    replication.replay.run(&["resync", "big"]).ok();
    replication.wait_ok();
    trap::assert_held(subscriber);
    assert_eq!(replication.on_subscriber(defined), before);
}
