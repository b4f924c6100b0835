-- Function trunkline.refusal(i_table oid): why a table cannot be captured for the session's user; no row if it can.
--
-- Result: code (SQLSTATE), reason (goes behind the table's name), hint (what to do).
-- Tables: reads the catalog, trunkline.table_state if this database is a subscriber too.
-- Users must not take silence for good: add_table looks again under the table's lock.
create or replace function trunkline.refusal(
    i_table oid,
    out code text,
    out reason text,
    out hint text)
returns setof record
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
    v_class  pg_class;
    v_schema text;
    v_job    text;
begin
    select * into v_class from pg_class c where c.oid = i_table;
    select n.nspname into v_schema from pg_namespace n where n.oid = v_class.relnamespace;
    code := '0A000';
    if v_class.relkind not in ('r', 'p') then
        reason := case v_class.relkind when 'v' then 'is a view' when 'm' then 'is a materialized view'
            when 'f' then 'is a foreign table' when 'S' then 'is a sequence' when 'i' then 'is an index'
            when 'I' then 'is an index' when 't' then 'is a TOAST table' when 'c' then 'is a composite type'
            else 'is no table' end;
        hint := case v_class.relkind
            when 'v' then 'Add the tables that it shows.'
            when 'm' then 'Add the tables that it is made from, and refresh it on the subscriber.'
            when 'f' then 'Replicate it from the server that holds it.'
            when 'S' then 'Use add-seq for sequences.'
            else 'Name a table.' end;
    elsif v_schema in ('pg_catalog', 'information_schema') or v_schema like 'pg\_toast%' then
        reason := 'is a system table';
        hint := 'System tables are never replicated.';
    elsif v_schema in ('pgq', 'trunkline') then
        reason := 'belongs to Trunkline';
        hint := 'The tables of schemas pgq and trunkline are never replicated.';
    elsif v_class.relpersistence = 't' then
        reason := 'is a temporary table';
        hint := 'Make an ordinary table of it.';
    elsif v_class.relpersistence = 'u' then
        reason := 'is unlogged';
        hint := 'A crash empties it without an event: ALTER TABLE ... SET LOGGED.';
    elsif v_class.relkind = 'p' or v_class.relispartition
       or exists (select from pg_inherits h where h.inhrelid = i_table or h.inhparent = i_table) then
        reason := 'is part of a partitioned table or an inheritance tree';
        hint := 'Such tables are not supported yet.';
    elsif not exists (select from trunkline.usable_keys(i_table)) then
        code := '55000';
        reason := case when exists (select from pg_index i where i.indrelid = i_table and i.indisprimary and not i.indimmediate)
            then 'has no usable key: its primary key is deferrable' else 'has no usable key' end;
        hint := 'Give it a primary key, or a unique index on NOT NULL columns, that is not deferrable.';
    elsif (select count(*) > 1 and not bool_or(k.is_primary or k.is_identity) from trunkline.usable_keys(i_table) k) then
        code := '55000';
        reason := 'has several unique indexes and no primary key';
        hint := 'Say which one tells its rows apart: ALTER TABLE ... REPLICA IDENTITY USING INDEX.';
    elsif not has_table_privilege(session_user, i_table, 'SELECT') or not has_table_privilege(session_user, i_table, 'TRIGGER') then
        code := '42501';
        reason := format('cannot be captured by role %I', session_user);
        hint := format('GRANT SELECT, TRIGGER ON %I.%I TO %I.', v_schema, v_class.relname, session_user);
    elsif not has_table_privilege(i_table, 'SELECT') or not has_table_privilege(i_table, 'TRIGGER') then
        code := '42501';
        reason := format('cannot be captured by role %I, which owns the capture functions', current_user);
        hint := format('GRANT SELECT, TRIGGER ON %I.%I TO %I.', v_schema, v_class.relname, current_user);
    elsif row_security_active(i_table) then
        code := '42501';
        reason := format('has row level security that hides rows from role %I', current_user);
        hint := format('ALTER ROLE %I BYPASSRLS, or add the table with the capture functions owned by its owner.', current_user);
    else
        if to_regclass('trunkline.table_state') is not null then
            execute 'select s.consumer from trunkline.table_state s where s.schema_name = $1 and s.table_name = $2 limit 1'
               into v_job using v_schema, v_class.relname::text;
        end if;
        if v_job is null then
            return;
        end if;
        reason := format('is written by replication job %s', v_job);
        hint := 'Cascades and replication in both directions are not supported yet.';
    end if;
    return next;
end
$$;
revoke all on function trunkline.refusal(oid) from public;
