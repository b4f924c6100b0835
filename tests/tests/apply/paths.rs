//! Code of the database's users that names things without a schema finds them, as in any other session of the database,
//! and nothing that stands in their path gets into our own statements.

use tests::Replication;

/// What looks names up by the path, on a table of whoever; large enough for its indexes to be built again after a copy.
const CODE: &str = "\
    create function fold(text) returns text immutable language sql as 'select lower($1)'; \
    create function fold2(text) returns text immutable language sql as 'select fold($1)'; \
    create table noted (what text); \
    create function note() returns trigger language plpgsql as $$ begin insert into noted values (tg_op); return null; end $$; \
    create trigger note after insert or update or delete or truncate on t for each statement execute procedure note(); \
    alter table t enable always trigger note; \
    create trigger note after insert or delete on keyless for each statement execute procedure note(); \
    alter table keyless enable always trigger note; \
    create index on t (fold2(v)); create index on keyless (fold2(v))";

/// Operators and functions that fit our statements better than pg_catalog's would, if a value had another type than it
/// seems.
const DOUBLES: &str = "\
    do $do$ declare v_left regtype; v_right regtype; v_name text; begin \
        for v_left, v_right, v_name in \
            select l, r, n from unnest('{int4,int8,numeric,text,name,oid,regclass,varchar}'::regtype[]) l, \
                                unnest('{int4,int8,numeric,text,name,oid,regclass,varchar}'::regtype[]) r, \
                                unnest('{=,<>,<,<=,>,-,||}'::text[]) n \
             where not exists (select from pg_operator o where o.oprname = n and o.oprleft = l and o.oprright = r) \
        loop \
            if to_regprocedure(format('public.taken(%s, %s)', v_left, v_right)) is null then \
                execute format('create function public.taken(%s, %s) returns bool language plpgsql as \
                    $f$ begin raise exception ''an operator of a user''; end $f$', v_left, v_right); \
            end if; \
            execute format('create operator public.%s (leftarg = %s, rightarg = %s, procedure = public.taken)', v_name, v_left, v_right); \
        end loop; \
        create function public.generate_series(int4, int8) returns setof int8 language plpgsql as \
            $f$ begin raise exception 'a function of a user'; end $f$; \
    end $do$";

#[test]
fn s1_code_that_names_no_schema_runs_as_in_any_session_of_the_database() {
    for owner in ["postgres", "alice"] {
        println!("owned by {owner}");
        let replication = Replication::builder().make();
        replication.everywhere(
            "create table t (id int primary key, v text); create table keyless (v text)",
        );
        replication.on_provider(
            "insert into t select g, repeat('V', 60) from generate_series(1, 60000) g; \
             insert into keyless values ('A')",
        );
        // A superuser's code finds only what nobody weaker can put there (docs/roles.md).
        replication.on_subscriber(match owner {
            "alice" => "create role alice; grant all on schema public to alice",
            _ => "revoke create on schema public from public",
        });
        replication.on_subscriber(&format!("alter table t owner to {owner}; alter table keyless owner to {owner}; set role {owner}; {CODE}"));
        replication.on_subscriber(DOUBLES);
        replication.start();
        replication.replay.run(&["add", "t"]).ok();
        let keyless = ["add", "keyless", "--identity", "full"];
        replication.replay.run(&keyless).ok();
        replication.wait_ok();
        for (statement, what) in [
            ("insert into t values (0, 'Few')", "INSERT"),
            ("update t set v = 'Few' where id in (1, 2)", "UPDATE"),
            ("update t set v = 'Many' where id > 59000", "UPDATE"),
            ("delete from t where id < 500", "DELETE"),
            ("insert into keyless values ('B'), ('B')", "INSERT"),
            ("delete from keyless where v = 'B'", "DELETE"),
            (
                "insert into t select -g, 'More' from generate_series(1, 500) g",
                "INSERT",
            ),
            ("truncate t", "TRUNCATE"),
        ] {
            replication.on_subscriber("delete from noted");
            replication.on_provider(statement);
            replication.sync();
            // Not with a path of the harness: no session without the database's own can read the table.
            for rows in [
                "select count(*), md5(string_agg(v, ',' order by v)) from keyless",
                "select count(*), md5(string_agg(v, ',' order by id)), sum(id) from t",
            ] {
                assert_eq!(
                    replication.on_subscriber(rows),
                    replication.on_provider(rows),
                    "{statement}"
                );
            }
            assert_eq!(
                replication.on_subscriber("select string_agg(distinct what, ' ') from noted"),
                what,
                "{statement}"
            );
        }
        for args in [&["resync", "t"][..], &["resync", "t", "--swap"]] {
            replication.replay.run(args).ok();
            replication.wait_ok();
        }
        assert_eq!(
            replication.on_subscriber("select count(*) from pg_indexes where tablename = 't'"),
            "2"
        );
        replication.assert_clean(&[]);
    }
}

#[test]
fn s1_a_log_of_ddl_that_names_no_schema_does_not_stop_the_install() {
    let replication = Replication::builder().make();
    replication.everywhere("create table t (id int primary key, v text)");
    replication.on_subscriber(
        "create table ddl_log (tag text); \
         create function log_ddl() returns event_trigger language plpgsql as $$ begin insert into ddl_log values (tg_tag); end $$; \
         create event trigger a_log on ddl_command_end execute procedure log_ddl()",
    );
    replication.start();
    replication.replay.run(&["add", "t"]).ok();
    replication.wait_ok();
    replication.on_provider("insert into t values (1, 'a')");
    replication.sync();
    replication.assert_same();
    // One that refuses DDL is obeyed.
    replication.replay.run(&["stop"]).ok();
    replication.on_subscriber(
        "set session_replication_role = replica; drop schema trunkline cascade; \
         create or replace function log_ddl() returns event_trigger language plpgsql as $$ begin raise exception 'no DDL today'; end $$",
    );
    let refused = replication.replay.run(&["install"]);
    assert!(refused.stderr.contains("no DDL today"), "{refused:?}");
    replication.assert_clean(&[]);
}
