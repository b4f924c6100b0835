//! The search path of a database is its owner's: it takes nothing of his into a statement that runs with replay's
//! rights (S1).

use tests::{Cluster, Replication, trap};

/// Tables of a superuser whose code names no schema, in a database of the trapper's.
const LAID: &str = "\
    create table aud (id int); \
    create function entry(bigint) returns bigint language sql as 'select $1'; \
    create function note() returns trigger language plpgsql as \
        $$ begin insert into aud values (entry(new.id)); return null; end $$; \
    create trigger note after insert on acct for each row execute procedure note(); \
    alter table acct enable always trigger note; \
    do $$ begin execute format('alter database %I owner to trapper', current_database()); end $$; \
    alter schema public owner to postgres; revoke create on schema public from public";

/// A schema of the trapper's first in the database's path, with what the superuser's code names.
const TAKEN: &str = "\
    create schema evil; grant usage on schema evil to public; create table evil.aud (id int); \
    create function evil.entry(int) returns int language sql as $$ select trap.spring('a function of evil'); select $1 $$; \
    create trigger trapped before insert on evil.aud for each row execute procedure trap.fire('a table of evil'); \
    alter table evil.aud enable always trigger trapped; \
    do $$ begin execute format('alter database %I set search_path = evil, public', current_database()); end $$";

/// The trapper fits better than the superuser's function does.
const OVERLOAD: &str = "create function public.entry(int) returns int language sql as \
    $$ select trap.spring('an overload'); select $1 $$";

fn laid() -> (Replication, &'static str) {
    let replication = Replication::builder().make();
    replication.everywhere("create table acct (id int primary key)");
    trap::lay(&replication.subscribers[0], replication.db());
    replication.on_subscriber(LAID);
    let db = replication.db();
    (replication, db)
}

#[track_caller]
fn assert_untouched(subscriber: &Cluster) {
    trap::assert_held(subscriber);
    assert_eq!(trap::sprung(subscriber), Vec::<String>::new());
}

#[test]
fn s1_the_path_of_a_database_brings_no_code_of_its_owners_into_a_superusers_table() {
    let (replication, db) = laid();
    let subscriber = &replication.subscribers[0];
    trap::as_trapper(subscriber, db, TAKEN);
    replication.on_provider("insert into acct values (1)");
    replication.start();
    replication.replay.run(&["add", "acct"]).ok();
    replication.wait_ok();
    replication.on_provider("insert into acct values (2)");
    replication.sync();
    replication.on_provider("insert into acct select g from generate_series(3, 500) g");
    replication.sync();
    assert_untouched(subscriber);
    assert_eq!(
        replication.on_subscriber("select count(*), sum(id) from public.aud"),
        "500|125250"
    );
    assert_eq!(
        replication.on_subscriber("select own_path from trunkline.acting_role('public', 'acct')"),
        "pg_catalog, public, pg_temp"
    );
}

#[test]
fn s1_a_schema_that_others_may_create_in_is_left_out_and_the_advice_says_so() {
    let (replication, db) = laid();
    let subscriber = &replication.subscribers[0];
    replication.on_subscriber("grant create on schema public to trapper");
    trap::as_trapper(subscriber, db, OVERLOAD);
    replication.start();
    replication.replay.run(&["add", "acct"]).ok();
    replication.wait_ok();
    replication.on_provider("insert into acct values (1)");
    replication.wait_parked(
        "public.acct",
        &[
            "aud",
            "public.note()",
            "schema public",
            "role trapper",
            "alter function public.note() set search_path",
        ],
    );
    assert_untouched(subscriber);
    // What was made while that was so stays in the way until it is gone.
    replication.on_subscriber("revoke create on schema public from trapper");
    let path = "select own_path from trunkline.acting_role('public', 'acct')";
    assert_eq!(replication.on_subscriber(path), "pg_catalog, pg_temp");
    replication.on_subscriber("drop function entry(int)");
    assert_eq!(
        replication.on_subscriber(path),
        "pg_catalog, public, pg_temp"
    );
    // An operator is a function, too.
    replication.on_subscriber(
        "create operator public.=== (procedure = int4eq, leftarg = int, rightarg = int); alter operator === (int, int) owner to trapper",
    );
    assert_eq!(replication.on_subscriber(path), "pg_catalog, pg_temp");
    replication.on_subscriber("drop operator === (int, int)");
    replication.replay.run(&["resume", "acct"]).ok();
    replication.wait_ok();
    replication.sync();
    assert_untouched(subscriber);
    assert_eq!(
        replication.on_subscriber("select string_agg(id::text, ' ') from public.aud"),
        "1"
    );
    // Whose schemas they are for everybody.
    for (change, kept) in [
        (
            "grant create on schema public to public",
            "pg_catalog, pg_temp",
        ),
        (
            "revoke create on schema public from public; alter schema public owner to trapper",
            "pg_catalog, pg_temp",
        ),
        (
            "alter schema public owner to postgres",
            "pg_catalog, public, pg_temp",
        ),
        (
            "alter role trapper superuser; grant create on schema public to trapper",
            "pg_catalog, public, pg_temp",
        ),
    ] {
        replication.on_subscriber(change);
        assert_eq!(replication.on_subscriber(path), kept, "{change}");
    }
    // A function that has a path asks for none.
    replication.on_subscriber(
        "alter role trapper nosuperuser; alter function note() set search_path = pg_catalog, public",
    );
    assert_eq!(replication.on_subscriber(path), "");
}
