-- Function trunkline.capture_live(i_operation, i_queue_id, i_plan jsonb, i_shape_id, i_new, i_old): the statement that logs, for
-- each key of the rows of i_new and i_old (newt and oldt, or what stands for them in a row trigger), the live
-- row that this transaction wrote, or that there is none.
--
-- A REPEATABLE READ snapshot still shows rows that another session deleted; in READ COMMITTED a row with a key that this
-- transaction wrote can only be its own. LATERAL with a limit is always looked up by key, whatever the first call had.
-- Where the table is another role's, a function that belongs to the role reads it (trunkline.reader).
-- Result: SQL that gives the number of blocks. Tables: none.
-- Users must not: it is a part of trunkline.make_capture. It wants trunkline.pin_plans around it.
create or replace function trunkline.capture_live(
    i_operation text, i_queue_id int4, i_plan jsonb, i_shape_id bigint, i_new text, i_old text)
returns text
language sql stable
set search_path = pg_catalog, pg_temp
as $f$
    select 'select ' || trunkline.capture_blocks(w.put, 'b.kind', format(
        'select case when l.there is null then ''gone'' when l.x is null then ''large'' else ''live'' end as kind, '
        'coalesce(l.x, %s) as x from (%s) d left join lateral (select true as there, %s as x from %s t '
        'where %s (current_setting(''transaction_isolation'') in (''read committed'', ''read uncommitted'') '
        'or trunkline.wrote(t.%s)) limit 1) l on true',
        w.read_key,
        case i_operation
            when 'insert' then format('select %s from %s o', w.keys, i_new)
            when 'delete' then format('select distinct %s from %s o', w.keys, i_old)
            else format('select %s from %s o union select %s from %s o', w.keys, i_old, w.keys, i_new) end,
        case when r.owner then 't.x' when w.live_large is null then w.live_row
             else format('case when not %s then %s end', w.live_large, w.live_row) end,
        case when r.owner then format('trunkline.live_%s(%s)', i_plan ->> 'oid', (
                 select string_agg(format('d.k%s', k.place), ', ' order by k.place)
                   from jsonb_array_elements(i_plan -> 'keys') with ordinality k (key, place)))
             else w.source end,
        case when r.owner then '' else w.matched || ' and' end, case when r.owner then 'written' else 'xmin' end), 'b.kind, ')
      from trunkline.capture_words(i_queue_id, i_plan, i_shape_id) w
      cross join (select i_plan ->> 'reader' = 'owner' as owner) r;
$f$;
revoke all on function trunkline.capture_live(text, int4, jsonb, bigint, text, text) from public;
