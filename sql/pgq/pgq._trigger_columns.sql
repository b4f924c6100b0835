-- pgq._trigger_columns(i_table, i_kind, i_op, i_before): what logutriga and its like must know of a table.
-- Result: one row: SCHEMA.TABLE, not quoted; the names of the columns in order; those of the primary key, in its order;
-- the query that reads the values of two rows ($1, $2; of the first one only, but for an UPDATE) as two arrays of text,
-- each value by its type's output function (j: as JSON: booleans and integers as such, dates and times in ISO form, all
-- else as strings); plain: no value's text depends on the session's settings. i_before: an UPDATE that is not done yet: a
-- generated column of the new row is empty then, and is read from the old row.
-- Tables touched: reads the catalog. No SET clause, here and in the other helpers: each costs 2 microseconds, and _log_change
-- has it.
create or replace function pgq._trigger_columns(
    i_table oid, i_kind text, i_op text, i_before bool,
    out table_name text, out names text[], out key text[], out read_values text, out plain bool)
language plpgsql stable
as $$
declare
    v_values text;
    v_new    text;
begin
    -- The test is not "is null", which is true of a composite value whose fields are all null, and not a cast, which may be a
    -- user's.
    with c as (
        select a.attname, a.attnum, a.atttypid,
               case when i_kind <> 'j' then
                        'case when ($%2$s).%1$I is distinct from null then format(''%%s'', ($%2$s).%1$I) end'
                    when a.atttypid = 'bool'::regtype then
                        'case when ($%2$s).%1$I then ''true'' when not ($%2$s).%1$I then ''false'' end'
                    when a.atttypid in ('int2'::regtype, 'int4'::regtype, 'int8'::regtype) then '($%2$s).%1$I::text'
                    when a.atttypid in ('date'::regtype, 'timestamp'::regtype, 'timestamptz'::regtype) then
                        'to_json(($%2$s).%1$I)::text'
                    else 'case when ($%2$s).%1$I is distinct from null then to_json(format(''%%s'', ($%2$s).%1$I))::text end'
               end as value,
               -- The column exists from version 12 on.
               i_before and a.atthasdef and to_json(a) ->> 'attgenerated' <> '' as is_old
          from pg_attribute a
         where a.attrelid = i_table and a.attnum > 0 and not a.attisdropped)
    select array_agg(c.attname::text order by c.attnum),
           coalesce(string_agg(format(c.value, c.attname, 1), ', ' order by c.attnum), ''),
           case when i_op = 'UPDATE' then
               coalesce(string_agg(format(c.value, c.attname, case when c.is_old then 1 else 2 end), ', '
                                   order by c.attnum), '') end,
           -- bool, "char", name, int8, int2, int4, text, oid, json, uuid, bpchar, varchar, numeric, jsonb
           coalesce(bool_and(c.atttypid = any ('{16,18,19,20,21,23,25,26,114,2950,1042,1043,1700,3802}'::oid[])), true)
      into names, v_values, v_new, plain
      from c;
    names := coalesce(names, '{}');
    read_values := case when i_op = 'UPDATE' then format('select array[%s]::text[], array[%s]::text[]', v_values, v_new)
                        else format('select array[%s]::text[], null::text[]', v_values) end;
    key := array(select a.attname::text
                   from pg_constraint k
                  cross join unnest(k.conkey) with ordinality u (attnum, place)
                   join pg_attribute a on a.attrelid = k.conrelid and a.attnum = u.attnum
                  where k.conrelid = i_table and k.contype = 'p'
                  order by u.place);
    select n.nspname || '.' || c.relname into table_name
      from pg_class c join pg_namespace n on n.oid = c.relnamespace
     where c.oid = i_table;
end
$$;

-- pgq._pin_output(): sets what the text of values depends on, where the session has it otherwise, for this transaction.
-- Result: five names and the five values to set back, nulls where there is nothing to do.
create or replace function pgq._pin_output() returns text[]
language plpgsql volatile
as $$
declare
    v_names  pg_catalog.text[] := '{DateStyle,IntervalStyle,TimeZone,bytea_output,extra_float_digits}';
    v_wanted pg_catalog.text[] := array['ISO, MDY', 'postgres', 'UTC', 'hex', '3'];
    v_before pg_catalog.text[] := '{}';
    v_now    pg_catalog.text;
begin
    for i in 1 .. 5 loop
        v_now := pg_catalog.current_setting(v_names[i]);
        if v_now operator(pg_catalog.=) v_wanted[i] then
            v_now := null;
        else
            perform pg_catalog.set_config(v_names[i], v_wanted[i], true);
        end if;
        v_before := v_before operator(pg_catalog.||) v_now;
    end loop;
    return v_names operator(pg_catalog.||) v_before;
end
$$;
