-- Function trunkline.merge_found(i_table): what the server has understood of a condition, after the caller has made an
-- index with that condition on the table of trunkline.merge_table.
--
-- The condition is asked by each statement that writes the table, as replay's role or as the table's owner, for as long as the
-- table is replicated. So it may use nothing that anybody but the server's own superuser could change meanwhile: only types,
-- functions and operators that the server itself brings. Nothing needs to be proven again later but the columns' types.
--
-- Arguments: i_table the table's name without its schema.
-- Result: condition, with all names as the server writes them; form, the same with "{1}", "{2}", ... in place of columns;
-- columns, the columns' names, in that order.
-- Errors: 0A000 with a reason as the end of a sentence about the condition, and a hint.
-- Tables: renames columns of the temporary table; reads the catalog. Runs with the caller's rights. Users must not: nothing to
-- fear.
create or replace function trunkline.merge_found(i_table text, out condition text, out form text, out columns text[])
returns record
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
    -- As in trunkline.merge_table.
    c_first constant int8 := 16384;
    v_try     oid := to_regclass(format('pg_temp.%I', i_table));
    v_index   record;
    v_what    text;
begin
    -- A condition that is always true is no condition to the server.
    select i.indexrelid, i.indpred into v_index from pg_index i where i.indrelid = v_try;
    condition := pg_get_expr(v_index.indpred, v_try);
    if v_index.indpred::text like '%:varattno 0 %' or v_index.indpred::text like '%:varattno -%' then
        raise exception 'reads the row as a whole, or a column of the server' using errcode = '0A000',
            hint = 'Name the columns that it is about.';
    end if;
    select array_agg(a.attname::text order by a.attnum) into columns
      from pg_depend d
      join pg_attribute a on a.attrelid = v_try and a.attnum = d.refobjsubid
     where d.classid = 'pg_class'::regclass and d.objid = v_index.indexrelid
       and d.refclassid = 'pg_class'::regclass and d.refobjid = v_try and d.refobjsubid > 0;
    if condition is null or columns is null then
        raise exception 'reads no column of the table' using errcode = '0A000',
            hint = 'Say by the columns which rows are this job''s.';
    end if;
    select pg_describe_object(d.refclassid, d.refobjid, d.refobjsubid) into v_what
      from pg_depend d
     where d.classid = 'pg_class'::regclass and d.objid = v_index.indexrelid and d.refobjid <> v_try
       and d.refclassid <> 'pg_collation'::regclass and d.refobjid::int8 >= c_first
     order by d.refclassid, d.refobjid limit 1;
    if found then
        raise exception 'uses %', v_what using errcode = '0A000',
            hint = 'It may use the server''s own types, functions and operators only: owners of others can change them.';
    end if;
    if condition like '%"{%' then
        raise exception 'has "{ in it' using errcode = '0A000',
            hint = 'Write it without these two letters, and name no such column.';
    end if;
    -- The condition does not read them, and they may have the names that its columns get.
    for v_what in select a.attname from pg_attribute a where a.attrelid = v_try and a.attname like '{%' and not a.attisdropped loop
        execute format('alter table pg_temp.%I drop column %I', i_table, v_what);
    end loop;
    for n in 1 .. array_length(columns, 1) loop
        execute format('alter table pg_temp.%I rename column %I to %I', i_table, columns[n], format('{%s}', n));
    end loop;
    form := pg_get_expr(v_index.indpred, v_try);
end
$$;
revoke all on function trunkline.merge_found(text) from public;
