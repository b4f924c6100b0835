//! The trap in every place of the provider where the owner of a table or a database may put code, and all programs run
//! over it with the rights of a superuser.

use std::process::Command;
use std::time::Duration;

use tests::{Programs, Replication, run, trap, wait_until};

const SOON: Duration = Duration::from_secs(120);

/// Tables with the trap in each place that a table has; all of it the trapper's.
const PLACES: &str = r#"
    create domain trap.word as text check (trap.yes('domain', value));
    create type trap.pair as (a int, b text);
    create function trap.pair_text(trap.pair) returns text language plpgsql immutable as $f$ begin perform trap.spring('cast'); return $1.b; end $f$;
    create cast (trap.pair as text) with function trap.pair_text(trap.pair) as implicit;
    create function trap.diff(float8, float8) returns float8 language plpgsql immutable as $f$ begin perform trap.spring('subtype_diff'); return $1 operator(pg_catalog.-) $2; end $f$;
    create type trap.span as range (subtype = float8, subtype_diff = trap.diff);
    create function trap.unequal(name, name) returns bool language plpgsql immutable as $f$ begin perform trap.spring('operator'); return true; end $f$;
    create operator trap.<> (procedure = trap.unequal, leftarg = name, rightarg = name);
    create sequence trap.numbers;
    create table trap.t (id int primary key, v text default trap.same('default', 'd'::text), w trap.word, p trap.pair, s trap.span,
        g text generated always as (trap.same('generated column', 'g'::text)) stored,
        check (trap.yes('check', 1)), check (trap.yes('check of a value', v)));
    create index on trap.t (v) where trap.yes('index predicate', 1);
    create index on trap.t ((trap.same('index expression', 1)));
    create index on trap.t ((trap.same('index of a value', v)));
    create index on trap.t using gist (s);
    create statistics trap.st on (trap.same('statistics', 1)), v from trap.t;
    create trigger a before insert or update or delete on trap.t for each row execute function trap.fire('row');
    create trigger b after insert or update or delete on trap.t for each row execute function trap.fire('after row');
    create trigger c after insert or update or delete on trap.t for each statement execute function trap.fire('statement');
    create constraint trigger d after insert or update on trap.t deferrable initially deferred for each row execute function trap.fire('deferred');
    create trigger e after truncate on trap.t for each statement execute function trap.fire('truncate');
    create function trap.again() returns trigger language plpgsql as $f$ begin
        perform trap.spring('nested statement');
        if pg_catalog.pg_trigger_depth() operator(pg_catalog.<) 2 then update trap.t set v = 'again' where id operator(pg_catalog.=) new.id; end if;
        return null; end $f$;
    create trigger f after insert on trap.t for each row execute function trap.again();
    create rule r as on delete to trap.t where trap.same('rule', old.id) operator(pg_catalog.<) 0 do instead nothing;
    alter table trap.t enable row level security;
    create policy all_rows on trap.t using (trap.yes('policy', 1)) with check (trap.yes('policy', 2));
    create table trap.parts (id int not null, v text) partition by range (trap.same('partition key', id));
    create table trap.part1 partition of trap.parts for values from (0) to (100);
    create unique index on trap.part1 (id);
    create table trap.ranges (id int primary key, v text check (trap.yes('check of a partition', 1))) partition by range (id);
    create table trap.range1 partition of trap.ranges for values from (0) to (100);
    create table trap.parent (id int primary key, v text);
    create table trap.child (primary key (id), check (trap.yes('check of a child', 1))) inherits (trap.parent);
    create table trap.keyless (v text, check (trap.yes('check without a key', v)));
    create index on trap.keyless ((trap.same('index without a key', 1)));
    create table trap.other (id int primary key, v text);
    create view trap.seen as select id, v from trap.t where trap.yes('view', id);
    insert into trap.t values (1, 'a', 'w', row(1, 'x'), '[1,2]'), (2, 'b', 'w', null, '[3,4]');
    insert into trap.ranges values (1, 'a'); insert into trap.parts values (1, 'a');
    insert into trap.parent values (1, 'p'); insert into trap.child values (2, 'c'); insert into trap.keyless values ('k'), ('k'); insert into trap.other values (1, 'o')"#;

/// Functions and operators of schema pg_catalog again, in a schema that comes first in the database's search path.
const DOUBLES: &str = r#"
    create schema doubles;
    do $do$ declare f record; begin
        for f in select p.oid, p.proname, p.proretset, p.prorettype, pg_catalog.oidvectortypes(p.proargtypes) as args
                   from pg_catalog.pg_proc p
                  where p.pronamespace = 'pg_catalog'::pg_catalog.regnamespace and p.prokind = 'f' and p.provariadic = 0
                    and (p.prorettype = 'void'::pg_catalog.regtype or exists (select from pg_catalog.pg_type t where t.oid = p.prorettype and t.typtype <> 'p'))
                    and not exists (select from pg_catalog.unnest(p.proargtypes::oid[]) a join pg_catalog.pg_type t on t.oid = a where t.typtype = 'p') loop
            begin
                execute pg_catalog.format('create function doubles.%I(%s) returns %s%s language plpgsql as %L', f.proname, f.args,
                    case when f.proretset then 'setof ' end, pg_catalog.format_type(f.prorettype, null),
                    pg_catalog.format('begin perform trap.spring(%L); return%s; end', 'double of ' || f.proname,
                        case when not f.proretset and f.prorettype <> 'void'::pg_catalog.regtype then ' null' end));
            exception when others then null;
            end;
        end loop;
        for f in select o.oprname, o.oprleft, o.oprright, p.proname from pg_catalog.pg_operator o join pg_catalog.pg_proc p on p.oid = o.oprcode
                  where o.oprnamespace = 'pg_catalog'::pg_catalog.regnamespace and o.oprleft <> 0 and o.oprname not in ('=>') loop
            begin
                execute pg_catalog.format('create operator doubles.%s (procedure = doubles.%I, leftarg = %s, rightarg = %s)', f.oprname, f.proname,
                    pg_catalog.format_type(f.oprleft, null), pg_catalog.format_type(f.oprright, null));
            exception when others then null;
            end;
        end loop;
        for f in select c.oid, c.relname from pg_catalog.pg_class c
                  where c.relnamespace = 'pg_catalog'::pg_catalog.regnamespace and c.relname in ('pg_class', 'pg_attribute', 'pg_proc', 'pg_namespace', 'pg_type', 'pg_roles', 'pg_settings', 'pg_inherits',
                        'pg_constraint', 'pg_index', 'pg_trigger', 'pg_database', 'pg_stat_activity', 'pg_sequences', 'pg_locks', 'pg_depend') loop
            execute pg_catalog.format('create view doubles.%I as select %s from pg_catalog.%I c where trap.yes(%L, 1)', f.relname,
                (select pg_catalog.string_agg(pg_catalog.format('c.%I', a.attname), ', ') from pg_catalog.pg_attribute a
                   join pg_catalog.pg_type t on t.oid = a.atttypid and t.typtype <> 'p' where a.attrelid = f.oid and a.attnum > 0),
                f.relname, 'double of ' || f.relname);
        end loop;
    end $do$"#;

/// A replication whose programs log in as a superuser of their own, and a provider's database that is the trapper's.
fn trapped() -> Replication {
    let r = Replication::builder().make();
    let provider = &r.provider;
    provider.psql(
        "postgres",
        "create role trapper login; create role daemon superuser login; alter database db1 owner to trapper",
    );
    trap::lay(provider, r.db());
    trap::as_trapper(provider, r.db(), PLACES);
    trap::as_trapper(provider, r.db(), DOUBLES);
    let doubles = r.on_provider(
        "select count(*) > 1500 and (select count(*) > 500 from pg_operator where oprnamespace = 'doubles'::regnamespace) from pg_proc where pronamespace = 'doubles'::regnamespace",
    );
    assert_eq!(doubles, "t");
    // Of the same names, and nobody else's.
    r.on_subscriber(
        "create schema trap; create type trap.pair as (a int, b text); create type trap.span as range (subtype = float8);
         create table trap.t (id int primary key, v text, w text, p trap.pair, s trap.span);
         create table trap.parts (id int primary key, v text); create table trap.ranges (id int primary key, v text);
         create table trap.parent (id int primary key, v text); create table trap.child (primary key (id)) inherits (trap.parent);
         create table trap.keyless (v text); create table trap.other (id int primary key, v text); create sequence trap.numbers",
    );
    let to_daemon = |file: &std::path::Path| {
        let text = std::fs::read_to_string(file).unwrap();
        let port = format!("port={} user=", provider.port());
        let text = text.replace(&format!("{port}postgres"), &format!("{port}daemon"));
        std::fs::write(file, text).unwrap();
    };
    to_daemon(&r.ticker.config);
    to_daemon(&r.replay.config);
    provider.psql(
        "postgres",
        "alter database db1 set search_path = doubles, trap, public, pg_catalog",
    );
    r
}

/// As the owner of everything, in a session whose path has the doubles first; what it says itself has its schemas.
fn owner(r: &Replication, sql: &str) {
    trap::as_trapper(&r.provider, r.db(), sql);
}

/// Runs a program's commands; what they answer is another test's business.
fn commands(r: &Replication) {
    for args in [
        &["status"][..],
        &["tables"],
        &["tables", "--json"],
        &["missing"],
        &["seqs"],
        &["add-seq", "trap.numbers"],
        &["seqs", "--sync"],
        &["pause"],
        &["resume"],
        &["add", "trap.seen"],
        &["skip", "trap.t"],
        &["restore-ddl"],
        &["install"],
    ] {
        r.replay.run(args);
    }
    for args in [&["status"][..], &["install"]] {
        r.ticker.run(args).ok();
    }
    for args in [
        &["status"][..],
        &["check"],
        &["check", "versions"],
        &["queue", "list"],
        &["queue", "create", "q2"],
        &["queue", "set", "q2", "ticker_max_lag=1"],
        &["queue", "drop", "q2"],
        &["consumer", "list"],
        &["consumer", "register", "q1", "c2"],
        &["consumer", "unregister", "q1", "c2"],
        &["capture", "list"],
    ] {
        for config in [&r.ticker.config, &r.replay.config] {
            let mut command = Command::new(Programs::get().path("trunkline"));
            run(command.arg("-c").arg(config).args(args));
        }
    }
}

#[test]
fn whatever_an_owner_puts_on_the_provider_runs_as_himself_under_every_command_and_daemon() {
    let r = trapped();
    r.start();
    r.replay.run(&["add", "trap.other", "trap.parent"]).ok();
    r.wait_ok();
    // To read a table is to plan a query on it, which runs its owner's code: a superuser does not. It is captured all
    // the same.
    for args in [
        &["add", "trap.t", "--where", "id > 0"][..],
        &["add", "trap.ranges", "trap.child"],
        &["add", "trap.keyless", "--identity", "full"],
    ] {
        r.replay.run(args).ok();
    }
    for table in ["trap.t", "trap.ranges", "trap.child", "trap.keyless"] {
        r.wait_parked(table, &["would run as a superuser", "no superuser"]);
    }
    r.replay.run(&["add", "trap.parts", "--identity", "id"]);
    commands(&r);
    for sql in [
        "insert into trap.t values (3, 'c', 'w', row(3, 'z'), '[5,6]'), (4, 'd', 'w', null, null)",
        "insert into trap.t (id) values (5)",
        "update trap.t set v = 'u', id = id operator(pg_catalog.+) 10 where id operator(pg_catalog.<) 3",
        "delete from trap.t where id operator(pg_catalog.=) 4",
        "insert into trap.parts values (2, 'b'); update trap.parts set v = 'w'; insert into trap.ranges values (2, 'b'); update trap.range1 set v = 'x'",
        "insert into trap.child values (3, 'c'); update trap.parent set v = 'p'; insert into trap.keyless values ('m'); delete from trap.keyless where v operator(pg_catalog.=) 'k'",
        // What DDL writes, and what follows it.
        "alter table trap.other add column n text default trap.same('volatile default', 'n'::pg_catalog.text)",
        "alter table trap.other add check (trap.yes('check of a validated value', v)); create index on trap.other ((trap.same('index on other', v)))",
        "alter table trap.other alter v type pg_catalog.varchar(50) using trap.same('using', v)",
        "create table trap.range2 (like trap.ranges including all, check (trap.yes('check of an attached partition', v))); insert into trap.range2 values (150, 'z')",
        "alter table trap.ranges attach partition trap.range2 for values from (100) to (200); truncate trap.range1",
        "alter table trap.ranges detach partition trap.range2",
        "truncate trap.keyless; select pg_catalog.nextval('trap.numbers')",
    ] {
        owner(&r, sql);
    }
    r.on_subscriber("alter table trap.other add column n text");
    for args in [
        &["resync", "trap.t"][..],
        &["wait", "--timeout", "5"],
        &["remove", "trap.keyless"],
    ] {
        r.replay.run(args);
    }
    commands(&r);
    wait_until("a row that follows all of it", SOON, || {
        owner(
            &r,
            "insert into trap.parent values (77, 'last') on conflict do nothing",
        );
        r.on_subscriber("select count(*) from trap.parent where id = 77") == "1"
    });
    // Without event triggers whoever looks after capture makes it anew.
    r.provider
        .psql("postgres", "alter database db1 reset search_path");
    trap::assert_held(&r.provider);
    let sprung = trap::sprung(&r.provider);
    let doubles: Vec<&String> = sprung
        .iter()
        .filter(|place| place.starts_with("double of"))
        .collect();
    assert!(doubles.is_empty(), "{doubles:?}");
    for place in [
        "default",
        "check",
        "domain",
        "generated column",
        "index predicate",
        "index expression",
        "index of a value",
        "partition key",
        "trigger row",
        "trigger after row",
        "trigger statement",
        "trigger deferred",
        "nested statement",
        "rule",
        "using",
        "volatile default",
    ] {
        assert!(
            sprung.iter().any(|one| one == place),
            "{place} is not among {sprung:?}"
        );
    }
    r.replay.run(&["stop"]);
    r.ticker.run(&["stop"]);
}
