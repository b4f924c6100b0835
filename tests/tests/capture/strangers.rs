//! Tables that are not capture's own: nobody's code runs with its rights, and a right that is taken from it fails no
//! statement.

use crate::provider::{Provider, refused};

crate::cases::cases! {
    code_that_planning_runs_has_the_rights_of_the_table_s_owner
    rows_read_as_the_owner_are_those_of_the_table
    what_the_owner_does_to_the_functions_that_read_for_capture_gains_him_nothing
    a_right_that_is_taken_from_capture_fails_no_statement_and_asks_for_a_copy
    a_role_that_is_no_superuser_runs_no_code_of_others
}

/// A role with a schema of its own, and functions that note who runs them: planning calls them, because their arguments
/// are constant.
const STRANGER: &str =
    "do $$ begin create role stranger login; exception when duplicate_object then null; end $$;
     create schema his authorization stranger; grant usage on schema his to public;
     create function his.spy(i int) returns bool language plpgsql immutable as $f$ begin
        perform set_config('his.seen', coalesce(current_setting('his.seen', true), '') || ' ' || current_user, false);
        return true; end $f$;
     alter function his.spy(int) owner to stranger;";

/// Who has run the code of the stranger in this session.
async fn seen(p: &Provider) -> String {
    p.ask("select coalesce(string_agg(distinct w, ' ' order by w), '') from regexp_split_to_table(current_setting('his.seen', true), ' ') w where w <> ''").await
}

/// As the stranger, in the session of the test.
async fn as_stranger(p: &Provider, sql: &str) {
    p.run(&format!(
        "set session authorization stranger; {sql}; reset session authorization"
    ))
    .await;
}

async fn code_that_planning_runs_has_the_rights_of_the_table_s_owner(mut p: Provider) {
    p.run(STRANGER).await;
    let again = "create function his.again() returns trigger language plpgsql as $f$ begin
        if pg_trigger_depth() < 2 then execute format('update %s set v = v || ''x'' where id = $1.id', tg_relid::regclass) using new; end if;
        return null; end $f$;";
    as_stranger(
        &p,
        &format!(
            "{again} create table his.t (id int primary key, v text); create table his.other (id int primary key);
             create table his.refers (id int primary key, v text, o int references his.other on delete set null on update cascade);
             create table his.tree (id int primary key, v text); create table his.child (primary key (id)) inherits (his.tree);
             create table his.r (id int not null, d int not null, v text) partition by range (d);
             create table his.r1 partition of his.r for values from (0) to (10); create unique index on his.r1 (id, d);
             create table his.r2 partition of his.r for values from (10) to (20); create unique index on his.r2 (id, d)"
        ),
    )
    .await;
    for table in ["his.t", "his.refers", "his.tree", "his.child"] {
        p.add(table).await;
    }
    p.add_by("his.r", "key", Some(&["id", "d"])).await;
    for table in ["t", "refers", "tree", "child", "r1", "r2"] {
        as_stranger(
            &p,
            &format!(
                "create index on his.{table} (v) where his.spy(1); create index on his.{table} ((his.spy(2)));
                 alter table his.{table} add check (his.spy(3))"
            ),
        )
        .await;
        if p.version() >= 14 {
            as_stranger(
                &p,
                &format!("create statistics his.s_{table} on (his.spy(4)), v from his.{table}"),
            )
            .await;
        }
        if table != "r2" {
            as_stranger(&p, &format!("create trigger again after insert on his.{table} for each row execute procedure his.again()")).await;
        }
    }
    // What each session loads of a table anew is planned by whoever comes first.
    let writer = p.another().await;
    drop(std::mem::replace(&mut p.client, writer));
    for sql in [
        "insert into his.t values (1, 'a'), (2, 'b')",
        "do $$ begin update his.t set v = 'c'; update his.t set id = id + 10; delete from his.t where id = 12; end $$",
        "insert into his.other values (1), (2); insert into his.refers values (1, 'a', 1), (2, 'b', 2)",
        "update his.other set id = 3 where id = 1; delete from his.other where id = 2",
        "insert into his.child values (5, 'e'); insert into his.tree values (6, 'f'); update his.tree set v = 'g'",
        "insert into his.r values (1, 1, 'x'); do $$ begin update his.r set v = 'y'; update his.r set d = d + 1; end $$",
        "create table his.r3 (like his.r1); insert into his.r3 values (9, 21, 'z'); create unique index on his.r3 (id, d);
         alter table his.r3 add check (his.spy(3)); create index on his.r3 (v) where his.spy(1);
         alter table his.r attach partition his.r3 for values from (20) to (30)",
        "alter table his.t alter v type text using upper(v); alter table his.r add g float8 default random()",
        "alter table his.r detach partition his.r3",
    ] {
        as_stranger(&p, &format!("set constraint_exclusion = on; {sql}")).await;
        p.check(sql).await;
        assert_eq!(seen(&p).await, "stranger", "{sql}");
    }
    // Upkeep without a statement of his: whoever tells of a change late reads for the first time.
    let p = p.without_event_triggers().await;
    as_stranger(
        &p,
        "create table his.r4 (like his.r1); insert into his.r4 (id, d) values (8, 41); alter table his.r4 add check (his.spy(3));
         create unique index on his.r4 (id, d); alter table his.r attach partition his.r4 for values from (40) to (50)",
    )
    .await;
    p.upkeep().await;
    assert_eq!(seen(&p).await, "stranger");
}

async fn rows_read_as_the_owner_are_those_of_the_table(mut p: Provider) {
    p.run(STRANGER).await;
    p.run("create extension citext; create domain his.small as int check (his.spy(value))")
        .await;
    as_stranger(
        &p,
        "create table his.t (k public.citext, d his.small, v text, big text, j jsonb, primary key (k, d));
         alter table his.t alter big set storage external;
         create function his.more() returns trigger language plpgsql as $f$ begin
            if pg_trigger_depth() < 2 then
                update his.t set v = v || 'm' where k = new.k; delete from his.t where d = new.d + 100;
                update his.t set k = k || '!' where d = 7;
            end if; return null; end $f$;
         create trigger more after insert or update on his.t for each row execute procedure his.more()",
    )
    .await;
    p.add("his.t").await;
    p.check_claims = false;
    assert_eq!(
        p.ask("select plan ->> 'reader' from trunkline.captured")
            .await,
        "owner"
    );
    p.steps(&[
        "insert into his.t select 'K' || i, i, 'v', repeat('x', 1000 * i), to_jsonb(repeat('y', i)) from generate_series(1, 120) i",
        "update his.t set v = 'n' where d < 5",
        "update his.t set k = upper(k::text), big = 'small' where d between 5 and 9",
        // So long that it is read under an exception block.
        "update his.t set j = (select to_jsonb(string_agg(md5(i::text), '')) from generate_series(1, 20000) i) where d = 3",
        "do $$ begin update his.t set v = 'p' where d < 20; delete from his.t where d = 4; end $$",
        "begin isolation level repeatable read; insert into his.t values ('q', 500, 'q'); update his.t set v = 'r' where d = 500;
         do $x$ begin delete from his.t where d = 500; insert into his.t values ('q', 500, 's'); end $x$; commit",
        "delete from his.t",
    ])
    .await;
    // Its operators may be out of his reach: a copy is asked for, and his statement does not fail.
    let marks = p.marks.len();
    p.run("revoke usage on schema public from public").await;
    p.steps(&[
        "insert into his.t values ('z', 900, 'z', '', null)",
        "delete from his.t",
    ])
    .await;
    assert!(p.marks.len() > marks);
    p.run("grant usage on schema public to public").await;
    // Whose it is may change, and what a key is made of.
    p.run("do $$ begin create role heir; exception when duplicate_object then null; end $$; grant usage on schema his to heir; alter table his.t owner to heir; grant all on his.t to stranger")
        .await;
    p.steps(&[
        "insert into his.t values ('a', 1, 'a', '', 'null'), ('b', 2, 'b', '', 'null')",
        "alter table his.t alter d type int8",
        "update his.t set d = d + 1",
        "do $$ begin update his.t set v = 'x'; update his.t set v = 'y'; end $$",
    ])
    .await;
    assert_eq!(
        p.ask("select string_agg(distinct r.rolname, ' ') from pg_proc p join pg_roles r on r.oid = p.proowner where p.proname ~ '^(live|ask)_[0-9]+$'").await,
        "heir"
    );
    p.run("alter table his.t owner to current_user").await;
    p.steps(&["do $$ begin update his.t set v = 'x'; update his.t set v = 'y'; end $$"])
        .await;
    assert_eq!(
        p.ask("select count(*) from pg_proc where proname ~ '^(live|ask)_[0-9]+$'")
            .await,
        "0"
    );
}

async fn what_the_owner_does_to_the_functions_that_read_for_capture_gains_him_nothing(
    mut p: Provider,
) {
    p.run(STRANGER).await;
    as_stranger(
        &p,
        "create table his.t (id int primary key, v text); create index on his.t (v) where his.spy(1); alter table his.t add check (his.spy(2));
         create function his.unequal(name, name) returns bool language sql as 'select his.spy(5)';
         create operator his.<> (procedure = his.unequal, leftarg = name, rightarg = name)",
    )
    .await;
    p.add("his.t").await;
    let oid = p.ask("select 'his.t'::regclass::oid").await;
    let nested = "set constraint_exclusion = on; do $$ begin update his.t set v = 'n'; update his.t set v = 'm'; end $$";
    as_stranger(&p, "insert into his.t values (1, 'a')").await;
    p.check("insert").await;
    for (sabotage, back) in [
        (
            "alter function trunkline.live_N(int) security invoker; alter function trunkline.ask_N(text) security invoker",
            "alter function trunkline.live_N(int) security definer; alter function trunkline.ask_N(text) security definer",
        ),
        (
            "alter function trunkline.live_N(int) set search_path = his, pg_catalog",
            "alter function trunkline.live_N(int) set search_path = pg_catalog, pg_temp",
        ),
        (
            "alter function trunkline.live_N(int) strict",
            "alter function trunkline.live_N(int) called on null input",
        ),
    ] {
        as_stranger(&p, &sabotage.replace('N', &oid)).await;
        as_stranger(&p, nested).await;
        p.check(sabotage).await;
        assert_eq!(seen(&p).await, "stranger", "{sabotage}");
        as_stranger(&p, &back.replace('N', &oid)).await;
    }
    // Only one of the two: neither is called, and the consumers are told to copy the table.
    as_stranger(&p, &format!("alter function trunkline.live_{oid}(int) security invoker; alter function trunkline.live_{oid}(int) set search_path = his, pg_catalog")).await;
    as_stranger(&p, nested).await;
    p.check("only one of the two").await;
    assert_eq!(seen(&p).await, "stranger");
    let writer = p.another().await;
    writer
        .batch_execute("set session authorization stranger")
        .await
        .unwrap();
    // He cannot put another in its place.
    let replace = format!(
        "create or replace function trunkline.live_{oid}(i_k1 int, out x text, out written xid) returns setof record language sql as 'select null::text, null::xid'"
    );
    assert_eq!(refused(&writer, &replace).await.0, "42501");
}

async fn a_right_that_is_taken_from_capture_fails_no_statement_and_asks_for_a_copy(p: Provider) {
    let mut p = p.owned().await;
    let superuser = p
        .cluster
        .connect(&p.ask("select current_database()").await)
        .await;
    superuser
        .batch_execute(&format!(
            "{STRANGER} set role stranger; create table his.t (id int primary key, v text); create table his.tree (id int primary key, v text);
             create table his.child (primary key (id)) inherits (his.tree);
             grant select, trigger on his.t, his.tree, his.child to owner; reset role"
        ))
        .await
        .unwrap();
    for table in ["his.t", "his.tree", "his.child"] {
        p.add(table).await;
    }
    let nested = "insert into his.t values (1, 'a') on conflict do nothing;
        do $$ begin update his.t set v = v || 'n'; update his.t set v = v || 'm'; end $$;
        insert into his.child values (1, 'c'); update his.tree set v = v || 't'; delete from his.tree";
    superuser
        .batch_execute(&format!("set role stranger; {nested}; reset role"))
        .await
        .unwrap();
    p.check("with all rights").await;
    for (taken, back) in [
        (
            "revoke select on his.t, his.tree, his.child from owner",
            "grant select on his.t, his.tree, his.child to owner",
        ),
        (
            "revoke usage on schema his from public; grant usage on schema his to stranger",
            "grant usage on schema his to public",
        ),
        (
            "alter table his.t enable row level security; alter table his.child enable row level security",
            "alter table his.t disable row level security; alter table his.child disable row level security",
        ),
    ] {
        superuser.batch_execute(taken).await.unwrap();
        p.marks.clear();
        superuser
            .batch_execute(&format!("set role stranger; {nested}; reset role"))
            .await
            .unwrap_or_else(|error| panic!("{taken}: {error:?}"));
        p.events().await;
        let told: std::collections::BTreeSet<String> = p
            .marks
            .iter()
            .map(|(table, _)| table.name.clone())
            .collect();
        assert!(
            told.contains("t") && told.contains("child"),
            "{taken}: {told:?}"
        );
        superuser.batch_execute(back).await.unwrap();
        p.upkeep().await;
        p.check_claims = false;
        superuser
            .batch_execute("set role stranger; update his.t set v = 'z'; reset role")
            .await
            .unwrap();
        p.check(back).await;
    }
}

async fn a_role_that_is_no_superuser_runs_no_code_of_others(p: Provider) {
    let mut p = p.owned().await;
    let superuser = p
        .cluster
        .connect(&p.ask("select current_database()").await)
        .await;
    superuser
        .batch_execute(&format!(
            "{STRANGER} set role stranger; create table his.t (id int primary key, v text); create table his.bad (id int primary key, v text, check (his.spy(1)));
             grant select, trigger on his.t, his.bad to owner; reset role"
        ))
        .await
        .unwrap();
    let (code, message, hint) = refused(
        &p.client,
        "select trunkline.add_table('q', 'job', 'his', 'bad')",
    )
    .await;
    assert_eq!(code, "42501");
    assert!(message.contains("his.spy"), "{message}");
    assert!(hint.contains("superuser"), "{hint}");
    p.add("his.t").await;
    superuser
        .batch_execute(
            "set session authorization stranger; create index on his.t (v) where his.spy(1); alter table his.t add check (his.spy(2))",
        )
        .await
        .unwrap();
    let writer = p
        .cluster
        .connect(&p.ask("select current_database()").await)
        .await;
    writer
        .batch_execute(
            "set session authorization stranger; set constraint_exclusion = on; insert into his.t values (1, 'a');
             do $$ begin update his.t set v = 'n'; update his.t set v = 'm'; end $$",
        )
        .await
        .unwrap();
    let who = "select coalesce(current_setting('his.seen', true), '')";
    assert!(!tests::ask(&writer, who).await.contains("owner"));
    p.marks.clear();
    p.events().await;
    assert!(!p.marks.is_empty(), "told to copy");
}
