-- Function trunkline.capture_updates(i_queue_id, i_plan jsonb, i_shape_id, i_new, i_kept, i_lost): logs the transition rows of an
-- UPDATE as three kinds: keys that are gone, rows that kept their key, rows with a new one.
--
-- Both tables hold their rows in the order of the updates, so if no key changed, their keys are equal side by side. This
-- comparison proves that no key changed, whatever the order was, and takes a tenth of the time of EXCEPT. It is made if the keys
-- are of fixed length: a million of such keys are far from the 1 GB that an array may have. Otherwise EXCEPT is used: NOT EXISTS
-- planned for one row takes 25 s on 200,000 rows. If keys did change, EXECUTE plans for the actual number of rows.
create or replace function trunkline.capture_updates(
    i_queue_id int4, i_plan jsonb, i_shape_id bigint, i_new text, i_kept text, i_lost text)
returns text
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
    v_words record;
    v_fits  text;
begin
    select * into v_words from trunkline.capture_words(i_queue_id, i_plan, i_shape_id);
    v_fits := ' not ' || v_words.new_large;
    return format($f$if %1$s then
                v_rows := 0;
            else
                v_rows := %2$s;
            end if;
            if v_rows = 0 then
                v_rows := %3$s;
            else
                execute %4$L into v_more;
                execute %5$L into v_more;
            end if;$f$,
        case when (i_plan ->> 'fixed_key')::bool then format(
            '(select array_agg(%1$s) from (select o.* from oldt o limit 1000001) d)'
            ' = (select array_agg(%1$s) from (select o.* from newt o limit 1000001) d)'
            ' and not exists (select from newt x offset 1000000)', v_words.pair) else 'false' end,
        trunkline.capture_blocks(v_words.put, i_lost, format(
            'select %s as x from (select %s from oldt o except select %s from newt o) d',
            v_words.read_key, v_words.keys, v_words.keys), ''),
        trunkline.capture_blocks(v_words.put, i_kept,
            format('select %s as x from newt n', v_words.new_row) || coalesce(' where' || v_fits, ''), ''),
        'select ' || trunkline.capture_blocks(v_words.put, i_kept, format(
            'select %s as x from newt n where exists (select from oldt o where %s)', v_words.new_row, v_words.same)
            || coalesce(' and' || v_fits, ''), ''),
        'select ' || trunkline.capture_blocks(v_words.put, i_new, format(
            'select %s as x from newt n where not exists (select from oldt o where %s)', v_words.new_row, v_words.same)
            || coalesce(' and' || v_fits, ''), ''));
end
$$;
revoke all on function trunkline.capture_updates(int4, jsonb, bigint, text, text, text) from public;
