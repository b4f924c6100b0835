-- Function trunkline.refusal(i_table oid, i_wanted jsonb): why a table cannot be captured for the session's
-- user; no row if it can.
--
-- Arguments: i_wanted the identity, as trunkline.wanted_identity gives it, or a plan.
-- Result: code (SQLSTATE), reason (goes behind the table's name), hint (what to do).
-- Tables: reads the catalog; if this database is a subscriber too, trunkline.table_state and trunkline.position.
-- Users must not take silence for good: add_table looks again under the table's lock.
create or replace function trunkline.refusal(
    i_table oid,
    i_wanted jsonb,
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
    v_bad    text;
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
    elsif v_schema in ('pg_catalog', 'information_schema') or left(v_schema, 8) = 'pg_toast' then
        reason := 'is a system table';
        hint := 'System tables are never replicated.';
    elsif v_schema in ('pgq', 'pgq_coop', 'pgq_ext', 'trunkline') then
        reason := 'belongs to Trunkline';
        hint := 'The tables of its schemas (pgq, pgq_coop, pgq_ext, trunkline) are never replicated.';
    elsif v_class.relpersistence = 't' then
        reason := 'is a temporary table';
        hint := 'Make an ordinary table of it.';
    elsif v_class.relpersistence = 'u' then
        reason := 'is unlogged';
        hint := 'A crash empties it without an event: ALTER TABLE ... SET LOGGED.';
    elsif v_class.relispartition then
        reason := format('is a partition of %s', (select h.inhparent::regclass from pg_inherits h where h.inhrelid = i_table));
        hint := 'Add the partitioned table: it is captured with all its partitions.';
    elsif exists (select from trunkline.parts(i_table) p join pg_class c on c.oid = p.part_oid
                   where c.relkind not in ('r', 'p') or c.relpersistence <> 'p') then
        reason := format('has a partition that is unlogged, temporary or foreign: %s',
            (select string_agg(p.part_oid::regclass::text, ', ' order by p.part_oid) from trunkline.parts(i_table) p join pg_class c on c.oid = p.part_oid
              where c.relkind not in ('r', 'p') or c.relpersistence <> 'p'));
        hint := 'Changes made there are not seen: detach it, or make an ordinary table of it.';
    elsif coalesce(i_wanted ->> 'identity', 'key') <> 'key' then
        null;
    elsif jsonb_typeof(i_wanted -> 'wanted') = 'array' then
        v_bad := trunkline.uncovered(i_table, array(select w::int2 from jsonb_array_elements_text(i_wanted -> 'wanted') w));
        if v_bad is not null then
            code := '55000';
            reason := 'cannot be told apart by these columns: they ' || v_bad;
            hint := 'Name columns that hold a unique index on NOT NULL columns, or choose the identity full.';
        end if;
    elsif not exists (select from trunkline.usable_keys(i_table)) then
        code := '55000';
        reason := 'has no usable key' || case
            when exists (select from pg_index i where i.indrelid = i_table and i.indisprimary and not i.indimmediate)
                then ': its primary key is deferrable'
            when exists (select from pg_index i join pg_class c on c.oid = i.indexrelid join pg_am a on a.oid = c.relam
                          where i.indrelid = i_table and i.indisprimary and a.amname <> 'btree')
                then ': its primary key is of periods (WITHOUT OVERLAPS)'
            else '' end;
        hint := 'Give it a primary key, or a unique index on NOT NULL columns, that is not deferrable; or choose an identity: '
                'columns that are unique, full (by all columns), insert-only.';
    elsif (select count(*) > 1 and not bool_or(k.is_primary or k.is_identity) from trunkline.usable_keys(i_table) k) then
        code := '55000';
        reason := 'has several unique indexes and no primary key';
        hint := 'Say which one tells its rows apart: ALTER TABLE ... REPLICA IDENTITY USING INDEX, or an identity of columns.';
    end if;
    if reason is not null then
        return next;
        return;
    end if;
    select string_agg(p.part_oid::regclass::text, ', ' order by p.part_oid) into v_bad
      from trunkline.parts(i_table) p
     where not (has_table_privilege(session_user, p.part_oid, 'TRIGGER') and has_table_privilege(p.part_oid, 'TRIGGER'));
    code := '42501';
    if v_bad is not null then
        reason := format('has partitions that cannot be captured by role %I or %I', session_user, current_user);
        hint := format('GRANT TRIGGER ON %s TO %I, %I.', v_bad, session_user, current_user);
    elsif not has_table_privilege(session_user, i_table, 'SELECT') or not has_table_privilege(session_user, i_table, 'TRIGGER') then
        reason := format('cannot be captured by role %I', session_user);
        hint := format('GRANT SELECT, TRIGGER ON %I.%I TO %I.', v_schema, v_class.relname, session_user);
    elsif not has_table_privilege(i_table, 'SELECT') or not has_table_privilege(i_table, 'TRIGGER') then
        reason := format('cannot be captured by role %I, which owns the capture functions', current_user);
        hint := format('GRANT SELECT, TRIGGER ON %I.%I TO %I.', v_schema, v_class.relname, current_user);
    elsif row_security_active(i_table) then
        reason := format('has row level security that hides rows from role %I', current_user);
        hint := format('ALTER ROLE %I BYPASSRLS, or add the table with the capture functions owned by its owner.', current_user);
    elsif not trunkline.may_ask(i_table, v_class.relowner) and trunkline.reader(i_table) = 'owner' then
        reason := format('cannot be read whole by its owner %I, as whom capture reads it', pg_get_userbyid(v_class.relowner));
        hint := format('Give %1$I SELECT on it and USAGE on its schema; for row level security that is forced on owners, ALTER ROLE %1$I BYPASSRLS.',
                       pg_get_userbyid(v_class.relowner));
    elsif trunkline.reader(i_table) = 'none' and trunkline.foreign_code(i_table) is not null then
        reason := format('has indexes, checks, statistics or partition keys of functions of another role than its own: %s',
                         trunkline.foreign_code(i_table));
        hint := format('Whoever reads it would run them: ALTER FUNCTION ... OWNER TO %I.', pg_get_userbyid(v_class.relowner));
    elsif trunkline.reader(i_table) = 'none' then
        reason := 'has partitions that belong to other roles than it does';
        hint := format('Whoever reads it would run their code: ALTER TABLE ... OWNER TO %I.', pg_get_userbyid(v_class.relowner));
    elsif trunkline.reader(i_table) = 'checked' and trunkline.foreign_code(i_table) is not null then
        reason := format('has indexes, checks or statistics of functions that would run with the rights of role %I: %s', current_user,
                         trunkline.foreign_code(i_table));
        hint := format('Install Trunkline as a superuser, who reads the table as its owner, or give the functions to %I.', current_user);
    else
        select r.code, r.reason, r.hint into code, reason, hint
          from trunkline.relay_refusal(i_table, trunkline.writers_of(i_table)) r;
        if reason is null then
            return;
        end if;
    end if;
    return next;
end
$$;
revoke all on function trunkline.refusal(oid, jsonb) from public;
