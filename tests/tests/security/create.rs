//! `replay add --create`, with replay as a superuser on the subscriber: what it makes there runs with replay's rights,
//! so that nothing comes over by which a role of the provider without rights could use them.

use tests::{Replication, trap};

/// A replication by superusers, and a role `own` of the provider, which owns schema `own` and is no superuser.
fn weak(sql: &str) -> Replication {
    let replication = Replication::builder().make();
    replication.on_provider("create role own; create schema own authorization own");
    replication.on_provider(&format!("set role own; {sql}"));
    replication.start();
    replication
}

/// `add --create` of a table is refused with these words, and has made nothing.
#[track_caller]
fn assert_refused(replication: &Replication, table: &str, words: &[&str]) {
    let said = replication.replay.run(&["add", table, "--create"]);
    said.code(3)
        .says(&["nothing was made", "without --create"])
        .says(words);
    assert_eq!(
        replication
            .on_subscriber("select count(*) from pg_namespace where nspname in ('own', 'trap')"),
        "0",
        "{table}"
    );
}

#[test]
fn attack7_code_of_a_tables_owner_does_not_become_replays() {
    let replication = Replication::builder().make();
    trap::lay(&replication.provider, replication.db());
    trap::as_trapper(
        &replication.provider,
        replication.db(),
        "create table trap.checked (id int primary key check (trap.yes('check', id)), v text);
         create table trap.defaulted (id int primary key, v text default trap.same('default', 'x'::text));
         create table trap.generated (id int primary key, v text generated always as (trap.same('generated', id::text)) stored);
         create table trap.indexed (id int primary key);
         create index on trap.indexed ((trap.same('index', id)));
         create index on trap.indexed (id) where trap.yes('predicate', 1);
         create table trap.parts (id int) partition by range (trap.same('partition key', id));
         create domain trap.word as text check (trap.yes('domain', value));
         create table trap.worded (id int primary key, v trap.word);
         create function trap.same_int(int, int) returns bool language plpgsql as 'begin return trap.yes(''operator'', 1); end';
         create operator trap.=== (leftarg = int, rightarg = int, function = trap.same_int);
         create table trap.operated (id int primary key check (id operator(trap.===) 1))",
    );
    // One of a superuser that calls the same is no better.
    replication
        .on_provider("create table theirs (id int primary key check (trap.yes('check', id)))");
    replication.start();
    for (table, words) in [
        ("trap.checked", ["trap.yes(", "trapper"]),
        ("trap.defaulted", ["trap.same(", "trapper"]),
        ("trap.generated", ["trap.same(", "trapper"]),
        ("trap.indexed", ["trap.same(", "trapper"]),
        ("trap.worded", ["trap.yes(", "trapper"]),
        ("trap.operated", ["trap.same_int(", "trapper"]),
    ] {
        assert_refused(&replication, table, &words);
    }
    // Nor is it captured: whoever reads it on the provider would run that, too.
    let said = replication
        .replay
        .run(&["add", "theirs", "--create"])
        .code(3);
    said.says(&["trap.yes(", "functions of another role than its own"]);
    let keyless = ["add", "trap.parts", "--identity", "full", "--create"];
    let said = replication.replay.run(&keyless).code(3);
    said.says(&["nothing was made", "trap.same(", "trapper"]);
    trap::assert_held(&replication.subscribers[0]);
    assert!(trap::sprung(&replication.subscribers[0]).is_empty());
}

#[test]
fn attack7_functions_of_the_server_that_act_are_not_called_by_what_is_made() {
    let replication = weak(
        "create table own.exported (id int primary key);
         alter table own.exported add check (lo_export(id::oid, '/tmp/trunkline_never') = 1) not valid;
         create table own.reading (id int primary key, v text default pg_read_file('PG_VERSION'));
         create table own.xml (id int primary key, v text default table_to_xml('pg_authid', true, false, '')::text);
         create domain own.word as text default pg_read_file('PG_VERSION') check (set_config('role', value, false) <> '');
         create table own.worded (id int primary key, v own.word)",
    );
    for (table, words) in [
        ("own.exported", &["lo_export(", "own"][..]),
        ("own.reading", &["pg_read_file(", "own"]),
        ("own.xml", &["table_to_xml(", "own"]),
        ("own.worded", &["pg_read_file(", "set_config(", "own.word"]),
    ] {
        assert_refused(&replication, table, words);
    }
}

#[test]
fn tables_of_ordinary_roles_whose_expressions_do_not_act_are_made() {
    let replication = weak(
        "create type own.mood as enum ('good', 'bad');
         create type own.pair as (a int, b own.mood);
         create domain own.positive as int default 1 check (value > 0);
         create type own.span as range (subtype = float8, subtype_diff = float8mi);
         create table own.parent (id int primary key);
         create table own.t (id bigserial primary key, i int generated always as identity, u uuid default gen_random_uuid(),
             m own.mood default 'good', p own.pair, n own.positive, s own.span, j jsonb default '{}', d date default current_date,
             made timestamptz not null default now(), until timestamptz default now() + interval '1 day', r float8 default random(),
             utc timestamp default (now() at time zone 'utc'), who text default current_user, day text default to_char(now(), 'YYYY'),
             parent int references own.parent, g text generated always as (lower(day)) stored,
             check (d > '2000-01-01' and made > '2000-01-01'), check (length(who) > 0));
         create index on own.t (lower(who), (id % 7)) where n in (1, 2, 3);
         create statistics own.st on (id % 7), who from own.t;
         create table own.parts (id int primary key, v text) partition by range (id);
         create table own.part1 partition of own.parts for values from (0) to (10);
         insert into own.parent values (1); insert into own.t (parent) values (1), (1); insert into own.parts values (1, 'a')",
    );
    replication
        .replay
        .run(&["add", "own.*", "--create", "--wait", "120"])
        .ok();
    replication.on_provider("insert into own.t (parent) values (1)");
    replication.assert_followed(&[]);
}

#[test]
fn attack8_code_of_a_weaker_role_that_is_on_the_subscriber_already_is_refused_by_name() {
    let replication = Replication::builder().make();
    let made = "create schema shop; \
        create function shop.positive(int) returns bool language sql immutable as 'select $1 > 0'; \
        create domain shop.price as int check (value > 0); create type shop.mood as enum ('good')";
    replication.everywhere(made);
    trap::lay(&replication.subscribers[0], replication.db());
    replication.on_provider(
        "create table shop.checked (id int primary key check (shop.positive(id))); \
         create table shop.priced (id int primary key, p shop.price); \
         create table shop.felt (id int primary key, m shop.mood)",
    );
    replication.on_subscriber(
        "alter function shop.positive(int) owner to trapper; alter domain shop.price owner to trapper; \
         alter type shop.mood owner to trapper",
    );
    replication.start();
    for (table, what) in [
        (
            "shop.checked",
            "function shop.positive(integer) of role trapper",
        ),
        ("shop.priced", "type shop.price of role trapper"),
    ] {
        let said = replication.replay.run(&["add", table, "--create"]).code(3);
        said.says(&["nothing was made", what]);
    }
    replication
        .replay
        .run(&["add", "shop.felt", "--create"])
        .ok();
    replication.on_subscriber("alter function shop.positive(int) owner to postgres");
    replication
        .replay
        .run(&["add", "shop.checked", "--create"])
        .ok();
    replication.wait_ok();
}
