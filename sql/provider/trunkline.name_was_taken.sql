-- Function trunkline.name_was_taken(i_table oid, i_name, i_attnum): whether a column's name was that of another column of the
-- table under some shape that events may still name: a name can go over in several steps.
-- Tables: reads trunkline.shape. Users must not: nothing to fear.
create or replace function trunkline.name_was_taken(i_table oid, i_name text, i_attnum int4) returns bool
language sql stable
set search_path = pg_catalog, pg_temp
as $$
    select exists (
        select from trunkline.shape s
         cross join lateral jsonb_array_elements(s.definition -> 'columns') c (col)
         where s.table_oid = i_table and c.col ->> 'name' = i_name and (c.col ->> 'attnum')::int4 <> i_attnum);
$$;
revoke all on function trunkline.name_was_taken(oid, text, int4) from public;
