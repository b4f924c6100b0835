//! What replay has looked up of a subscriber's table, and when it is believed: nothing that an owner changes meanwhile
//! runs as replay.

use std::time::Duration;

use tests::{Cluster, Replication, Server, Session, choose, trap, wait_until};

const LIMIT: Duration = Duration::from_secs(120);

/// A replication by a superuser, with the trap on the subscriber.
fn trapped(on_provider: &str) -> Replication {
    let replication = Replication::builder().make();
    replication.on_provider(on_provider);
    trap::lay(&replication.subscribers[0], replication.db());
    replication.on_subscriber("grant create on schema public to trapper");
    replication
}

/// Constants whose domain has a check, where the server reads a definition. The check runs for every row, so it only
/// says who runs it.
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

/// Tables that are looked up, and then get another owner, who puts a trigger on them.
const GIVEN: &str = "\
    create table few (id int primary key, v text); create table many (id int primary key, v text); \
    create table emptied (id int primary key, v text); create table keyless (v text); \
    create table parted (id int primary key, v text) partition by range (id); \
    create table part partition of parted default";

#[test]
fn l4_a_table_that_gets_another_owner_while_replay_knows_it_is_written_as_that_one() {
    let replication = trapped(GIVEN);
    let (subscriber, db) = (&replication.subscribers[0], replication.db());
    replication.on_subscriber(GIVEN);
    replication.start();
    let tables = ["few", "many", "emptied", "parted"];
    replication
        .replay
        .run(&[&["add"], &tables[..]].concat())
        .ok();
    replication
        .replay
        .run(&["add", "keyless", "--identity", "full"])
        .ok();
    replication.wait_ok();
    replication.on_provider(
        "insert into few values (1, 'known'); insert into many values (1, 'known'); insert into emptied values (1, 'known'); \
         insert into parted values (1, 'known'); insert into keyless values ('known')",
    );
    replication.sync();
    for (given, on, statement) in [
        ("few", "few", "insert into few values (2, 'two')"),
        (
            "many",
            "many",
            "insert into many select g, 'many' from generate_series(2, 1000) g",
        ),
        ("emptied", "emptied", "truncate emptied"),
        ("keyless", "keyless", "insert into keyless values ('two')"),
        (
            "parted, part",
            "part",
            "insert into parted values (2, 'two')",
        ),
    ] {
        for table in given.split(", ") {
            replication.on_subscriber(&format!("alter table {table} owner to trapper"));
        }
        trap::as_trapper(
            subscriber,
            db,
            &format!(
                "create trigger sprung after insert or truncate on {on} for each statement execute procedure trap.fire('{on}'); \
                 create trigger sprung_row before insert on {on} for each row execute procedure trap.fire('{on}'); \
                 alter table {on} enable always trigger sprung; alter table {on} enable always trigger sprung_row"
            ),
        );
        replication.on_provider(statement);
        replication.sync();
        trap::assert_held(subscriber);
        assert!(
            trap::sprung(subscriber).contains(&format!("trigger {on}")),
            "{on}"
        );
    }
    replication.wait_ok();
    replication.assert_same();
}

/// Makes the server plan the statements for rows of a table for good: it plans the first five executions one by one.
fn plan_for_good(replication: &Replication, table: &str) {
    for statement in [
        format!("insert into {table} select g, 'known' from generate_series(1, 14) g"),
        format!("update {table} set v = 'known well'"),
        format!("delete from {table} where id > 7"),
    ] {
        replication.on_provider(&statement);
        replication.sync();
    }
}

/// The table is given away, with a trigger of its new owner's.
fn given_away(table: &str) -> String {
    format!(
        "alter table {table} owner to trapper; \
         create trigger sprung before insert or update or delete on {table} for each row execute procedure trap.fire('{table}'); \
         alter table {table} enable always trigger sprung"
    )
}

#[test]
fn l4_statements_that_are_planned_for_good_are_proven_again_for_a_table_that_is_given_away() {
    let tables: Vec<String> = ["inserted", "updated", "deleted", "swapped"]
        .iter()
        .map(|table| format!("create table {table} (id int primary key, v text)"))
        .collect();
    let replication = trapped(&tables.join("; "));
    let subscriber = &replication.subscribers[0];
    replication.on_subscriber(&tables.join("; "));
    replication.start();
    let added = ["add", "inserted", "updated", "deleted", "swapped"];
    replication.replay.run(&added).ok();
    replication.wait_ok();
    for (table, statement) in [
        ("inserted", "insert into inserted values (100, 'new')"),
        ("updated", "update updated set v = 'new' where id = 6"),
        ("deleted", "delete from deleted where id = 6"),
    ] {
        plan_for_good(&replication, table);
        replication.on_subscriber(&given_away(table));
        replication.on_provider(statement);
        replication.sync();
        trap::assert_held(subscriber);
        assert!(trap::sprung(subscriber).contains(&format!("trigger {table}")));
    }
    // Another table takes the name, as a rename of a schema or table can do.
    plan_for_good(&replication, "swapped");
    replication.on_subscriber(&format!(
        "create table other (like swapped including all); insert into other select * from swapped; {}; \
         alter table swapped rename to before; alter table other rename to swapped",
        given_away("other")
    ));
    replication.on_provider("update swapped set v = 'new' where id = 6");
    replication.sync();
    trap::assert_held(subscriber);
    assert!(trap::sprung(subscriber).contains(&"trigger other".to_owned()));
    replication.wait_ok();
    replication.assert_same();
}

#[test]
fn l4_a_table_that_is_given_away_while_a_statement_waits_for_it_is_written_as_its_new_owner() {
    let tables = "create table often (id int primary key, v text); create table seldom (id int primary key, v text)";
    for version in choose("given-away", Server::majors().collect(), vec![10, 18]) {
        println!("on {version}");
        let replication = Replication::builder()
            .subscribers(vec![Cluster::builder(&Server::version(version))])
            .make();
        let (subscriber, db) = (&replication.subscribers[0], replication.db());
        trap::lay(subscriber, db);
        replication.everywhere(tables);
        replication.start();
        replication.replay.run(&["add", "often", "seldom"]).ok();
        replication.wait_ok();
        plan_for_good(&replication, "often");
        replication.on_provider("insert into seldom values (1, 'known')");
        replication.sync();
        // One statement is planned for good, the other at this execution, too.
        for table in ["often", "seldom"] {
            let giving = Session::holding(subscriber, db, &given_away(table));
            replication.on_provider(&format!("insert into {table} values (100, 'new')"));
            let waits = format!(
                "select count(*) from pg_locks where relation = '{table}'::regclass and not granted"
            );
            wait_until("replay waits for the table", LIMIT, || {
                replication.on_subscriber(&waits) == "1"
            });
            giving.ask("commit");
            replication.sync();
            trap::assert_held(subscriber);
            assert!(trap::sprung(subscriber).contains(&format!("trigger {table}")));
        }
        replication.wait_ok();
        replication.assert_same();
    }
}

#[test]
fn l4_a_partition_that_gets_another_owner_stops_its_table_by_name() {
    let replication = trapped(GIVEN);
    let (subscriber, db) = (&replication.subscribers[0], replication.db());
    replication.on_subscriber(GIVEN);
    replication.start();
    replication.replay.run(&["add", "parted"]).ok();
    replication.wait_ok();
    replication.on_provider("insert into parted values (1, 'known')");
    replication.sync();
    replication.on_subscriber("alter table part owner to trapper");
    trap::as_trapper(
        subscriber,
        db,
        "create trigger sprung before insert on part for each row execute procedure trap.fire('part'); \
         alter table part enable always trigger sprung",
    );
    replication.on_provider("insert into parted values (2, 'two')");
    replication.wait_parked(
        "public.parted",
        &["partition public.part belongs to trapper"],
    );
    trap::assert_held(subscriber);
    replication.on_subscriber(
        "alter table part disable trigger sprung; alter table part owner to postgres",
    );
    replication.wait_ok();
    replication.sync();
    replication.assert_same();
}

#[test]
fn l4_a_column_that_gets_a_type_of_its_owners_is_staged_as_it_was_looked_up() {
    let replication = trapped(
        "create table laid (id int primary key, u int unique, v int[], e text); create table enums (id int primary key, e text)",
    );
    let (subscriber, db) = (&replication.subscribers[0], replication.db());
    trap::as_trapper(
        subscriber,
        db,
        "create type trap.mood as enum ('good', 'bad'); \
         create table laid (id int primary key, u int unique, v int[], e trap.mood); \
         create table enums (id int primary key, e trap.mood)",
    );
    replication.start();
    replication.replay.run(&["add", "laid", "enums"]).ok();
    replication.wait_ok();
    replication.on_provider(
        "insert into laid values (1, 1, '{1}', 'good'), (2, 2, '{2}', 'good'), (3, 3, '{3}', 'bad'); insert into enums values (1, 'good')",
    );
    replication.sync();
    // A domain takes the name of the type that was looked up, too.
    trap::as_trapper(
        subscriber,
        db,
        "create domain trap.number as int check (trap.yes('an element', 1)); \
         alter table laid alter v type trap.number[]; \
         alter type trap.mood rename to old_mood; create domain trap.mood as trap.old_mood check (trap.yes('a name', 1))",
    );
    // Rows that change places are staged where nothing was before; so are many rows.
    for statement in [
        "begin; update laid set u = -1, v = '{7}' where id = 1; update laid set u = 1 where id = 2; \
         update laid set u = 2 where id = 1; commit",
        "insert into enums select g, 'bad' from generate_series(2, 500) g",
        "update enums set e = 'good' where id < 400",
    ] {
        replication.on_provider(statement);
        replication.sync();
        trap::assert_held(subscriber);
    }
    replication.wait_ok();
    let rows =
        "select md5(string_agg(concat(id, ' ', u, ' ', v, ' ', e), ';' order by id)) from laid";
    assert_eq!(
        trap::as_trapper(subscriber, db, rows),
        replication.on_provider(rows)
    );
    assert!(trap::sprung(subscriber).contains(&"an element".to_owned()));
    // And where a copy loads them first.
    for args in [&["resync", "laid"][..], &["resync", "enums", "--swap"]] {
        replication.replay.run(args).ok();
        replication.wait_ok();
        trap::assert_held(subscriber);
    }
}

#[test]
fn l4_a_trigger_of_who_may_make_triggers_is_seen_by_an_ordinary_session() {
    let replication = Replication::builder()
        .replay_line("session_role = \"origin\"")
        .make();
    let (subscriber, db) = (&replication.subscribers[0], replication.db());
    trap::lay(subscriber, db);
    replication.everywhere("create table lent (id int primary key, v text)");
    replication.on_subscriber("grant trigger on lent to trapper");
    replication.start();
    replication.replay.run(&["add", "lent"]).ok();
    replication.wait_ok();
    replication.on_provider("insert into lent values (1, 'known')");
    replication.sync();
    let lay = "create trigger lent before insert on lent for each row execute procedure trap.fire('lent')";
    trap::as_trapper(subscriber, db, lay);
    replication.on_provider("insert into lent values (2, 'two')");
    replication.wait_parked("public.lent", &["trigger lent"]);
    trap::assert_held(subscriber);
}

#[test]
fn l8_code_of_a_weaker_role_on_a_table_of_a_stronger_one_is_refused_by_name() {
    let replication = trapped("create table adm (id int primary key, v text)");
    let (subscriber, db) = (&replication.subscribers[0], replication.db());
    trap::as_trapper(
        subscriber,
        db,
        // Harmless ones: laying them runs some as a superuser.
        "create function trap.calm(anyelement) returns bool language sql immutable as 'select true'; \
         create function trap.plain(text) returns text language sql immutable as 'select $1'; \
         create domain trap.word as text check (trap.calm(value)); \
         create type trap.pair as (a int, b trap.word); \
         create function trap.same_text(text, text) returns bool language sql immutable as 'select true'; \
         create operator trap.=== (leftarg = text, rightarg = text, procedure = trap.same_text)",
    );
    replication.on_subscriber(
        "create table adm (id int primary key, v text); \
         create domain word as text check (trap.calm(value)); create domain ours as text default trap.plain('x')",
    );
    replication.start();
    replication.replay.run(&["add", "adm"]).ok();
    replication.wait_ok();
    let code = "select coalesce((select code from trunkline.acting_role('public', 'adm')), 'none')";
    assert_eq!(replication.on_subscriber(code), "none");
    for (laid, words) in [
        (
            "add constraint laid check (trap.calm(id))",
            "constraint laid calls trap.calm(",
        ),
        (
            "add column laid text default trap.plain('x')",
            "a default calls trap.plain(",
        ),
        (
            "add column laid trap.word",
            "type trap.word belongs to trapper",
        ),
        (
            "add column laid trap.pair[]",
            "type trap.pair belongs to trapper",
        ),
        (
            "add column laid word",
            "constraint word_check of a domain calls trap.calm(",
        ),
        ("add column laid ours", "type public.ours calls trap.plain("),
        (
            "add constraint laid check (v operator(trap.===) 'x')",
            "constraint laid calls trap.same_text(",
        ),
        (
            "add constraint laid exclude using btree (trap.plain(v) with =)",
            "index laid calls trap.plain(",
        ),
    ] {
        replication.on_subscriber(&format!("alter table adm {laid}"));
        let found = replication.on_subscriber(code);
        assert!(found.contains(words), "{laid}: {found}");
        let what = if laid.contains("column") {
            "column"
        } else {
            "constraint"
        };
        replication.on_subscriber(&format!("alter table adm drop {what} laid"));
    }
    replication.on_subscriber("create trigger ordinary before insert on adm for each row execute procedure trap.fire('never')");
    assert_eq!(replication.on_subscriber(code), "none");
    replication.on_subscriber("alter table adm enable always trigger ordinary");
    replication.replay.run(&["restart"]).ok();
    replication.on_provider("insert into adm values (1, 'one')");
    replication.wait_parked(
        "public.adm",
        &[
            "trigger ordinary calls trap.fire() of trapper",
            "would run with the rights of replay's role",
        ],
    );
    trap::assert_held(subscriber);
    replication.on_subscriber(
        "alter function trap.fire() owner to postgres; drop trigger ordinary on adm",
    );
    replication.wait_ok();
    replication.sync();
    replication.assert_same();
    // On the provider, where a superuser reads it.
    trap::lay(&replication.provider, db);
    replication.on_provider("create table read (id int primary key check (trap.yes('check', id)))");
    replication.on_subscriber("create table read (id int primary key)");
    let refused = replication.replay.run(&["add", "read"]).code(3);
    refused.says(&["functions of another role than its own", "trap.yes("]);
    trap::assert_held(&replication.provider);
}

#[test]
fn l12_an_owner_who_sets_constraints_changes_nothing_for_other_tables() {
    let tables = "create table laid (id int primary key, v text); create table kept (id int primary key, v text)";
    let replication = trapped(tables);
    let (subscriber, db) = (&replication.subscribers[0], replication.db());
    replication.on_subscriber(tables);
    replication.on_subscriber(
        "alter table laid owner to trapper; \
         create function refuse() returns trigger language plpgsql as \
             $$ begin if new.v = 'bad' then raise exception 'a bad row'; end if; return null; end $$; \
         create constraint trigger refused after insert or update on kept deferrable initially immediate \
             for each row execute procedure refuse(); \
         alter table kept enable always trigger refused",
    );
    trap::as_trapper(
        subscriber,
        db,
        "create function trap.set() returns trigger language plpgsql as \
             $$ begin set constraints all deferred; return null; end $$; \
         create trigger set after insert on laid for each statement execute procedure trap.set(); \
         alter table laid enable always trigger set",
    );
    replication.start();
    replication.replay.run(&["add", "laid", "kept"]).ok();
    replication.wait_ok();
    for (id, many) in [
        (1, "select 2, 'bad'"),
        (
            3,
            "select g, case when g = 9 then 'bad' end from generate_series(9, 500) g",
        ),
    ] {
        replication.on_provider(&format!(
            "begin; insert into laid values ({id}, 'set'); insert into kept {many}; commit"
        ));
        // Not the whole subscriber, by an error of its commit.
        replication.wait_parked("public.kept", &["a bad row"]);
        replication.on_provider("update kept set v = 'good'");
        replication.on_subscriber("alter table kept disable trigger refused");
        replication.wait_ok();
        replication.sync();
        replication.on_subscriber("alter table kept enable always trigger refused");
    }
    replication.assert_same();
    // Where all is deferred it is so again.
    replication.on_subscriber(
        "create table child (id int primary key references kept deferrable); \
         create or replace function trap.set() returns trigger language plpgsql as \
             $$ begin set constraints all immediate; return null; end $$",
    );
    let session = Session::new(subscriber, db);
    session.ask("begin; set constraints all deferred");
    session
        .ask("select trunkline.as_owner('trapper'::regrole, 'insert into public.laid values (7)')");
    session.ask("insert into child values (-1); insert into kept values (-1, 'late')");
    session.ask("commit");
}
