-- Function trunkline.acting_role(i_schema, i_table)
--
-- As whom replay writes a subscriber's table, so that nobody can run code as a stronger role by what is on it. Code of superusers
-- and of the current role itself is nobody else's.
--
-- Result: one row.
--   acts_as      the owner, where it is neither the current role nor a superuser and the current role is a member of it: the
--                table is read and written by trunkline.as_owner; else null
--   role         the number of that role
--   constraints  commands that go before each statement over the table; null where none is needed. Where it is written as its
--                owner, its deferrable triggers and constraints act at once, since none may be deferred there. Else those that
--                fire for a replica are set as they are defined: another table's owner may have set them in the same transaction
--   own_path     the search_path for statements over the table, where its code asks for one (trunkline.path_for): without schemas
--                that others have a hand in where acts_as is null (trunkline.trusted_path); else null
--   code         where acts_as is null: what would run with replay's rights and is another's (trunkline.code_of_others)
--   unlogged     the table is captured here, and its capture does not log what replay writes as a replica: nobody
--                could follow that
--   mark         what is seen again in each transaction: trunkline.table_mark
-- Tables: reads the catalog only.

create or replace function trunkline.acting_role(
    i_schema text,
    i_table text,
    out acts_as text,
    out role oid,
    out constraints text,
    out own_path text,
    out code text,
    out unlogged bool,
    out mark text)
returns record
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
    v_table oid := to_regclass(format('%I.%I', i_schema, i_table));
begin
    mark := trunkline.table_mark(v_table);
    if mark is null then
        return;
    end if;
    if mark like '% member' then
        select c.relowner, pg_get_userbyid(c.relowner) into role, acts_as from pg_class c where c.oid = v_table;
    end if;
    if exists (select from pg_trigger t where t.tgrelid = v_table and t.tgdeferrable)
       or exists (select from pg_class c where c.oid = v_table and c.relkind = 'p')
    then
        constraints := trunkline.constraint_settings(v_table, acts_as is not null);
    end if;
    unlogged := false;
    if trunkline.has_no_code(v_table) then
        return;
    end if;
    if acts_as is null then
        code := trunkline.code_of_others(v_table);
    end if;
    unlogged := trunkline.is_unlogged(v_table);
    own_path := trunkline.path_for(i_schema, i_table);
    if own_path is not null and acts_as is null then
        own_path := (select t.path from trunkline.trusted_path() t);
    end if;
end
$$;
revoke all on function trunkline.acting_role(text, text) from public;

-- Function trunkline.is_unlogged(i_table oid): whether a table, or a partition of it, has a trigger of capture that
-- fires in ordinary sessions only, although somebody may follow the table from here. trunkline.set_writers has all of them
-- fire, before replay writes the table for the first time. Of a table that is captured for the set alone nobody reads.
-- Tables: reads the catalog; trunkline.captured where there is such a trigger.
create or replace function trunkline.is_unlogged(i_table oid) returns bool
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
    if not exists (
        with recursive tree (oid) as (
            select i_table
            union all
            select i.inhrelid
              from tree join pg_inherits i on i.inhparent = tree.oid join pg_class c on c.oid = i.inhrelid and c.relispartition)
        select from tree
          join pg_trigger t on t.tgrelid = tree.oid and not t.tgisinternal and t.tgenabled = 'O' and left(t.tgname, 10) = 'trunkline_'
          join pg_proc p on p.oid = t.tgfoid and p.pronamespace = 'trunkline'::regnamespace) then
        return false;
    end if;
    if has_function_privilege(to_regprocedure('trunkline.is_ready_only(oid)'), 'execute') is not true then
        -- Capture is older, or another role's.
        return true;
    end if;
    return not trunkline.is_ready_only(i_table);
end
$$;
revoke all on function trunkline.is_unlogged(oid) from public;

-- Function trunkline.constraint_settings(i_table oid, i_at_once bool): the commands that set the deferrable
-- triggers and constraints of a table and its partitions: those that fire in this session or for a replica,
-- to act at once; or those for a replica, as they are defined. Null: there are none.
-- Tables: reads the catalog only.
create or replace function trunkline.constraint_settings(i_table oid, i_at_once bool) returns text
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
    return (
        with recursive tree (oid) as (
            select i_table
            union all
            select i.inhrelid
              from tree
              join pg_inherits i on i.inhparent = tree.oid
              join pg_class c on c.oid = i.inhrelid and c.relispartition
        ), kind (late, names) as (
            select t.tginitdeferred and not i_at_once, string_agg(distinct format('%I.%I', n.nspname, k.conname), ', ')
              from tree
              join pg_trigger t on t.tgrelid = tree.oid and t.tgdeferrable
              join pg_constraint k on k.oid = t.tgconstraint
              join pg_namespace n on n.oid = k.connamespace
             where t.tgenabled in ('A', 'R')
                or t.tgenabled = 'O' and i_at_once and current_setting('session_replication_role') <> 'replica'
             group by 1
        )
        select string_agg(format('set constraints %s %s', k.names, case when k.late then 'deferred' else 'immediate' end), '; ')
          from kind k);
end
$$;
revoke all on function trunkline.constraint_settings(oid, bool) from public;
