-- Function trunkline.merge_table(i_schema, i_table): makes an empty temporary table on which a condition is tried that
-- tells a job's rows of a table from those of other jobs (replay add --merge).
--
-- As for a filter on the provider (trunkline.filter_table) the caller makes an index with that condition on it, so that the
-- server takes a condition on one row only, by functions that always give the same result; and trunkline.merge_found
-- says what the server has understood. The temporary table has the name of the table, so that table.column is understood, too; it
-- goes with the transaction, which the caller rolls back. It has the columns of the server's own types alone: to read a value of
-- another one, as in column = 'value', could run code of the type's owner as replay's role.
-- Result: its name, for use in SQL. Errors: 42P01 no such table; 42501 no right to make temporary tables.
-- Tables: reads the catalog. Runs with the caller's rights. Users must not: nothing to fear.
create or replace function trunkline.merge_table(i_schema text, i_table text) returns text
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
    v_table   oid := to_regclass(format('%I.%I', i_schema, i_table));
    v_columns text;
    -- The first number that is not one of the server's own objects.
    c_first   constant int8 := 16384;
begin
    if v_table is null then
        raise exception 'table %.% does not exist', quote_ident(i_schema), quote_ident(i_table) using errcode = '42P01';
    end if;
    select string_agg(format('%I %s%s', a.attname, format_type(a.atttypid, -1),
                             case when a.attcollation <> 0 then format(' collate %I.%I', n.nspname, k.collname) end),
                      ', ' order by a.attnum)
      into v_columns
      from pg_attribute a
      left join pg_collation k on k.oid = a.attcollation
      left join pg_namespace n on n.oid = k.collnamespace
     where a.attrelid = v_table and a.attnum > 0 and not a.attisdropped and a.atttypid::int8 < c_first
       and coalesce(to_jsonb(a) ->> 'attgenerated', '') = '';
    execute format('create temp table pg_temp.%I (%s)', i_table, coalesce(v_columns, ''));
    return format('pg_temp.%I', i_table);
end
$$;
revoke all on function trunkline.merge_table(text, text) from public;
