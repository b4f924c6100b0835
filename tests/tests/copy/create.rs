//! Tables that are made on the subscriber (`replay add --create`): all of them or none, with what
//! they need and nothing of ours, whatever they are called.

use std::io::Write as _;

use tests::{Cluster, Replication, Server, Session, signal, wait_until, wait_value};

use crate::{SOON, catalog::CATALOG, ddl::same_lines};

/// A schema, tables, columns and types that are hard to quote.
const HOSTILE: &str = r#"
create schema "ATTACH"; create schema "it's "" a\b;--%s$1{}";
create extension citext schema public;
create type "it's "" a\b;--%s$1{}"."mo'od" as enum ('it''s', 'a,b');
create domain "it's "" a\b;--%s$1{}"."select" as int check (value > 0);
create type "ATTACH".pair as (a int, b "it's "" a\b;--%s$1{}"."mo'od");
create function "ATTACH"."def""ault"() returns int language sql as $f$
select 7 /*

SET default_table_access_method = heap;

*/ $f$;
create sequence "ATTACH"."a.free.sequence" increment 3;
create table "ATTACH"."par ent" (id int primary key, v text unique);
create table "it's "" a\b;--%s$1{}"."user" (
    "order" serial primary key, "tab	x" "it's "" a\b;--%s$1{}"."mo'od"[] default '{"it''s"}',
    d "it's "" a\b;--%s$1{}"."select" default "ATTACH"."def""ault"(), p "ATTACH".pair, c citext,
    s int default nextval('"ATTACH"."a.free.sequence"'), g int generated always as identity,
    parent int constraint "fk'
ey" references "ATTACH"."par ent", other int);
create index "☃ index" on "it's "" a\b;--%s$1{}"."user" (lower(c::text)) where d > 1;
create statistics "ATTACH".st on s, other from "it's "" a\b;--%s$1{}"."user";
comment on table "it's "" a\b;--%s$1{}"."user" is E'\\restrict\n--\n-- PostgreSQL database dump complete\n--\n\\unrestrict';
create table "ATTACH".parts (a int, b text, primary key (a, b)) partition by range (a);
create table "ATTACH"."TABLE" partition of "ATTACH".parts for values from (0) to (10);
create table "ATTACH".sub partition of "ATTACH".parts default partition by list (b);
create table "ATTACH".leaf partition of "ATTACH".sub default;
create index on "ATTACH".parts (b);
create table unrelated (id int primary key, t "ATTACH".pair);
alter table "it's "" a\b;--%s$1{}"."user" add constraint elsewhere foreign key (other) references unrelated;
create function noted() returns trigger language plpgsql as $f$ begin return null; end $f$;
create trigger of_the_user after insert on "it's "" a\b;--%s$1{}"."user" execute function noted();
grant select on "it's "" a\b;--%s$1{}"."user" to public;
insert into "ATTACH"."par ent" values (1, 'one');
insert into "it's "" a\b;--%s$1{}"."user" (parent, p, c) select 1, '(1,"a,b")', 'C' || i from generate_series(1, 50) i;
insert into "ATTACH".parts select i, i from generate_series(0, 20) i;
"#;

/// Objects that are not the server's own and not ours, by name; what of a table counts.
const OBJECTS: &str = r#"
select string_agg(o, E'\n' order by o collate "C") from (
    select 'relation ' || c.oid::regclass || ' ' || c.relkind::text || ' ' || coalesce(pg_get_expr(c.relpartbound, c.oid), '')
        || coalesce(' of ' || (select inhparent::regclass from pg_inherits where inhrelid = c.oid), '')
        || coalesce(' owned by ' || (select refobjid::regclass || refobjsubid::text from pg_depend
                                      where objid = c.oid and classid = 'pg_class'::regclass and deptype in ('a', 'i')
                                        and refclassid = 'pg_class'::regclass and c.relkind = 'S'), '')
        || coalesce(' comment ' || obj_description(c.oid, 'pg_class'), '')
      from pg_class c where c.relnamespace <> 'trunkline'::regnamespace and c.relnamespace::regnamespace::text !~ '^(pg_|pgq|information)'
    union all
    select 'column ' || attrelid::regclass || '.' || attname || ' ' || format_type(atttypid, atttypmod) || attidentity::text
        || coalesce(pg_get_expr(d.adbin, d.adrelid), '')
      from pg_attribute left join pg_attrdef d on adrelid = attrelid and adnum = attnum join pg_class c on c.oid = attrelid
     where attnum > 0 and c.relnamespace <> 'trunkline'::regnamespace and c.relnamespace::regnamespace::text !~ '^(pg_|pgq|information)'
    union all
    select 'constraint ' || conname || ' ' || conrelid::regclass || pg_get_constraintdef(oid)
      from pg_constraint where conrelid <> 0 and connamespace <> 'trunkline'::regnamespace and connamespace::regnamespace::text !~ '^(pg_|pgq|information)'
    union all select 'statistics ' || stxname from pg_statistic_ext) x (o)
"#;

#[test]
fn tables_are_made_with_all_they_need_whatever_they_are_called_and_nothing_of_ours_comes_over() {
    let replication = Replication::builder().make();
    replication.on_provider(HOSTILE);
    replication.start();
    // Capture is there before the dump: its triggers and functions must not come with it.
    let names = [
        r#""it's "" a\b;--%s$1{}"."user""#,
        "\"ATTACH\".\"par ent\"",
        "\"ATTACH\".parts",
    ];
    let mut args = vec!["add", "--create", "--dry-run"];
    args.extend(names);
    let before = replication.on_subscriber(OBJECTS);
    replication.replay.run(&args).ok();
    assert_eq!(replication.on_subscriber(OBJECTS), before);
    args.remove(2);
    args.extend(["--wait", "120"]);
    let said = replication.replay.run(&args).ok();
    said.says(&[
        "not made: foreign key elsewhere",
        "public.unrelated is not on",
    ]);
    let tables = |sql: &str| {
        sql.replace(
            "x (o)",
            "x (o) where o !~ 'unrelated' and o !~ '^(relation|column) (noted|citext)'",
        )
    };
    same_lines(
        &replication.on_provider(&tables(OBJECTS)),
        &replication.on_subscriber(&tables(OBJECTS)),
    );
    assert_eq!(
        replication.on_subscriber(
            "select count(*) from pg_trigger where not tgisinternal; \
             select count(*) from pg_proc where proname = 'noted' or pronamespace::regnamespace::text like 'pgq%'; \
             select count(*) from pg_class where relname = 'unrelated'"
        ),
        "0\n0\n0"
    );
    replication.on_provider(
        r#"insert into "it's "" a\b;--%s$1{}"."user" (parent) values (1), (1); update "ATTACH".parts set a = a + 1"#,
    );
    // The rest, whose schema and type are there by now.
    replication
        .replay
        .run(&["add", "--all", "--create", "--wait", "120"])
        .ok();
    replication.assert_followed(&[]);
}

#[test]
fn a_dump_that_does_not_go_through_leaves_nothing() {
    let replication = Replication::builder().make();
    replication.on_provider(
        "create schema app; create type app.mood as enum ('a'); \
         create table app.a (id serial primary key, m app.mood); create table app.b (id int primary key, a int references app.a)",
    );
    replication.on_subscriber("create view unlucky as select 1");
    replication.on_provider("create table unlucky (id int primary key)");
    replication.on_subscriber("create table b_pkey (id int)");
    replication.start();
    let before = replication.on_subscriber(OBJECTS);
    replication.on_subscriber("create schema app; create table app.b_pkey (id int)");
    replication
        .replay
        .run(&["add", "app.a", "app.b", "--create"])
        .code(3)
        .says(&["nothing was made", "b_pkey"]);
    replication.on_subscriber("drop schema app cascade");
    same_lines(&before, &replication.on_subscriber(OBJECTS));
    // Of something else by that name it is said as of any table that does not fit.
    replication
        .replay
        .run(&["add", "unlucky", "--create"])
        .code(3)
        .says(&["public.unlucky"]);
    replication
        .replay
        .run(&["add", "app.*", "--create", "--wait", "120"])
        .ok();
    assert_eq!(replication.tables().len(), 2);
}

#[test]
fn kill9_leaves_nothing_half_made_and_the_command_may_be_repeated() {
    let replication = Replication::running("create table parent (id int primary key)");
    replication.on_provider(
        "create schema app; create table app.first (id int primary key); \
         create table app.last (id int primary key, p int references parent)",
    );
    let before = replication.on_subscriber(OBJECTS);
    let writer = Session::holding(
        &replication.subscribers[0],
        replication.db(),
        "lock table parent in row exclusive mode",
    );
    let mut adding = replication
        .replay
        .command(&["add", "app.*", "--create"])
        .spawn()
        .unwrap();
    wait_until("the foreign key to wait for its table", SOON, || {
        replication.on_subscriber(
            "select count(*) > 0 from pg_stat_activity where application_name like 'trunkline admin%' and wait_event_type = 'Lock'",
        ) == "t"
    });
    adding.kill().unwrap();
    adding.wait().unwrap();
    wait_until("its session to end", SOON, || {
        replication.on_subscriber(
            "select count(*) from pg_stat_activity where application_name like 'trunkline admin%' and state like '%transaction%' or wait_event_type = 'Lock'",
        ) == "0"
    });
    same_lines(&before, &replication.on_subscriber(OBJECTS));
    drop(writer);
    replication
        .replay
        .run(&["add", "app.*", "--create", "--wait", "120"])
        .ok();
    replication.on_provider("insert into parent values (1); insert into app.last values (1, 1)");
    replication.assert_followed(&[]);
}

#[test]
fn a_password_is_on_no_command_line_and_in_no_file() {
    let replication = Replication::builder().make();
    replication.on_provider("create table t (id int primary key)");
    replication.start();
    let text = std::fs::read_to_string(&replication.replay.config).unwrap();
    let mut config = std::fs::File::create(&replication.replay.config).unwrap();
    let with_password = text.replacen("provider_db = \"", "provider_db = \"password=gEheim ", 1);
    config.write_all(with_password.as_bytes()).unwrap();
    let altering = Session::holding(
        &replication.provider,
        replication.db(),
        "lock table t in access exclusive mode",
    );
    let mut adding = replication
        .replay
        .command(&["add", "t", "--create"])
        .env("TMPDIR", replication.scratch.dir("tmp"))
        .spawn()
        .unwrap();
    let of_ours = format!("/proc/{}/task/{0}/children", adding.id());
    let child = wait_value("pg_dump to run", SOON, || {
        let children = std::fs::read_to_string(&of_ours).ok()?;
        let mut arguments = children.split_ascii_whitespace().filter_map(|pid| {
            let words = std::fs::read_to_string(format!("/proc/{pid}/cmdline")).ok()?;
            words.contains("schema-only").then_some((pid, words))
        });
        let (pid, words) = arguments.next()?;
        let environment = std::fs::read_to_string(format!("/proc/{pid}/environ")).ok()?;
        Some((words, environment))
    });
    assert!(!child.0.contains("gEheim"), "{}", child.0);
    assert!(child.1.contains("PGPASSWORD=gEheim"));
    let left = std::fs::read_dir(replication.scratch.dir("tmp")).unwrap();
    assert_eq!(left.count(), 0);
    assert!(signal(
        i32::try_from(adding.id()).unwrap(),
        nix::sys::signal::Signal::SIGKILL
    ));
    adding.wait().unwrap();
    drop(altering);
}

#[test]
fn a_provider_that_no_pg_dump_here_knows_names_the_package() {
    let replication = Replication::builder()
        .provider(Cluster::builder(&Server::version(18)))
        .make();
    replication.on_provider("create table t (id int primary key)");
    replication.start();
    let here = std::fs::read_dir("/usr/lib/postgresql").unwrap();
    assert!(
        here.filter_map(Result::ok).all(|one| one
            .file_name()
            .to_string_lossy()
            .parse::<u32>()
            .unwrap()
            < 18),
        "a pg_dump of 18 is installed: this test needs a newer provider"
    );
    replication
        .replay
        .run(&["add", "t", "--create"])
        .code(3)
        .says(&["postgresql-client-18"]);
    assert_eq!(
        replication.on_subscriber("select to_regclass('t') is null"),
        "t"
    );
}

#[test]
fn an_older_subscriber_is_not_told_what_it_does_not_know() {
    for (from, to) in [(15, 10), (10, 15)] {
        let replication = Replication::builder()
            .provider(Cluster::builder(&Server::version(from)))
            .subscribers(vec![Cluster::builder(&Server::version(to))])
            .make();
        replication.on_provider(
            "create schema app; create type app.mood as enum ('a'); create table app.t (id serial primary key, m app.mood); \
             create table app.p (id int) partition by range (id); create table app.p1 partition of app.p for values from (0) to (10); \
             create unique index on app.p1 (id); insert into app.t (m) values ('a')",
        );
        replication.start();
        let identity: &[&str] = &["add", "app.p", "--create", "--identity", "full"];
        replication.replay.run(identity).ok();
        replication
            .replay
            .run(&["add", "app.t", "--create", "--wait", "120"])
            .ok();
        replication.on_provider("insert into app.p values (1)");
        replication.assert_followed(&[]);
        assert_eq!(
            replication.on_subscriber(CATALOG).lines().count(),
            replication.on_provider(CATALOG).lines().count(),
            "indexes and constraints"
        );
    }
}
