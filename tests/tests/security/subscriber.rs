//! The subscriber, where replay is a superuser and tables are others': whatever their owners have put on them runs as
//! the owner, and gets no further than the statement that runs it.

use tests::{Cluster, Replication, Server, choose, trap};

/// Everything that may call code of an owner's, on tables that are written in every way.
const LAID: &str = "\
    create domain trap.word as text check (value <> 'v1' or trap.yes('domain', 1)); \
    create type trap.pair as (a int, b trap.word); \
    create table laid (id int primary key, v trap.word, n int, p trap.pair, \
        own text default trap.same('default', 'x'::text), \
        check (n > 0 or trap.yes('check', 1)), check (trap.yes('constant check', 1))); \
    create index on laid (trap.same('index', v::text)) where n < 3; \
    create index on laid (n) where trap.yes('constant predicate', 1); \
    create trigger before before insert or update or delete on laid for each row execute procedure trap.fire('before'); \
    create trigger after after insert or update or delete or truncate on laid for each statement execute procedure trap.fire('after'); \
    create constraint trigger deferred after insert or update or delete on laid deferrable initially deferred \
        for each row execute procedure trap.fire('deferred'); \
    alter table laid enable always trigger before; alter table laid enable replica trigger after; \
    alter table laid enable always trigger deferred; \
    create table keyless (v text) partition by hash (trap.same('partition key', v)); \
    create table keyless_1 partition of keyless for values with (modulus 1, remainder 0); \
    create rule also as on insert to laid do also select trap.yes('rule', 1); \
    alter table laid enable always rule also; \
    create table big (id int primary key, v text, n int); \
    create index on big (trap.same('built index', v)) where n < 3; \
    create table kid (id int primary key, big_id int references big); \
    create statistics seen on (trap.same('statistics', 1)), v from big";

/// A replication by a superuser of tables that the trapper owns on the subscriber.
fn laid() -> Replication {
    let replication = Replication::builder().make();
    replication.on_provider(
        "create table laid (id int primary key, v text, n int, p text); \
         create table keyless (v text); \
         create table big (id int primary key, v text, n int); \
         create table kid (id int primary key, big_id int references big); \
         insert into laid values (1, 'v1', 1, '(1,v1)'), (2, 'v2', 0, null), (3, 'v3', 3, null); \
         insert into keyless values ('a'), ('b'); \
         insert into big select i, repeat('v', 100), i from generate_series(1, 40000) i; \
         insert into kid values (1, 1), (2, 2)",
    );
    let (subscriber, db) = (&replication.subscribers[0], replication.db());
    trap::lay_lasting(subscriber, db);
    replication.on_subscriber("grant create on schema public to trapper");
    trap::as_trapper(subscriber, db, LAID);
    replication.start();
    replication
}

/// Which of these the trap was sprung at, of all that it was sprung at since the start.
#[track_caller]
fn assert_sprung(subscriber: &Cluster, wanted: &[&str]) {
    let sprung = trap::sprung(subscriber);
    let missing: Vec<_> = wanted
        .iter()
        .filter(|place| !sprung.iter().any(|one| one == *place))
        .collect();
    assert!(missing.is_empty(), "not at {missing:?}, at {sprung:?}");
}

#[test]
fn a5_what_an_owner_has_put_on_a_table_cannot_take_the_rights_of_replay() {
    let replication = laid();
    let subscriber = &replication.subscribers[0];
    let replay = |args: &[&str]| {
        replication.replay.run(args).ok();
        replication.wait_ok();
        trap::assert_held(subscriber);
    };
    replay(&["add", "laid", "big", "kid"]);
    replay(&["add", "keyless", "--identity", "full"]);
    assert_sprung(
        subscriber,
        &[
            "domain",
            "default",
            "check",
            "constant check",
            "index",
            "constant predicate",
            "trigger before",
            "trigger after",
            "trigger deferred",
            "partition key",
            "rule",
            "built index",
            "statistics",
        ],
    );
    for statement in [
        "insert into laid values (4, 'v1', 0, '(4,v1)')",
        "insert into laid select g, 'many', g, null from generate_series(5, 130) g",
        "update laid set v = 'v1', n = 1 where id in (2, 3)",
        "update laid set id = 1000 where id = 4",
        "delete from laid where id > 20",
        "insert into keyless values ('b'), ('b')",
        "delete from keyless where v = 'b'",
        "insert into big values (0, 'zero', 0)",
        "update big set v = 'v' where id = 1",
        "truncate laid",
        "insert into laid values (1, 'v1', 1, null)",
        // Every row gets it; the subscriber has it already.
        "alter table laid add column c text default 'v1'",
    ] {
        if statement.starts_with("alter") {
            trap::as_trapper(
                subscriber,
                replication.db(),
                "alter table laid add column c trap.word",
            );
        }
        replication.on_provider(statement);
        replication.sync();
        trap::assert_held(subscriber);
    }
    // By hand only as the trapper: the trap is for us.
    let by_hand = |sql: &str| trap::as_trapper(subscriber, replication.db(), sql);
    by_hand("delete from laid");
    // Rows that are not there.
    replication.on_provider("update laid set n = 2");
    replication.sync();
    for args in [
        &["resync", "laid"][..],
        &["resync", "big"],
        &["resync", "laid", "--swap"],
        &["remove", "laid"],
        &["add", "laid", "--keep-rows"],
        &["remove", "keyless"],
        &["add", "keyless", "--identity", "full", "--truncate"],
        &["restore-ddl"],
        &["seqs"],
    ] {
        replay(args);
    }
    replication.sync();
    trap::assert_held(subscriber);
    // A change that is refused, found by trying, and dropped; then all tables once more, for a queue of another
    // identity.
    by_hand("alter table laid add constraint small check (n < 9000)");
    replication.on_provider("insert into laid (id, v, n) values (5000, 'v1', 9999)");
    replication.wait_parked("public.laid", &["small"]);
    replay(&["skip", "laid"]);
    by_hand("alter table laid drop constraint small");
    replication.on_provider("select pgq.adopt_queue('q1')");
    replication.wait_log("subscriber stopped");
    replay(&["adopt", "--yes"]);
    replication.sync();
    trap::assert_held(subscriber);
    for (table, columns) in [
        ("laid", "id, v::text, n, p::text, c::text"),
        ("keyless", "v"),
        ("big", "*"),
        ("kid", "*"),
    ] {
        let rows = format!(
            "select md5(string_agg(r::text, ';' order by r::text)), count(*) from (select {columns} from {table}) r"
        );
        assert_eq!(by_hand(&rows), replication.on_provider(&rows), "{table}");
    }
    assert_eq!(
        replication.on_subscriber("select string_agg(conname, ' ' order by conname) from pg_constraint where not convalidated"),
        ""
    );
}

/// What every version knows of it.
const FEW: &str = "\
    create domain trap.word as text check (value <> 'v1' or trap.yes('domain', 1)); \
    create table few (id int primary key, v trap.word, own text default trap.same('default', 'x'::text), \
        check (trap.yes('constant check', 1))); \
    create index on few (trap.same('index', v::text)); \
    create trigger before before insert or update or delete on few for each row execute procedure trap.fire('before'); \
    create constraint trigger deferred after insert or update or delete on few deferrable initially deferred \
        for each row execute procedure trap.fire('deferred'); \
    alter table few enable always trigger before; alter table few enable always trigger deferred";

#[test]
fn a5_every_version_of_the_server_holds_an_owners_code() {
    for version in choose("owners-code", Server::majors().collect(), vec![10, 18]) {
        println!("on {version}");
        let replication = Replication::builder()
            .subscribers(vec![Cluster::builder(&Server::version(version))])
            .make();
        let (subscriber, db) = (&replication.subscribers[0], replication.db());
        replication.on_provider(
            "create table few (id int primary key, v text); insert into few values (1, 'v1')",
        );
        trap::lay_lasting(subscriber, db);
        replication.on_subscriber("grant create on schema public to trapper");
        trap::as_trapper(subscriber, db, FEW);
        replication.start();
        replication.replay.run(&["add", "few"]).ok();
        replication.wait_ok();
        for statement in [
            "insert into few values (2, 'v2'), (3, 'v3')",
            "update few set v = 'v1' where id = 2",
            "delete from few where id = 1",
            "truncate few",
            "insert into few values (4, 'v4')",
        ] {
            replication.on_provider(statement);
            replication.sync();
            trap::assert_held(subscriber);
        }
        let rows = "select string_agg(id || v, ' ' order by id) from few";
        assert_eq!(trap::as_trapper(subscriber, db, rows), "4v4");
        assert_sprung(
            subscriber,
            &[
                "constant check",
                "default",
                "domain",
                "index",
                "trigger before",
                "trigger deferred",
            ],
        );
        replication.assert_clean(&[]);
    }
}

#[test]
fn a5_code_that_cannot_be_held_is_refused_by_name() {
    let replication = Replication::builder().make();
    let (subscriber, db) = (&replication.subscribers[0], replication.db());
    replication.on_provider(
        "create table parted (id int primary key, v text); create table keyed (id text primary key)",
    );
    trap::lay(subscriber, db);
    replication.on_subscriber(
        "grant create on schema public to trapper; \
         create table parted (id int primary key, v text) partition by range (id)",
    );
    trap::as_trapper(
        subscriber,
        db,
        "create table part (id int not null, v text, check (trap.yes('partition', 1))); \
         create domain trap.word as text check (trap.yes('key', 1)); create type trap.pair as (a trap.word); \
         create table keyed (id trap.pair primary key)",
    );
    replication.on_subscriber("alter table parted attach partition part default");
    replication.start();
    for (table, why) in [
        ("parted", "partition public.part belongs to trapper"),
        (
            "keyed",
            "its key id is of a type that may run code of trapper's: trap.pair",
        ),
    ] {
        let refused = replication.replay.run(&["add", table]);
        let waits = || replication.wait_parked(&format!("public.{table}"), &[why]);
        if !refused.stderr.contains(why) {
            refused.ok();
            waits();
        }
    }
    trap::assert_held(subscriber);
}
