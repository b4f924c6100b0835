-- Function trunkline.filter_table(i_table oid, i_attnums int2[], i_names text[]): makes an empty temporary
-- table that a filter on a captured table is tried on.
--
-- A filter must be a valid condition of a partial index: a boolean over one row of one table, by functions that always give the
-- same result, without subqueries. So the caller makes an index with that condition on this table, and trunkline.filter_found
-- says what the server has understood. The caller makes the index, and not a function here, because the caller's protocol takes
-- one statement alone: a text that is more than a condition is refused.
--
-- The temporary table has the name of the captured one, so that a filter may name a column as table.column; its columns are
-- those that capture takes; or, for a filter that is there already, the ones with the numbers i_attnums, by the names that
-- it knows them by. It goes with the transaction, which the caller rolls back.
-- Result: its name, for use in SQL. Errors: 42P01 no such table; 42501 no right to make temporary tables.
-- Runs with the caller's rights. Users may call it.
create or replace function trunkline.filter_table(
    i_table oid, i_attnums int2[] default null, i_names text[] default null)
returns text
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
    v_name    text;
    v_columns text;
begin
    select c.relname into v_name from pg_class c where c.oid = i_table;
    if not found then
        raise exception 'table with oid % does not exist', i_table using errcode = '42P01';
    end if;
    select string_agg(format('%I %s%s', coalesce(i_names[array_position(i_attnums, a.attnum)], a.attname),
                             case when f.problem is null then f.type_name else format_type(a.atttypid, -1) end,
                             case when a.attcollation <> 0 then format(' collate %I.%I', n.nspname, k.collname) end),
                      ', ' order by a.attnum)
      into v_columns
      from pg_attribute a
      cross join lateral trunkline.filter_type(a.atttypid) f
      left join pg_collation k on k.oid = a.attcollation
      left join pg_namespace n on n.oid = k.collnamespace
     where a.attrelid = i_table and a.attnum > 0 and not a.attisdropped
       and coalesce(to_jsonb(a) ->> 'attgenerated', '') = ''
       and (i_attnums is null or a.attnum = any (i_attnums));
    execute format('create temp table pg_temp.%I (%s)', v_name, coalesce(v_columns, ''));
    return format('pg_temp.%I', v_name);
end
$$;
revoke all on function trunkline.filter_table(oid, int2[], text[]) from public;
grant execute on function trunkline.filter_table(oid, int2[], text[]) to pgq_admin;
