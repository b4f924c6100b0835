-- Function trunkline.filter_statement(i_table oid, i_filter, i_names, i_attnums, i_types): the statement that
-- asks of many rows at once which of them a filter takes.
--
-- The statement's parameters are the filter's columns, each an array of the values of all rows, as text. Array input reads the
-- values with the type's own input function, so that no cast of a user's type runs. Values that are arrays themselves come as
-- text. Columns have the names that the filter knows, whatever their present names are, and their present collations.
--
-- Arguments: i_filter, i_names, i_attnums as trunkline.filter_found gave them; i_types the columns' types in the rows.
-- Result: statement, of one row with an array of booleans in the order of the rows; delimiters, what stands between two
-- elements in each parameter.
-- Errors: 42704 a type that does not exist any more; 0A000 a type that no filter can read.
-- Tables: reads the catalog only. Users may call it.
create or replace function trunkline.filter_statement(
    i_table oid, i_filter text, i_names text[], i_attnums int2[], i_types text[],
    out statement text, out delimiters text[])
returns record
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
    v_type    record;
    v_collate text;
    v_from    text[] := '{}';
    v_aliases text[] := '{}';
    v_columns text[] := '{}';
begin
    delimiters := '{}';
    for n in 1 .. array_length(i_names, 1) loop
        select f.* into v_type from trunkline.filter_type(to_regtype(i_types[n])) f;
        if v_type.type_name is null then
            raise exception 'type % does not exist', i_types[n] using errcode = '42704';
        end if;
        if v_type.problem is not null then
            raise exception 'column % %', quote_ident(i_names[n]), v_type.problem using errcode = '0A000';
        end if;
        select format(' collate %I.%I', s.nspname, k.collname) into v_collate
          from pg_attribute a
          join pg_type t on t.oid = to_regtype(i_types[n])
          join pg_collation k on k.oid = a.attcollation
          join pg_namespace s on s.oid = k.collnamespace
         where a.attrelid = i_table and a.attnum = i_attnums[n] and not a.attisdropped and t.typcollation <> 0
           and k.collname <> 'default';
        v_from := v_from || format('pg_catalog.unnest($%s::%s[])', n, case when v_type.is_array then 'text' else v_type.type_name end);
        v_aliases := v_aliases || format('c%s', n);
        v_columns := v_columns || format('u.c%s%s%s as %I', n, case when v_type.is_array then '::' || v_type.type_name end,
                                         v_collate, i_names[n]);
        delimiters := delimiters || case when v_type.is_array then ',' else v_type.delimiter end;
    end loop;
    statement := format(
        'select pg_catalog.array_agg(coalesce(k.kept, false) order by u.n) from rows from (%s) with ordinality u (%s, n) '
        'cross join lateral (select (%s) as kept from (select %s) t) k',
        array_to_string(v_from, ', '), array_to_string(v_aliases, ', '), i_filter, array_to_string(v_columns, ', '));
end
$$;
revoke all on function trunkline.filter_statement(oid, text, text[], int2[], text[]) from public;
grant execute on function trunkline.filter_statement(oid, text, text[], int2[], text[]) to pgq_admin;
