//! Tables of the subscriber that others own: what they have put on them runs with their own
//! rights, or not at all.

use tests::{Replication, Session};

use crate::parked;

/// A replication by a superuser into a table that `alice` owns, with an index of hers on it.
fn owned_by_alice() -> Replication {
    let replication = Replication::builder().make();
    replication
        .on_provider("create table t (id int primary key, v text); create table keyless (v text)");
    replication.on_subscriber(
        "create role alice; create role bob; grant usage, create on schema public to alice; \
         create table t (id int primary key, v text); create table keyless (v text); \
         alter table t owner to alice; alter table keyless owner to alice; \
         create table who (name text, what text); grant insert on who to alice; \
         set role alice; \
         create function tell() returns trigger language plpgsql as $$ \
         begin insert into public.who values (current_user, tg_op); return null; end $$",
    );
    replication.start();
    replication
}

const TRIGGER: &str = "set role alice; \
    create trigger tell after insert or update or delete or truncate on t for each statement execute procedure tell(); \
    create trigger tell after insert or delete on keyless for each statement execute procedure tell(); \
    alter table t enable always trigger tell; alter table keyless enable always trigger tell";

/// Both of her tables, in sync.
fn added_of_alice() -> Replication {
    let replication = owned_by_alice();
    replication.replay.run(&["add", "t"]).ok();
    replication
        .replay
        .run(&["add", "keyless", "--identity", "full"])
        .ok();
    replication.wait_ok();
    replication
}

#[test]
fn what_an_owner_has_put_on_a_table_runs_as_the_owner_whoever_replays() {
    let replication = added_of_alice();
    replication.on_subscriber(TRIGGER);
    for statement in [
        "insert into t values (1, 'few')",
        "insert into t select g, 'many' from generate_series(2, 1000) g",
        "update t set v = 'two' where id = 2",
        "update t set v = 'all'",
        "delete from t where id > 500",
        "insert into keyless values ('a'), ('b'), ('b')",
        "delete from keyless where v = 'b'",
        "truncate t",
        "insert into t values (5, 'after')",
    ] {
        replication.on_provider(statement);
        replication.sync();
        replication.assert_same();
    }
    assert_eq!(
        replication
            .on_subscriber("select string_agg(distinct name, ' '), count(distinct what) from who"),
        "alice|4"
    );
    // The careful way, and what it keeps of conflicts, too.
    replication.on_subscriber("delete from t");
    let writer = Session::holding(
        &replication.provider,
        replication.db(),
        "update t set v = 'back'",
    );
    writer.ask("commit");
    replication.sync();
    replication.assert_same();
    assert_eq!(
        replication.on_subscriber(
            "select string_agg(distinct name, ' ') from who where name <> 'postgres'"
        ),
        "alice"
    );
    replication.assert_followed(&["conflict table=public.t"]);
}

/// Everything of an owner's that a copy can run, on a table that is large enough to be loaded
/// without its indexes: each notes as whom it runs.
const CODE: &str = "set role alice; \
    create function note(text) returns boolean language plpgsql as $$ \
    begin insert into public.who values (current_user, $1); return true; end $$; \
    create function noted(text) returns text immutable language plpgsql as $$ \
    begin perform public.note('index'); return $1; end $$; \
    create function late() returns trigger language plpgsql as $$ \
    begin insert into public.who values (current_user, 'deferred'); return null; end $$; \
    create function early() returns trigger language plpgsql as $$ \
    begin insert into public.who values (current_user, 'row'); return new; end $$; \
    create domain word as text check (note('domain')); \
    alter table big alter v type word; \
    alter table big add column own boolean default note('default'); \
    alter table big add check (n > 2 or note('check')); \
    create index big_v on big (noted(v)) where n < 5; \
    create trigger early before insert on big for each row when (new.n < 3) execute procedure early(); \
    create constraint trigger late after insert on big deferrable initially deferred for each row when (new.n < 3) execute procedure late(); \
    create trigger tell after truncate on big for each statement execute procedure tell(); \
    alter table big enable always trigger early; alter table big enable always trigger late; \
    alter table big enable always trigger tell";

#[test]
fn what_an_owner_has_put_on_a_table_runs_as_the_owner_while_it_is_copied() {
    let replication = owned_by_alice();
    replication.everywhere("create table big (id int primary key, v text, n int)");
    replication.on_provider(
        "insert into big select i, repeat('v', 40), i from generate_series(1, 60000) i",
    );
    replication.on_subscriber("alter table big owner to alice");
    replication.on_subscriber(CODE);
    let ran = |what: &str| {
        assert_eq!(
            replication.on_subscriber(
                "select string_agg(distinct name, ' '), string_agg(distinct what, ' ' order by what) from who"
            ),
            format!("alice|{what}")
        );
        replication.on_subscriber("delete from who");
    };
    replication.replay.run(&["add", "big"]).ok();
    replication.wait_ok();
    ran("check default deferred domain index row");
    for (args, what) in [
        (
            &["resync", "big"][..],
            "TRUNCATE check default deferred domain index row",
        ),
        (
            &["resync", "big", "--swap"],
            "check default deferred domain index row",
        ),
    ] {
        // What nobody captured, so that a swap has something to bring in.
        replication.on_subscriber(
            "set session_replication_role = replica; delete from big where n < 3; delete from who",
        );
        replication.replay.run(args).ok();
        replication.wait_ok();
        ran(what);
        replication.sync();
        assert_eq!(
            replication.on_subscriber("select count(*), count(own) from big"),
            "60000|60000"
        );
    }
    // Merged by key into the rows that are there.
    replication.replay.run(&["remove", "big"]).ok();
    replication.on_subscriber(
        "set session_replication_role = replica; delete from big where n < 3; delete from who",
    );
    replication.replay.run(&["add", "big", "--keep-rows"]).ok();
    replication.wait_ok();
    ran("check default deferred domain index row");
    assert_eq!(
        replication.on_subscriber("select count(*) from pg_indexes where tablename = 'big'"),
        "2"
    );
    assert_eq!(
        replication.on_subscriber(
            "select has_schema_privilege('alice', 'trunkline', 'create') \
             or exists (select from pg_class where relnamespace = 'trunkline'::regnamespace \
                           and pg_get_userbyid(relowner) = 'alice')"
        ),
        "f",
        "nothing of the copy is left to the owner"
    );
    replication.assert_clean(&[]);
}

#[test]
fn a_role_that_may_only_write_rows_refuses_tables_with_code_of_others() {
    let replication = owned_by_alice();
    let config = std::fs::read_to_string(&replication.replay.config).unwrap();
    replication.on_subscriber(
        "create role writer login; grant create on database db1 to writer; \
         grant set on parameter session_replication_role to writer; \
         grant select, insert, update, delete, truncate on t, keyless to writer; \
         set role alice; create function low(text) returns text immutable language sql as 'select pg_catalog.lower($1)'; \
         create function like_each_other(text, text) returns bool immutable language sql as 'select pg_catalog.lower($1) = pg_catalog.lower($2)'; \
         create operator public.=~= (leftarg = text, rightarg = text, procedure = like_each_other)",
    );
    replication.replay.run(&["stop"]).ok();
    replication.on_subscriber("drop schema trunkline cascade");
    let text = config.replacen(
        &format!(
            "subscriber_db = \"{}\"",
            replication.subscribers[0].conninfo("db1")
        ),
        &format!(
            "subscriber_db = \"{}\"",
            replication.subscribers[0]
                .conninfo("db1")
                .replace("user=postgres", "user=writer")
        ),
        1,
    );
    assert_ne!(text, config);
    std::fs::write(&replication.replay.config, text).unwrap();
    replication.replay.run(&["install"]).ok();
    replication.replay.run(&["start", "-d"]).ok();
    for (make, what) in [
        ("index low on t (low(v))", "index low"),
        (
            "index op on t (v) where v operator(public.=~=) 'a'",
            "index op",
        ),
        // To plan any statement on the table the server computes low('x').
        ("statistics seen on (low('x')), v from t", "statistics seen"),
    ] {
        replication.on_subscriber(&format!("set role alice; create {make}"));
        let refused = replication.replay.run(&["add", "t"]).code(3);
        let expected = format!("{what} calls ");
        assert!(refused.stderr.contains(&expected), "{refused:?}");
        replication.on_subscriber(&format!("drop {what}"));
    }
    replication.replay.run(&["add", "t"]).ok();
    replication.wait_ok();
    replication.on_provider("insert into t values (1, 'a')");
    replication.sync();
    // While the daemon knows the table without it.
    replication.on_subscriber(TRIGGER);
    replication.on_provider("insert into t values (2, 'b')");
    let t = parked(&replication, "public.t");
    assert!(
        t["error"]
            .as_str()
            .unwrap()
            .contains("trigger tell belongs to alice"),
        "{t}"
    );
    replication.on_subscriber("alter table t disable trigger tell");
    replication.wait_ok();
    replication.sync();
    replication.assert_same();
    assert_eq!(replication.on_subscriber("select count(*) from who"), "0");
}

#[test]
fn rows_that_change_places_are_written_together_as_the_owner() {
    let replication = added_of_alice();
    replication.on_subscriber("set role alice; create unique index places on t (v)");
    replication.on_provider(
        "alter table t add constraint places unique (v) deferrable initially deferred; \
         insert into t select g, 'v' || g from generate_series(1, 300) g",
    );
    replication.sync();
    replication.on_subscriber(TRIGGER);
    for statement in [
        "update t set v = 'v' || (3 - id) where id < 3",
        "update t set v = 'v' || (id % 300 + 1)",
    ] {
        replication.on_provider(statement);
        replication.sync();
        replication.assert_same();
    }
    assert_eq!(
        replication.on_subscriber("select string_agg(distinct name, ' ') from who"),
        "alice"
    );
    assert_eq!(
        replication.on_subscriber("select bool_and(state = 'ok') from trunkline.table_state"),
        "t"
    );
}

#[test]
fn a_trigger_of_an_owner_that_is_deferred_to_the_commit_runs_as_the_owner_too() {
    let replication = added_of_alice();
    for table in ["t", "keyless"] {
        replication.on_subscriber(&format!(
            "set role alice; create constraint trigger late after insert or update or delete on {table} \
             deferrable initially deferred for each row execute procedure tell(); \
             alter table {table} enable always trigger late"
        ));
    }
    // Few rows and many, those that differ, sums.
    for statement in [
        "insert into t values (1, 'few')",
        "insert into t select g, 'many' from generate_series(2, 400) g",
        "update t set v = 'differs'",
        "delete from t where id = 1",
        "insert into keyless values ('a'), ('b')",
        "delete from keyless where v = 'b'",
    ] {
        if statement.contains("differs") {
            replication.on_subscriber("set session_replication_role = replica; alter table t disable trigger late; delete from t where id = 7; alter table t enable always trigger late");
        }
        replication.on_subscriber("delete from who");
        replication.on_provider(statement);
        replication.sync();
        replication.assert_same();
        assert_eq!(
            replication.on_subscriber("select string_agg(distinct name, ' ') from who"),
            "alice",
            "{statement}"
        );
    }
    replication.assert_clean(&["conflict table=public.t"]);
}
