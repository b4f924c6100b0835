-- Function trunkline.own_path(): the search_path that the database's users have, of this role and database, for code of theirs that names
-- no schema. pg_catalog comes first and temporary objects last: nothing of theirs takes the place of either.
create or replace function trunkline.own_path() returns text
language sql stable
set search_path = pg_catalog, pg_temp
as $$
    select 'pg_catalog' || coalesce(', ' || nullif(s.reset_val, ''), '') || ', pg_temp' from pg_settings s where s.name = 'search_path';
$$;
revoke all on function trunkline.own_path() from public;

-- Function trunkline.path_for(i_schema, i_table): trunkline.own_path() where what runs when a subscriber's table is read, written or
-- given an index may look names up by the search_path of the session: its triggers and rules that fire, and functions and operators in its constraints,
-- domains, defaults, indexes, partition keys and statistics, and in those of its partitions, as far as they are not the server's and have
-- no search_path of their own. Null where there is no such code: then the session's path stays as it is.
-- Tables: reads the catalog only.
create or replace function trunkline.path_for(i_schema text, i_table text) returns text
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
    return (
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
        select trunkline.own_path()
         where exists (select from called
                         join pg_proc p on p.oid = called.oid
                         join pg_language l on l.oid = p.prolang
                        where l.lanname not in ('internal', 'c')
                          and not exists (select from unnest(p.proconfig) c (setting) where c.setting like 'search\_path=%')));
end
$$;
revoke all on function trunkline.path_for(text, text) from public;
