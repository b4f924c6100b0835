-- Function trunkline.own_path(): the search_path that the database's users have, of this role and database,
-- for code of theirs that names no schema. pg_catalog comes first and temporary objects last: nothing of
-- theirs takes the place of either.
create or replace function trunkline.own_path() returns text
language sql stable
set search_path = pg_catalog, pg_temp
as $$
    select 'pg_catalog' || coalesce(', ' || nullif(s.reset_val, ''), '') || ', pg_temp' from pg_settings s where s.name = 'search_path';
$$;
revoke all on function trunkline.own_path() from public;

-- Function trunkline.trusted_path(): the search_path for code of the database's users that runs with the rights of the session.
--
-- The path of a database is its owner's, and so is what he puts into the schemas that he names there; and who
-- may make functions in a schema makes one that fits a call better than the one that was meant. So of
-- trunkline.own_path() only those schemas stay that nobody has a hand in but roles that may act as the
-- session's role anyway: the schema's owner, whoever may create objects there, and the owners of the
-- functions and operators that are there. Tables and types of others are what a name finds in every session,
-- and stay. Schemas are named as they are now: one that is made later under a name of the path, or for
-- "$user", is not found.
--
-- Result: one row.
--   path      the search_path; pg_catalog comes first and temporary objects last
--   left_out  the schemas that were left out and why, for a person; null: none
-- Tables: reads the catalog only.
create or replace function trunkline.trusted_path(out path text, out left_out text) returns record
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
    v_schemas name[];
begin
    -- The server reads its own setting: a list of names, some quoted. The path ends with the function at the latest.
    perform set_config('search_path', s.reset_val, true) from pg_settings s where s.name = 'search_path';
    v_schemas := pg_catalog.current_schemas(false);
    perform pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
    with schema as (
        select v.place, n.oid, n.nspname, n.nspowner, n.nspacl
          from unnest(v_schemas) with ordinality v (name, place) join pg_namespace n on n.nspname = v.name
         where n.nspname <> 'pg_catalog' and n.oid <> pg_my_temp_schema()
    ), hand (place, role, how) as (
        select s.place, s.nspowner, 1 from schema s
        union
        select s.place, a.grantee, 2 from schema s cross join lateral aclexplode(s.nspacl) a where a.privilege_type = 'CREATE'
        union
        select s.place, p.proowner, 3 from schema s join pg_proc p on p.pronamespace = s.oid
        union
        select s.place, o.oprowner, 4 from schema s join pg_operator o on o.oprnamespace = s.oid
    ), holder (place, role, how) as (
        -- Whose member is the database's owner and nobody else.
        select h.place, case when pg_get_userbyid(h.role) = 'pg_database_owner' then d.datdba else h.role end, h.how
          from hand h join pg_database d on d.datname = current_database()
    ), stranger as (
        select distinct on (h.place) h.place, h.how,
               case when h.role = 0 then 'everybody' else format('role %s', pg_get_userbyid(h.role)) end as who
          from holder h
         where h.role = 0
            or not case when current_setting('server_version_num')::int >= 160000
                        then pg_has_role(h.role, session_user, 'SET') or pg_has_role(h.role, session_user, 'USAGE')
                        else pg_has_role(h.role, session_user, 'MEMBER') end
         order by h.place, h.how, h.role
    )
    select concat_ws(', ', 'pg_catalog', string_agg(quote_ident(s.nspname), ', ' order by s.place) filter (where x.place is null), 'pg_temp'),
           string_agg(format((array['schema %s belongs to %s', 'schema %s takes objects made by %s',
                                    'schema %s has functions of %s', 'schema %s has operators of %s'])[x.how],
                             quote_ident(s.nspname), x.who), '; ' order by s.place) filter (where x.place is not null)
      into path, left_out
      from schema s left join stranger x on x.place = s.place;
end
$$;
revoke all on function trunkline.trusted_path() from public;

-- Function trunkline.path_code(i_schema, i_table): the functions that run when a subscriber's table is read,
-- written or given an index, and that may look names up by the search_path of the session: its triggers and
-- rules that fire, and functions and operators in its constraints, domains, defaults, indexes, partition keys
-- and statistics, and in those of its partitions, as far as they are not the server's and have no search_path
-- of their own.
-- Tables: reads the catalog only.
create or replace function trunkline.path_code(i_schema text, i_table text) returns setof regprocedure
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
    return query
        with recursive tree (oid) as (
            select c.oid
              from pg_class c join pg_namespace n on n.oid = c.relnamespace
             where n.nspname = i_schema and c.relname = i_table and c.relkind in ('r', 'p')
            union all
            select i.inhrelid
              from tree
              join pg_inherits i on i.inhparent = tree.oid
              join pg_class c on c.oid = i.inhrelid and c.relispartition
        ), part (classid, objid) as (
            select 'pg_constraint'::regclass, k.oid from tree join pg_constraint k on k.conrelid = tree.oid
            union all
            select 'pg_constraint'::regclass, k.oid
              from trunkline.component_types(array(
                       -- Types that come with the server have no code of users.
                       select a.atttypid from tree join pg_attribute a on a.attrelid = tree.oid
                        where a.attnum > 0 and not a.attisdropped and a.atttypid >= 16384)) t (oid)
              join pg_constraint k on k.contypid = t.oid
            union all
            select 'pg_attrdef'::regclass, d.oid from tree join pg_attrdef d on d.adrelid = tree.oid
            union all
            select 'pg_class'::regclass, i.indexrelid from tree join pg_index i on i.indrelid = tree.oid
            union all
            select 'pg_class'::regclass, tree.oid from tree
            union all
            select 'pg_statistic_ext'::regclass, x.oid from tree join pg_statistic_ext x on x.stxrelid = tree.oid
            union all
            select 'pg_rewrite'::regclass, w.oid from tree join pg_rewrite w on w.ev_class = tree.oid
        ), called (oid) as (
            select t.tgfoid from tree join pg_trigger t on t.tgrelid = tree.oid and not t.tgisinternal and t.tgenabled <> 'D'
            union
            select case when d.refclassid = 'pg_proc'::regclass then d.refobjid else o.oprcode end
              from part
              join pg_depend d on d.classid = part.classid and d.objid = part.objid
              left join pg_operator o on d.refclassid = 'pg_operator'::regclass and o.oid = d.refobjid
             where d.refclassid in ('pg_proc'::regclass, 'pg_operator'::regclass)
        )
        select p.oid::regprocedure
          from called
          join pg_proc p on p.oid = called.oid
          join pg_language l on l.oid = p.prolang
         where l.lanname not in ('internal', 'c')
           and not exists (select from unnest(p.proconfig) c (setting) where c.setting like 'search\_path=%');
end
$$;
revoke all on function trunkline.path_code(text, text) from public;

-- Function trunkline.path_for(i_schema, i_table): trunkline.own_path() where a subscriber's table has code that asks for one
-- (trunkline.path_code). Null where it has none: then the session's path stays as it is.
create or replace function trunkline.path_for(i_schema text, i_table text) returns text
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
    return (select trunkline.own_path() where exists (select from trunkline.path_code(i_schema, i_table)));
end
$$;
revoke all on function trunkline.path_for(text, text) from public;

-- Function trunkline.path_advice(i_consumer, i_schema, i_table): what an operator can do where the code of a
-- replicated table, named as on the provider, may not have found what it names because its schema was left
-- out of trunkline.trusted_path(). Null where it was not that.
-- Tables: reads trunkline.table_state and the catalog.
create or replace function trunkline.path_advice(i_consumer text, i_schema text, i_table text) returns text
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
    v_schema text;
    v_table  text;
    v_code   regprocedure[];
begin
    select coalesce(t.target_schema, t.schema_name), coalesce(t.target_name, t.table_name) into v_schema, v_table
      from trunkline.table_state t
     where t.consumer = i_consumer and t.schema_name = i_schema and t.table_name = i_table;
    if not found or (select a.acts_as is not null from trunkline.acting_role(v_schema, v_table) a) then
        return null;
    end if;
    v_code := array(select distinct c from trunkline.path_code(v_schema, v_table) c order by c);
    return (select format('%s may not find what it names without a schema: it runs with the rights of replay, and then the search_path of the '
                          'database is used without what others have a hand in (%s). Say where it looks (alter function %s set search_path '
                          '= ...), or take that away from them', array_to_string(v_code, ', '), t.left_out, v_code[1])
              from trunkline.trusted_path() t
             where t.left_out is not null and v_code <> '{}');
end
$$;
revoke all on function trunkline.path_advice(text, text, text) from public;
