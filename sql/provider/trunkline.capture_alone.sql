-- Function trunkline.capture_alone(i_operation, i_plan jsonb, i_large text): a condition on a row of newt n
-- (oldt o for delete) that holds if the statement wrote no second row, and this one cannot be too large
-- (i_large, null: no row can be).
--
-- The condition names a column of the row. Otherwise the planner makes a separate node for it, as it is the same for all rows.
-- Result: SQL. Tables: none. Users must not: it is a part of trunkline.capture_source.
create or replace function trunkline.capture_alone(i_operation text, i_plan jsonb, i_large text) returns text
language sql immutable
set search_path = pg_catalog, pg_temp
as $f$
    select case when i_operation = 'delete' then format('coalesce(not exists (select from oldt x offset 1), o.%I is null)', i_plan #>> '{keys,0,name}')
                when i_large is not null then format('(%s or exists (select from newt x offset 1)) is not true', i_large)
                when i_plan #>> '{columns,0,name}' is null then 'not exists (select from newt x offset 1)'
                else format('coalesce(not exists (select from newt x offset 1), n.%I is null)', i_plan #>> '{columns,0,name}') end
$f$;
revoke all on function trunkline.capture_alone(text, jsonb, text) from public;
