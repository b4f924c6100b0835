//! Capture functions run with the rights of their owner and, for what a row costs, under the writer's own `search_path`.
//! Here that path begins with a schema that has a raising double of everything in `pg_catalog` (`trap.sql`), and the
//! session's temporary schema has doubles of all relations and types: any name that is not qualified fails the statement.

use tokio_postgres::Client;

use crate::provider::{Provider, refused};

crate::cases::cases! {
    no_name_in_capture_is_looked_up_by_the_writers_search_path
    what_may_look_at_the_search_path_has_it_pinned
}

const TABLES: &str = "
    create schema app; create domain app.word as text; create type app.pair as (a int, b text);
    create table app.t (id int primary key, a int, v text, at timestamptz, n numeric, f float8, iv interval, b bytea,
                        j jsonb, ar int[], w app.word, p app.pair, d date, m money, r int4range);
    alter table app.t alter j set storage external;
    create table app.k (a int, b text, v text, primary key (b, a));
    create table app.num (id numeric primary key, v text);
    create table app.child (id int primary key, parent int references app.t on delete cascade on update cascade);
    create table app.st (id int primary key, v text); create table app.f (a int, v text);
    create table app.o (a int, v text);
    create table app.r (id int not null, v text) partition by list (id);
    create table app.r1 partition of app.r for values in (1, 3); create table app.r2 partition of app.r for values in (2);
    create unique index on app.r1 (id); create unique index on app.r2 (id);
    create table app.base (id int primary key, v text); create table app.derived (primary key (id)) inherits (app.base);
    create table app.reg (id int primary key, c regclass);
    create function app.nested() returns trigger language plpgsql as
        $$ begin update app.t set v = 'nested' where id operator(pg_catalog.=) new.id; return null; end $$;
    create trigger nested after insert on app.t for each row when (new.a = 99) execute procedure app.nested();
    do $$ begin create role plain_writer login; exception when duplicate_object then null; end $$;
    grant usage on schema app to plain_writer; grant select, insert, update, delete, truncate on all tables in schema app to plain_writer";

/// Planning a live read computes what is constant here. It may not qualify its names, so the path is pinned where it runs
/// with the rights of capture's owner.
const STATISTICS: &str = "create function app.quiet(i int) returns int language plpgsql immutable as
    $$ begin
        if session_user operator(pg_catalog.<>) current_user
           and pg_catalog.current_setting('search_path') operator(pg_catalog.<>) 'pg_catalog, pg_temp' then
            raise exception 'planned as % under %', current_user, pg_catalog.current_setting('search_path');
        end if;
        return i;
    end $$;
    create statistics app.seen on (app.quiet(1)), v from app.st";

/// Doubles in the session's own temporary schema, made as the writer that has no other rights; then the hostile path.
const BECOME_HOSTILE: &str = "set session authorization plain_writer;
    do $$ declare v_one record; begin
        for v_one in select format('create domain pg_temp.%I as pg_catalog.%1$I check (trap.raises())', m.name) as sql
                       from trap.made m join pg_type t on t.typname = m.name and t.typnamespace = 'pg_catalog'::regnamespace
                      where m.kind = 'type' and t.typtype = 'b'
                     union all select format('create temp view %I as select * from trap.%1$I', m.name) from trap.made m where m.kind = 'relation'
                     union all select format('create temp table %s (id int)', n) from unnest(array['newt', 'oldt', 'n', 'x', 'b', 'd']) n
        loop execute v_one.sql; end loop;
    end $$;
    set search_path = trap, pg_catalog";

/// Each form of statement, as somebody writes it who trusts no name; `$from` is where the keys begin.
const STATEMENTS: &[&str] = &[
    "insert into app.t values ($from, 1, 'a', '2024-01-02 03:04:05+06', 1.50, 0.1, '1 day 02:00', '\\x00ff', '{\"a\": \"b\"}', '{1,2}',
                               'w', row(1, 'x y'), '2024-01-02', '1.5', '[1,5)')",
    "update app.t set v = 'one', f = 1e300 where id operator(pg_catalog.=) $from",
    "insert into app.t (id, a, v, at) select $from operator(pg_catalog.+) g, g, 'bulk', pg_catalog.now() from pg_catalog.generate_series(1, 450) g",
    "update app.t set v = 'all', iv = '3 days'",
    "update app.t set id = id operator(pg_catalog.+) 1000000, v = 'moved' where id operator(pg_catalog.>) ($from operator(pg_catalog.+) 400)",
    "update app.t set id = id operator(pg_catalog.-) 1 where id operator(pg_catalog.=) $from",
    "insert into app.t (id, a, v) values ($from, 1, 'p'), ($from operator(pg_catalog.+) 1, 2, 'q') on conflict (id) do update set v = 'conflict'",
    "insert into app.t (id, a, v) values ($from, 1, 'p') on conflict do nothing",
    "delete from app.t where id operator(pg_catalog.=) ($from operator(pg_catalog.+) 2)",
    "delete from app.t where id operator(pg_catalog.<) ($from operator(pg_catalog.+) 100)",
    "insert into app.t (id, a, v) values ($from operator(pg_catalog.-) 9, 99, 'a')",
    "insert into app.t (id, a, v) values ($from operator(pg_catalog.-) 8, 99, 'a'), ($from operator(pg_catalog.-) 7, 99, 'b')",
    "do $$ begin update app.t set v = 'twice'; update app.t set id = id operator(pg_catalog.-) 1 where a operator(pg_catalog.=) 99;
                 delete from app.t where v operator(pg_catalog.=) 'nested'; end $$",
    "begin isolation level repeatable read; update app.t set v = 'old snapshot' where a operator(pg_catalog.=) 99;
     do $$ begin update app.t set v = 'x'; delete from app.t where a operator(pg_catalog.=) 99; end $$; commit",
    // A row that goes through put_N, and one that is measured as text.
    "insert into app.t (id, v) values ($from operator(pg_catalog.-) 20, pg_catalog.repeat('long', 5000))",
    "insert into app.t (id, j) values ($from operator(pg_catalog.-) 21, pg_catalog.to_jsonb(pg_catalog.repeat('j', 1200000)))",
    "update app.t set a = 5 where id operator(pg_catalog.<) ($from operator(pg_catalog.-) 19)",
    "with gone as (delete from app.t where id operator(pg_catalog.=) ($from operator(pg_catalog.-) 20) returning id)
     insert into app.t (id, v) select id operator(pg_catalog.-) 10, 'cte' from gone",
    "insert into app.st values ($from, 'a'), ($from operator(pg_catalog.+) 1, 'b')",
    "do $$ begin update app.st set v = 'x'; update app.st set v = 'y' where id operator(pg_catalog.=) $from; delete from app.st; end $$",
    "insert into app.k values ($from, 'k', 'v')",
    "insert into app.k select $from operator(pg_catalog.+) g, 'bulk', 'v' from pg_catalog.generate_series(1, 30) g",
    "update app.k set v = 'w'",
    "update app.k set v = 'w' where a operator(pg_catalog.=) $from",
    "update app.k set a = a operator(pg_catalog.+) 100 where a operator(pg_catalog.<>) $from",
    "delete from app.k where b operator(pg_catalog.=) 'bulk'",
    "insert into app.num values ($from, 'a')",
    "insert into app.num values ($from operator(pg_catalog.+) 1, 'a'), ($from operator(pg_catalog.+) 2.50, 'a')",
    "update app.num set id = 2.50 operator(pg_catalog.*) id",
    "do $$ begin update app.num set v = 'n' where id operator(pg_catalog.>) 1; delete from app.num where v operator(pg_catalog.=) 'x'; end $$",
    "delete from app.num",
    "insert into app.child select id, id from app.t",
    "update app.t set id = id operator(pg_catalog.+) 5000000 where a operator(pg_catalog.=) 5",
    "delete from app.t where a operator(pg_catalog.=) 5",
    "insert into app.f values (1, 'a')",
    "insert into app.f values (1, 'a'), (2, 'b')",
    "update app.f set v = 'c' where a operator(pg_catalog.=) 1",
    "delete from app.f",
    "insert into app.o values (1, 'a')",
    "insert into app.o values (1, 'a'), (2, 'b')",
    "insert into app.r values (1, 'a'), (2, 'b')",
    "insert into app.r1 values (3, 'c')",
    "truncate app.r1",
    "update app.r set v = 'd'",
    "delete from app.r2",
    "insert into app.base values ($from, 'a'); insert into app.derived values ($from, 'd')",
    "update app.base set v = 'both'",
    "delete from app.base",
    "insert into app.reg values ($from, 'app.t')",
    "update app.reg set c = 'app.k'",
    "truncate app.child, app.t",
];

/// What looks like a name without a schema, or like a construct that looks a name up by itself, in whatever runs under the
/// writer's path: also where no statement of the test comes by. The text of constants counts as code.
const UNQUALIFIED: &str = r"
    select coalesce(string_agg(distinct concat_ws(': ', p.proname, m.found[1]), e'\n'), '')
      from pg_proc p
      cross join lateral regexp_replace(regexp_replace(replace(p.prosrc, ':=', ';'), '^\s*#variable_conflict use_variable', ''),
                                        'operator\((pg_catalog|app)\.[^ a-z]+\)|%[sL]|\w\.\*|\(\*\)', ' ', 'g') s (src)
      cross join lateral (
          select regexp_matches(s.src, '[-=<>+*/~!@#%^&|?]', 'g')
          union all select regexp_matches(s.src, '::(?!pg_catalog\.)\w*', 'g')
          union all select regexp_matches(s.src, '\m(nullif|between|like|ilike|similar|overlaps|collate|distinct\s+from|in\s*\(|case\s+(?!when\M))', 'g')
          union all select regexp_matches(s.src, '^\s+v_\w+\s+(?!pg_catalog\.)\w+.*$', 'gn')
          union all select regexp_matches(s.src, '(?<![\w.])(?!(if|elsif|where|end|row|array|exists|select|coalesce|greatest|and|or|not|any|from|over|values|when|lateral|as)\M)([a-z_]\w*)\s*\(', 'g')
      ) m (found)
     where p.pronamespace = 'trunkline'::regnamespace and p.prolang = (select l.oid from pg_language l where l.lanname = 'plpgsql')
       and not coalesce('search_path=pg_catalog, pg_temp' = any (p.proconfig), false)";

async fn add_all(p: &mut Provider) {
    for table in ["t", "k", "st", "num", "child", "base", "derived", "reg"] {
        p.add(&format!("app.{table}")).await;
    }
    p.add_by("app.r", "key", Some(&["id"])).await;
    p.add_by("app.f", "full", None).await;
    p.add_by("app.o", "insert-only", None).await;
}

async fn no_name_in_capture_is_looked_up_by_the_writers_search_path(mut p: Provider) {
    p.check_claims = false;
    p.run(TABLES).await;
    if p.version() >= 14 {
        p.run(STATISTICS).await;
    }
    add_all(&mut p).await;
    assert_eq!(p.ask(UNQUALIFIED).await, "");
    p.run(include_str!("trap.sql")).await;
    println!("{}", p.ask("select string_agg(concat_ws(' ', n, kind), ', ') from (select kind, count(*) as n from trap.made group by kind) m").await);
    assert_eq!(p.ask("select coalesce(string_agg(concat_ws(' ', kind, name, error), e'\\n'), '') from trap.left_out").await, "");
    let hostile = p.another().await;
    hostile.batch_execute(BECOME_HOSTILE).await.unwrap();
    for what in [
        "upper('x')",
        "1 + 1",
        "1 = 1",
        "count(*)",
        "string_agg('a', 'b')",
        "'x'::text",
        "now()",
        "nullif(1, 1)",
        "1 in (1, 2)",
        "1 between 1 and 2",
        "'a' like 'a'",
        "1 is distinct from 2",
        "case 1 when 1 then 2 end",
        "sum(1) over ()",
        "row_number() over ()",
        "(select 1 from pg_class)",
    ] {
        assert_eq!(
            refused(&hostile, &format!("select {what}")).await.0,
            "0A000",
            "{what}"
        );
    }
    every_statement(&mut p, &hostile, 1_000).await;
    the_trap_catches_capture_too(&p, &hostile).await;
    let mut p = p.without_event_triggers().await;
    p.upkeep().await;
    every_statement(&mut p, &hostile, 10_000).await;
    assert_eq!(p.ask("select count(*) from app.o").await, "6");
    hostile.batch_execute("reset search_path").await.unwrap();
    for setting in ["enable_seqscan", "enable_hashagg"] {
        let show = format!("show {setting}");
        assert_eq!(tests::ask(&hostile, &show).await, "on", "{setting}");
    }
}

async fn every_statement(p: &mut Provider, hostile: &Client, from: u32) {
    for statement in STATEMENTS {
        let statement = statement.replace("$from", &from.to_string());
        if let Err(error) = hostile.batch_execute(&statement).await {
            panic!("{statement}: {error:?}");
        }
        p.check(&statement).await;
        assert_eq!(
            tests::ask(hostile, "show search_path").await,
            "trap, pg_catalog"
        );
    }
}

/// The same functions with a qualification taken away: the trap must spring, or the test above proves nothing.
async fn the_trap_catches_capture_too(p: &Provider, hostile: &Client) {
    let one = "insert into app.t (id) values (5)";
    for (qualified, plain, statement) in [
        ("pg_catalog.now()", "now()", one),
        ("operator(pg_catalog.=)", "=", one),
        ("::pg_catalog.text", "::text", one),
    ] {
        p.run(&format!(
            "create table trap.kept as select pg_get_functiondef(p.oid) as sql from pg_proc p
              where p.proname = 'capture_' || 'app.t'::regclass::oid || '_insert'
                and p.pronamespace = 'trunkline'::regnamespace;
             do $$ begin execute (select replace(k.sql, '{qualified}', '{plain}') from trap.kept k); end $$"
        ))
        .await;
        let (code, message, _) = refused(hostile, statement).await;
        assert_eq!(code, "0A000", "{qualified}: {message}");
        p.run("do $$ begin execute (select k.sql from trap.kept k); end $$; drop table trap.kept")
            .await;
        hostile.batch_execute("begin; insert into app.t (id) values (5); insert into app.t (id) values (6), (7); rollback").await.unwrap();
    }
}

async fn what_may_look_at_the_search_path_has_it_pinned(p: Provider) {
    p.run(
        "create type pair as (a int, c regclass[]); create type plain as (a int, b text);
         create operator class own for type macaddr using btree as operator 1 <, operator 2 <=, operator 3 =, operator 4 >=, operator 5 >,
                function 1 macaddr_cmp(macaddr, macaddr);
         create table pinned_1 (id int primary key, c regtype); create table pinned_2 (id int primary key, p pair);
         create table pinned_3 (id int primary key, m macaddr);
         create table free_1 (id int primary key, v text, at timestamptz, p plain); create table free_2 (a int, b float8, d macaddr8[])",
    )
    .await;
    for table in ["pinned_1", "pinned_2", "pinned_3", "free_1"] {
        p.add(table).await;
    }
    p.add_by("free_2", "full", None).await;
    let unpinned = "select string_agg(distinct c.relname, ' ' order by c.relname) from pg_proc p
        join pg_class c on p.proname ~ format('^capture_%s_(insert|update|delete)$', c.oid)
        where p.pronamespace = 'trunkline'::regnamespace and not coalesce('search_path=pg_catalog, pg_temp' = any (p.proconfig), false)";
    assert_eq!(p.ask(unpinned).await, "free_1 free_2");
    p.run("alter table free_1 add c regclass").await;
    assert_eq!(p.ask(unpinned).await, "free_2");
}
