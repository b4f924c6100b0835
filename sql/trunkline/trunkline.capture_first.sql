-- Function trunkline.capture_first(i_operation, i_queue_id, i_plan jsonb, i_shape_id, i_live text): logs transition rows if
-- this is the first capture on the table within the client statement, else does i_live.
create or replace function trunkline.capture_first(
    i_operation text, i_queue_id int4, i_plan jsonb, i_shape_id bigint, i_live text)
returns text
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
    v_words record;
    v_one   text;
    v_set   text;
    v_fits  text;
    v_new   text := '''insert''';
    v_kept  text := '''update''';
    v_lost  text := '''delete''';
begin
    select * into v_words from trunkline.capture_words(i_queue_id, i_plan, i_shape_id);
    if exists (select from jsonb_array_elements(i_plan -> 'columns') c (col)
                where c.col ->> 'key' is not null and not (c.col ->> 'text_equal')::bool) then
        v_new := 'case when pg_trigger_depth() = 1 then ''insert'' else ''live'' end';
        v_kept := 'case when pg_trigger_depth() = 1 then ''update'' else ''live'' end';
        v_lost := 'case when pg_trigger_depth() = 1 then ''delete'' else ''gone'' end';
    end if;
    v_fits := ' and not ' || v_words.new_large;

    if i_operation = 'insert' then
        v_one := format('%s, %s, %s, %s from newt n where not exists (select from newt x offset 1)%s',
                        v_words.new_row, v_words.name, v_words.shape, v_new, v_fits);
        v_set := format('v_rows := %s;', trunkline.capture_blocks(v_words.put, v_new,
                        format('select %s as x from newt n%s', v_words.new_row, ' where not ' || v_words.new_large), ''));
    elsif i_operation = 'delete' then
        v_one := format('%s, %s, %s, %s from oldt o where not exists (select from oldt x offset 1)',
                        v_words.old_key, v_words.name, v_words.shape, v_lost);
        v_set := format('v_rows := %s;', trunkline.capture_blocks(v_words.put, v_lost,
                        format('select %s as x from oldt o', v_words.old_key), ''));
    else
        -- IS TRUE keeps the planner from a join that needs to sort or hash: it is one row with one row.
        v_one := format('%s, %s, %s, %s from newt n, oldt o where not exists (select from newt x offset 1) and (%s) is true%s',
                        v_words.new_row, v_words.name, v_words.shape, v_kept, v_words.same, v_fits);
        v_set := trunkline.capture_updates(i_queue_id, i_plan, i_shape_id, v_new, v_kept, v_lost);
    end if;
    if v_words.new_large is not null and i_operation <> 'delete' then
        v_set := v_set || format($f$
            if exists (select from newt n where %s) then
                v_rows := %s;
            end if;$f$, v_words.new_large, trunkline.capture_blocks(v_words.put, '''large''',
                            format('select %s as x from newt n where %s', v_words.new_key, v_words.new_large), ''));
    end if;
    -- FOUND is the one-row statement's; it is false where none of the chain ran.
    return format($f$%2$s
    if not found then
        if current_setting('trunkline.m_%1$s', true) = v_mark then
            %4$s
        elsif exists (select from %5$s) then
            v_saved := trunkline.pin_plans();
            %3$s
            v_done := trunkline.unpin_plans(v_saved);
            v_done := set_config('trunkline.m_%1$s', v_mark, true);
        end if;
    end if;$f$, i_plan ->> 'oid',
        trunkline.capture_chain(i_queue_id, v_one, format('trunkline.m_%s', i_plan ->> 'oid')), v_set, i_live,
        case i_operation when 'delete' then 'oldt' else 'newt' end);
end
$$;
revoke all on function trunkline.capture_first(text, int4, jsonb, bigint, text) from public;
