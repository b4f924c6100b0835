-- Schema trap: a double of everything in pg_catalog, pgq and trunkline that a statement can name, which raises when it is used.
-- Functions, window functions and operators are the server's own trigger_in under other signatures ("cannot accept a value of
-- type trigger"); aggregates have it as their step; a base type is a domain whose check raises, a relation a view that does.
-- made and left_out say what there is.
create schema trap;
create table trap.made (kind text, name text);
create table trap.left_out (kind text, name text, error text);
create function trap.raises() returns bool language plpgsql as $$ begin raise feature_not_supported using message = 'trap'; end $$;
do $do$
declare
    v_one record;
begin
    perform set_config('search_path', 'pg_catalog', true);
    for v_one in
        select 'function' as kind, p.number::regprocedure::text as name, format('create function trap.%I(%s) returns %s language internal %s as ''trigger_in''', p.proname,
                   pg_get_function_identity_arguments(p.number), pg_get_function_result(p.number), case k.kind when 'w' then 'window' else '' end) as sql
          from (select distinct on (p.proname, p.proargtypes) p.oid as number, p.* from pg_proc p
                 order by p.proname, p.proargtypes, p.pronamespace = 'pg_catalog'::regnamespace desc) p
          cross join lateral (select coalesce(to_jsonb(p) ->> 'prokind', case when (to_jsonb(p) ->> 'proisagg')::bool then 'a'
                                                                              when (to_jsonb(p) ->> 'proiswindow')::bool then 'w' else 'f' end) as kind) k
         where p.pronamespace in ('pg_catalog'::regnamespace, 'pgq'::regnamespace, 'trunkline'::regnamespace) and k.kind in ('f', 'w')
           -- What reads a value of a type from outside, and what other code of the server's calls.
           and not (array['cstring', 'internal']::regtype[]::oid[] && p.proargtypes::oid[]
                    and exists (select from pg_type t where t.oid = p.prorettype and t.typtype = 'p'))
        union all
        select 'aggregate', p.oid::regprocedure::text, format('create function trap.step_%s(%s) returns int4 language internal as ''trigger_in'';
                   create aggregate trap.%I(%s) (sfunc = trap.step_%1$s, stype = int4)', p.oid, concat_ws(', ', 'int4', nullif(oidvectortypes(p.proargtypes), '')),
                   p.proname, coalesce(nullif(pg_get_function_identity_arguments(p.oid), ''), '*'))
          from pg_proc p join pg_aggregate a on a.aggfnoid = p.oid and a.aggkind = 'n' and p.provariadic = 0
         where p.pronamespace = 'pg_catalog'::regnamespace
        union all
        select 'operator', o.oid::regoperator::text, format('create function trap.op_%s(%s) returns %s language internal as ''trigger_in'';
                   create operator trap.%s (procedure = trap.op_%1$s%5$s%6$s)', o.oid,
                   concat_ws(', ', nullif(format_type(nullif(o.oprleft, 0), null), '-'), nullif(format_type(nullif(o.oprright, 0), null), '-')),
                   format_type(o.oprresult, null), o.oprname,
                   ', leftarg = ' || format_type(nullif(o.oprleft, 0), null), ', rightarg = ' || format_type(nullif(o.oprright, 0), null))
          from pg_operator o
         where o.oprnamespace = 'pg_catalog'::regnamespace and o.oprresult <> 0
        union all
        select 'type', t.typname, format(case t.typtype when 'p' then 'create type trap.%I as (a int4)'
                                              else 'create domain trap.%I as pg_catalog.%1$I check (trap.raises())' end, t.typname)
          from pg_type t
         where t.typnamespace = 'pg_catalog'::regnamespace and t.typtype in ('b', 'r', 'p') and t.typname !~ '^_' and t.typname <> 'unknown'
        union all
        select 'relation', c.relname, format('create view trap.%I as select trap.raises()', c.relname)
          from pg_class c
         where c.relnamespace in ('pg_catalog'::regnamespace, 'pgq'::regnamespace, 'trunkline'::regnamespace, 'app'::regnamespace) and c.relkind in ('r', 'v', 'p')
    loop
        begin
            execute v_one.sql;
            insert into trap.made values (v_one.kind, v_one.name);
        exception when others then
            insert into trap.left_out values (v_one.kind, v_one.name, sqlerrm || ': ' || v_one.sql);
        end;
    end loop;
end
$do$;
grant usage on schema trap to public;
grant select on all tables in schema trap to public;
