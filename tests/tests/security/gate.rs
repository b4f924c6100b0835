//! What an owner's code can do to the session that runs it: to the temporary objects by which replay's statements run
//! as the owner, and to those of other owners that stand beside them.

use tests::{Cluster, Replication, Session, trap};

/// Tables of the trapper and of another role.
const TABLES: &str = "\
    grant create on schema public to trapper; create role other; \
    create table other_table (id int primary key); alter table other_table owner to other; \
    create table laid (id int primary key, v text); alter table laid owner to trapper; \
    create table second (id int primary key, v text); alter table second owner to trapper";

/// A trigger on the trapper's table, which runs this.
fn fires(cluster: &Cluster, db: &str, body: &str) {
    trap::as_trapper(
        cluster,
        db,
        &format!(
            "create function trap.act() returns trigger language plpgsql as $f$ begin {body} return new; end $f$; \
             create trigger act before insert on laid for each row execute procedure trap.act(); \
             alter table laid enable always trigger act"
        ),
    );
}

/// A subscriber with these tables, nothing of which is replicated.
fn installed() -> Replication {
    let replication = Replication::builder().make();
    let (subscriber, db) = (&replication.subscribers[0], replication.db());
    replication.ticker.run(&["install"]).ok();
    replication.replay.run(&["install"]).ok();
    trap::lay(subscriber, db);
    replication.on_subscriber(TABLES);
    replication
}

/// Runs a statement as a role by the gate, in a transaction of its own: its lines.
fn run_as(session: &Session, role: &str, statement: &str, reads: bool) -> String {
    session.ask(&format!(
        "select string_agg(l, ' ') from trunkline.as_owner('{role}'::regrole, $s${statement}$s$, {reads}) l"
    ))
}

/// The trapper's code gives its gate another name, and at its next run this one.
fn renames_its_gate(to: &str, and: &str) -> String {
    format!(
        "if to_regclass('pg_temp.foo') is null and to_regclass('pg_temp.{to}') is null then \
             execute format('alter table pg_temp.trunkline_gate_%s rename to foo', 'trapper'::regrole::oid); \
             execute format('alter index pg_temp.trunkline_gate_%s_one rename to foo_one', 'trapper'::regrole::oid); \
         elsif to_regclass('pg_temp.foo') is not null then {and} \
             alter table pg_temp.foo rename to {to}; \
         end if;"
    )
}

#[test]
fn g2_a_gate_that_takes_the_name_of_a_staging_table_is_not_used() {
    let replication = Replication::builder().make();
    let (subscriber, db) = (&replication.subscribers[0], replication.db());
    replication.on_provider(
        "create table laid (id int primary key, v text); create table second (id int primary key, v text); \
         insert into laid values (1, 'one'); insert into second values (5, 'five'), (6, 'six')",
    );
    trap::lay(subscriber, db);
    replication.on_subscriber(TABLES);
    replication.start();
    replication.replay.run(&["add", "laid", "second"]).ok();
    replication.wait_ok();
    let shape = replication.on_provider(
        "select max(shape_id) from trunkline.shape where table_oid = 'second'::regclass",
    );
    fires(
        subscriber,
        db,
        &renames_its_gate(
            &format!("trunkline_keys_{shape}"),
            "alter table pg_temp.foo rename column one to id; \
             create trigger spring before insert on pg_temp.foo for each row execute procedure trap.fire('staging'); \
             alter table pg_temp.foo enable always trigger spring;",
        ),
    );
    for statement in [
        "insert into laid values (101, 'x')",
        "insert into laid values (102, 'x')",
        "insert into laid values (103, 'x')",
        "delete from second where id = 5",
        "insert into laid values (104, 'x')",
        "update second set v = 'seven' where id = 6",
    ] {
        replication.on_provider(statement);
        replication.sync();
        trap::assert_held(subscriber);
    }
    replication.wait_ok();
    replication.assert_same();
}

#[test]
fn g2b_an_index_that_takes_the_name_of_anothers_gate_serves_nothing() {
    let replication = installed();
    let (subscriber, db) = (&replication.subscribers[0], replication.db());
    trap::as_trapper(
        subscriber,
        db,
        "create function trap.dummy(int) returns int language sql immutable as 'select $1'",
    );
    fires(
        subscriber,
        db,
        &renames_its_gate(
            "bar",
            "execute format('create index trunkline_gate_%s_one on pg_temp.foo using brin (trap.dummy(one))', 'other'::regrole::oid); \
             perform brin_desummarize_range(to_regclass(format('pg_temp.trunkline_gate_%s_one', 'other'::regrole::oid)), 0);",
        ),
    );
    let session = Session::new(subscriber, db);
    for id in 1..=3 {
        let insert = format!("insert into public.laid values ({id})");
        assert_eq!(run_as(&session, "trapper", &insert, false), "1");
    }
    assert_eq!(
        session.ask("select count(*) from pg_class where relname = format('trunkline_gate_%s_one', 'other'::regrole::oid)"),
        "1",
        "the attack was made"
    );
    for id in 55..=57 {
        let insert = format!("insert into public.other_table values ({id})");
        assert_eq!(run_as(&session, "other", &insert, false), "1");
    }
    assert_eq!(
        session.ask("select string_agg(id::text, ' ' order by id) from other_table"),
        "55 56 57"
    );
}

#[test]
fn g2b_a_gate_that_serves_nothing_is_made_anew_or_an_error() {
    let replication = installed();
    let (subscriber, db) = (&replication.subscribers[0], replication.db());
    fires(
        subscriber,
        db,
        // Without its row the gate calls nothing; with two it would call twice.
        "if new.id = 1 then \
             execute format('delete from pg_temp.trunkline_gate_%s', 'trapper'::regrole::oid); \
         elsif new.id = 2 then \
             execute format('insert into pg_temp.trunkline_gate_%s values (2)', 'trapper'::regrole::oid); \
         end if;",
    );
    let session = Session::new(subscriber, db);
    for id in 1..=4 {
        let insert = format!("insert into public.laid values ({id}); ");
        assert_eq!(run_as(&session, "trapper", &insert, false), "1");
    }
    assert_eq!(
        session.ask("select string_agg(id::text, ' ' order by id) from laid"),
        "1 2 3 4"
    );
    // The owner of a database gives its sessions a request that nobody made.
    replication.on_subscriber(&format!(
        "alter database {db} set trunkline.request = 'insert into public.laid values (99)'"
    ));
    let session = Session::new(subscriber, db);
    assert_eq!(
        run_as(&session, "trapper", "delete from public.laid", false),
        "4"
    );
    assert_eq!(session.ask("select count(*) from laid"), "0");
}

#[test]
fn g11_an_answer_holds_only_what_the_statement_gave() {
    let replication = installed();
    let (subscriber, db) = (&replication.subscribers[0], replication.db());
    fires(
        subscriber,
        db,
        "insert into pg_temp.trunkline_answer values ('forged'); perform setval('pg_temp.trunkline_touched', 77);",
    );
    trap::as_trapper(
        subscriber,
        db,
        "create function trap.forge() returns text language plpgsql as \
            $f$ begin insert into pg_temp.trunkline_answer values ('forged'); return 'true'; end $f$",
    );
    let session = Session::new(subscriber, db);
    let read = |role: &str, query: &str| run_as(&session, role, query, true);
    read("trapper", "select 'begun'");
    let insert = "insert into public.laid values (1), (2)";
    assert_eq!(run_as(&session, "trapper", insert, false), "2");
    assert_eq!(read("other", "select 'other'"), "other");
    assert_eq!(
        run_as(&session, "other", "delete from public.other_table", false),
        "0"
    );
    assert_eq!(
        read(
            "other",
            "select v from (values ('a'), ('b')) t (v) where false"
        ),
        ""
    );
    let forged = subscriber.try_psql(
        db,
        "select trunkline.as_owner('trapper'::regrole, 'select trap.forge()', true)",
    );
    assert!(
        forged
            .stderr
            .contains("lines that the statement did not give"),
        "{}",
        forged.stderr
    );
}

#[test]
fn g2_names_are_freed_of_all_that_others_have() {
    let replication = installed();
    let (subscriber, db) = (&replication.subscribers[0], replication.db());
    fires(
        subscriber,
        db,
        &renames_its_gate(
            "wanted_4",
            // The minor versions of late 2026 refuse a type there.
            "begin create domain pg_temp.wanted_1 as int; \
             exception when insufficient_privilege then null; end; \
             alter table pg_temp.foo add constraint wanted_2 unique (one); \
             create index wanted_3 on pg_temp.foo (one);",
        ),
    );
    let session = Session::new(subscriber, db);
    for id in 1..=2 {
        let insert = format!("insert into public.laid values ({id})");
        assert_eq!(run_as(&session, "trapper", &insert, false), "1");
    }
    session.ask("create temporary table ours as select 'kept' as v");
    session.ask(
        "select trunkline.free_temporary('{wanted_1,wanted_2,wanted_3,wanted_4,ours,absent}')",
    );
    for name in ["wanted_1", "wanted_2", "wanted_3", "wanted_4"] {
        session.ask(&format!("create temporary table {name} (v text)"));
    }
    assert_eq!(session.ask("select v from pg_temp.ours"), "kept");
    let insert = "insert into public.laid values (3)";
    assert_eq!(run_as(&session, "trapper", insert, false), "1");
}
