//! A trap: code of a role without rights that notes who runs it, and tries to become more than it is by every means.
//!
//! The code stands wherever the owner of a table, a schema or a database may put code. A test lays the trap, runs
//! commands and daemons over it, and asserts that only its owner has run the code and that the code got no further.
//! What the code finds out goes into the server's log, because the transaction that it runs in may be rolled back.

use crate::cluster::Cluster;

/// The role that owns the whole trap: it is no superuser, and a member of no role.
pub const TRAPPER: &str = "trapper";

/// Role, schema `trap` and the functions that the places of a test call. Repeating it is harmless.
///
/// * `trap.spring(place)` is the trap itself: volatile, so it may write.
/// * `trap.yes(place, value)` springs it and is true: for checks, policies, predicates and conditions.
/// * `trap.same(place, value)` springs it and gives the value: for defaults, generated columns, index and partition
///   keys.
/// * `trap.fire()` is a trigger function, whose place is its first argument.
const FUNCTIONS: &str = r#"
do $$ begin create role trapper login; exception when duplicate_object then null; end $$;
do $$ begin create schema trap authorization trapper; exception when duplicate_schema then null; end $$;
grant usage on schema trap to public;

create or replace function trap.spring(place text) returns void language plpgsql volatile as $f$
declare
    v_means text;
    v_super text;
begin
    raise log 'trap sprung at % as % (session of %)', place, current_user, session_user;
    if current_user operator(pg_catalog.<>) 'trapper' then
        raise log 'trap escaped at %: it ran as %', place, current_user;
    end if;
    select r.rolname into v_super from pg_catalog.pg_roles r where r.rolsuper order by r.oid limit 1;
    -- Who it is afterwards says whether one of these helped.
    foreach v_means in array array[
        $m$select pg_catalog.set_config('role', 'none', false)$m$,
        $m$select pg_catalog.set_config('role', 'none', true)$m$,
        'reset role', 'set role none', 'set local role none',
        $m$select pg_catalog.set_config('session_authorization', session_user, false)$m$,
        'set session authorization default', 'reset session authorization']
    loop
        begin
            execute v_means;
            if current_user operator(pg_catalog.<>) 'trapper' then
                raise log 'trap escaped at % by "%": now %', place, v_means, current_user;
            end if;
        exception when others then
            null;
        end;
    end loop;
    -- And these only a superuser may do.
    foreach v_means in array array[
        pg_catalog.format('set role %I', v_super),
        pg_catalog.format('set session authorization %I', v_super),
        pg_catalog.format('grant %I to trapper', v_super),
        'alter role trapper superuser',
        'create role trap_escaped superuser login',
        'set session_replication_role = replica',
        $m$copy (select 'x') to program 'true'$m$,
        $m$select pg_catalog.pg_read_file('PG_VERSION')$m$,
        $m$select pg_catalog.lo_import('/etc/hostname')$m$,
        'select from pg_catalog.pg_authid']
    loop
        begin
            execute v_means;
            raise log 'trap escaped at % by "%"', place, v_means;
        exception when others then
            null;
        end;
    end loop;
    if pg_catalog.to_regprocedure('trap.leave(text)') is not null then
        execute 'select trap.leave($1)' using place;
    end if;
end
$f$;

create or replace function trap.yes(place text, anyelement default null::text) returns bool language plpgsql immutable as
    $f$ begin perform trap.spring(place); return true; end $f$;
create or replace function trap.same(place text, anyelement) returns anyelement language plpgsql immutable as
    $f$ begin perform trap.spring(place); return $2; end $f$;
create or replace function trap.fire() returns trigger language plpgsql as
    $f$ begin perform trap.spring(pg_catalog.concat('trigger ', tg_argv[0])); return case when tg_op operator(pg_catalog.=) 'DELETE' then old else new end; end $f$;
"#;

/// Code that runs when the trap's code has returned: `trap.leave(place)` leaves the trap behind in the session, in
/// every way that a function without rights has. It is not for sessions of users who write a trapper's table
/// themselves, which are not protected.
const LEAVINGS: &str = r#"
create table trap.later (place text);
create constraint trigger later after insert on trap.later deferrable initially deferred
    for each row execute procedure trap.fire('later');
alter table trap.later enable always trigger later;

create function trap.stranger(place text) returns void language plpgsql as $f$
begin
    if current_user operator(pg_catalog.<>) 'trapper' then
        raise log 'trap escaped at %: now %', place, current_user;
    end if;
end
$f$;
create function trap.doubled(text, text) returns bool language plpgsql as
    $f$ begin perform trap.stranger('an operator'); return $1 operator(pg_catalog.=) $2; end $f$;
create operator trap.= (leftarg = text, rightarg = text, procedure = trap.doubled);
create function trap.doubled(oid, oid) returns bool language plpgsql as
    $f$ begin perform trap.stranger('an operator'); return $1 operator(pg_catalog.=) $2; end $f$;
create operator trap.= (leftarg = oid, rightarg = oid, procedure = trap.doubled);
create function trap.set_config(text, text, bool) returns text language plpgsql as
    $f$ begin perform trap.stranger('set_config'); return pg_catalog.set_config($1, $2, $3); end $f$;

create function trap.leave(place text) returns void language plpgsql volatile as $f$
declare
    v_one   record;
    v_means text;
begin
    if place operator(pg_catalog.~) 'left behind' or place operator(pg_catalog.=) 'trigger later' then
        return;
    end if;
    for v_one in select p.name, p.parameter_types from pg_catalog.pg_prepared_statements p
               where p.statement operator(pg_catalog.<>) pg_catalog.current_query() loop
        begin
            execute pg_catalog.format('deallocate %I', v_one.name);
            execute pg_catalog.format('prepare %I (%s) as select trap.spring(%L)', v_one.name,
                pg_catalog.array_to_string(v_one.parameter_types, ', '), 'left behind, prepared');
        exception when others then null;
        end;
    end loop;
    foreach v_means in array array[
        $m$insert into trap.later values ('later')$m$,
        $m$declare trap_held cursor with hold for select trap.spring('left behind, held')$m$,
        'listen trap', 'discard temp', 'select pg_catalog.pg_advisory_unlock_all()',
        $m$set search_path = trap, pg_catalog, pg_temp$m$, 'set standard_conforming_strings = off', 'set client_encoding = sjis']
    loop
        begin
            execute v_means;
        exception when others then null;
        end;
    end loop;
end
$f$;
"#;

/// Puts the functions of the trap into a database, with everything that they can leave behind in a session.
#[track_caller]
pub fn lay_lasting(cluster: &Cluster, dbname: &str) {
    lay(cluster, dbname);
    as_trapper(cluster, dbname, LEAVINGS);
}

/// Puts the functions of the trap into a database.
#[track_caller]
pub fn lay(cluster: &Cluster, dbname: &str) {
    cluster.psql(dbname, FUNCTIONS);
    cluster.psql(
        dbname,
        "do $$ declare f regprocedure; begin
            for f in select oid from pg_proc where pronamespace = 'trap'::regnamespace and proowner <> 'trapper'::regrole loop
                execute format('alter function %s owner to trapper', f);
            end loop; end $$",
    );
}

/// Runs SQL as the trap's owner, in a session of its own.
#[track_caller]
pub fn as_trapper(cluster: &Cluster, dbname: &str, sql: &str) -> String {
    let output = crate::process::run(cluster.client("psql", dbname).env("PGUSER", TRAPPER).args([
        "-XAtq",
        "-v",
        "ON_ERROR_STOP=1",
        "-c",
        sql,
    ]));
    output.ok().text().to_owned()
}

/// The places where the trap was sprung, each once, in order.
#[must_use]
pub fn sprung(cluster: &Cluster) -> Vec<String> {
    places(cluster, "trap sprung at ", " as ")
}

/// Asserts that only its owner has run the trap's code, and that it gained no rights, by the server's log and the
/// trap's roles.
///
/// # Panics
///
/// If another role has run it, with everything that the trap has noted.
#[track_caller]
pub fn assert_held(cluster: &Cluster) {
    let log = cluster.log();
    let escapes: Vec<&str> = log
        .lines()
        .filter(|line| line.contains("LOG:  trap escaped"))
        .collect();
    assert!(escapes.is_empty(), "{}", escapes.join("\n"));
    let roles = cluster.psql(
        "postgres",
        "select string_agg(rolname, ' ') from pg_roles where rolsuper and rolname in ('trapper', 'trap_escaped')",
    );
    assert_eq!(roles, "", "superusers");
}

fn places(cluster: &Cluster, before: &str, after: &str) -> Vec<String> {
    let mut places: Vec<String> = cluster
        .log()
        .lines()
        .filter_map(|line| {
            line.split_once(&format!("LOG:  {before}"))?
                .1
                .split_once(after)
        })
        .map(|(place, _)| place.to_owned())
        .collect();
    places.sort();
    places.dedup();
    places
}
